//! `docs/terminal.svg`: what the program prints on a terminal, as a picture. The demo's own output, nothing made up.

use std::fmt::Write as _;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::workspace::Workspace;

/// Columns and tickets of the picture.
const COLUMNS: u16 = 118;
const TICKETS: u8 = 9;
/// Lines of one ticket.
const SHOWN_LINES: usize = 26;
/// Width of a character and height of a line, in pixels.
const CHARACTER: f64 = 8.4;
const LINE: f64 = 20.0;
const MARGIN: f64 = 16.0;

/// Colours of the picture.
const TEXT: &str = "#e6eae8";
const DIM: &str = "#8f9a98";
const BACKGROUND: &str = "#111414";

/// A demo that ends with this.
struct Demo(Child);

impl Drop for Demo {
    fn drop(&mut self) {
        let _gone = self.0.kill();
        let _status = self.0.wait();
    }
}

/// Draws the picture anew from a demo on a free port.
pub fn draw(workspace: &Workspace) -> Result<()> {
    let program = workspace.root().join("target/release/actifix");
    if !program.exists() {
        bail!("{}: not built: run `cargo build --release` first", program.display());
    }
    let home = workspace.root().join("target/picture-home");
    let _absent = fs::remove_dir_all(&home);
    let mut demo = Demo(
        Command::new(&program)
            .args(["serve", "--demo"])
            .env("ACTIFIX_HOME", &home)
            .env("ACTIFIX_LISTENERS__MAIN__BIND", "127.0.0.1:0")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()?,
    );
    let stderr = demo.0.stderr.take().context("a pipe")?;
    let filled = BufReader::new(stderr).lines().map_while(Result::ok).any(|line| line.starts_with("demo: "));
    if !filled {
        bail!("the demo did not start: is the program of this checkout?");
    }
    let list = format!("actifix ticket list --limit {TICKETS}");
    let mut screen = vec![prompt(&list)];
    screen.extend(on_terminal(&program, &home, &list)?);
    let worst = screen.iter().find(|line| line.contains("PaymentError")).context("the demo's own ticket")?;
    // Spans have no blanks at their ends.
    let first = spans(worst).into_iter().next().context("a line with text")?.text;
    let id =
        first.split_whitespace().next().and_then(|id| id.rsplit('-').next()).context("an id")?.to_owned();
    let show = format!("actifix ticket show {id}");
    screen.push(String::new());
    screen.push(prompt(&show));
    screen.extend(on_terminal(&program, &home, &show)?.into_iter().take(SHOWN_LINES));
    screen.push("\u{1b}[2m…\u{1b}[0m".to_owned());
    let path = workspace.root().join("docs/terminal.svg");
    fs::write(&path, svg(&screen))?;
    println!("{}", path.display());
    drop(demo);
    fs::remove_dir_all(&home)?;
    Ok(())
}

fn prompt(command: &str) -> String {
    format!("\u{1b}[2m$ {command}\u{1b}[0m")
}

/// Lines of a command on a terminal of its own, with its colours.
fn on_terminal(program: &Path, home: &Path, command: &str) -> Result<Vec<String>> {
    let command = command.replacen("actifix", &program.display().to_string(), 1);
    let script = format!("stty cols {COLUMNS} rows 50; {command}");
    let output = Command::new("script")
        .args(["--quiet", "--return", "--command", &script, "/dev/null"])
        .env("ACTIFIX_HOME", home)
        .env("TERM", "xterm-256color")
        .env_remove("NO_COLOR")
        .stdin(Stdio::null())
        .output()
        .context("script (of bsdutils) gives a command a terminal")?;
    if !output.status.success() {
        bail!("{command}: {}", String::from_utf8_lossy(&output.stdout));
    }
    let text = String::from_utf8_lossy(&output.stdout).replace('\r', "");
    Ok(text.lines().map(str::to_owned).collect())
}

