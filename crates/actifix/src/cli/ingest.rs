//! `actifix ingest logs`

use super::client::Client;
use super::error::exit;
use super::interrupt::Interrupt;
use super::output;
use super::{CliError, Global};
use actifix_domain::event::Level;
use actifix_protocol::logs::{LogEvent, LogFormat, LogOptions, LogReader};
use clap::{Subcommand, ValueEnum};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Map, Value, json};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;
use tokio::fs::File;
use tokio::io::{AsyncRead, AsyncReadExt};

/// Bytes that are read at a time.
const CHUNK_BYTES: usize = 64 << 10;
/// With `--follow`: an unfinished stack trace is taken as finished after this time without a line.
const IDLE: Duration = Duration::from_secs(2);
/// With `--follow`: how often a file is looked at.
const FOLLOW_EVERY: Duration = Duration::from_millis(250);

/// With `--follow`: how long the name of a rotated file may lead nowhere.
const ABSENT_MAX: Duration = Duration::from_secs(60);
/// With `--follow`: first and longest pause before an event is sent again.
const RETRY_FIRST: Duration = Duration::from_millis(250);
const RETRY_MAX: Duration = Duration::from_secs(30);

/// Turn other sources into events.
#[derive(Debug, Subcommand)]
pub enum IngestCommand {
    /// Log lines and multi-line stack traces (Python, JavaScript, Java, Go, Ruby, .NET, Rust, PHP).
    #[command(
        after_help = "Examples:\n  actifix ingest logs /var/log/shop.log\n  journalctl -fu shop -o cat | actifix ingest logs - --project shop\n  actifix ingest logs app.log --follow"
    )]
    Logs {
        /// File, or `-` for standard input.
        file: String,
        /// Form of the lines.
        #[arg(long, value_enum, default_value_t = Format::Auto)]
        format: Format,
        /// Go on as the file grows, until interrupted.
        #[arg(long)]
        follow: bool,
        /// Least level that becomes an event.
        #[arg(long, default_value = "error")]
        min_level: String,
        /// Project name or id.
        #[arg(long, default_value = "default")]
        project: String,
    },
}

/// Form of log lines.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum Format {
    /// Each line for itself.
    Auto,
    /// JSON lines.
    Json,
    /// Text.
    Plain,
}

/// Runs the command.
pub async fn run(global: &Global, command: IngestCommand) -> Result<ExitCode, CliError> {
    let IngestCommand::Logs { file, format, follow, min_level, project } = command;
    let min_level: Level = min_level.parse().map_err(|why| CliError::usage(format!("--min-level: {why}")))?;
    let format = match format {
        Format::Auto => LogFormat::Auto,
        Format::Json => LogFormat::Json,
        Format::Plain => LogFormat::Plain,
    };
    let options = LogOptions { format, min_level };
    let client = Client::connect(global).await?;
    let interrupt = Interrupt::install().map_err(CliError::other)?;
    let progress = progress();
    let mut sink = Sink {
        global,
        client: &client,
        project: &project,
        sent: 0,
        skipped: 0,
        foreign: 0,
        progress,
        follow,
        interrupt,
    };
    let result = if file == "-" {
        sink.follow = false;
        let mut reader = LogReader::new(options);
        let read = sink.pump(&mut tokio::io::stdin(), &mut reader, None).await.map(|_| ());
        sink.count(&reader);
        read
    } else {
        sink.file(Path::new(&file), options).await
    };
    sink.progress.finish_and_clear();
    let (sent, skipped, foreign) = (sink.sent, sink.skipped, sink.foreign);
    client.close().await?;
    result?;
    if global.json {
        output::json(&json!({ "events": sent, "binary_lines": skipped, "foreign_lines": foreign }))?;
    } else {
        output::note(output::many(sent, "event"));
        if skipped > 0 {
            let lines = output::plural(skipped, "line", "lines");
            output::note(format!("{lines} skipped that hold zeros, which no text does: is the file whole?"));
        }
        if foreign > 0 {
            let lines = output::plural(foreign, "line", "lines");
            output::note(format!("{lines} not understood: {}", advice(options.format)));
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// What to try where lines were not understood.
const fn advice(format: LogFormat) -> &'static str {
    match format {
        LogFormat::Json => "they are no JSON objects: try `--format auto`",
        LogFormat::Plain => {
            "they have neither level nor time nor stack trace: if they are JSON, try `--format auto`"
        }
        LogFormat::Auto => {
            "they have neither level (such as `ERROR`) nor time nor stack trace, and are no JSON objects"
        }
    }
}

fn progress() -> ProgressBar {
    let bar = ProgressBar::new_spinner();
    if let Ok(style) = ProgressStyle::with_template("{spinner} {bytes} read, {msg}") {
        bar.set_style(style);
    }
    bar
}

struct Sink<'a> {
    global: &'a Global,
    client: &'a Client,
    project: &'a str,
    sent: u64,
    /// Lines that are no text.
    skipped: u64,
    /// Lines of no known layout.
    foreign: u64,
    progress: ProgressBar,
    follow: bool,
    interrupt: Interrupt,
}

/// Which file an event stands in: the same line read again makes the same event.
#[derive(Clone, Copy)]
struct Place {
    device: u64,
    inode: u64,
}

/// Bytes of a file that show what it is, as grep and git look at it.
const SNIFF_BYTES: usize = 8 << 10;

/// Looks at the first bytes of a file: what is no text must not become tickets.
#[derive(Debug, Default)]
struct Start {
    looked_at: usize,
}

impl Start {
    /// The text of what was read, without the zeros that a log which was emptied under its writer begins with.
    fn text<'b>(&mut self, mut bytes: &'b [u8]) -> Result<&'b [u8], &'static str> {
        if self.looked_at == 0 {
            let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
            bytes = bytes.get(zeros..).unwrap_or_default();
            if bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]) {
                return Err("UTF-16 text: convert it, such as with `iconv -f UTF-16 -t UTF-8`");
            }
            for (magic, why) in PACKED {
                if bytes.starts_with(magic) {
                    return Err(why);
                }
            }
        }
        let sniffed =
            bytes.get(..SNIFF_BYTES.saturating_sub(self.looked_at).min(bytes.len())).unwrap_or_default();
        self.looked_at += sniffed.len();
        let strange = sniffed.iter().filter(|byte| is_strange(**byte)).count();
        if sniffed.contains(&0) || strange * STRANGE_SHARE > sniffed.len() {
            return Err(
                "not text: name a log, or pass its text through such as by `strings -n 8 FILE | actifix ingest logs -`",
            );
        }
        Ok(bytes)
    }
}

