//! Conditions of project rules on events: `field:glob`, as people write them in the settings.
//!
//! | field | compared with |
//! | --- | --- |
//! | `type`, `value` | class and text of each exception of the chain |
//! | `message` | the message, its template, and the text of each exception |
//! | `function`, `module`, `path` | each frame of each stack; functions as sent and as normalised |
//! | `level`, `logger`, `transaction`, `environment`, `release` | the field of that name |
//! | `tags.<key>` | the tag |
//!
//! A field with several values matches when one of them does; an absent one never does, not even `*`.
//! `level`, `message` and `value` ignore the case of ASCII letters.

use crate::event::{Event, Frame, Stacktrace};
use crate::function_name::{self, Language};
use crate::glob::Glob;
use crate::title;

/// Conditions of one rule.
pub const MATCHERS_MAX: usize = 20;
/// Longest key in `tags.<key>`, in characters.
pub const TAG_KEY_CHARS_MAX: usize = 200;

/// One condition, read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Matcher {
    field: Field,
    glob: Glob,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Field {
    Type,
    Value,
    Message,
    Function,
    Module,
    Path,
    Level,
    Logger,
    Transaction,
    Environment,
    Release,
    Tag(String),
}

impl Matcher {
    /// Reads `field:glob`.
    ///
    /// # Errors
    /// What is wrong with it, in words for the person who wrote it.
    pub fn parse(text: &str) -> Result<Self, String> {
        const FIELDS: &str = "type, value, message, function, module, path, level, logger, transaction, environment, \
                              release or tags.<key>";
        let (name, pattern) =
            text.split_once(':').ok_or_else(|| format!("write field:pattern, where field is {FIELDS}"))?;
        let field = match name.trim() {
            "type" => Field::Type,
            "value" => Field::Value,
            "message" => Field::Message,
            "function" => Field::Function,
            "module" => Field::Module,
            "path" => Field::Path,
            "level" => Field::Level,
            "logger" => Field::Logger,
            "transaction" => Field::Transaction,
            "environment" => Field::Environment,
            "release" => Field::Release,
            other => match other.strip_prefix("tags.") {
                Some(key) if (1..=TAG_KEY_CHARS_MAX).contains(&key.chars().count()) => {
                    Field::Tag(key.to_owned())
                }
                _ => return Err(format!("unknown field before the `:`; one of {FIELDS}")),
            },
        };
        let ignore_case = matches!(field, Field::Level | Field::Message | Field::Value);
        Ok(Self { field, glob: Glob::parse(pattern.trim(), ignore_case)? })
    }

    /// Whether one value of the field matches.
    pub fn matches(&self, event: &Event) -> bool {
        let glob = |text: &str| self.glob.matches(text);
        let given = |text: &Option<String>| text.as_deref().is_some_and(glob);
        let exceptions = || event.exception.iter();
        match &self.field {
            Field::Type => exceptions().any(|exception| given(&exception.exception_type)),
            Field::Value => exceptions().any(|exception| given(&exception.value)),
            Field::Message => {
                title::message(event).is_some_and(glob)
                    || event.logentry.as_ref().is_some_and(|entry| given(&entry.message))
                    || exceptions().any(|exception| given(&exception.value))
            }
            Field::Function => frames(event).any(|frame| self.matches_function(event, frame)),
            Field::Module => frames(event).any(|frame| given(&frame.module)),
            Field::Path => frames(event).any(|frame| given(&frame.filename) || given(&frame.abs_path)),
            Field::Level => glob(event.level.as_str()),
            Field::Logger => given(&event.logger),
            Field::Transaction => given(&event.transaction),
            Field::Environment => given(&event.environment),
            Field::Release => given(&event.release),
            Field::Tag(key) => event.tags.get(key).is_some_and(|value| glob(value)),
        }
    }

    fn matches_function(&self, event: &Event, frame: &Frame) -> bool {
        let Some(function) = frame.function.as_deref() else { return false };
        self.glob.matches(function)
            || self.glob.matches(&function_name::normalize(Language::of(frame, event), function))
    }
}

/// Whether a condition can be read.
///
/// # Errors
/// What is wrong with it, in words for the person who wrote it.
pub fn validate(matcher: &str) -> Result<(), String> {
    Matcher::parse(matcher).map(drop)
}

