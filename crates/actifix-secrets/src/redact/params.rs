//! Log messages whose values stand apart from their text: `{"message": "password=%s", "params": ["x"]}`. Alone neither
//! part tells anything, so the text is put together as its reader would see it.
use serde_json::{Map, Value};

use super::node::{Node, Part};
use super::session::Session;
use super::text::Place;
use crate::bytes::{at, run};
use crate::settings::BudgetExceeded;

/// Maps with more keys are no log messages.
const KEYS_MAX: usize = 8;
/// Placeholders that are filled in, and bytes of a name or format in one.
const PLACEHOLDERS_MAX: usize = 128;
const PLACEHOLDER_BYTES_MAX: usize = 64;
const TEMPLATE_KEYS: [&str; 4] = ["message", "format", "msg", "template"];
const PARAM_KEYS: [&str; 3] = ["params", "args", "parameters"];

/// What a placeholder asks for.
#[derive(Debug, PartialEq, Eq)]
enum Slot<'t> {
    Next,
    Index(usize),
    Name(&'t str),
}

/// A value that was filled in: its place in the text put together, and its place among the values.
struct Filled {
    start: usize,
    end: usize,
    slot: usize,
}

impl Session<'_> {
    /// Masks the parameters of a log message that stand where a secret would.
    pub(crate) fn params(
        &mut self,
        map: &mut Map<String, Value>,
        node: &Node<'_>,
    ) -> Result<(), BudgetExceeded> {
        // Most maps are something else; to compare lengths first costs less than to look the names up.
        let known = |key: &String| matches!(key.len(), 4 | 6 | 10) && PARAM_KEYS.contains(&key.as_str());
        if !(2..=KEYS_MAX).contains(&map.len()) || !map.keys().any(known) {
            return Ok(());
        }
        let Some(key) = PARAM_KEYS.iter().find(|key| map.contains_key(**key)) else { return Ok(()) };
        let Some(template) = TEMPLATE_KEYS.iter().find_map(|key| map.get(*key).and_then(Value::as_str))
        else {
            return Ok(());
        };
        let Some(params) = map.get(*key) else { return Ok(()) };
        let texts: Vec<(String, String)> = match params {
            Value::Array(items) => {
                items.iter().take(PLACEHOLDERS_MAX).map(|item| (String::new(), spelled(item))).collect()
            }
            Value::Object(items) => items
                .iter()
                .take(PLACEHOLDERS_MAX)
                .map(|(name, item)| (name.clone(), spelled(item)))
                .collect(),
            _ => return Ok(()),
        };
        let (text, filled) = fill(template, &texts);
        if filled.is_empty() {
            return Ok(());
        }
        let covered = self.covered(&text, &filled)?;
        let Some(params) = map.get_mut(*key) else { return Ok(()) };
        let below = node.below(Part::Key(key), Place::default());
        for (slot, rule, echo) in covered {
            let Some((_, text)) = texts.get(slot) else { continue };
            let item = match &mut *params {
                Value::Array(items) => items.get_mut(slot),
                Value::Object(items) => items.values_mut().nth(slot),
                _ => None,
            };
            if let Some(item) = item {
                *item = self.replaced(text, rule, echo, &below.below(Part::Index(slot), Place::default()));
            }
        }
        Ok(())
    }

    /// The values of which redaction takes the start in the text put together, with the rule that does.
    fn covered(&mut self, text: &str, filled: &[Filled]) -> Result<Vec<(usize, u16, bool)>, BudgetExceeded> {
        let mut covered = Vec::new();
        // A value may hold secrets of its own, which its own walk finds: only what begins before it is about its place.
        for span in self.found(text)? {
            let first = filled.partition_point(|value| value.start < span.start);
            for value in filled.iter().skip(first).take_while(|value| value.end <= span.end) {
                covered.push((value.slot, span.rule, span.echo));
            }
        }
        covered.sort_unstable();
        covered.dedup_by_key(|(slot, ..)| *slot);
        Ok(covered)
    }
}

