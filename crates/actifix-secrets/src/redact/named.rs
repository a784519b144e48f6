//! Values under a sensitive name: strings, lists and maps below it, cookies and authorization headers.
use serde_json::{Map, Value};

use super::node::{Node, Part};
use super::session::Session;
use super::text::Place;
use super::walk::{is_record_value, place_of, rename};
use crate::detect::auth;
use crate::detect::checks::{
    chosen_word, is_gibberish, is_nothing, is_prose, looks_random, random_in_two_cases, secret_like,
};
use crate::detect::words::{Named, is_about};
use crate::rule::{Detector, Strength};
use crate::settings::BudgetExceeded;

/// How deep everything under a name like `credentials` is replaced.
const SUBTREE_DEPTH_MAX: usize = 32;

impl Session<'_> {
    /// Redacts a value that stands under a sensitive name.
    pub(super) fn under(
        &mut self,
        named: Named,
        value: &mut Value,
        node: &Node<'_>,
    ) -> Result<(), BudgetExceeded> {
        match value {
            Value::Null | Value::Bool(_) => Ok(()),
            Value::String(text) => match named.detector {
                Detector::Cookie if text.contains('=') => self.cookie_string(named, text, node),
                Detector::Authorization => self.authorization_string(named, text, node),
                _ if takes(named, text) => {
                    let text = std::mem::take(text);
                    let rule = self.surest(&text, named.rule)?;
                    *value = self.replaced(&text, rule, true, node);
                    Ok(())
                }
                _ => self.string(text, node),
            },
            Value::Number(number) => {
                let text = number.to_string();
                let digits = text.bytes().filter(u8::is_ascii_digit).count();
                let secret = match named.strength {
                    Strength::Strong => true,
                    Strength::Prose => digits >= 4 && number.is_u64(),
                    Strength::Weak => named.chosen && number.is_u64() && (4..=12).contains(&digits),
                    Strength::About => false,
                };
                if secret {
                    *value = self.replaced(&text, named.rule, true, node);
                    return Ok(());
                }
                self.walk(value, node)
            }
            Value::Array(_) | Value::Object(_) if named.strength == Strength::About => self.walk(value, node),
            Value::Array(_) | Value::Object(_) => self.subtree(named, value, node),
        }
    }

    fn subtree(&mut self, named: Named, value: &mut Value, node: &Node<'_>) -> Result<(), BudgetExceeded> {
        if node.depth > self.settings.budget.depth_max {
            return Err(BudgetExceeded::Depth { max: self.settings.budget.depth_max });
        }
        // A map of cookies: each has a name of its own.
        let plain_cookie = named.detector == Detector::Cookie;
        if named.strength == Strength::Strong && !plain_cookie && !is_typed(value) {
            return self.leaves(named, value, node, 0);
        }
        match value {
            Value::Array(items) => {
                for (index, item) in items.iter_mut().enumerate() {
                    let below = node.below(Part::Index(index), node.place);
                    match item {
                        Value::Array(pair) if self.is_pair(pair) => self.pair(pair, &below)?,
                        Value::Object(map) if self.record_name(map).is_some() => self.walk(item, &below)?,
                        _ => self.under(named, item, &below)?,
                    }
                }
                Ok(())
            }
            Value::Object(map) if typed_keys(map) => {
                for (key, item) in map.iter_mut() {
                    let below = node.below(Part::Key(key), node.place);
                    if is_value_key(key) {
                        self.under(named, item, &below)?;
                    } else {
                        self.walk(item, &below)?;
                    }
                }
                Ok(())
            }
            Value::Object(map) => self.weak_members(named, map, node),
            _ => Ok(()),
        }
    }

    /// Members of a map under a name that is less than sure (`auth`, `token`, `cookies`): by their own names, and what
    /// looks like a secret.
    fn weak_members(
        &mut self,
        named: Named,
        map: &mut Map<String, Value>,
        node: &Node<'_>,
    ) -> Result<(), BudgetExceeded> {
        for (key, item) in map.iter_mut() {
            let below = node.below(Part::Key(key), node.place);
            let own = if self.engine.has_name(self.settings, key.as_bytes()) {
                self.named(key.as_bytes())
            } else {
                None
            };
            let place = place_of(key, node.place);
            match (own, &mut *item) {
                (Some(own), _) => self.under(own, item, &below)?,
                _ if is_about(key) => self.walk(item, &below.placed(place))?,
                (None, Value::String(text)) if member_is_secret(named, text) => {
                    *item = self.replaced(&std::mem::take(text), named.rule, true, &below);
                }
                (None, Value::Object(inner)) => {
                    if below.depth > self.settings.budget.depth_max {
                        return Err(BudgetExceeded::Depth { max: self.settings.budget.depth_max });
                    }
                    self.weak_members(named, inner, &below)?;
                }
                (None, Value::Array(items)) => {
                    for (index, item) in items.iter_mut().enumerate() {
                        let below = below.below(Part::Index(index), place);
                        match item {
                            Value::String(text) if member_is_secret(named, text) => {
                                *item = self.replaced(&std::mem::take(text), named.rule, true, &below);
                            }
                            _ => self.walk(item, &below)?,
                        }
                    }
                }
                _ => self.walk(item, &below.placed(place))?,
            }
        }
        self.keys(map, node)
    }

    /// Replaces all strings and numbers below a sure name.
    fn leaves(
        &mut self,
        named: Named,
        value: &mut Value,
        node: &Node<'_>,
        below: usize,
    ) -> Result<(), BudgetExceeded> {
        if node.depth > self.settings.budget.depth_max {
            return Err(BudgetExceeded::Depth { max: self.settings.budget.depth_max });
        }
        if below > SUBTREE_DEPTH_MAX {
            *value = Value::String(format!(
                "[redacted:{}]",
                self.engine.rule(named.rule).map_or("secret", |rule| rule.id())
            ));
            return Ok(());
        }
        self.charge(1)?;
        match value {
            Value::Null | Value::Bool(_) => {}
            Value::String(text) => {
                if !is_nothing(text.as_bytes()) {
                    *value = self.replaced(&std::mem::take(text), named.rule, true, node);
                }
            }
            Value::Number(number) => *value = self.replaced(&number.to_string(), named.rule, true, node),
            Value::Array(items) => {
                for item in items {
                    self.leaves(named, item, &node.below(Part::Same, node.place), below + 1)?;
                }
            }
            Value::Object(map) => {
                for (key, item) in map.iter_mut() {
                    self.leaves(named, item, &node.below(Part::Key(key), node.place), below + 1)?;
                }
                self.keys(map, node)?;
            }
        }
        Ok(())
    }

    /// Redacts the keys of a map.
    fn keys(&mut self, map: &mut Map<String, Value>, node: &Node<'_>) -> Result<(), BudgetExceeded> {
        let mut renamed = Vec::new();
        for key in map.keys() {
            self.charge(key.len())?;
            if let (Some(new_key), _) = self.redact(key, Place::default(), node)? {
                renamed.push((key.clone(), new_key));
            }
        }
        rename(map, renamed);
        Ok(())
    }

    fn cookie_string(
        &mut self,
        named: Named,
        text: &mut String,
        node: &Node<'_>,
    ) -> Result<(), BudgetExceeded> {
        let mut spans = Vec::new();
        auth::cookies(text.as_bytes(), 0, text.len(), |name, start, end| {
            let value = text.as_bytes().get(start..end).unwrap_or(&[]);
            let own = self
                .named(name)
                .filter(|own| value.len() > 3 && !is_nothing(value) && own.strength != Strength::About);
            if let Some(rule) =
                own.map(|own| own.rule).or_else(|| auth::cookie_like_session(value).then_some(named.rule))
            {
                spans.push((start, end, rule));
            }
        });
        let mut out = String::with_capacity(text.len());
        let mut done = 0;
        for (start, end, rule) in spans {
            let (Some(before), Some(value)) = (text.get(done..start), text.get(start..end)) else { continue };
            out.push_str(before);
            self.token(&mut out, rule, value, node);
            self.remember(value, rule)?;
            done = end;
        }
        if done > 0 {
            out.push_str(text.get(done..).unwrap_or(""));
            *text = out;
        }
        self.string(text, node)
    }

    fn authorization_string(
        &mut self,
        named: Named,
        text: &mut String,
        node: &Node<'_>,
    ) -> Result<(), BudgetExceeded> {
        let found = auth::credential(text.as_bytes(), 0, text.len());
        if let Some((from, to)) = found
            && let (Some(head), Some(value), Some(tail)) =
                (text.get(..from), text.get(from..to), text.get(to..))
        {
            // A scheme in front is proof; without one the value has to look like a credential under a weak name.
            if from > 2 || takes(named, value) {
                let mut out = head.to_owned();
                let value = value.to_owned();
                let tail = tail.to_owned();
                let rule = self.surest(&value, named.rule)?;
                self.token(&mut out, rule, &value, node);
                self.remember(&value, rule)?;
                out.push_str(&tail);
                *text = out;
            }
        }
        self.string(text, node)
    }
}

