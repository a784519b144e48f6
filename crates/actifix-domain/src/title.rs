//! What a person reads first about an event: its title and the place of the failure (`ingest.md` §10.2).
//!
//! Both want [`crate::in_app::apply`] to have run.

use crate::event::{Event, EventType, Exception, Frame, Stacktrace, TITLE_CHARS_MAX};
use crate::function_name::{self, Language};
use std::borrow::Cow;

/// Longest culprit, in characters.
pub const CULPRIT_CHARS_MAX: usize = 200;

/// One line that names the event, at most [`TITLE_CHARS_MAX`] characters.
///
/// `type: first line of the text` of the last exception; the text alone where the type says nothing; else the
/// first line of the message. Never empty.
pub fn title(event: &Event) -> String {
    let text = event
        .last_exception()
        .and_then(exception_title)
        .or_else(|| {
            let frame = crash_frame(event)?;
            let name = function_name::normalize(Language::of(frame, event), frame.function.as_deref()?);
            (!function_name::is_unknown(&name)).then(|| name.into_owned())
        })
        .or_else(|| message(event).and_then(first_line).map(str::to_owned))
        .or_else(|| other_title(event));
    cut(&text.unwrap_or_else(|| "Event without a message".to_owned()), TITLE_CHARS_MAX)
}

/// Place of the failure, at most [`CULPRIT_CHARS_MAX`] characters; may be empty.
///
/// `event.culprit` is what the sender gave, the last resort: assign the result to it only after grouping.
pub fn culprit(event: &Event) -> String {
    let place = culprit_frame(event).and_then(|frame| place(Language::of(frame, event), frame));
    let given = |text: &str| Some(one_line(text)).filter(|text| !text.is_empty());
    let text = place
        .or_else(|| event.transaction.as_deref().and_then(given))
        .or_else(|| given(&event.culprit))
        .unwrap_or_default();
    cut(&text, CULPRIT_CHARS_MAX)
}

/// The innermost in-app frame of the last exception whose function is known, else one that has a module or file.
pub(crate) fn culprit_frame(event: &Event) -> Option<&Frame> {
    let frames = event.last_exception()?.stacktrace.as_ref()?.frames.as_slice();
    let own = || frames.iter().rev().filter(|frame| frame.in_app != Some(false));
    own()
        .find(|frame| known_function(Language::of(frame, event), frame).is_some())
        .or_else(|| own().find(|frame| place(Language::of(frame, event), frame).is_some()))
}

/// `module.function`, `file in function`, or the one of them that is known.
pub(crate) fn place(language: Language, frame: &Frame) -> Option<String> {
    let module = function_name::module(language, frame);
    let text = match known_function(language, frame) {
        None => module.into_owned(),
        Some(function) if module.is_empty() => function.into_owned(),
        Some(function) if function_name::is_named_by_file(language, frame) => {
            format!("{module} in {function}")
        }
        Some(function) => format!("{module}.{function}"),
    };
    Some(one_line(&text)).filter(|text| !text.is_empty())
}

/// The normalised function, unless it is unknown or rather a text that an old SDK took for a frame.
pub(crate) fn known_function(language: Language, frame: &Frame) -> Option<Cow<'_, str>> {
    let sent = frame.function.as_deref()?;
    let name = function_name::normalize(language, sent);
    (!sent.contains(": ") && !function_name::is_unknown(&name)).then_some(name)
}

/// The text that the title of a message event takes, whole.
pub(crate) fn message(event: &Event) -> Option<&str> {
    let entry = event.logentry.as_ref()?;
    let given = |text: &'_ Option<String>| text.as_ref().is_some_and(|text| !text.trim().is_empty());
    [&entry.formatted, &entry.message].into_iter().find(|text| given(text))?.as_deref()
}

/// The type of an exception, unless it has none or the SDK made it up.
pub(crate) fn real_type(exception: &Exception) -> Option<&str> {
    let synthetic = exception.mechanism.as_ref().and_then(|mechanism| mechanism.synthetic) == Some(true);
    let given = exception.exception_type.as_deref().filter(|text| !text.trim().is_empty());
    if synthetic { None } else { given }
}

/// The stack that tells where an event without a message happened: that of the crashed, else current, else only
/// thread, else of the last exception; only stacks for which `accept` holds are considered.
pub(crate) fn crash_stack(event: &Event, accept: impl Fn(&Stacktrace) -> bool) -> Option<&Stacktrace> {
    let threads = || event.threads.iter();
    let only = if event.threads.len() == 1 { event.threads.first() } else { None };
    let crashed = threads().filter(|thread| thread.crashed == Some(true));
    let current = threads().filter(|thread| thread.current == Some(true));
    crashed
        .chain(current)
        .chain(only)
        .filter_map(|thread| thread.stacktrace.as_ref())
        .chain(event.last_exception().and_then(|exception| exception.stacktrace.as_ref()))
        .find(|stack| accept(stack))
}

fn exception_title(exception: &Exception) -> Option<String> {
    let value = exception.value.as_deref().and_then(first_line);
    match (real_type(exception), value) {
        (Some(name), Some(value)) => Some(format!("{}: {value}", one_line(name))),
        (Some(name), None) => Some(one_line(name)),
        (None, value) => value.map(str::to_owned),
    }
}

/// The frame that names a crash without words: the culprit's, else the innermost one with a function.
fn crash_frame(event: &Event) -> Option<&Frame> {
    let known = |frame: &&Frame| known_function(Language::of(frame, event), frame).is_some();
    if event.exception.is_empty() && message(event).is_some() {
        return None;
    }
    culprit_frame(event).filter(known).or_else(|| {
        let stack = crash_stack(event, |stack| stack.frames.iter().any(|frame| known(&frame)))?;
        let own = stack.frames.iter().rev().filter(|frame| frame.in_app != Some(false)).find(known);
        own.or_else(|| stack.frames.iter().rev().find(known))
    })
}

