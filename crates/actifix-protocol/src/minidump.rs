//! Facts out of a native crash dump (`ingest.md` §12).
//!
//! A dump is a memory image and holds secrets by nature, so that only named facts leave it. Own reader of the
//! public MDMP layout (Microsoft `minidumpapiset.h`, Breakpad's extensions): every offset is checked, every list
//! is bounded, nothing is copied but what is returned.

mod bytes;
mod codes;
mod form;
mod read;

pub use self::form::{FORM_DEPTH_MAX, FORM_FIELDS_MAX, form_fields_to_value};

use self::bytes::{first_unpacked, unpack};
use actifix_domain::event::FreeMap;
use serde_json::{Value, json};

/// Most modules kept.
pub const MODULES_MAX: usize = 1_000;
/// Most named threads kept.
pub const THREADS_MAX: usize = 200;
/// Longest name taken from a dump, in UTF-16 units.
pub const NAME_UNITS_MAX: usize = 512;

/// Why a body is no dump.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MinidumpError {
    /// Neither `MDMP`, `PMDM` nor gzip of one.
    #[error("not a minidump")]
    Magic,
    /// The header is cut.
    #[error("the minidump ends within its header")]
    Short,
    /// Gzip that is broken, or of more than the request may still unpack.
    #[error("the minidump could not be unpacked within the limits of a request")]
    Packed,
}

/// What is taken from a dump. A stream that is broken costs its own facts only.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MinidumpFacts {
    /// Name of the exception, or its code in hex; none if the dump was taken without a crash.
    pub exception: Option<String>,
    /// The address that could not be used, else that of the instruction.
    pub crash_address: Option<u64>,
    /// File name, without folders, of the module that holds the failing instruction.
    pub crashing_module: Option<String>,
    /// The thread that failed.
    pub crashing_thread: Option<u32>,
    /// Loaded modules.
    pub modules: Vec<MinidumpModule>,
    /// How many more modules the dump lists.
    pub modules_left_out: usize,
    /// Names of threads by id.
    pub threads: Vec<(u32, String)>,
    /// `Windows`, `Linux`, `macOS`, …
    pub os: Option<&'static str>,
    /// Version of the system.
    pub os_version: Option<String>,
    /// `x86_64`, `arm64`, …
    pub cpu: Option<&'static str>,
}

/// One loaded module.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MinidumpModule {
    /// Path as the system knew it.
    pub name: String,
    /// First address.
    pub base: u64,
    /// Bytes.
    pub size: u32,
    /// Identity of its debug information: UUID, with the age in hex if there is one.
    pub debug_id: Option<String>,
    /// Whole build id of ELF modules, hex.
    pub code_id: Option<String>,
}

/// Reads a dump, packed with gzip or not. Time and memory are linear in the input and in `unpacked_bytes_max`: what is
/// left of what its request may unpack in all, so that a file within a request is no way around the limits of it.
pub fn parse(bytes: &[u8], unpacked_bytes_max: u64) -> Result<MinidumpFacts, MinidumpError> {
    if is_gzip(bytes) {
        return read::facts(&unpack(bytes, unpacked_bytes_max)?);
    }
    read::facts(bytes)
}

/// Whether the first bytes, unpacked, are those of a dump. Costs no more than these.
pub fn is_dump(bytes: &[u8]) -> bool {
    if !is_gzip(bytes) {
        return read::has_magic(bytes);
    }
    first_unpacked(bytes).is_some_and(|first| read::has_magic(&first))
}

fn is_gzip(bytes: &[u8]) -> bool {
    bytes.starts_with(&[0x1f, 0x8b])
}

/// The raw event of a crash, over which the `sentry` fields of the form are laid; to be redacted and normalised as
/// any other.
pub fn to_event(facts: MinidumpFacts, sentry_fields: Value) -> Value {
    let what = facts.exception.as_deref().unwrap_or("unknown exception");
    let value = match &facts.crashing_module {
        Some(module) => format!("{what} in {module}"),
        None => what.to_owned(),
    };
    let mut event = FreeMap::new();
    let mut put = |key: &str, value: Value| event.insert(key.to_owned(), value);
    put("platform", json!("native"));
    put("level", json!("fatal"));
    put(
        "exception",
        json!({ "values": [{
            "type": "minidump",
            "value": value,
            "thread_id": facts.crashing_thread,
            "mechanism": { "type": "minidump", "handled": false },
        }]}),
    );
    put("contexts", contexts(&facts));
    if !facts.threads.is_empty() {
        put("threads", threads(&facts));
    }
    if !facts.modules.is_empty() {
        put("debug_meta", json!({ "images": facts.modules.iter().map(image).collect::<Vec<_>>() }));
    }
    if let Value::Object(fields) = sentry_fields {
        lay_over(&mut event, fields);
    }
    Value::Object(event)
}

fn contexts(facts: &MinidumpFacts) -> Value {
    let mut contexts = FreeMap::new();
    if facts.os.is_some() {
        contexts.insert("os".to_owned(), json!({ "name": facts.os, "version": facts.os_version }));
    }
    if facts.cpu.is_some() {
        contexts.insert("device".to_owned(), json!({ "arch": facts.cpu }));
    }
    if let Some(address) = facts.crash_address {
        let crash = json!({ "address": format!("{address:#x}"), "modules_left_out": facts.modules_left_out });
        contexts.insert("minidump".to_owned(), crash);
    }
    Value::Object(contexts)
}

fn threads(facts: &MinidumpFacts) -> Value {
    let crashed = |id: u32| facts.crashing_thread == Some(id);
    let thread = |(id, name): &(u32, String)| json!({ "id": id, "name": name, "crashed": crashed(*id) });
    json!({ "values": facts.threads.iter().map(thread).collect::<Vec<_>>() })
}

fn image(module: &MinidumpModule) -> Value {
    json!({
        "code_file": module.name,
        "image_addr": format!("{:#x}", module.base),
        "image_size": module.size,
        "debug_id": module.debug_id,
        "code_id": module.code_id,
    })
}

/// The sender's fields win; maps of both are joined, so that a context of its own does not cost ours.
fn lay_over(event: &mut FreeMap, fields: FreeMap) {
    for (key, value) in fields {
        match (event.get_mut(&key), value) {
            (_, Value::Null) => {}
            (Some(Value::Object(ours)), Value::Object(theirs)) if key == "contexts" => ours.extend(theirs),
            (_, value) => {
                event.insert(key, value);
            }
        }
    }
}

#[cfg(test)]
mod tests;
