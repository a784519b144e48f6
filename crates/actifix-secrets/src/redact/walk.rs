//! The structure-aware walk over JSON values.
use std::collections::HashMap;

use serde_json::{Map, Value};

use super::keys::KnownKey;
use super::located::is_located_value;
use super::node::{Node, Part};
use super::session::Session;
use super::text::Place;
use crate::detect::checks::is_nothing;
use crate::detect::command::Arguments;
use crate::detect::shape;
use crate::detect::words::Named;
use crate::rule::{Detector, Strength};
use crate::settings::BudgetExceeded;

/// Card numbers have 14 or more digits.
const CARD_MIN: u64 = 10_000_000_000_000;
/// JSON inside strings inside JSON.
const EMBEDDED_MAX: usize = 3;
/// Member names of typed values: log attributes, OTLP, header records.
#[inline]
pub(super) fn is_record_value(key: &str) -> bool {
    matches!(
        key.as_bytes(),
        b"value"
            | b"Value"
            | b"val"
            | b"v"
            | b"ParameterValue"
            | b"old"
            | b"new"
            | b"before"
            | b"after"
            | b"oldValue"
            | b"newValue"
            | b"old_value"
            | b"new_value"
    )
}
const NAME_KEYS: [&str; 8] = ["key", "name", "Key", "Name", "k", "header", "field", "ParameterKey"];

