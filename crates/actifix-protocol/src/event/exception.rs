//! Exception chains and threads.

use super::cut::{as_map, cut_map, free_map};
use super::field::{Rest, flag, list, text, whole};
use super::stacktrace::stacktrace;
use actifix_domain::event::{Exception, Mechanism, Stacktrace, Thread};
use serde_json::Value;

/// Most exceptions kept of one chain or group: the last ones, nearest to who caught it.
pub const EXCEPTIONS_MAX: usize = 50;
/// Most threads kept: the crashed and current ones, and the first of the others.
pub const THREADS_MAX: usize = 200;

/// The chain, oldest first, and how many were left out.
pub(crate) fn exceptions(value: Value, rest: &mut Rest) -> (Vec<Exception>, usize) {
    let mut entries = list(value);
    let left_out = entries.len().saturating_sub(EXCEPTIONS_MAX);
    entries.drain(..left_out);
    let chain =
        entries.into_iter().map(|entry| exception(entry, rest)).filter(|e| *e != Exception::default());
    (chain.collect(), left_out)
}

fn exception(value: Value, rest: &mut Rest) -> Exception {
    let mut exception = Exception::default();
    let Value::Object(map) = value else {
        exception.value = text(value);
        return exception;
    };
    let mut raw_stack = None;
    for (key, value) in map {
        if value.is_null() {
            continue;
        }
        match key.as_str() {
            "type" => exception.exception_type = text(value),
            "value" => exception.value = text(value),
            "module" => exception.module = text(value),
            "thread_id" => exception.thread_id = text(value),
            "mechanism" => exception.mechanism = mechanism(value),
            "stacktrace" => exception.stacktrace = stacktrace(value, "exception.stacktrace", rest),
            "raw_stacktrace" => raw_stack = Some(value),
            _ => rest.keep("exception", &key, value),
        }
    }
    let missing = exception.stacktrace.as_ref().is_none_or(|s| s.frames.is_empty() && s.raw.is_none());
    if let Some(raw) = raw_stack.filter(|_| missing) {
        exception.stacktrace = stacktrace(raw, "exception.raw_stacktrace", rest);
    }
    exception
}

fn mechanism(value: Value) -> Option<Mechanism> {
    let mut mechanism = Mechanism::default();
    let Value::Object(map) = value else {
        mechanism.mechanism_type = text(value);
        return mechanism.mechanism_type.is_some().then_some(mechanism);
    };
    for (key, value) in map {
        if value.is_null() {
            continue;
        }
        match key.as_str() {
            "type" => mechanism.mechanism_type = text(value),
            "source" => mechanism.source = text(value),
            "meta" => mechanism.meta = free_map(value),
            "data" => mechanism.data.append(&mut as_map(value)),
            _ if !typed(&mut mechanism, &key, &value) => {
                mechanism.data.insert(key, value);
            }
            _ => {}
        }
    }
    cut_map(&mut mechanism.data);
    Some(mechanism)
}

/// Fields that are truth values or numbers; false if this is none, or its value is not.
fn typed(mechanism: &mut Mechanism, key: &str, value: &Value) -> bool {
    match key {
        "handled" => set(&mut mechanism.handled, flag(value)),
        "synthetic" => set(&mut mechanism.synthetic, flag(value)),
        "is_exception_group" => set(&mut mechanism.is_exception_group, flag(value)),
        "exception_id" => set(&mut mechanism.exception_id, whole(value)),
        "parent_id" => set(&mut mechanism.parent_id, whole(value)),
        _ => false,
    }
}

fn set<T>(slot: &mut Option<T>, value: Option<T>) -> bool {
    *slot = value;
    slot.is_some()
}

/// Threads, and how many were left out.
pub(crate) fn threads(value: Value, rest: &mut Rest) -> (Vec<Thread>, usize) {
    let entries = list(value);
    let total = entries.len();
    // The one that failed must not be lost among hundreds that wait.
    let mut spare = THREADS_MAX.saturating_sub(entries.iter().filter(|e| matters(e)).count());
    let mut threads = Vec::with_capacity(total.min(THREADS_MAX));
    for entry in entries {
        if threads.len() == THREADS_MAX {
            break;
        }
        if !matters(&entry) {
            if spare == 0 {
                continue;
            }
            spare -= 1;
        }
        threads.push(thread(entry, rest));
    }
    let left_out = total - threads.len();
    (threads, left_out)
}

fn matters(entry: &Value) -> bool {
    ["crashed", "current"].iter().any(|key| entry.get(key).and_then(flag) == Some(true))
}

fn thread(value: Value, rest: &mut Rest) -> Thread {
    let mut thread = Thread::default();
    let Value::Object(map) = value else {
        thread.name = text(value);
        return thread;
    };
    let mut raw_stack = None;
    for (key, value) in map {
        if value.is_null() {
            continue;
        }
        match key.as_str() {
            "id" => thread.id = text(value),
            "name" => thread.name = text(value),
            "crashed" => thread.crashed = flag(&value),
            "current" => thread.current = flag(&value),
            "stacktrace" => thread.stacktrace = stacktrace(value, "threads.stacktrace", rest),
            "raw_stacktrace" => raw_stack = Some(value),
            // Scheduling facts of mobile SDKs, on every one of a hundred threads.
            "main" | "state" | "priority" | "daemon" => {}
            _ => rest.keep("threads", &key, value),
        }
    }
    if thread.stacktrace.as_ref().is_none_or(|s: &Stacktrace| s.frames.is_empty() && s.raw.is_none())
        && let Some(raw) = raw_stack
    {
        thread.stacktrace = stacktrace(raw, "threads.raw_stacktrace", rest);
    }
    thread
}
