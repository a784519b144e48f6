//! The head of a plain log line: time, level, logger, message, in the layouts of the usual loggers.

use super::logfmt;
use crate::stacktext::{head, is_name};
use actifix_domain::event::Level;
use serde_json::{Map, Value};

mod time;

/// Bytes at the start of a line in which a header is looked for.
const SCAN_BYTES_MAX: usize = 400;
/// Parts (words, groups in brackets) that a header may have before its level.
const PARTS_MAX: usize = 10;
/// Plain words (logger, host, program) between the time and the level.
const WORDS_MAX: usize = 2;

/// What the start of a line says.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Header {
    pub level: Option<Level>,
    /// RFC 3339, or without zone; `None` where the line gives no full date.
    pub timestamp: Option<String>,
    pub logger: Option<String>,
    pub host: Option<String>,
    /// `program[12]` of a system log.
    pub tag: Option<String>,
    pub message: String,
    /// Further fields of key=value lines.
    pub fields: Map<String, Value>,
}

/// Reads the header of a line; `None`: the line has none, it may go on with the line before.
pub(super) fn parse(line: &str) -> Option<Header> {
    if line.is_empty() || line.starts_with([' ', '\t']) {
        return None;
    }
    let (priority, rest) = priority(line);
    if let Some(header) =
        glog(rest).or_else(|| ruby(rest)).or_else(|| console(rest)).or_else(|| logfmt::parse(rest))
    {
        return Some(header);
    }
    let mut header = general(rest, priority.is_some(), false)?;
    if header.level.is_none() {
        header.level = priority;
    }
    Some(header)
}

/// The level of a word that names one.
pub(super) fn level_of_word(word: &str) -> Option<Level> {
    Some(match word.to_ascii_lowercase().as_str() {
        "trace" | "trc" | "trce" | "verbose" | "vrb" | "finest" | "finer" | "debug" | "dbg" | "dbug"
        | "fine" | "debu" => Level::Debug,
        "info" | "inf" | "information" | "notice" | "log" | "config" | "informational" => Level::Info,
        "warn" | "warning" | "wrn" => Level::Warning,
        "error" | "err" | "erro" | "severe" | "fail" => Level::Error,
        "fatal" | "ftl" | "critical" | "crit" | "crt" | "emerg" | "emergency" | "alert" | "panic"
        | "dpanic" | "fata" => Level::Fatal,
        _ => return None,
    })
}

/// `<3>text` and `<11>1 text`: the level of a system log's priority.
fn priority(line: &str) -> (Option<Level>, &str) {
    let found = line.strip_prefix('<').and_then(|rest| rest.split_once('>'));
    let Some((number, rest)) = found else { return (None, line) };
    match number.parse::<u8>() {
        Ok(number) if number <= 191 && number.to_string() == number_text(line) => {
            (Some(level_of_syslog(number % 8)), rest.strip_prefix("1 ").unwrap_or(rest))
        }
        _ => (None, line),
    }
}

fn number_text(line: &str) -> String {
    line.chars().skip(1).take_while(char::is_ascii_digit).collect()
}

/// Severity 0 (emergency) to 7 (debug).
pub(super) fn level_of_syslog(severity: u8) -> Level {
    match severity {
        0..=2 => Level::Fatal,
        3 => Level::Error,
        4 => Level::Warning,
        5 | 6 => Level::Info,
        _ => Level::Debug,
    }
}

/// `E1124 09:47:29.123456   12 pay.go:42] text`
fn glog(line: &str) -> Option<Header> {
    let level = match line.get(..1)? {
        "I" => Level::Info,
        "W" => Level::Warning,
        "E" => Level::Error,
        "F" => Level::Fatal,
        _ => return None,
    };
    let (date, rest) = line.get(1..)?.split_once(' ')?;
    if date.len() != 4 || !date.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let (place, message) = head(rest, SCAN_BYTES_MAX)
        .split_once("] ")
        .map(|(place, _)| place)
        .and_then(|place| Some((place, rest.get(place.len() + 2..)?)))?;
    let file =
        place.rsplit(' ').next().and_then(|place| place.rsplit_once(':')).map(|(file, _)| file.to_owned());
    Some(Header { level: Some(level), logger: file, message: message.to_owned(), ..Header::default() })
}

/// `E, [2026-11-24T09:47:29.123456 #12] ERROR -- shop: text`
fn ruby(line: &str) -> Option<Header> {
    let rest = line.get(1..)?.strip_prefix(", [")?;
    let (inner, rest) = rest.split_once(']')?;
    let (level, rest) = rest.trim_start().split_once(" -- ")?;
    let level = level_of_word(level.trim()).or_else(|| (level.trim() == "ANY").then_some(Level::Info))?;
    let (logger, message) = rest.split_once(": ").unwrap_or((rest.trim_end_matches(':'), ""));
    Some(Header {
        level: Some(level),
        timestamp: time::parse(inner).and_then(|found| found.text),
        logger: Some(logger.trim().to_owned()).filter(|logger| !logger.is_empty()),
        message: message.to_owned(),
        ..Header::default()
    })
}