/// One byte in this many may be no character of any text.
const STRANGE_SHARE: usize = 10;

/// Control characters that no log has; colours and tabs are none of them.
const fn is_strange(byte: u8) -> bool {
    byte < 0x20 && !matches!(byte, b'\t' | b'\n' | b'\r' | 0x08 | 0x0c | 0x1b)
}

/// How packed files begin.
const PACKED: [(&[u8], &str); 4] = [
    (&[0x1f, 0x8b], "packed by gzip: read it with `zcat FILE | actifix ingest logs -`"),
    (&[0x28, 0xb5, 0x2f, 0xfd], "packed by zstd: read it with `zstdcat FILE | actifix ingest logs -`"),
    (&[0xfd, b'7', b'z', b'X', b'Z'], "packed by xz: read it with `xzcat FILE | actifix ingest logs -`"),
    (b"BZh", "packed by bzip2: read it with `bzcat FILE | actifix ingest logs -`"),
];

fn not_text(path: Option<&Path>, why: &str) -> CliError {
    let name = path.map_or_else(|| "standard input".to_owned(), |path| path.display().to_string());
    CliError::usage(format!("{name}: {why}"))
}

/// Why reading stopped.
enum Stopped {
    /// The end of what there was, or the user wants no more.
    End,
    /// Another file has the name now, or this one was emptied.
    Replaced,
}

