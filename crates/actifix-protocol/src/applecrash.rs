//! Facts out of the text of an Apple crash report (`ingest.md` §8): what failed and where, no more.
//!
//! Two public forms are read: the older text (`Exception Type:  EXC_…`) and the newer `.ips` file, a line of JSON
//! and a JSON document. What is not found is left out.

use crate::json::{self, clean};
use crate::limits::Limits;
use serde_json::{Value, json};

/// Lines of the head of a report that are looked at; frames of threads follow far later.
const LINES_MAX: usize = 200;
/// Longest fact that is taken, in characters.
const FACT_CHARS_MAX: usize = 256;

/// The raw event of a report, to be redacted and normalised as any other.
pub fn to_event(report: &[u8], limits: &Limits) -> Value {
    let facts = ips(report, limits).unwrap_or_else(|| text(report));
    let kind = facts.exception.as_deref().unwrap_or("crash");
    let value = match &facts.process {
        Some(process) => format!("{kind} in {process}"),
        None => kind.to_owned(),
    };
    let os = facts.os.map(|os| json!({ "os": { "name": os } })).unwrap_or_default();
    json!({
        "platform": "cocoa",
        "level": "fatal",
        "release": facts.version,
        "exception": { "values": [{
            "type": "applecrashreport",
            "value": value,
            "thread_id": facts.thread,
            "mechanism": { "type": "applecrashreport", "handled": false },
        }] },
        "contexts": os,
    })
}

#[derive(Debug, Default)]
struct Facts {
    process: Option<String>,
    version: Option<String>,
    os: Option<String>,
    exception: Option<String>,
    thread: Option<u64>,
}

fn text(report: &[u8]) -> Facts {
    let report = String::from_utf8_lossy(report);
    let mut facts = Facts::default();
    for line in report.lines().take(LINES_MAX) {
        let Some((name, value)) = line.split_once(':') else { continue };
        let value = fact(value);
        match name.trim() {
            // `Shop [4711]`: the number differs in each run.
            "Process" => facts.process = value.map(|text| before(&text, " [")),
            "Version" => facts.version = value,
            "OS Version" => facts.os = value,
            "Exception Type" => facts.exception = value,
            "Triggered by Thread" | "Crashed Thread" => {
                let digits = value.unwrap_or_default();
                facts.thread = digits.split_whitespace().next().and_then(|word| word.parse().ok());
            }
            _ => {}
        }
    }
    facts
}

fn ips(report: &[u8], limits: &Limits) -> Option<Facts> {
    let end = memchr::memchr(b'\n', report)?;
    let head = json::parse(report.get(..end)?, &limits.json()).ok()?;
    let body = json::parse(report.get(end..)?, &limits.json()).ok()?;
    let word = |value: Option<&Value>| value.and_then(Value::as_str).and_then(fact);
    let exception = body.get("exception");
    let kind = word(exception.and_then(|exception| exception.get("type")));
    let signal = word(exception.and_then(|exception| exception.get("signal")));
    Some(Facts {
        process: word(body.get("procName")).or_else(|| word(head.get("app_name"))),
        version: word(head.get("app_version")),
        os: word(head.get("os_version")),
        exception: match (kind, signal) {
            (Some(kind), Some(signal)) => Some(format!("{kind} ({signal})")),
            (kind, signal) => kind.or(signal),
        },
        thread: body.get("faultingThread").and_then(Value::as_u64),
    })
}

fn fact(text: &str) -> Option<String> {
    let text: String = clean(text).trim().chars().take(FACT_CHARS_MAX).collect();
    (!text.is_empty()).then_some(text)
}

fn before(text: &str, end: &str) -> String {
    text.split(end).next().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn what(report: &str) -> (String, Value) {
        let event = to_event(report.as_bytes(), &Limits::default());
        let exception = &event["exception"]["values"][0];
        (exception["value"].as_str().unwrap().to_owned(), exception["thread_id"].clone())
    }

    #[test]
    fn both_forms_say_what_failed() {
        let old = "Incident Identifier: 1\nProcess:         Shop [4711]\nVersion:  2.1 (7)\n\
                   Exception Type:  EXC_BAD_ACCESS (SIGSEGV)\nTriggered by Thread:  3\n\nThread 0:\n0 libc 0x1\n";
        assert_eq!(what(old), ("EXC_BAD_ACCESS (SIGSEGV) in Shop".to_owned(), json!(3)));
        let new = "{\"app_name\":\"Shop\",\"app_version\":\"2.1\"}\n{\"procName\":\"Shop\",\"faultingThread\":1,\
                   \n\"exception\":{\"type\":\"EXC_CRASH\",\"signal\":\"SIGABRT\"}}";
        assert_eq!(what(new), ("EXC_CRASH (SIGABRT) in Shop".to_owned(), json!(1)));
    }

    #[test]
    fn anything_else_still_is_a_crash() {
        for report in ["", "\u{0}\u{1}", "no colon", "{}\n[]", ":\n::"] {
            assert_eq!(what(report), ("crash".to_owned(), Value::Null), "{report:?}");
        }
    }
}
