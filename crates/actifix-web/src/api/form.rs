//! Forms of what comes in: each stands in the contract and is held against the request by the same value, so that the
//! two cannot differ. What has the wrong form is 400; what has the right one and means nothing is 422.

use actifix_app::error::FieldError;
use actifix_domain::access::Scope;
use actifix_domain::alert::{HOURS_PATTERN, NAME_CHARS_MAX, Trigger};
use actifix_domain::audit::Action;
use actifix_domain::event::Level;
use actifix_domain::ticket::Priority;
use actifix_domain::time::Timestamp;
use serde_json::{Map, Value, json};
use url::form_urlencoded;

/// Longest value of a query parameter without a form of its own, characters.
const TEXT_CHARS_MAX: usize = 2_000;
/// Query parameters of one request.
const PARAMETERS_MAX: usize = 32;
/// Largest whole number that every reader of JSON understands.
const WHOLE_MAX: u64 = 9_007_199_254_740_991;

/// Form of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// Anything, at most [`TEXT_CHARS_MAX`] characters.
    Text,
    /// Without white space, such as `P0,P1`.
    Word,
    /// A whole number from the first to the second.
    Whole(u64, u64),
    /// `true` or `false`.
    Boolean,
    /// One of these.
    OneOf(&'static [&'static str]),
    /// Name of an act of the audit log.
    Action,
    /// A time in RFC 3339.
    Time,
}

/// A query parameter: name, and one line for people.
pub(super) type Parameter = (&'static str, &'static str);

/// Parameters of a list that is bounded and comes whole, so that a client may page through every list alike.
pub(super) const WHOLE_LIST: &[Parameter] =
    &[("cursor", "accepted; this list comes whole"), ("limit", "1 to 200; accepted, this list comes whole")];

/// The form of a query parameter. A name means the same in every list, but for `state`: its words are told by its help.
pub(super) fn of_query((name, help): &Parameter) -> Form {
    match *name {
        "limit" => Form::Whole(1, 200),
        "hours" => Form::Whole(1, 2_160),
        "all" | "production" => Form::Boolean,
        "status" | "priority" => Form::Word,
        "sort" => Form::OneOf(&["last_seen", "first_seen", "count", "priority"]),
        "state" if help.starts_with("pending") => Form::OneOf(&["pending", "delivered", "dead"]),
        "state" => Form::OneOf(&["open", "rotated", "false_positive"]),
        "result" => Form::OneOf(&["ok", "refused", "failed"]),
        "action" => Form::Action,
        "since" | "until" => Form::Time,
        _ => Form::Text,
    }
}

impl Form {
    /// JSON Schema of it.
    pub(super) fn schema(self) -> Value {
        match self {
            Self::Text => json!({ "type": "string", "maxLength": TEXT_CHARS_MAX }),
            Self::Word => json!({ "type": "string", "pattern": "^[!-~]{1,200}$" }),
            Self::Whole(min, max) => json!({ "type": "integer", "minimum": min, "maximum": max }),
            Self::Boolean => json!({ "type": "boolean" }),
            Self::OneOf(words) => json!({ "type": "string", "enum": words }),
            Self::Action => {
                let words: Vec<&str> = Action::ALL.iter().map(|action| action.as_str()).collect();
                json!({ "type": "string", "enum": words })
            }
            Self::Time => json!({ "type": "string", "format": "date-time" }),
        }
    }

    /// What was expected, where `value` is something else.
    fn misses(self, value: &str) -> Option<String> {
        let fits = match self {
            Self::Text => value.chars().nth(TEXT_CHARS_MAX).is_none(),
            Self::Word => {
                (1..=200).contains(&value.len()) && value.bytes().all(|byte| byte.is_ascii_graphic())
            }
            Self::Whole(min, max) => {
                value.bytes().all(|byte| byte.is_ascii_digit())
                    && value.parse().is_ok_and(|number: u64| (min..=max).contains(&number))
            }
            Self::Boolean => matches!(value, "true" | "false"),
            Self::OneOf(words) => words.contains(&value),
            Self::Action => Action::ALL.iter().any(|action| action.as_str() == value),
            Self::Time => Timestamp::parse(value).is_some(),
        };
        (!fits).then(|| match self {
            Self::Text => format!("at most {TEXT_CHARS_MAX} characters"),
            Self::Word => "1 to 200 printable ASCII characters without spaces".to_owned(),
            Self::Whole(min, max) => format!("expected a whole number from {min} to {max}"),
            Self::Boolean => "expected true or false".to_owned(),
            Self::OneOf(words) => format!("expected one of {}", words.join(", ")),
            Self::Action => "expected an action such as login.failed".to_owned(),
            Self::Time => "expected an RFC 3339 time, such as 2026-11-24T09:00:00Z".to_owned(),
        })
    }
}

