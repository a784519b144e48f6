//! Names of functions, modules and files without what compilers, bundlers and runtimes add to them, so that
//! one function has one name in every build (`ingest.md` §13).

mod file_name;
mod module_name;
mod native;

pub use file_name::base_name;

use crate::event::{Event, Frame};
use std::borrow::Cow;

/// Names that say nothing.
const UNKNOWN: [&str; 4] = ["?", "<anonymous>", "<unknown>", "<redacted>"];
/// Language of a frame, as far as names depend on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Language {
    /// `javascript`, `node`.
    JavaScript,
    /// `python`.
    Python,
    /// `ruby`.
    Ruby,
    /// `php`.
    Php,
    /// `java`, `kotlin`.
    Java,
    /// `csharp`.
    CSharp,
    /// `go`.
    Go,
    /// `native`, `rust`, `c`, `cocoa`.
    Native,
    /// Anything else: names are taken as they are.
    Other,
}

impl Language {
    /// The frame's own platform, else the event's.
    pub fn of(frame: &Frame, event: &Event) -> Self {
        Self::or(frame, Self::of_event(event))
    }

    /// The language of frames that do not say.
    pub fn of_event(event: &Event) -> Self {
        event.platform.as_deref().map_or(Self::Other, Self::from_platform)
    }

    /// The frame's own platform, else `otherwise`.
    pub fn or(frame: &Frame, otherwise: Self) -> Self {
        match frame.platform.as_deref() {
            None | Some("") => otherwise,
            Some(platform) => Self::from_platform(platform),
        }
    }

    fn from_platform(platform: &str) -> Self {
        match platform {
            "javascript" | "node" => Self::JavaScript,
            "python" => Self::Python,
            "ruby" => Self::Ruby,
            "php" => Self::Php,
            "java" | "kotlin" => Self::Java,
            "csharp" => Self::CSharp,
            "go" => Self::Go,
            "native" | "rust" | "c" | "cocoa" => Self::Native,
            _ => Self::Other,
        }
    }
}

/// Whether a name is one of those that SDKs write when they do not know it.
pub fn is_unknown(function: &str) -> bool {
    let function = function.trim();
    function.is_empty() || UNKNOWN.contains(&function)
}

/// The function's name as it is compared and shown. Names that say nothing stay as they are.
pub fn normalize(language: Language, function: &str) -> Cow<'_, str> {
    let name = function.trim();
    if is_unknown(name) {
        return Cow::Borrowed(name);
    }
    match language {
        Language::JavaScript => Cow::Borrowed(javascript(name)),
        Language::Python => Cow::Borrowed(after_last(name, "<locals>.")),
        Language::Ruby => Cow::Borrowed(ruby(name)),
        Language::Php => php(name),
        Language::Java => java(name),
        Language::CSharp => csharp(name),
        Language::Go => go(name),
        Language::Native => native::normalize(name),
        Language::Other => Cow::Borrowed(name),
    }
}

/// The module of a frame as it is compared and shown: empty for native code, the file's base name for
/// JavaScript and where there is no module.
pub fn module(language: Language, frame: &Frame) -> Cow<'_, str> {
    let module = frame.module.as_deref().unwrap_or_default();
    match language {
        Language::Native => Cow::Borrowed(""),
        Language::JavaScript => Cow::Owned(file(frame)),
        _ if module.is_empty() => Cow::Owned(file(frame)),
        Language::Java => module_name::java(module),
        Language::CSharp => module_name::csharp(module),
        _ => Cow::Borrowed(module),
    }
}

/// Whether the culprit of such a frame names a file instead of a module.
pub fn is_named_by_file(language: Language, frame: &Frame) -> bool {
    let module = frame.module.as_deref().unwrap_or_default();
    language == Language::JavaScript || (language != Language::Native && module.is_empty())
}

fn file(frame: &Frame) -> String {
    let given = |path: &Option<String>| path.as_deref().filter(|path| !path.is_empty()).map(base_name);
    given(&frame.filename).or_else(|| given(&frame.abs_path)).unwrap_or_default()
}