/// Whether the conditions of one rule can be read and are 1 to [`MATCHERS_MAX`].
///
/// # Errors
/// The first thing that is wrong, in words for the person who wrote it.
pub fn validate_all(matchers: &[String]) -> Result<(), String> {
    if matchers.is_empty() || matchers.len() > MATCHERS_MAX {
        return Err(format!("a rule has 1 to {MATCHERS_MAX} conditions; `level:*` matches every event"));
    }
    matchers
        .iter()
        .try_for_each(|matcher| validate(matcher).map_err(|problem| format!("`{matcher}`: {problem}")))
}

/// Whether an event meets all conditions of a rule. Rules that [`validate_all`] refuses match nothing, so that a
/// broken rule does not swallow every event.
pub fn all_match(matchers: &[String], event: &Event) -> bool {
    (1..=MATCHERS_MAX).contains(&matchers.len())
        && matchers.iter().all(|text| Matcher::parse(text).is_ok_and(|matcher| matcher.matches(event)))
}

fn frames(event: &Event) -> impl Iterator<Item = &Frame> {
    let of = |stack: &'_ Option<Stacktrace>| stack.is_some();
    let exceptions = event.exception.iter().map(|exception| &exception.stacktrace);
    let threads = event.threads.iter().map(|thread| &thread.stacktrace);
    exceptions
        .chain(threads)
        .chain([&event.stacktrace])
        .filter(move |stack| of(stack))
        .flatten()
        .flat_map(|stack| stack.frames.iter())
}

#[cfg(test)]
mod tests {
    use super::{MATCHERS_MAX, all_match, validate, validate_all};
    use crate::event::{Event, Exception, Frame, Level, LogEntry, Stacktrace};

    fn event() -> Event {
        let frame = Frame {
            function: Some("Cart.<locals>.total".to_owned()),
            module: Some("shop.cart".to_owned()),
            abs_path: Some("/srv/shop/cart.py".to_owned()),
            ..Frame::default()
        };
        Event {
            platform: Some("python".to_owned()),
            level: Level::Fatal,
            logger: Some("shop.billing".to_owned()),
            transaction: Some("POST /cart".to_owned()),
            environment: Some("production".to_owned()),
            release: Some("shop@1.2.3".to_owned()),
            tags: [("queue".to_owned(), "mail:fast".to_owned())].into(),
            logentry: Some(LogEntry {
                message: Some("cart %s".to_owned()),
                formatted: Some("cart 5".to_owned()),
                ..LogEntry::default()
            }),
            exception: vec![Exception {
                exception_type: Some("TimeoutError".to_owned()),
                value: Some("No answer\nin 3 s".to_owned()),
                stacktrace: Some(Stacktrace { frames: vec![frame], ..Stacktrace::default() }),
                ..Exception::default()
            }],
            ..Event::default()
        }
    }

    fn matches(matchers: &[&str]) -> bool {
        all_match(&matchers.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>(), &event())
    }

    #[test]
    fn every_field_can_be_asked_for() {
        for matcher in [
            "type:Timeout*",
            "value:no answer*",
            "message:CART ?",
            "message:cart %s",
            "message:*ANSWER*",
            "function:total",
            "function:*<locals>*",
            "module:shop.*",
            "path:*/shop/*.py",
            "level:FATAL",
            "logger:shop.billing",
            "transaction:POST *",
            "environment:prod*",
            "release:shop@1.*",
            "tags.queue:mail:*",
        ] {
            assert!(matches(&[matcher]), "{matcher}");
            assert_eq!(validate(matcher), Ok(()), "{matcher}");
        }
        for matcher in ["type:timeout*", "tags.other:*", "module:cart", "level:error", "release:1*"] {
            assert!(!matches(&[matcher]), "{matcher}");
        }
    }

    #[test]
    fn all_conditions_must_hold_and_broken_rules_match_nothing() {
        assert!(matches(&["level:fatal", "type:*"]));
        assert!(!matches(&["level:fatal", "type:Value*"]));
        assert!(!matches(&[]));
        assert!(!matches(&["level:*", "nonsense"]));
        assert!(!matches(&["level:*"; MATCHERS_MAX + 1]));
    }

    #[test]
    fn broken_conditions_are_refused_with_words() {
        assert!(validate("Timeout").unwrap_err().contains("field:pattern"));
        assert!(validate("kind:x").unwrap_err().contains("transaction"));
        assert!(validate("tags.:x").unwrap_err().contains("tags.<key>"));
        assert!(validate("type:").unwrap_err().contains("empty"));
        assert!(validate_all(&[]).unwrap_err().contains("level:*"));
        assert!(validate_all(&["level:*".to_owned(), "x".to_owned()]).unwrap_err().starts_with("`x`"));
    }
}
