//! Modules of virtual machines without what proxies and compilers number: a class has one name in every build and run.

use super::{is_number, without_marked};
use std::borrow::Cow;

/// Proxies that Spring makes of a class; a hash or a number follows.
const PROXIES: [&str; 3] = ["$$EnhancerBy", "$$FastClassBy", "$$SpringCGLIB$$"];
/// Proxies of the runtime, all that is known of them is a number.
const RUNTIME_PROXY: &str = "$Proxy";

/// `com.a.B$$EnhancerBySpringCGLIB$$3f2a91c8` → `com.a.B`, `com.sun.proxy.$Proxy12` → `com.sun.proxy.$Proxy`,
/// `com.a.B$run$1` → `com.a.B$run`.
pub(super) fn java(module: &str) -> Cow<'_, str> {
    if !module.contains('$') {
        return Cow::Borrowed(module);
    }
    let mut text = module.to_owned();
    for mark in PROXIES {
        text = without_marked(&text, mark, |rest| {
            // `SpringCGLIB$$` and its hash, or the number that follows at once.
            let at = rest.find("$$").filter(|_| !mark.ends_with('$')).map_or(0, |at| at + 2);
            let tail = rest.get(at..).unwrap_or_default();
            let length = tail.bytes().take_while(u8::is_ascii_hexdigit).count();
            (length > 0).then_some(at + length)
        });
    }
    text = without_marked(&text, "$$Lambda", |rest| Some(rest.find('.').unwrap_or(rest.len())));
    // Classes without a name are numbered in the order in which they stand in the file.
    while let Some((stem, number)) = text.rsplit_once('$') {
        if !is_number(number) || stem.is_empty() {
            break;
        }
        text.truncate(stem.len());
    }
    if let Some(at) = text.find(RUNTIME_PROXY).map(|at| at + RUNTIME_PROXY.len()) {
        let number = text.get(at..).unwrap_or_default().bytes().take_while(u8::is_ascii_digit).count();
        text.replace_range(at..at + number, "");
    }
    Cow::Owned(text)
}

/// `A.B+<>c__DisplayClass3_0` → `A.B`, `A.B+<>c` → `A.B`, `A.B+<Run>d__7` → `A.B+Run`.
pub(super) fn csharp(module: &str) -> Cow<'_, str> {
    if !module.contains('<') {
        return Cow::Borrowed(module);
    }
    let parts: Vec<Cow<'_, str>> = module.split('+').filter_map(csharp_part).collect();
    Cow::Owned(parts.join("+"))
}

/// One class; none for one that holds the variables of a closure.
fn csharp_part(part: &str) -> Option<Cow<'_, str>> {
    if part == "<>c" || part.starts_with("<>c__DisplayClass") {
        return None;
    }
    let machine = part
        .strip_prefix('<')
        .and_then(|rest| rest.split_once(">d__"))
        .filter(|(name, number)| !name.is_empty() && is_number(number));
    Some(machine.map_or(Cow::Borrowed(part), |(name, _)| Cow::Borrowed(name)))
}
