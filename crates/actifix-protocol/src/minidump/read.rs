//! The streams of a dump.

use super::bytes::Bytes;
use super::codes::{cpu_name, exception_name, os_name};
use super::{MODULES_MAX, MinidumpError, MinidumpFacts, MinidumpModule, THREADS_MAX};

/// Most streams looked at; real dumps have about 20.
const STREAMS_MAX: usize = 128;
const HEADER_BYTES: usize = 32;
const MODULE_BYTES: usize = 108;
/// Longest build id, in bytes; SHA-1 has 20, SHA-256 32.
const BUILD_ID_BYTES_MAX: usize = 64;

const STREAM_MODULES: u32 = 4;
const STREAM_EXCEPTION: u32 = 6;
const STREAM_SYSTEM: u32 = 7;
const STREAM_THREAD_NAMES: u32 = 24;

/// What a stack of streams says about the exception before names can be given to it.
#[derive(Default)]
struct Raw {
    exception: Option<Exception>,
    platform: Option<u32>,
    cpu: Option<u16>,
}

struct Exception {
    thread: u32,
    code: u32,
    address: u64,
    /// The second number of the record.
    parameter: Option<u64>,
    context_at: usize,
}

/// Bytes by which a dump is known.
pub(super) const MAGIC_BYTES: usize = 4;

pub(super) fn has_magic(bytes: &[u8]) -> bool {
    matches!(bytes.get(..MAGIC_BYTES), Some(b"MDMP" | b"PMDM"))
}

/// Reads a dump that is not packed.
pub(super) fn facts(all: &[u8]) -> Result<MinidumpFacts, MinidumpError> {
    let big_endian = match all.get(..MAGIC_BYTES) {
        Some(b"MDMP") => false,
        Some(b"PMDM") => true,
        _ => return Err(MinidumpError::Magic),
    };
    let bytes = Bytes { all, big_endian };
    if all.len() < HEADER_BYTES {
        return Err(MinidumpError::Short);
    }
    let count = bytes.size(8).unwrap_or(0).min(STREAMS_MAX);
    let directory = bytes.size(12).unwrap_or(0);
    let mut facts = MinidumpFacts::default();
    let mut raw = Raw::default();
    for index in 0..count {
        let Some(at) = directory.checked_add(index * 12) else { break };
        let (Some(kind), Some(len), Some(start)) = (bytes.u32(at), bytes.size(at + 4), bytes.size(at + 8))
        else {
            break;
        };
        stream(bytes, kind, start, len, &mut facts, &mut raw);
    }
    name_exception(bytes, &mut facts, &raw);
    Ok(facts)
}

fn stream(bytes: Bytes<'_>, kind: u32, at: usize, len: usize, facts: &mut MinidumpFacts, raw: &mut Raw) {
    match kind {
        STREAM_MODULES if facts.modules.is_empty() => modules(bytes, at, len, facts),
        STREAM_EXCEPTION if raw.exception.is_none() => raw.exception = exception(bytes, at),
        STREAM_SYSTEM if raw.platform.is_none() => system(bytes, at, facts, raw),
        STREAM_THREAD_NAMES if facts.threads.is_empty() => thread_names(bytes, at, facts),
        _ => {}
    }
}

fn modules(bytes: Bytes<'_>, at: usize, len: usize, facts: &mut MinidumpFacts) {
    let Some(count) = bytes.size(at) else { return };
    // Some writers align the list to eight bytes.
    let padded = count.checked_mul(MODULE_BYTES).and_then(|n| n.checked_add(8)) == Some(len);
    let first = at.saturating_add(if padded { 8 } else { 4 });
    let read = count.min(MODULES_MAX);
    for index in 0..read {
        let Some(module) = first.checked_add(index * MODULE_BYTES).and_then(|at| module(bytes, at)) else {
            return;
        };
        facts.modules.push(module);
    }
    facts.modules_left_out = count - read;
}

fn module(bytes: Bytes<'_>, at: usize) -> Option<MinidumpModule> {
    bytes.part(at, MODULE_BYTES)?;
    let (debug_id, code_id) = match (bytes.size(at + 76)?, bytes.size(at + 80)?) {
        (0, _) => (None, None),
        (len, record) => identity(bytes, record, len),
    };
    Some(MinidumpModule {
        name: bytes.string(bytes.size(at + 20)?).unwrap_or_default(),
        base: bytes.u64(at)?,
        size: bytes.u32(at + 8)?,
        debug_id,
        code_id,
    })
}