impl Sink<'_> {
    fn count(&mut self, reader: &LogReader) {
        self.skipped += reader.binary_lines();
        self.foreign += reader.foreign_lines();
    }

    /// Reads a file; with `--follow` also those that take its place.
    async fn file(&mut self, path: &Path, options: LogOptions) -> Result<(), CliError> {
        let mut absent_max = Duration::ZERO;
        loop {
            let mut file = self.open(path, absent_max).await?;
            absent_max = ABSENT_MAX;
            let meta = file.metadata().await.map_err(|error| CliError::io(path, error))?;
            let place = Place { device: meta.dev(), inode: meta.ino() };
            let mut reader = LogReader::new(options);
            let stopped = self.pump(&mut file, &mut reader, Some((path, place))).await;
            self.count(&reader);
            if let Stopped::End = stopped? {
                return Ok(());
            }
        }
    }

    /// A log that is being rotated may be missing for a moment.
    async fn open(&self, path: &Path, absent_max: Duration) -> Result<File, CliError> {
        let mut waited = Duration::ZERO;
        loop {
            match File::open(path).await {
                Ok(file) => return Ok(file),
                Err(error)
                    if self.follow && waited < absent_max && error.kind() == io::ErrorKind::NotFound =>
                {
                    tokio::time::sleep(FOLLOW_EVERY).await;
                    waited += FOLLOW_EVERY;
                }
                Err(error) => return Err(CliError::io(path, error)),
            }
        }
    }

    async fn pump(
        &mut self,
        input: &mut (impl AsyncRead + Unpin),
        reader: &mut LogReader,
        source: Option<(&Path, Place)>,
    ) -> Result<Stopped, CliError> {
        let place = source.map(|(_, place)| place);
        let mut chunk = vec![0u8; CHUNK_BYTES];
        let mut idle = Duration::ZERO;
        let mut position = 0u64;
        let mut start = Start::default();
        let stopped = loop {
            let read = tokio::select! {
                read = input.read(&mut chunk) => read.map_err(CliError::other)?,
                () = self.interrupt.came() => break Stopped::End,
            };
            if let Some(bytes) = chunk.get(..read).filter(|bytes| !bytes.is_empty()) {
                idle = Duration::ZERO;
                position += read as u64;
                self.progress.inc(read as u64);
                let text = start.text(bytes).map_err(|why| not_text(source.map(|(path, _)| path), why))?;
                self.send(reader.feed(text), place).await?;
                continue;
            }
            let Some((path, place)) = source.filter(|_| self.follow) else { break Stopped::End };
            if replaced(path, place, position).await {
                break Stopped::Replaced;
            }
            if idle >= IDLE {
                self.send(reader.flush(), Some(place)).await?;
                idle = Duration::ZERO;
            }
            tokio::select! {
                () = tokio::time::sleep(FOLLOW_EVERY) => idle += FOLLOW_EVERY,
                () = self.interrupt.came() => break Stopped::End,
            }
        };
        self.send(reader.flush(), place).await?;
        Ok(stopped)
    }

    async fn send(&mut self, events: Vec<LogEvent>, place: Option<Place>) -> Result<(), CliError> {
        for mut event in events {
            if let (Some(place), Some(map)) = (place, event.value.as_object()) {
                let id = event_id(place, event.first_line_no, map);
                event.value["event_id"] = Value::from(id);
            }
            let body = json!({ "event": event.value, "project": self.project, "transport": "log" });
            let answer = self.post(&body).await?;
            self.sent += 1;
            self.progress.set_message(output::many(self.sent, "event"));
            if !self.global.json {
                super::records::print_recorded(self.global, &answer)?;
            }
        }
        Ok(())
    }

    /// With `--follow` a server that is away or busy is waited for: the file keeps what is not read yet.
    async fn post(&mut self, body: &Value) -> Result<Value, CliError> {
        let mut pause = RETRY_FIRST;
        loop {
            let error = match self.client.post("/api/v1/events", body).await {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            if !self.follow || ![exit::UNAVAILABLE, exit::TRY_LATER].contains(&error.exit_code()) {
                return Err(error);
            }
            self.progress.set_message(format!("{}, waiting: {error}", output::many(self.sent, "event")));
            tokio::select! {
                () = tokio::time::sleep(pause) => pause = (pause * 2).min(RETRY_MAX),
                () = self.interrupt.came() => return Err(error),
            }
        }
    }
}

/// Whether the name leads elsewhere now, or the file is shorter than what was read.
async fn replaced(path: &Path, place: Place, position: u64) -> bool {
    match tokio::fs::metadata(path).await {
        Ok(meta) => (meta.dev(), meta.ino()) != (place.device, place.inode) || meta.len() < position,
        // Between the two steps of a rotation there is nothing; the next look will tell.
        Err(_) => false,
    }
}

/// What names a line to the server: the same line of the same file gets it again, so that reading it twice counts once.
/// The server keeps a keyed hash of it, as this one tells what stands in the line to whoever can guess it.
fn event_id(place: Place, line: u64, event: &Map<String, Value>) -> String {
    let mut hasher = blake3::Hasher::new();
    for number in [place.device, place.inode, line] {
        hasher.update(&number.to_le_bytes());
    }
    for (key, value) in event {
        hasher.update(key.as_bytes());
        hasher.update(value.to_string().as_bytes());
    }
    hasher.finalize().to_hex().chars().take(32).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_text_is_told_from_logs() {
        let text = |bytes: &[u8]| Start::default().text(bytes).map(<[u8]>::to_vec);
        assert_eq!(text(b"\0\0\0ERROR after a truncation\n").unwrap(), b"ERROR after a truncation\n");
        assert!(text("2026-11-24 ERROR Zahlung für Größe \u{1b}[31mrot\u{1b}[0m\n".as_bytes()).is_ok());
        assert!(text(b"caf\xe9 ERROR in Latin-1\n").is_ok());
        assert!(text(b"").is_ok());
        for (bytes, says) in [
            (&b"\x7fELF\x02\x01\x01\0\0\0panic: FATAL\n"[..], "not text"),
            (b"\x1f\x8b\x08\x08abc", "zcat"),
            (b"\xff\xfeE\0R\0", "iconv"),
            (b"PK\x03\x04\x14\x01\x02\x08\x08FATAL", "not text"),
        ] {
            assert!(text(bytes).unwrap_err().contains(says), "{bytes:?}");
        }
        // Only the start decides: a crash may leave zeros in the middle of a good log.
        let mut start = Start::default();
        assert!(start.text(&b"INFO fine\n".repeat(1_000)).is_ok());
        assert!(start.text(b"\0\0\0\0ERROR after a crash\n").is_ok());
    }
}
