//! Text of strangers in the languages of chat programs.

/// Hexadecimal digits in a row that GitHub takes for a commit.
const COMMIT_CHARS_MIN: usize = 7;

/// One line of at most `most` characters: control characters and line breaks become blanks, what is cut ends with an
/// ellipsis.
pub(super) fn one_line(text: &str, most: usize) -> String {
    let breaks = |c: char| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}');
    let flat: String = text.chars().map(|c| if breaks(c) { ' ' } else { c }).collect();
    cut(flat.trim(), most)
}

/// At most `most` characters, cut with an ellipsis.
pub(super) fn cut(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    let mut short: String = text.chars().take(most.saturating_sub(1)).collect();
    short.push('…');
    short
}

/// Mentions that mention nobody: an invisible character stands behind each `@`.
pub(super) fn quiet(text: &str) -> String {
    text.replace('@', "@\u{200b}")
}

/// Plain text that neither mentions nor links: programs make links of bare addresses, whose schemes and `www.` are broken
/// by an invisible character.
pub(super) fn plain(text: &str) -> String {
    let text = quiet(text).replace("://", ":\u{200b}//");
    let mut out = String::with_capacity(text.len());
    let mut letters = 0;
    for c in text.chars() {
        if c == '.' && letters >= 3 {
            out.push('\u{200b}');
        }
        letters = if matches!(c, 'w' | 'W') { letters + 1 } else { 0 };
        out.push(c);
    }
    out
}

/// For Slack's texts, where `<`, `>` and `&` begin mentions, links and entities.
pub(super) fn slack(text: &str) -> String {
    entities(&plain(text))
}

/// The same of what is ours, such as the address that a link leads to.
pub(super) fn entities(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// For Markdown, of Discord and GitHub: whatever could be markup is taken literally, and references are broken.
pub(super) fn markdown(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 16);
    // GitHub links bare hashes of commits and `#1` although they are escaped: an invisible character stands in them.
    let mut hex = 0;
    for c in quiet(text).chars() {
        hex = if c.is_ascii_hexdigit() { hex + 1 } else { 0 };
        if hex == COMMIT_CHARS_MIN {
            out.push('\u{200b}');
            hex = 1;
        }
        match c {
            '#' => out.push_str("\\#\u{200b}"),
            '<' => out.push_str("&lt;"),
            '\\' | '`' | '*' | '_' | '~' | '|' | '>' | '[' | ']' | '(' | ')' | '!' | '-' | '+' | '.'
            | '{' | '}' | '$' | '&' => {
                out.push('\\');
                out.push(c);
            }
            // Bare addresses would become links, with previews.
            ':' => out.push_str(":\u{200b}"),
            _ => out.push(c),
        }
    }
    out
}

/// For Discord, which knows no entities: `&` stands for itself.
pub(super) fn discord(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 16);
    for c in quiet(text).chars() {
        match c {
            '\\' | '`' | '*' | '_' | '~' | '|' | '<' | '>' | '#' | '[' | ']' | '(' | ')' | '!' | '-'
            | '+' | '{' | '}' => {
                out.push('\\');
                out.push(c);
            }
            // Bare addresses would become links, with previews.
            ':' => out.push_str(":\u{200b}"),
            _ => out.push(c),
        }
    }
    out
}