/// Debug id and build id out of a CodeView record: `RSDS` of Windows and macOS, `BpEL` of Breakpad on Linux.
fn identity(bytes: Bytes<'_>, at: usize, len: usize) -> (Option<String>, Option<String>) {
    let Some(body) = at.checked_add(4) else { return (None, None) };
    match bytes.u32(at) {
        Some(0x5344_5352) => {
            let Some(uuid) = uuid(bytes, body) else { return (None, None) };
            let age = body.checked_add(16).and_then(|at| bytes.u32(at)).unwrap_or(0);
            (Some(if age > 0 { format!("{uuid}-{age:x}") } else { uuid }), None)
        }
        Some(0x4270_454c) => {
            let len = len.saturating_sub(4).min(BUILD_ID_BYTES_MAX);
            let id = bytes.part(body, len).unwrap_or_default();
            let code_id = hex::encode(id);
            (uuid(bytes, body), (!code_id.is_empty()).then_some(code_id))
        }
        _ => (None, None),
    }
}

fn uuid(bytes: Bytes<'_>, at: usize) -> Option<String> {
    let tail = bytes.part(at.checked_add(8)?, 8)?;
    let digits = hex::encode(tail);
    let (clock, node) = digits.split_at_checked(4)?;
    let (a, b, c) = (bytes.u32(at)?, bytes.u16(at + 4)?, bytes.u16(at + 6)?);
    Some(format!("{a:08x}-{b:04x}-{c:04x}-{clock}-{node}"))
}

fn exception(bytes: Bytes<'_>, at: usize) -> Option<Exception> {
    bytes.part(at, 168)?;
    let parameters = bytes.u32(at + 32)?;
    Some(Exception {
        thread: bytes.u32(at)?,
        code: bytes.u32(at + 8)?,
        address: bytes.u64(at + 24)?,
        parameter: (parameters >= 2).then(|| bytes.u64(at + 48)).flatten(),
        context_at: bytes.size(at + 164)?,
    })
}

fn system(bytes: Bytes<'_>, at: usize, facts: &mut MinidumpFacts, raw: &mut Raw) {
    if bytes.part(at, 28).is_none() {
        return;
    }
    raw.cpu = bytes.u16(at);
    raw.platform = bytes.u32(at + 20);
    facts.cpu = raw.cpu.and_then(cpu_name);
    facts.os = raw.platform.and_then(os_name);
    let numbers = [8, 12, 16].map(|offset| bytes.u32(at + offset).unwrap_or(0));
    let build = bytes.size(at + 24).and_then(|at| bytes.string(at));
    facts.os_version = match (numbers, build) {
        // Breakpad on Linux leaves the numbers empty and puts `uname` into the text.
        ([0, 0, 0], build) => build,
        ([major, minor, patch], Some(build)) => Some(format!("{major}.{minor}.{patch} {build}")),
        ([major, minor, patch], None) => Some(format!("{major}.{minor}.{patch}")),
    };
}

fn thread_names(bytes: Bytes<'_>, at: usize, facts: &mut MinidumpFacts) {
    let count = bytes.size(at).unwrap_or(0).min(THREADS_MAX);
    for index in 0..count {
        let Some(at) = at.checked_add(4 + index * 12) else { return };
        let (Some(id), Some(place)) = (bytes.u32(at), bytes.u64(at.saturating_add(4))) else { return };
        if let Some(name) = usize::try_from(place).ok().and_then(|place| bytes.string(place)) {
            facts.threads.push((id, name));
        }
    }
}

fn name_exception(bytes: Bytes<'_>, facts: &mut MinidumpFacts, raw: &Raw) {
    let Some(exception) = &raw.exception else { return };
    // Breakpad writes this for a dump on request: nothing failed.
    if exception.code == 0 || exception.code == u32::MAX {
        return;
    }
    let windows = raw.platform.is_some_and(|platform| platform <= 3);
    // Access violation and in-page error tell in their second number what could not be reached.
    let faulting = match exception.code {
        0xC000_0005 | 0xC000_0006 if windows => exception.parameter,
        _ => None,
    };
    facts.exception = Some(exception_name(raw.platform, exception.code));
    facts.crash_address = Some(faulting.unwrap_or(exception.address));
    facts.crashing_thread = Some(exception.thread);
    let pointer = instruction(bytes, raw.cpu, exception.context_at);
    facts.crashing_module =
        [pointer, Some(exception.address)].into_iter().flatten().find_map(|address| holder(facts, address));
}

/// The instruction pointer of the saved registers: on Linux and macOS the address of the exception is that of the
/// data.
fn instruction(bytes: Bytes<'_>, cpu: Option<u16>, context_at: usize) -> Option<u64> {
    let at = |offset: usize| context_at.checked_add(offset).filter(|_| context_at > 0);
    match cpu? {
        9 => bytes.u64(at(0xF8)?),
        0 => bytes.u32(at(0xB8)?).map(u64::from),
        12 => bytes.u64(at(0x108)?),
        5 => bytes.u32(at(0x40)?).map(u64::from),
        _ => None,
    }
}

fn holder(facts: &MinidumpFacts, address: u64) -> Option<String> {
    let holds = |module: &&MinidumpModule| {
        address.checked_sub(module.base).is_some_and(|n| n < u64::from(module.size))
    };
    let module = facts.modules.iter().find(holds)?;
    module.name.rsplit(['/', '\\']).next().filter(|name| !name.is_empty()).map(str::to_owned)
}