/// What is wrong with a query: names that the operation does not have, that are there twice, values of another form.
/// Nothing is passed over: a mistyped name would else widen a list in silence.
pub(super) fn check_query(query: &str, known: &[Parameter]) -> Vec<FieldError> {
    let mut wrong = Vec::new();
    let mut seen: Vec<&'static str> = Vec::new();
    for (place, (name, value)) in form_urlencoded::parse(query.as_bytes()).enumerate() {
        if place >= PARAMETERS_MAX {
            wrong.push(wrong_field("query", format!("more than {PARAMETERS_MAX} parameters")));
            break;
        }
        let Some(parameter) = known.iter().find(|(known, _)| *known == name) else {
            let names: Vec<&str> = known.iter().map(|(name, _)| *name).collect();
            let known = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
            // The name is a stranger's text: it is not repeated.
            wrong.push(wrong_field("query", format!("an unknown parameter; known here: {known}")));
            continue;
        };
        let known_name = &parameter.0;
        if seen.contains(known_name) {
            wrong.push(wrong_field(known_name, "there twice"));
        }
        seen.push(known_name);
        if let Some(expected) = of_query(parameter).misses(&value) {
            wrong.push(wrong_field(known_name, expected));
        }
    }
    wrong
}

fn wrong_field(field: &str, message: impl Into<String>) -> FieldError {
    FieldError { field: field.to_owned(), message: message.into() }
}

/// A member of a body: name, notation of its form, and one line for people.
pub(super) type Member = (&'static str, &'static str, &'static str);

/// JSON Schema of an object of these members and no others.
pub(super) fn object(members: &[Member]) -> Value {
    let properties: Map<String, Value> =
        members.iter().map(|(name, notation, help)| ((*name).to_owned(), member(notation, help))).collect();
    let required: Vec<&str> =
        members.iter().filter(|(_, notation, _)| notation.ends_with('!')).map(|(name, ..)| *name).collect();
    json!({ "type": "object", "properties": properties, "required": required, "additionalProperties": false })
}

/// JSON Schema of a member of a body. Notations: `string`, `integer`, `boolean`, `object`, `strings`; `a|b` is one of
/// these words; `1..240` a whole number, `0..` one without a bound of ours; `ticket`, `tickets`, `hex` are ids, `name`
/// that of a rule, `project` a number or a name, `strings..20` so many at most, `texts..20` so many texts by name, a
/// name in capitals another schema; the others are words of the domain. A `?` behind it allows null, a `!` says that it
/// is required.
pub(super) fn member(notation: &str, help: &str) -> Value {
    let form = notation.trim_end_matches(['!', '?']);
    let mut schema = match form {
        "strings" => json!({ "type": "array", "items": { "type": "string" } }),
        "ticket" => ticket(),
        "tickets" => json!({ "type": "array", "items": ticket() }),
        "scopes" => json!({ "type": "array", "items": one_of(Scope::ALL.map(Scope::as_str)) }),
        "triggers" => {
            let words = one_of(Trigger::ALL.map(Trigger::as_str));
            json!({ "type": "array", "items": words, "minItems": 1, "maxItems": Trigger::ALL.len() })
        }
        "priority" => one_of(Priority::ALL.map(Priority::as_str)),
        "level" => one_of(Level::ALL.map(Level::as_str)),
        "name" => {
            let more = NAME_CHARS_MAX - 1;
            json!({ "type": "string", "pattern": format!("^[a-z0-9][a-z0-9._-]{{0,{more}}}$") })
        }
        "project" => json!({ "anyOf": [
            { "type": "integer", "minimum": 1, "maximum": WHOLE_MAX }, { "type": "string" }
        ]}),
        "hours" => {
            json!({ "type": "string", "pattern": HOURS_PATTERN, "examples": ["22:00-07:00 Europe/Berlin"] })
        }
        "time" => Form::Time.schema(),
        "hex" => json!({ "type": "string", "pattern": "^[0-9a-fA-F]{32}$" }),
        words if words.contains('|') => one_of(words.split('|')),
        range if range.contains("..") => {
            let (min, max) = range.split_once("..").unwrap_or_default();
            let number = |text: &str, otherwise| text.parse::<u64>().unwrap_or(otherwise);
            match min {
                "strings" => {
                    json!({ "type": "array", "items": { "type": "string" }, "maxItems": number(max, WHOLE_MAX) })
                }
                "texts" => json!({
                    "type": "object", "additionalProperties": { "type": "string" },
                    "maxProperties": number(max, WHOLE_MAX)
                }),
                _ => {
                    json!({ "type": "integer", "minimum": number(min, 0), "maximum": number(max, WHOLE_MAX) })
                }
            }
        }
        name if name.starts_with(|letter: char| letter.is_ascii_uppercase()) => {
            json!({ "$ref": format!("#/components/schemas/{name}") })
        }
        kind => json!({ "type": kind }),
    };
    if notation.ends_with('?') {
        schema = json!({ "anyOf": [schema, { "type": "null" }] });
    }
    if let Some(map) = schema.as_object_mut() {
        map.insert("description".into(), json!(help));
    }
    schema
}

fn one_of<'w>(words: impl IntoIterator<Item = &'w str>) -> Value {
    json!({ "type": "string", "enum": words.into_iter().collect::<Vec<_>>() })
}