fn after_last<'a>(name: &'a str, mark: &str) -> &'a str {
    name.rfind(mark).and_then(|at| name.get(at + mark.len()..)).unwrap_or(name)
}

/// Strips the given beginnings as long as one is there; each strip shortens the name, so this ends.
fn without_beginnings<'a>(name: &'a str, beginnings: &[&str]) -> &'a str {
    let mut name = name;
    while let Some(rest) = beginnings.iter().find_map(|beginning| name.strip_prefix(beginning)) {
        name = rest;
    }
    name
}

fn javascript(name: &str) -> &str {
    let without_alias =
        name.strip_suffix(']').and_then(|rest| rest.rfind(" [as ")).and_then(|at| name.get(..at));
    let name = without_alias.unwrap_or(name);
    after_last(without_beginnings(name, &["async ", "new ", "get ", "set "]), ".")
}

fn ruby(name: &str) -> &str {
    let mut name = name;
    loop {
        let plain = without_beginnings(name, &["block in ", "rescue in ", "ensure in "]);
        let levels = plain
            .strip_prefix("block (")
            .map(|rest| rest.trim_start_matches(|char: char| char.is_ascii_digit()))
            .and_then(|rest| rest.strip_prefix(" levels) in "));
        match levels {
            Some(rest) => name = rest,
            None => {
                name = plain;
                break;
            }
        }
    }
    let name = without_template_numbers(name);
    name.rfind(['#', '.']).and_then(|at| name.get(at + 1..)).unwrap_or(name)
}

/// `_app_views_show_erb__123_456` → `_app_views_show_erb`.
fn without_template_numbers(name: &str) -> &str {
    let cut = |name: &'_ str| {
        let digits = name.trim_end_matches(|char: char| char.is_ascii_digit());
        (digits.len() < name.len()).then_some(digits.len())
    };
    let stem = cut(name)
        .and_then(|end| name.get(..end))
        .and_then(|rest| rest.strip_suffix('_'))
        .and_then(|rest| cut(rest).and_then(|end| rest.get(..end)))
        .and_then(|rest| rest.strip_suffix("__"));
    stem.unwrap_or(name)
}

fn php(name: &str) -> Cow<'_, str> {
    const OPENING: &str = "{closure";
    let mut out = Cow::Borrowed(name);
    if name.contains(OPENING) {
        let mut text = String::with_capacity(name.len());
        let mut rest = name;
        while let Some(at) = rest.find(OPENING) {
            let (before, closure) = rest.split_at(at);
            text.push_str(before);
            text.push_str("{closure}");
            rest = closure.get(closing_brace(closure)..).unwrap_or_default();
        }
        text.push_str(rest);
        out = Cow::Owned(text);
    }
    if out.contains("class@anonymous")
        && let Some(at) = out.rfind("::")
    {
        return Cow::Owned(out.get(at + 2..).unwrap_or_default().to_owned());
    }
    out
}

/// One past the brace that closes the first one; the end when none does.
fn closing_brace(text: &str) -> usize {
    let mut depth = 0usize;
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'{' => depth += 1,
            b'}' if depth <= 1 => return at + 1,
            b'}' => depth -= 1,
            _ => {}
        }
    }
    text.len()
}