/// `fail: Acme.Shop.Cart[0]`, the text in the lines below.
fn console(line: &str) -> Option<Header> {
    let (word, rest) = line.split_once(": ")?;
    if !["trce", "dbug", "info", "warn", "fail", "crit"].contains(&word) {
        return None;
    }
    let (category, number) = rest.trim_end().strip_suffix(']')?.rsplit_once('[')?;
    let fine =
        number.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-') && is_name(category, &['.', '-']);
    let level = level_of_word(word)?;
    fine.then(|| Header { level: Some(level), logger: Some(category.to_owned()), ..Header::default() })
}

/// What the general reader found so far.
struct Reader<'a> {
    rest: &'a str,
    header: Header,
    has_time: bool,
    words: Vec<&'a str>,
    groups: Vec<&'a str>,
}

/// Time, level, names and groups in any of the usual orders. `known`: a priority came before. `nested`: this is
/// a program's own line inside of a system log's, which holds no third one.
fn general(line: &str, known: bool, nested: bool) -> Option<Header> {
    let mut reader = Reader {
        rest: line,
        header: Header::default(),
        has_time: false,
        words: Vec::new(),
        groups: Vec::new(),
    };
    let mut behind_time = line;
    for part in 0..PARTS_MAX {
        reader.rest = reader.rest.trim_start();
        let before = reader.rest;
        if reader.header.level.is_some() || !reader.part(part) {
            reader.rest = before;
            break;
        }
        if reader.has_time && reader.words.is_empty() && reader.groups.is_empty() {
            behind_time = reader.rest;
        }
    }
    let dateless = reader.has_time && reader.header.timestamp.is_none();
    if !nested && let Some(system) = syslog(behind_time, known || dateless) {
        return Some(Header { timestamp: system.timestamp.or(reader.header.timestamp), ..system });
    }
    if reader.header.level.is_some() {
        reader.after_level();
        return Some(reader.header);
    }
    if !reader.has_time && !known {
        return None;
    }
    reader.header.message = behind_time.trim().to_owned();
    Some(reader.header)
}

/// What follows the time in a system log: `host shop[12]: text`. Without a process number only a line that
/// has other signs of such a log (`likely`) is one.
fn syslog(behind_time: &str, likely: bool) -> Option<Header> {
    let mut parts = behind_time.trim_start().splitn(3, ' ');
    let (host, tag, text) = (parts.next()?, parts.next()?.strip_suffix(':')?, parts.next()?);
    let program = match tag.strip_suffix(']').and_then(|tag| tag.split_once('[')) {
        Some((program, number)) if number.bytes().all(|byte| byte.is_ascii_digit()) => program,
        _ if likely => tag,
        _ => return None,
    };
    if !is_name(program, &['.', '-', '/']) || !is_word(host) || level_of_word(host).is_some() {
        return None;
    }
    let header = Header { host: Some(host.to_owned()), tag: Some(tag.to_owned()), ..Header::default() };
    // The program's own line may have a level.
    let own = if text.starts_with([' ', '\t']) { None } else { general(text, false, true) };
    Some(match own.filter(|own| own.level.is_some()) {
        Some(own) => Header { host: header.host, tag: header.tag, ..own },
        None => Header { message: text.to_owned(), ..header },
    })
}

impl<'a> Reader<'a> {
    /// Takes one part; `false`: what follows is no part of a header.
    fn part(&mut self, at: usize) -> bool {
        let text = head(self.rest, SCAN_BYTES_MAX);
        if let Some((inner, length)) = group(text) {
            self.skip(length);
            self.in_brackets(inner);
            return true;
        }
        if !self.has_time
            && let Some(found) = time::parse(text)
        {
            self.has_time = true;
            self.header.timestamp = found.text;
            self.skip(found.length);
            return true;
        }
        let word = text.split([' ', '\t']).next().unwrap_or("");
        if let Some((level, length)) = level_at(word, at == 0, self.has_time && self.words.is_empty()) {
            self.header.level = Some(level);
            self.skip(length);
            return true;
        }
        if !self.has_time && self.groups.is_empty() {
            return false;
        }
        if matches!(word, "-" | "|" | "--" | "---" | ":")
            || word.bytes().all(|byte| byte.is_ascii_digit() || byte == b':')
        {
            self.skip(word.len());
            return !word.is_empty();
        }
        let name = word.trim_end_matches([':', ',']);
        if self.words.len() < WORDS_MAX && is_word(name) {
            self.words.push(name);
            self.skip(word.len());
            return true;
        }
        false
    }

    fn skip(&mut self, length: usize) {
        self.rest = self.rest.get(length..).unwrap_or("");
    }