/// Whether the string under a name is to be replaced.
fn takes(named: Named, text: &str) -> bool {
    let bytes = text.trim_matches(['\'', '"']).as_bytes();
    if is_nothing(bytes) {
        return false;
    }
    match named.strength {
        Strength::About => random_in_two_cases(bytes),
        Strength::Weak => {
            secret_like(bytes) || looks_random(bytes, 12) || chosen_word(named, bytes) || is_gibberish(bytes)
        }
        Strength::Prose => !is_prose(bytes),
        Strength::Strong => true,
    }
}

/// Whether a string somewhere below a name that is less than sure is a secret by its looks.
fn member_is_secret(named: Named, text: &str) -> bool {
    let bytes = text.trim_matches(['\'', '"']).as_bytes();
    let dated =
        bytes.len() > 4 && bytes.get(4) == Some(&b'-') && bytes.iter().take(4).all(u8::is_ascii_digit);
    let address =
        bytes.contains(&b'@') || bytes.iter().filter(|byte| matches!(byte, b'.' | b':')).count() > 2;
    if is_nothing(bytes) || dated || named.strength == Strength::About {
        return false;
    }
    looks_random(bytes, 16)
        || (named.strength == Strength::Prose && !address && secret_like(bytes))
        || (!address && looks_random(bytes, 10))
}

fn is_value_key(key: &str) -> bool {
    is_record_value(key) || key.ends_with("Value") || key == "values"
}

/// `{"value": "x", "type": "string"}`, `{"stringValue": "x"}`.
fn typed_keys(map: &Map<String, Value>) -> bool {
    map.len() <= 3 && map.keys().any(|key| is_value_key(key))
}

fn is_typed(value: &Value) -> bool {
    matches!(value, Value::Object(map) if typed_keys(map))
}