fn java(name: &str) -> Cow<'_, str> {
    if !name.contains('$') && !name.contains("Accessor") {
        return Cow::Borrowed(name);
    }
    // `lambda$f$0`, alone or after the class.
    let (class, method) = name.rfind('.').map_or(("", name), |at| name.split_at(at + 1));
    let lambda = method
        .strip_prefix("lambda$")
        .and_then(|rest| rest.rsplit_once('$'))
        .filter(|(f, number)| !f.is_empty() && is_number(number))
        .map_or(method, |(f, _)| f);
    let text = format!("{class}{lambda}");
    let text = without_marked(&text, "$$Lambda", |rest| Some(rest.find('.').unwrap_or(rest.len())));
    let text = without_marked(&text, "$$EnhancerBy", |rest| {
        let hex = rest.find("$$").map(|at| at + 2);
        hex.map(|at| {
            let tail = rest.get(at..).unwrap_or_default();
            at + tail.bytes().take_while(u8::is_ascii_hexdigit).count()
        })
    });
    Cow::Owned(without_accessor_number(&text))
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Cuts each `mark` and the `length` bytes after it; without a length it stays.
fn without_marked(text: &str, mark: &str, length: impl Fn(&str) -> Option<usize>) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(mark) {
        let (before, marked) = rest.split_at(at);
        out.push_str(before);
        let after = marked.get(mark.len()..).unwrap_or_default();
        let cut = length(after);
        if cut.is_none() {
            out.push_str(mark);
        }
        rest = after.get(cut.unwrap_or_default()..).unwrap_or_default();
    }
    out.push_str(rest);
    out
}

/// `GeneratedMethodAccessor123` → `GeneratedMethodAccessor`.
fn without_accessor_number(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    let mut generated = false;
    while let Some(at) = rest.find("Accessor") {
        let (before, accessor) = rest.split_at(at);
        generated |= before.contains("Generated");
        let (word, after) = accessor.split_at("Accessor".len());
        out.push_str(before);
        out.push_str(word);
        rest = if generated { after.trim_start_matches(|c: char| c.is_ascii_digit()) } else { after };
    }
    out.push_str(rest);
    out
}

fn csharp(name: &str) -> Cow<'_, str> {
    let mut out = Cow::Borrowed(name);
    if name.contains('<') {
        let state_machine = without_wrapper(name, |tail| {
            let digits = tail.strip_prefix("d__")?;
            let rest = digits.trim_start_matches(|char: char| char.is_ascii_digit());
            (rest.len() < digits.len()).then(|| rest.strip_prefix(".MoveNext")).flatten()
        });
        out = Cow::Owned(without_wrapper(&state_machine, |tail| {
            let digits = tail.strip_prefix("b__")?;
            let rest = digits.trim_start_matches(|char: char| char.is_ascii_digit() || char == '_');
            (rest.len() < digits.len()).then_some(rest)
        }));
    }
    match out.find(" (") {
        Some(at) => Cow::Owned(out.get(..at).unwrap_or_default().to_owned()),
        None => out,
    }
}

/// `<F>tail` → `F`, where `after` says what is left of a tail that is cut.
fn without_wrapper(text: &str, after: impl Fn(&str) -> Option<&str>) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(open) = rest.find(['<', '>']) {
        let (before, wrapped) = rest.split_at(open);
        out.push_str(before);
        let inner_end = wrapped.get(1..).and_then(|inner| inner.find(['<', '>'])).map(|at| at + 1);
        let inner = inner_end
            .filter(|end| *end > 1 && wrapped.starts_with('<') && wrapped.as_bytes().get(*end) == Some(&b'>'))
            .and_then(|end| Some((wrapped.get(1..end)?, wrapped.get(end + 1..)?)));
        match inner.and_then(|(inner, tail)| Some((inner, after(tail)?))) {
            Some((inner, tail)) => {
                out.push_str(inner);
                rest = tail;
            }
            None => {
                let (bracket, tail) = wrapped.split_at(1);
                out.push_str(bracket);
                rest = tail;
            }
        }
    }
    out.push_str(rest);
    out
}

fn go(name: &str) -> Cow<'_, str> {
    let generic =
        if name.contains("[...]") { Cow::Owned(name.replace("[...]", "")) } else { Cow::Borrowed(name) };
    let mut stem: &str = &generic;
    while let Some((before, tail)) = stem.rsplit_once('.') {
        let words = ["func", "gowrap", "deferwrap"];
        let number = words.iter().find_map(|word| tail.strip_prefix(word)).unwrap_or(tail);
        if !is_number(number) {
            break;
        }
        stem = before;
    }
    if stem.len() == generic.len() { generic } else { Cow::Owned(format!("{stem}.func")) }
}

#[cfg(test)]
mod tests;
