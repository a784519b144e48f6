//! The HTTP request that was being served.

use super::cut::{cut, cut_value, free_map, is_void, left_out};
use super::field::{Rest, line, text};
use actifix_domain::event::Request;
use serde_json::Value;

/// Most pairs kept of one query, cookie or header list.
pub const PAIRS_MAX: usize = 200;

/// How a list of pairs is written as one text.
#[derive(Clone, Copy)]
enum Form {
    /// `a=1&b=2`; not percent-decoded: that would show text which redaction has not seen in this form.
    Query,
    /// `a=1; b=2`
    Cookies,
    /// `A: 1\nB: 2`
    Headers,
}

/// A request in any of its forms; `None` if nothing is in it.
pub(crate) fn request(value: Value, rest: &mut Rest) -> Option<Request> {
    let mut request = Request::default();
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                if !value.is_null() {
                    member(&mut request, &key, value, rest);
                }
            }
        }
        other => request.url = text(other),
    }
    (request != Request::default()).then_some(request)
}

fn member(request: &mut Request, key: &str, mut value: Value, rest: &mut Rest) {
    match key {
        "url" => request.url = text(value),
        "method" => request.method = text(value),
        "query_string" => request.query_string = pairs(value, Form::Query),
        "cookies" => request.cookies = pairs(value, Form::Cookies),
        "headers" => request.headers = pairs(value, Form::Headers),
        "env" => request.env = free_map(value),
        "data" => {
            cut_value(&mut value);
            request.data = Some(value).filter(|data| !is_void(data));
        }
        _ => rest.keep("request", key, value),
    }
}

/// Pairs out of text, a map, a map of lists, a list of pairs, or a list of `{key, value}`.
fn pairs(value: Value, form: Form) -> Vec<(String, String)> {
    let mut pairs = Pairs { list: Vec::new(), left_out: 0 };
    match value {
        Value::Object(map) => map.into_iter().for_each(|(name, value)| pairs.push_all(name, value)),
        Value::Array(list) => list.into_iter().for_each(|entry| pairs.entry(entry, form)),
        other => pairs.entry(other, form),
    }
    if pairs.left_out > 0 {
        pairs.list.truncate(PAIRS_MAX - 1);
        pairs.list.push(("…".to_owned(), left_out(pairs.left_out + 1)));
    }
    pairs.list
}

struct Pairs {
    list: Vec<(String, String)>,
    left_out: usize,
}

impl Pairs {
    fn push(&mut self, name: String, value: String) {
        if self.list.len() < PAIRS_MAX {
            self.list.push((cut(name), value));
        } else {
            self.left_out += 1;
        }
    }

    fn push_all(&mut self, name: String, value: Value) {
        match value {
            Value::Array(list) if !list.is_empty() => {
                for value in list {
                    self.push(name.clone(), line(value));
                }
            }
            other => self.push(name, line(other)),
        }
    }

    fn entry(&mut self, entry: Value, form: Form) {
        match entry {
            Value::Null => {}
            Value::Array(parts) => {
                let mut parts = parts.into_iter();
                let name = parts.next().map(line).unwrap_or_default();
                match (parts.next(), parts.next()) {
                    (Some(value), None) => self.push_all(name, value),
                    (None, _) => self.push(name, String::new()),
                    (Some(value), Some(more)) => {
                        self.push_all(name, Value::Array([value, more].into_iter().chain(parts).collect()));
                    }
                }
            }
            Value::Object(mut map) => {
                let name = ["key", "name"].iter().find(|key| map.contains_key(**key)).copied();
                match name.and_then(|key| map.remove(key)) {
                    Some(name) => {
                        let value = map.remove("value").unwrap_or(Value::Object(map));
                        self.push_all(line(name), value);
                    }
                    None => map.into_iter().for_each(|(name, value)| self.push_all(name, value)),
                }
            }
            other => self.split(&line(other), form),
        }
    }

    fn split(&mut self, text: &str, form: Form) {
        let (between, inside) = match form {
            Form::Query => ('&', '='),
            Form::Cookies => (';', '='),
            Form::Headers => ('\n', ':'),
        };
        let text = if matches!(form, Form::Query) { text.strip_prefix('?').unwrap_or(text) } else { text };
        // A rule's token holds a colon, and no name of a header does.
        for part in text.split(between).map(str::trim).filter(|part| !part.is_empty()) {
            match part.split_once(inside) {
                Some((name, value)) if !name.starts_with("[redacted") => {
                    self.push(name.trim().to_owned(), value.trim().to_owned());
                }
                _ => self.push(part.to_owned(), String::new()),
            }
        }
    }
}