    fn in_brackets(&mut self, inner: &'a str) {
        let mut inner = inner.trim();
        if !self.has_time
            && let Some(found) = time::parse(inner)
        {
            self.has_time = true;
            self.header.timestamp = found.text;
            inner = inner.get(found.length..).unwrap_or("").trim();
        }
        let level = inner.split([' ', ':', ']']).find_map(level_of_word);
        match level {
            Some(level) if inner.len() <= 40 => self.header.level = Some(level),
            _ if !inner.is_empty() => self.groups.push(inner),
            _ => {}
        }
    }

    /// What stands between the level and the message: thread, logger, place.
    fn after_level(&mut self) {
        let mut rest = self.rest;
        if let Some((name, text)) = rest.strip_prefix(':').and_then(|rest| rest.split_once(':'))
            && is_name(name, &['.'])
        {
            // Python's basic form: `ERROR:shop.billing:text`.
            self.header.logger = Some(name.to_owned());
            self.header.message = text.trim_start().to_owned();
            return;
        }
        for _ in 0..PARTS_MAX {
            rest = trim_separators(rest, &[' ', '\t', ':', '-', '|', ']', ')', '>', ',']);
            let scanned = head(rest, SCAN_BYTES_MAX);
            if let Some((inner, length)) = group(scanned).filter(|(inner, _)| inner.len() <= 80) {
                self.groups.push(inner);
                rest = rest.get(length..).unwrap_or("");
            } else if let Some((name, length)) = logger(scanned) {
                self.header.logger = Some(name.to_owned());
                rest = rest.get(length..).unwrap_or("");
                rest = trim_separators(rest, &[' ', '\t', ':', '-', '|']);
                break;
            } else if let Some((number, after)) = scanned.split_once(" --- ")
                && number.bytes().all(|byte| byte.is_ascii_digit())
            {
                rest = rest.get(rest.len().min(scanned.len() - after.len())..).unwrap_or("");
            } else {
                break;
            }
        }
        self.header.message = rest.trim_end().to_owned();
        if self.header.logger.is_none() {
            let group = self.groups.iter().find(|group| is_name(group, &['.', ':', '-', '/']));
            let word = self.words.iter().rev().find(|word| is_name(word, &['.', ':', '-', '/']));
            self.header.logger = word.or(group).map(|name| (*name).to_owned());
        }
    }
}

/// `text` without the separators that it begins with. The dashes of a PEM block belong to it: redaction, which comes
/// later, knows a key by them.
fn trim_separators<'a>(text: &'a str, separators: &[char]) -> &'a str {
    let rest = text.trim_start_matches(separators);
    let dashes = text.len() - rest.len();
    let before = text.get(..dashes).unwrap_or_default();
    if rest.starts_with("BEGIN ") && before.ends_with("-----") {
        return text.get(dashes - 5..).unwrap_or(rest);
    }
    rest
}

/// A group in brackets at the start: what is inside, and the length of all.
fn group(text: &str) -> Option<(&str, usize)> {
    let close = match text.chars().next()? {
        '[' => ']',
        '(' => ')',
        _ => return None,
    };
    let end = text.find(close)?;
    Some((text.get(1..end)?, end + 1))
}

/// The level in a word: `ERROR`, `ERROR:`, `ERROR:root:text`, `production.ERROR:`, `error:` where only a level
/// can stand. Answers the length to skip.
fn level_at(word: &str, first: bool, after_time: bool) -> Option<(Level, usize)> {
    let name = word.split([':', ',', ']', '|']).next().unwrap_or("");
    let bare = name.rsplit('.').next().unwrap_or(name);
    let level = level_of_word(bare)?;
    let upper = bare.bytes().all(|byte| byte.is_ascii_uppercase());
    let colon = word.get(name.len()..).is_some_and(|rest| rest.starts_with(':'));
    // `Error: x` is how JavaScript prints an exception, `panic: x` how Go ends.
    let lower = bare.bytes().all(|byte| byte.is_ascii_lowercase());
    let fine = upper || (lower && ((first && colon && bare != "panic") || after_time));
    (fine && bare.len() > 2).then_some((level, name.len()))
}

/// `com.acme.Shop - `, `c.a.Shop : `, `shop::pay: `: a name with separators and what ends it.
fn logger(text: &str) -> Option<(&str, usize)> {
    let word = text.split([' ', '\t']).next()?;
    let after = text.get(word.len()..)?.trim_start();
    let name = word.trim_end_matches(':');
    let ends = word.len() > name.len() || after.starts_with("- ") || after.starts_with(": ");
    // `java.io.IOException: x` is the text's exception, no logger.
    let is_head = word.len() > name.len() && (name.ends_with("Error") || name.ends_with("Exception"));
    let is_path =
        name.contains('.') || name.contains("::") || after.starts_with(": ") || after.starts_with("- ");
    (ends && is_path && is_name(name, &['.', ':', '-', '/']) && !is_head).then_some((name, word.len()))
}

fn is_word(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= 100
        && text.chars().all(|c| c.is_alphanumeric() || "._-/#:[]$@".contains(c))
}