/// A scalar as it stands in a message; lists and maps are walked by themselves.
fn spelled(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        _ => String::new(),
    }
}

/// Puts values into a template. The result is at most twice as long as both together.
fn fill(template: &str, values: &[(String, String)]) -> (String, Vec<Filled>) {
    let bytes_max = 2 * (template.len() + values.iter().map(|(_, text)| text.len()).sum::<usize>());
    let (mut text, mut filled) = (String::with_capacity(template.len() * 2), Vec::new());
    let (mut done, mut next) = (0, 0);
    for pos in memchr::memchr2_iter(b'%', b'{', template.as_bytes()) {
        if pos < done || filled.len() >= PLACEHOLDERS_MAX {
            continue;
        }
        let Some((end, slot)) = placeholder(template, pos) else { continue };
        let slot = match slot {
            Slot::Next => {
                next += 1;
                next - 1
            }
            Slot::Index(index) => index,
            Slot::Name(name) => {
                values.iter().position(|(known, _)| known == name).unwrap_or(PLACEHOLDERS_MAX)
            }
        };
        let Some((_, value)) = values.get(slot).filter(|(_, value)| text.len() + value.len() <= bytes_max)
        else {
            continue;
        };
        text.push_str(template.get(done..pos).unwrap_or(""));
        done = end;
        if !value.is_empty() {
            filled.push(Filled { start: text.len(), end: text.len() + value.len(), slot });
        }
        text.push_str(value);
    }
    text.push_str(template.get(done..).unwrap_or(""));
    (text, filled)
}

/// The placeholder at `pos`: its end and what it asks for. `%s`, `%-5.2f`, `%(name)s`, `{}`, `{0}`, `{name:>4}`.
fn placeholder(template: &str, pos: usize) -> Option<(usize, Slot<'_>)> {
    let text = template.as_bytes();
    if at(text, pos) == b'{' {
        let end = run(text, pos + 1, PLACEHOLDER_BYTES_MAX, |b| !matches!(b, b'{' | b'}' | b' '));
        let inner = template.get(pos + 1..end).filter(|_| at(text, end) == b'}')?;
        let name = inner.split([':', '!']).next().unwrap_or("");
        let slot = match name.parse::<usize>() {
            Ok(index) => Slot::Index(index),
            Err(_) if name.is_empty() => Slot::Next,
            Err(_) => Slot::Name(name),
        };
        return Some((end + 1, slot));
    }
    if at(text, pos + 1) == b'(' {
        let end = run(text, pos + 2, PLACEHOLDER_BYTES_MAX, |b| b != b')' && b != b'(');
        let name = template.get(pos + 2..end).filter(|_| at(text, end + 1).is_ascii_alphabetic())?;
        return Some((end + 2, Slot::Name(name)));
    }
    let end = run(text, pos + 1, 8, |b| b.is_ascii_digit() || b"-+#.".contains(&b));
    at(text, end).is_ascii_alphabetic().then_some((end + 1, Slot::Next))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_of_all_kinds_are_filled() {
        let named = |pairs: &[(&str, &str)]| -> Vec<(String, String)> {
            pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
        };
        let list = named(&[("", "one"), ("", "two")]);
        for (template, want) in [
            ("a=%s b=%5.2d", "a=one b=two"),
            ("a={} b={}", "a=one b=two"),
            ("a={1} b={0:>4}", "a=two b=one"),
            ("100% of %r", "100% of one"),
            ("a=%s b=%s c=%s", "a=one b=two c=%s"),
        ] {
            assert_eq!(fill(template, &list).0, want);
        }
        let map = named(&[("user", "bob"), ("pw", "xyz")]);
        assert_eq!(fill("%(user)s / %(pw)s / {pw}", &map).0, "bob / xyz / xyz");
        // A template cannot blow a value up.
        let long = named(&[("", &"x".repeat(1_000))]);
        assert!(fill(&"{0}".repeat(100), &long).0.len() <= 3_000);
    }
}