fn ticket() -> Value {
    json!({ "type": "string", "pattern": "^ACT-[0-9]{8}-[0-9A-HJKMNP-TV-Z]{5}$" })
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIST: &[(&str, &str)] = &[("limit", ""), ("search", ""), ("all", ""), ("since", ""), ("state", "")];

    #[track_caller]
    fn check(query: &str, fields: &[&str]) {
        let wrong: Vec<String> = check_query(query, LIST).into_iter().map(|error| error.field).collect();
        assert_eq!(wrong, fields, "{query}");
    }

    #[test]
    fn a_query_has_known_names_once_each_with_values_of_their_form() {
        check("", &[]);
        check("limit=200&search=a%20b&all=true&since=2026-11-24T09:00:00Z&state=open", &[]);
        check("limit=0", &["limit"]);
        check("limit=201", &["limit"]);
        check("limit=", &["limit"]);
        check("limit=-1&all=1", &["limit", "all"]);
        check("limit=%2B5", &["limit"]);
        check("limit=99999999999999999999", &["limit"]);
        check("all=TRUE", &["all"]);
        check("since=yesterday", &["since"]);
        check("state=closed", &["state"]);
        check("limit=1&limit=1", &["limit"]);
        check("li%6Dit=1&limit=2", &["limit"]);
        check("Limit=1", &["query"]);
        check("token=x&limit=1", &["query"]);
        check("&&", &[]);
        check(&format!("search={}", "x".repeat(2_001)), &["search"]);
        assert!(check_query(&"a=1&".repeat(10_000), LIST).len() <= PARAMETERS_MAX + 1);
    }

    #[test]
    fn members_are_described_as_they_are_read() {
        assert_eq!(
            member("1..240!", "h"),
            json!({ "type": "integer", "minimum": 1, "maximum": 240, "description": "h" })
        );
        assert_eq!(member("a|b", "h"), json!({ "type": "string", "enum": ["a", "b"], "description": "h" }));
        assert_eq!(
            member("string?", "h"),
            json!({ "anyOf": [{ "type": "string" }, { "type": "null" }], "description": "h" })
        );
        assert_eq!(
            member("texts..20", "h"),
            json!({ "type": "object", "additionalProperties": { "type": "string" }, "maxProperties": 20,
                "description": "h" })
        );
        assert_eq!(
            object(&[("a", "1..!", "h"), ("b", "strings..3?", "h")])["required"],
            json!(["a"]),
            "what is not said to be required is not"
        );
    }
}
