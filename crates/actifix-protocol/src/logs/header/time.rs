//! Times as log lines print them.

/// A time at the start of a text.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Found {
    /// RFC 3339 or the same without zone; `None` where year or date are missing.
    pub text: Option<String>,
    /// Bytes that it takes.
    pub length: usize,
}

const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
const DAYS: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];

/// Reads a time at the start of `text` in any known form.
pub(super) fn parse(text: &str) -> Option<Found> {
    iso(text)
        .or_else(|| month_first(text))
        .or_else(|| access(text))
        .or_else(|| clock_only(text))
        .or_else(|| date_only(text))
}

/// `2026-11-24`, the day's begin, where a blank or the end follows.
fn date_only(text: &str) -> Option<Found> {
    let date = date(text)?;
    let ends = text.get(10..)?.chars().next().is_none_or(|next| matches!(next, ' ' | '\t'));
    ends.then(|| Found { text: Some(format!("{date}T00:00:00")), length: 10 })
}

/// `2026-11-24` or `2026/11/24` at the start, with hyphens.
fn date(text: &str) -> Option<String> {
    let date = text.get(..10)?;
    let bytes = date.as_bytes();
    let separator = *bytes.get(4)?;
    let fine = bytes.iter().enumerate().all(|(at, byte)| match at {
        4 | 7 => *byte == separator && matches!(separator, b'-' | b'/'),
        _ => byte.is_ascii_digit(),
    });
    fine.then(|| date.replace('/', "-"))
}

/// `2026-11-24T09:47:29.123Z`, `2026/11/24 09:47:29,123`, `2026-11-24 09:47:29 +0000`, `… UTC`.
fn iso(text: &str) -> Option<Found> {
    let date = date(text)?;
    let rest = text.get(10..)?.strip_prefix(['T', ' '])?;
    let (clock, fraction, taken) = clock(rest)?;
    let mut length = 11 + taken;
    let mut out = format!("{date}T{clock}{fraction}");
    let (zone, taken) = zone(text.get(length..).unwrap_or(""));
    out.push_str(&zone);
    length += taken;
    Some(Found { text: Some(out), length })
}

/// `Nov 24 09:47:29`, `Tue Nov 24 09:47:29.123456 2026`
fn month_first(text: &str) -> Option<Found> {
    let mut rest = text;
    if let Some(day) = DAYS.iter().find_map(|day| rest.strip_prefix(*day)) {
        rest = day.trim_start_matches(',').strip_prefix(' ')?;
    }
    let month = MONTHS.iter().position(|month| rest.starts_with(month))? + 1;
    rest = rest.get(3..)?.strip_prefix(' ')?.trim_start_matches(' ');
    let (day, after) = rest.split_once(' ')?;
    let day: u8 = day.parse().ok().filter(|day| (1..=31).contains(day))?;
    let (clock, fraction, taken) = clock(after)?;
    rest = after.get(taken..)?;
    let year = rest.strip_prefix(' ').and_then(|rest| rest.get(..4));
    let year =
        year.filter(|year| year.bytes().all(|byte| byte.is_ascii_digit()) && year.starts_with(['1', '2']));
    let mut length = text.len() - rest.len();
    let text = year.map(|year| {
        length += 5;
        format!("{year}-{month:02}-{day:02}T{clock}{fraction}")
    });
    Some(Found { text, length })
}

/// `24/Nov/2026:09:47:29 +0000`
fn access(text: &str) -> Option<Found> {
    let (day, rest) = text.split_once('/')?;
    let day: u8 = day.parse().ok().filter(|day| (1..=31).contains(day))?;
    let month = MONTHS.iter().position(|month| rest.starts_with(month))? + 1;
    let rest = rest.get(3..)?.strip_prefix('/')?;
    let year = rest.get(..4).filter(|year| year.bytes().all(|byte| byte.is_ascii_digit()))?;
    let rest = rest.get(4..)?.strip_prefix([':', ' '])?;
    let (clock, fraction, taken) = clock(rest)?;
    let rest = rest.get(taken..)?;
    let (zone, taken) = zone(rest);
    let text_out = format!("{year}-{month:02}-{day:02}T{clock}{fraction}{zone}");
    Some(Found { text: Some(text_out), length: text.len() - rest.len() + taken })
}

/// `09:47:29.123`
fn clock_only(text: &str) -> Option<Found> {
    let (_, _, length) = clock(text)?;
    Some(Found { text: None, length })
}

/// `09:47:29[.,]123`: time, fraction with its dot, bytes taken.
fn clock(text: &str) -> Option<(&str, String, usize)> {
    let time = text.get(..8)?;
    let fine = time.bytes().enumerate().all(|(at, byte)| match at {
        2 | 5 => byte == b':',
        _ => byte.is_ascii_digit(),
    });
    if !fine {
        return None;
    }
    let rest = text.get(8..)?;
    let digits = rest
        .strip_prefix(['.', ','])
        .map(|rest| rest.bytes().take_while(u8::is_ascii_digit).count())
        .filter(|count| (1..=9).contains(count));
    match digits {
        Some(count) => Some((time, format!(".{}", rest.get(1..=count)?), 9 + count)),
        None => Some((time, String::new(), 8)),
    }
}

/// `Z`, `+01:00`, ` +0100`, ` UTC`: as RFC 3339 has it, and bytes taken.
fn zone(text: &str) -> (String, usize) {
    if text.starts_with('Z') {
        return ("Z".to_owned(), 1);
    }
    for word in [" UTC", " GMT", "UTC"] {
        if text.starts_with(word) {
            return ("Z".to_owned(), word.len());
        }
    }
    let trimmed = text.strip_prefix(' ').unwrap_or(text);
    let skipped = text.len() - trimmed.len();
    let Some(sign) = trimmed.chars().next().filter(|sign| matches!(sign, '+' | '-')) else {
        return (String::new(), 0);
    };
    let digits = |range: std::ops::Range<usize>| {
        trimmed.get(range).filter(|part| part.bytes().all(|byte| byte.is_ascii_digit()))
    };
    let colon = trimmed.get(3..4) == Some(":");
    let minutes_at = if colon { 4 } else { 3 };
    match (digits(1..3), digits(minutes_at..minutes_at + 2)) {
        (Some(hours), Some(minutes)) => (format!("{sign}{hours}:{minutes}"), skipped + minutes_at + 2),
        _ => (String::new(), 0),
    }
}