impl Session<'_> {
    /// Redacts everything in a value.
    pub(crate) fn walk(&mut self, value: &mut Value, node: &Node<'_>) -> Result<(), BudgetExceeded> {
        if node.depth > self.settings.budget.depth_max {
            return Err(BudgetExceeded::Depth { max: self.settings.budget.depth_max });
        }
        match value {
            Value::Null | Value::Bool(_) => Ok(()),
            Value::Number(number) => {
                if number.as_u64().is_some_and(|number| number >= CARD_MIN)
                    && let Some(rule) = self.engine.special.card
                {
                    let text = number.to_string();
                    let mut card = false;
                    shape::cards(text.as_bytes(), |_, _| card = node.place.may_be_card(text.as_bytes()));
                    if card {
                        *value = self.replaced(&text, rule, true, node);
                    }
                }
                Ok(())
            }
            Value::String(text) => self.string(text, node),
            Value::Array(items) => self.array(items, node),
            Value::Object(map) => self.object(map, node),
        }
    }

    /// Redacts a string, and as JSON too if it is some.
    #[inline]
    pub(crate) fn string(&mut self, text: &mut String, node: &Node<'_>) -> Result<(), BudgetExceeded> {
        let any = match self.remembered(text, node.place)? {
            Some(any) => any,
            None => {
                let (redacted, any) = self.redact_new(text, node.place, node)?;
                if let Some(redacted) = redacted {
                    *text = redacted;
                }
                any
            }
        };
        if any && text.len() >= 8 && node.embedded < EMBEDDED_MAX {
            return self.embedded_json(text, node);
        }
        Ok(())
    }

    fn embedded_json(&mut self, text: &mut String, node: &Node<'_>) -> Result<(), BudgetExceeded> {
        if !matches!(text.trim_ascii_start().as_bytes(), [b'{' | b'[', ..]) {
            return Ok(());
        }
        self.charge(text.len())?;
        let Ok(mut inner) = serde_json::from_str::<Value>(text) else { return Ok(()) };
        let before = inner.clone();
        self.walk(&mut inner, &node.embedded())?;
        if inner != before {
            // Only what the text pass could not see changes the spelling of the JSON.
            *text = serde_json::to_string(&inner).unwrap_or_else(|_| "[redacted:embedded_json]".to_owned());
        }
        Ok(())
    }

    fn array(&mut self, items: &mut [Value], node: &Node<'_>) -> Result<(), BudgetExceeded> {
        let mut expected: Option<Named> = None;
        let mut arguments: Option<Arguments> = None;
        for (index, item) in items.iter_mut().enumerate() {
            let named = expected.take();
            if !node.place.code
                && let Value::String(text) = &*item
            {
                expected = self.announces(text);
                if let Some(program) = arguments {
                    let flag = program.announces(text);
                    if flag {
                        expected = self.named(b"password");
                    }
                    if flag || program.glued(text).is_some() {
                        arguments = None;
                    }
                    if let Some(start) = program.glued(text) {
                        let below = node.below(Part::Index(index), node.place);
                        self.glued_argument(item, start, &below)?;
                        continue;
                    }
                } else {
                    arguments = Arguments::of(text);
                }
            }
            let below = node.below(Part::Index(index), node.place);
            match (named, &mut *item) {
                (Some(named), Value::String(_) | Value::Number(_)) => self.under(named, item, &below)?,
                (_, Value::Array(pair)) if self.is_pair(pair) => self.pair(pair, &below)?,
                _ => self.walk(item, &below)?,
            }
        }
        Ok(())
    }

    /// `["mysql", "-px"]`: what follows the flag at `start` goes.
    fn glued_argument(
        &mut self,
        item: &mut Value,
        start: usize,
        node: &Node<'_>,
    ) -> Result<(), BudgetExceeded> {
        let Some(named) = self.named(b"password") else { return Ok(()) };
        let Some((flag, secret)) = item.as_str().and_then(|text| text.split_at_checked(start)) else {
            return Ok(());
        };
        if !is_nothing(secret.as_bytes()) {
            let mut out = flag.to_owned();
            self.token(&mut out, named.rule, secret, node);
            self.remember(secret, named.rule)?;
            *item = Value::String(out);
        }
        Ok(())
    }

    /// `["--token", "x"]` and `["using token", "x"]`: what the next element has to be taken for.
    fn announces(&self, text: &str) -> Option<Named> {
        let word = text.rsplit([' ', '\t']).next().unwrap_or(text);
        if text.len() > 128 || word.len() < 3 {
            return None;
        }
        let flag = word.starts_with('-') && !word.contains('=');
        let word = word.trim_matches([':', '=', '-', '\'', '"']);
        if !word.bytes().all(crate::bytes::is_name) || !self.engine.has_name(self.settings, word.as_bytes()) {
            return None;
        }
        let named = self.named(word.as_bytes())?;
        if named.strength == Strength::About {
            return None;
        }
        Some(if flag { named } else { Named { strength: Strength::Weak, detector: Detector::Name, ..named } })
    }

    pub(super) fn is_pair(&self, pair: &[Value]) -> bool {
        matches!(pair, [Value::String(name), _] if name.len() <= 128 && !name.contains(' '))
    }

    /// `["password", "x"]` in a list of pairs.
    pub(super) fn pair(&mut self, pair: &mut [Value], node: &Node<'_>) -> Result<(), BudgetExceeded> {
        if let [Value::String(name), value] = pair {
            let before = name.clone();
            self.string(name, node)?;
            return self.entry(&before, value, &node.below(Part::Same, node.place));
        }
        Ok(())
    }

    fn object(&mut self, map: &mut Map<String, Value>, node: &Node<'_>) -> Result<(), BudgetExceeded> {
        self.params(map, node)?;
        let record = self.record_name(map);
        let located = self.located(map);
        let mut renamed: Vec<(String, String)> = Vec::new();
        for (key, item) in map.iter_mut() {
            self.charge(key.len())?;
            if let Some(known) = self.memory.keys.get(key) {
                let record_name = record.as_deref().filter(|_| is_record_value(key));
                let record_name = record_name.or(located.as_deref().filter(|_| is_located_value(key)));
                match record_name.or(known.named.then_some(key)) {
                    Some(name) => self.entry(name, item, &node.below(Part::Key(key), node.place))?,
                    None => self.walk(item, &node.below(Part::Key(key), known.place.below(node.place)))?,
                }
                continue;
            }
            let (new_key, named, place) = self.key(key, node)?;
            let below = node.below(Part::Key(new_key.as_deref().unwrap_or(key)), node.place);
            // `{"password=x": 1}`: the key is a whole assignment, its value another matter.
            let assigns = new_key.is_some() && key.contains(['=', ':']);
            match (&record, &located) {
                (Some(name), _) if is_record_value(key) => self.entry(name, item, &below)?,
                (_, Some(name)) if is_located_value(key) => self.entry(name, item, &below)?,
                _ if named && !assigns => self.entry(key, item, &below)?,
                _ => self.walk(item, &below.placed(place.below(node.place)))?,
            }
            if let Some(new_key) = new_key {
                renamed.push((key.clone(), new_key));
            }
        }
        if !renamed.is_empty() {
            rename(map, renamed);
        }
        Ok(())
    }

    /// A key that was not met before: (its redacted form if it changes, a word of a sensitive name, its place).
    fn key(&mut self, key: &str, node: &Node<'_>) -> Result<(Option<String>, bool, Place), BudgetExceeded> {
        let (text, named) = self.engine.key_marks(self.settings, key);
        let new_key = if text { self.redact(key, Place::default(), node)?.0 } else { None };
        let place = place_of(key, Place::default());
        if new_key.is_none() {
            self.memory.keys.put(key, KnownKey { named, place });
        }
        Ok((new_key, named, place))
    }

    /// The name in `{"key": "password", "value": …}`.
    pub(super) fn record_name(&self, map: &Map<String, Value>) -> Option<String> {
        if map.len() > 8 || !map.keys().any(|key| is_record_value(key)) {
            return None;
        }
        NAME_KEYS.iter().find_map(|key| match map.get(*key) {
            Some(Value::String(name))
                if name.len() <= 128 && self.engine.has_name(self.settings, name.as_bytes()) =>
            {
                Some(name.clone())
            }
            _ => None,
        })
    }

    /// Redacts the value of a key.
    pub(crate) fn entry(
        &mut self,
        key: &str,
        value: &mut Value,
        node: &Node<'_>,
    ) -> Result<(), BudgetExceeded> {
        if self.engine.has_name(self.settings, key.as_bytes())
            && let Some(named) = self.named(key.as_bytes())
            && !is_working_directory(key, value)
        {
            return self.under(named, value, node);
        }
        self.walk(value, &node.placed(place_of(key, node.place)))
    }

    /// The token for a value as a JSON string.
    pub(crate) fn replaced(&mut self, text: &str, rule: u16, echo: bool, node: &Node<'_>) -> Value {
        // The quotes of a `repr` are no part of the secret: with and without them it is the same one.
        let text = unquoted(text);
        let mut out = String::new();
        self.token(&mut out, rule, text, node);
        if echo {
            self.remember_late(text, rule);
        }
        Value::String(out)
    }
}