/// Text of one look.
struct Span {
    text: String,
    column: usize,
    look: Look,
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
struct Look {
    bold: bool,
    dim: bool,
    color: Option<u8>,
    background: Option<u8>,
}

/// A line with its escapes read (SGR of ECMA-48, as far as the program uses it).
fn spans(line: &str) -> Vec<Span> {
    let mut spans: Vec<Span> = Vec::new();
    let (mut look, mut column) = (Look::default(), 0);
    let mut rest = line;
    while !rest.is_empty() {
        if let Some((codes, after)) = rest.strip_prefix("\u{1b}[").and_then(|tail| tail.split_once('m')) {
            look = turned(look, codes);
            rest = after;
            continue;
        }
        // An escape that is no SGR is passed over as one character.
        let first = rest.chars().next().map_or(1, char::len_utf8);
        let end = rest.get(first..).and_then(|tail| tail.find('\u{1b}')).map_or(rest.len(), |at| at + first);
        let (text, after) = rest.split_at(end);
        // What a terminal would wrap is left out, so that the picture is one line a line.
        let room = usize::from(COLUMNS).saturating_sub(column);
        let kept: String = text.chars().filter(|c| !c.is_control()).take(room).collect();
        if !kept.trim_end().is_empty() {
            spans.push(Span { text: kept.trim_end().to_owned(), column, look });
        }
        column += text.chars().count();
        rest = after;
    }
    spans
}

fn turned(mut look: Look, codes: &str) -> Look {
    let mut numbers = codes.split(';').map(|code| code.parse::<u8>().unwrap_or(0));
    while let Some(number) = numbers.next() {
        match number {
            0 => look = Look::default(),
            1 => look.bold = true,
            2 => look.dim = true,
            22 => (look.bold, look.dim) = (false, false),
            30..=37 => look.color = Some(number - 30),
            39 => look.color = None,
            40..=47 => look.background = Some(number - 40),
            49 => look.background = None,
            90..=97 => look.color = Some(number - 90),
            // 38;5;N and 48;5;N
            38 | 48 => {
                let color = numbers.nth(1).map(|color| color % 8);
                if number == 38 { look.color = color } else { look.background = color }
            }
            _ => {}
        }
    }
    look
}

fn color(number: u8) -> &'static str {
    match number {
        1 => "#ff8074",
        2 => "#7fd08a",
        3 => "#e8c46a",
        4 => "#7fb2f0",
        5 => "#d49ae0",
        6 => "#6fd0d0",
        _ => TEXT,
    }
}

fn svg(lines: &[String]) -> String {
    let width = f64::from(COLUMNS) * CHARACTER + 2.0 * MARGIN;
    let height = LINE * lines.len() as f64 + 2.0 * MARGIN;
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width:.0}\" height=\"{height:.0}\" font-family=\"ui-monospace, DejaVu Sans Mono, Menlo, Consolas, monospace\" font-size=\"14\"><title>actifix ticket list and actifix ticket show on a terminal</title><rect width=\"100%\" height=\"100%\" rx=\"8\" fill=\"{BACKGROUND}\"/>"
    );
    for (row, line) in lines.iter().enumerate() {
        let y = MARGIN + LINE * (row as f64 + 0.9);
        for span in spans(line) {
            let x = MARGIN + CHARACTER * span.column as f64;
            let length = CHARACTER * span.text.chars().count() as f64;
            if let Some(number) = span.look.background {
                let _infallible = write!(
                    out,
                    "<rect x=\"{x:.1}\" y=\"{:.1}\" width=\"{length:.1}\" height=\"{LINE}\" fill=\"{}\"/>",
                    y - 0.75 * LINE,
                    if number == 1 { "#a3261a" } else { color(number) }
                );
            }
            let fill = match (span.look.dim, span.look.color) {
                (true, _) => DIM,
                (false, Some(number)) => color(number),
                (false, None) => TEXT,
            };
            let weight = if span.look.bold { " font-weight=\"600\"" } else { "" };
            let _infallible = write!(
                out,
                "<text x=\"{x:.1}\" y=\"{y:.1}\" xml:space=\"preserve\" fill=\"{fill}\"{weight}>{}</text>",
                escaped(&span.text)
            );
        }
        out.push('\n');
    }
    out.push_str("</svg>\n");
    out
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn looks_and_columns_are_read_from_escapes() {
        let found = spans("\u{1b}[2mID  \u{1b}[0m \u{1b}[1;31mP1\u{1b}[0m a < b");
        let texts: Vec<(&str, usize)> = found.iter().map(|span| (span.text.as_str(), span.column)).collect();
        assert_eq!(texts, [("ID", 0), ("P1", 5), (" a < b", 7)]);
        assert!(found[0].look.dim && found[1].look.bold && found[1].look.color == Some(1));
        assert!(svg(&["a < b".to_owned()]).contains("a &lt; b"));
    }
}
