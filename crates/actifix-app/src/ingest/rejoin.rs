//! Names of exceptions as they stood in the text.
//!
//! OTLP and stacks in logs name an exception `module.Type: value`, and it is taken apart before anything is redacted. A
//! secret with a dot in it, or a name that says what its value is, is one thing only while the parts are together.

use actifix_secrets::{BudgetExceeded, Session};
use serde_json::{Map, Value};

/// Where what is found here was.
const PATH: &str = "event.exception.type";

/// Redacts the names of an event's exceptions as they were before they were taken apart.
pub(super) fn redact_names(event: &mut Value, session: &mut Session<'_>) -> Result<(), BudgetExceeded> {
    let list = match event.get_mut("exception") {
        Some(Value::Object(map)) => map.get_mut("values"),
        other => other,
    };
    let Some(Value::Array(list)) = list else { return Ok(()) };
    for exception in list.iter_mut().filter_map(Value::as_object_mut) {
        redact_name(exception, session)?;
    }
    Ok(())
}

fn redact_name(exception: &mut Map<String, Value>, session: &mut Session<'_>) -> Result<(), BudgetExceeded> {
    let text = |name: &str| exception.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
    let Some(class) = text("type") else { return Ok(()) };
    let name = match text("module") {
        Some(module) => format!("{module}.{class}"),
        None => class.to_owned(),
    };
    let mut whole = name.clone();
    session.text(PATH, &mut whole)?;
    // A class says nothing about its text, a name like `db.password` does.
    let says = class.starts_with(|first: char| first.is_ascii_lowercase());
    let value = text("value").filter(|_| says).map(str::to_owned);
    if whole != name {
        exception.remove("module");
        exception.insert("type".to_owned(), Value::String(whole));
        return Ok(());
    }
    if let Some(value) = value {
        let mut line = format!("{name}: {value}");
        session.text(PATH, &mut line)?;
        if let Some(rest) = line.strip_prefix(&name).and_then(|rest| rest.strip_prefix(": "))
            && rest != value
        {
            exception.insert("value".to_owned(), Value::String(rest.to_owned()));
        }
    }
    Ok(())
}