/// A value without the quotes that a language puts around it to show it.
fn unquoted(text: &str) -> &str {
    let inner = |quote| text.strip_prefix(quote).and_then(|rest: &str| rest.strip_suffix(quote));
    inner('\'').or_else(|| inner('"')).filter(|inner| !inner.is_empty()).unwrap_or(text)
}

/// `PWD` of an environment: its name is that of a password, its value a path.
fn is_working_directory(key: &str, value: &Value) -> bool {
    key == "PWD" && value.as_str().is_some_and(|text| unquoted(text).starts_with('/'))
}

/// What a key says about its value.
pub(super) fn place_of(key: &str, above: Place) -> Place {
    let key = key.as_bytes();
    let ends =
        |ending: &[u8]| key.len() >= ending.len() && crate::bytes::has(key, key.len() - ending.len(), ending);
    // By words: `card_id` and `userId` are ids, `paid` and `valid` are none, and neither is an `update` a date.
    let word = |ending: &[u8]| {
        let start = key.len().wrapping_sub(ending.len());
        let (first, last) = (crate::bytes::at(key, start), crate::bytes::before(key, start));
        ends(ending)
            && (!last.is_ascii_alphanumeric() || (first.is_ascii_uppercase() && last.is_ascii_lowercase()))
    };
    let card = || [&b"card"[..], b"pan_", b"paid"].iter().any(|name| crate::bytes::has(key, 0, name));
    let place = match key.last().map(u8::to_ascii_lowercase) {
        Some(b'e') => Place {
            code: ends(b"context_line"),
            version: ends(b"release"),
            time: word(b"time") || word(b"date") || ends(b"datetime"),
            ..Place::default()
        },
        Some(b't') => Place {
            code: ends(b"_context"),
            version: ends(b"dist") || ends(b"user-agent"),
            time: ends(b"_at") || ends(b"-at") || word(b"At"),
            ..Place::default()
        },
        Some(b'n') => Place { version: ends(b"version"), ..Place::default() },
        Some(b'd') => Place { version: ends(b"build"), id: word(b"id") && !card(), ..Place::default() },
        Some(b'p') => Place { time: ends(b"timestamp"), ..Place::default() },
        Some(b'o') => Place { time: ends(b"nano"), ..Place::default() },
        Some(b'r') => Place { time: ends(b"_addr"), ..Place::default() },
        _ => Place::default(),
    };
    place.below(above)
}

/// Gives entries new keys; none is lost when two become equal.
pub(crate) fn rename(map: &mut Map<String, Value>, renamed: Vec<(String, String)>) {
    // The next number of a name that came before: many keys become the same.
    let mut numbers: HashMap<String, u64> = HashMap::new();
    for (old, new) in renamed {
        let Some(value) = map.remove(&old) else { continue };
        if !map.contains_key(&new) {
            map.insert(new, value);
            continue;
        }
        let number = numbers.entry(new.clone()).or_insert(2);
        let mut name = format!("{new} ({number})");
        *number += 1;
        while map.contains_key(&name) {
            name = format!("{new} ({number})");
            *number += 1;
        }
        map.insert(name, value);
    }
}
