//! Where a JSON body departs from the documented form, and what belongs there, without a word of what was sent.

use serde::de::DeserializeOwned;
use serde_path_to_error::{Path, Segment};

/// Characters of a sentence; a list of words that is longer is not told.
const SAID_CHARS_MAX: usize = 400;
/// Characters of a member's name.
const NAME_CHARS_MAX: usize = 40;
/// How serde begins what it says of a member that is not known.
const UNKNOWN: &str = "unknown field";

/// The place and what belongs there: ``at `rate`: expected a whole number``. None where the form is right, or nothing can
/// be said.
pub(crate) fn misfit<T: DeserializeOwned>(bytes: &[u8]) -> Option<String> {
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let error = serde_path_to_error::deserialize::<_, T>(&mut reader).err()?;
    let said = error.inner().to_string();
    // The name of a member that is not known is the sender's text.
    let place = (!said.starts_with(UNKNOWN)).then(|| place(error.path())).flatten();
    let said = match (place, wanted(&said)) {
        (Some(place), Some(wanted)) => format!("at `{place}`: {wanted}"),
        (Some(place), None) => format!("at `{place}`"),
        (None, Some(wanted)) => wanted,
        (None, None) => return None,
    };
    (said.len() <= SAID_CHARS_MAX).then_some(said)
}

/// The member of the whole, and its place in a list. What is below may be a key of the sender's.
fn place(path: &Path) -> Option<String> {
    let mut parts = path.iter();
    let Some(Segment::Map { key }) = parts.next() else { return None };
    let number = match parts.next() {
        Some(Segment::Seq { index }) => format!("[{index}]"),
        _ => String::new(),
    };
    (key.len() <= NAME_CHARS_MAX).then(|| format!("{key}{number}"))
}

/// What serde says was expected: its last part is written by the reader and not by the sender.
fn wanted(said: &str) -> Option<String> {
    let said = said.rsplit_once(" at line ").map_or(said, |(said, _)| said);
    if let Some(name) = said.strip_prefix("missing field ") {
        return Some(format!("{name} is missing"));
    }
    let (before, expected) = said.rsplit_once(", expected ").or_else(|| said.rsplit_once(", there are "))?;
    let unknown = before.starts_with(UNKNOWN);
    Some(match expected {
        "no fields" => "nothing is expected".to_owned(),
        words if words.starts_with("one of ") || words.starts_with('`') => {
            let what = if unknown { "a member is not known; known are " } else { "expected " };
            format!("{what}{}", words.strip_prefix("one of ").filter(|_| unknown).unwrap_or(words))
        }
        words if ["u8", "u16", "u32", "u64", "i64", "usize"].contains(&words) => {
            "expected a whole number".into()
        }
        words if words.contains("string") => "expected a text".into(),
        words if words.contains("bool") => "expected true or false".into(),
        words if words.contains("sequence") => "expected a list".into(),
        words if words.starts_with("struct ") || words.contains("map") => "expected an object".into(),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    #[derive(Debug, serde::Deserialize)]
    #[serde(rename_all = "lowercase")]
    #[allow(dead_code, reason = "read for its refusals only")]
    enum Kind {
        New,
        Rate,
    }

    #[derive(Debug, serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    #[allow(dead_code, reason = "read for its refusals only")]
    struct Form {
        name: String,
        #[serde(default)]
        kinds: Vec<Kind>,
        #[serde(default)]
        tags: std::collections::BTreeMap<String, u32>,
        #[serde(default)]
        rest: Option<Value>,
    }

    #[test]
    fn it_names_the_place_and_what_belongs_there() {
        let said = |text: &str| misfit::<Form>(text.as_bytes());
        assert_eq!(said(r#"{"name":"a"}"#), None);
        assert_eq!(said(r#"{"kinds":[]}"#).as_deref(), Some("`name` is missing"));
        assert_eq!(said(r#"{"name":3}"#).as_deref(), Some("at `name`: expected a text"));
        assert_eq!(
            said(r#"{"name":"a","kinds":["new","soon"]}"#).as_deref(),
            Some("at `kinds[1]`: expected `new` or `rate`")
        );
        assert_eq!(said(r#"{"name":"a","kinds":{}}"#).as_deref(), Some("at `kinds`: expected a list"));
        assert_eq!(
            said(r#"{"name":"a","port":1}"#).as_deref(),
            Some("a member is not known; known are `name`, `kinds`, `tags`, `rest`")
        );
        assert_eq!(
            said(r#"{"name":"a","tags":{"blue":"x"}}"#).as_deref(),
            Some("at `tags`: expected a whole number")
        );
    }

    #[test]
    fn it_never_says_what_was_sent() {
        for text in [
            r#"{"name":"a","kinds":["Hunter2!, expected Hunter2!"]}"#,
            r#"{"name":"a","tags":{"Hunter2!":"Hunter2!"}}"#,
            r#"{"name":"a","tags":{"Hunter2":[]}}"#,
            r#"{"name":"a","Hunter2!":1}"#,
            r#"{"name":["Hunter2! at line 3"]}"#,
        ] {
            let said = misfit::<Form>(text.as_bytes());
            assert!(!said.clone().unwrap_or_default().contains("Hunter2"), "{text}: {said:?}");
        }
    }
}