/// Titles of reports that are no errors.
fn other_title(event: &Event) -> Option<String> {
    if let Some(csp) = &event.csp {
        return Some(one_line(&format!("Blocked by {}: {}", csp.directive, csp.blocked)));
    }
    if event.event_type == EventType::Feedback {
        let words = event.contexts.get("feedback").and_then(|feedback| feedback.get("message"));
        return words.and_then(|words| words.as_str()).and_then(first_line).map(str::to_owned);
    }
    let given = event.transaction.as_deref().unwrap_or(&event.culprit);
    Some(one_line(given)).filter(|text| !text.is_empty())
}

fn first_line(text: &str) -> Option<&str> {
    text.lines().map(str::trim).find(|line| !line.is_empty())
}

/// White space runs as one space, none at the ends.
fn one_line(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for word in text.split_whitespace() {
        if !out.is_empty() {
            out.push(' ');
        }
        out.push_str(word);
    }
    out
}

fn cut(text: &str, chars_max: usize) -> String {
    if text.len() <= chars_max || text.chars().nth(chars_max).is_none() {
        return text.to_owned();
    }
    text.chars().take(chars_max.saturating_sub(1)).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::{culprit, title};
    use crate::event::{
        Csp, Event, Exception, Frame, LogEntry, Mechanism, Stacktrace, TITLE_CHARS_MAX, Thread,
    };

    fn frame(module: &str, function: &str, in_app: bool) -> Frame {
        let text = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
        Frame { module: text(module), function: text(function), in_app: Some(in_app), ..Frame::default() }
    }

    fn thrown(platform: &str, frames: Vec<Frame>) -> Event {
        Event {
            platform: Some(platform.to_owned()),
            exception: vec![Exception {
                exception_type: Some("PaymentError".to_owned()),
                value: Some("\n order 1234 could not be paid\nsecond".to_owned()),
                stacktrace: Some(Stacktrace { frames, ..Stacktrace::default() }),
                ..Exception::default()
            }],
            ..Event::default()
        }
    }

    fn said(message: Option<&str>, formatted: Option<&str>) -> Event {
        let logentry = LogEntry {
            message: message.map(str::to_owned),
            formatted: formatted.map(str::to_owned),
            ..LogEntry::default()
        };
        Event { logentry: Some(logentry), ..Event::default() }
    }

    #[test]
    fn an_exception_is_titled_by_type_and_first_line() {
        let mut event = thrown("python", vec![frame("orders", "place_order", true)]);
        assert_eq!(title(&event), "PaymentError: order 1234 could not be paid");
        event.exception[0].mechanism = Some(Mechanism { synthetic: Some(true), ..Mechanism::default() });
        assert_eq!(title(&event), "order 1234 could not be paid");
        event.exception[0].value = None;
        assert_eq!(title(&event), "place_order");
        event.exception[0].mechanism = None;
        assert_eq!(title(&event), "PaymentError");
        event.exception[0].value = Some("ü".repeat(300));
        assert_eq!(title(&event).chars().count(), TITLE_CHARS_MAX);
        assert!(title(&event).ends_with('…'));
    }

    #[test]
    fn a_message_is_titled_by_what_people_read() {
        assert_eq!(title(&said(Some("order %s"), Some("order 5\nx"))), "order 5");
        assert_eq!(title(&said(Some("order %s"), Some(" "))), "order %s");
        let mut with_stack = said(Some("late"), None);
        let stacktrace = Some(Stacktrace { frames: vec![frame("a", "run", true)], ..Stacktrace::default() });
        with_stack.threads = vec![Thread { stacktrace, ..Thread::default() }];
        assert_eq!(title(&with_stack), "late");
        with_stack.logentry = None;
        assert_eq!(title(&with_stack), "run");
    }

    #[test]
    fn other_reports_have_a_title_too() {
        let csp = Csp {
            directive: "img-src".to_owned(),
            blocked: "https://t.example".to_owned(),
            ..Csp::default()
        };
        let event = Event { csp: Some(csp), ..Event::default() };
        assert_eq!(title(&event), "Blocked by img-src: https://t.example");
        assert!(!title(&Event::default()).is_empty());
    }

    #[test]
    fn the_culprit_is_the_innermost_own_frame_in_the_words_of_its_language() {
        let frames = vec![
            frame("__main__", "pay", true),
            frame("orders", "place_order", true),
            frame("orders", "?", true),
            frame("orders", "Error: no such", true),
            frame("requests.api", "post", false),
        ];
        assert_eq!(culprit(&thrown("python", frames.clone())), "orders.place_order");
        assert_eq!(culprit(&thrown("native", frames.clone())), "place_order");
        let file = |frame: &Frame| Frame { filename: Some("/srv/svc.cjs".to_owned()), ..frame.clone() };
        let in_files: Vec<Frame> = frames.iter().map(file).collect();
        assert_eq!(culprit(&thrown("node", in_files)), "svc.cjs in place_order");
        assert_eq!(culprit(&thrown("python", vec![frame("orders", "?", true)])), "orders");
    }

    #[test]
    fn without_own_frame_the_transaction_and_then_the_sender_name_the_place() {
        let mut event = thrown("python", vec![frame("requests.api", "post", false)]);
        assert_eq!(culprit(&event), "");
        event.culprit = "app.pay\nin charge".to_owned();
        assert_eq!(culprit(&event), "app.pay in charge");
        event.transaction = Some("POST /cart".to_owned());
        assert_eq!(culprit(&event), "POST /cart");
    }
}
