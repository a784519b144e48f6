//! Demangled names of Rust, C and C++.

use std::borrow::Cow;

/// Nested `<<T as A>::B as C>` levels that are unwrapped; deeper ones are nobody's code.
const QUALIFIED_DEPTH_MAX: usize = 8;
const ANONYMOUS_NAMESPACE: &str = "(anonymous namespace)";
const CLOSURE: &str = "::{{closure}}";
/// The same in names of the newer mangling, with a number that changes with the code around it.
const NUMBERED_CLOSURE: &str = "::{closure#";

/// The path alone: no hash, closure, generic argument, parameter list, clone or symbol version.
pub(super) fn normalize(name: &str) -> Cow<'_, str> {
    if !name.bytes().any(|byte| matches!(byte, b'<' | b'(' | b'[' | b'@' | b'{')) {
        return Cow::Borrowed(without_hash(name));
    }
    let path = without_qualification(name);
    let mut out = Path::read(&path);
    out.truncate(without_hash(out.trim_end()).len());
    if out.contains(CLOSURE) {
        out = out.replace(CLOSURE, "");
    }
    if out.contains(NUMBERED_CLOSURE) {
        out = without_numbered_closures(&out);
    }
    // A closure may stand after the hash as well as before it.
    out.truncate(without_hash(&out).len());
    Cow::Owned(out)
}

/// Leaves out each `::{closure#<number>}`.
fn without_numbered_closures(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    let mut rest = name;
    while let Some(at) = rest.find(NUMBERED_CLOSURE) {
        let (before, closure) = rest.split_at(at);
        out.push_str(before);
        let number = closure.get(NUMBERED_CLOSURE.len()..).unwrap_or_default();
        let tail = number.trim_start_matches(|char: char| char.is_ascii_digit());
        match tail.strip_prefix('}').filter(|_| tail.len() < number.len()) {
            Some(after) => rest = after,
            None => {
                out.push_str(NUMBERED_CLOSURE);
                rest = number;
            }
        }
    }
    out.push_str(rest);
    out
}

/// Cuts a final `::h` and 16 hex digits.
fn without_hash(name: &str) -> &str {
    let Some((stem, hash)) = name.rsplit_once("::h") else { return name };
    let is_hash = hash.len() == 16 && hash.bytes().all(|byte| byte.is_ascii_hexdigit());
    if is_hash { stem } else { name }
}

/// `<T as Trait>::f` → `T::f`, and `<T>::f` → `T::f`.
fn without_qualification(name: &str) -> Cow<'_, str> {
    let mut name = Cow::Borrowed(name);
    for _ in 0..QUALIFIED_DEPTH_MAX {
        let Some((subject, rest)) = qualified(&name) else { break };
        name = Cow::Owned(format!("{subject}{rest}"));
    }
    name
}

fn qualified(name: &str) -> Option<(&str, &str)> {
    let inner = name.strip_prefix('<')?;
    let mut depth = 0usize;
    let mut as_at = None;
    let mut before = b'<';
    for (at, byte) in inner.bytes().enumerate() {
        match byte {
            b'<' | b'(' => depth += 1,
            b')' => depth = depth.saturating_sub(1),
            b'>' if before == b'-' => {}
            b'>' if depth == 0 => {
                let subject = inner.get(..as_at.unwrap_or(at))?;
                return Some((subject, inner.get(at + 1..)?)).filter(|(_, rest)| rest.starts_with("::"));
            }
            b'>' => depth -= 1,
            b' ' if depth == 0 && as_at.is_none() => {
                as_at = inner.get(at..).is_some_and(|rest| rest.starts_with(" as ")).then_some(at);
            }
            _ => {}
        }
        before = byte;
    }
    None
}

/// One walk over a path that leaves out everything in brackets.
struct Path<'a> {
    rest: &'a str,
    out: String,
}

impl<'a> Path<'a> {
    fn read(path: &'a str) -> String {
        let mut walk = Self { rest: path, out: String::with_capacity(path.len()) };
        while let Some(char) = walk.rest.chars().next() {
            match char {
                _ if walk.operator() => {}
                '<' => walk.skip_arguments(),
                '(' if walk.rest.starts_with(ANONYMOUS_NAMESPACE) => walk.copy(ANONYMOUS_NAMESPACE.len()),
                '(' => walk.skip_parameters(),
                ' ' if walk.rest.starts_with(" [clone ") => walk.skip(walk.rest.find(']').map(|at| at + 1)),
                '[' if walk.rest.starts_with("[clone ") => walk.skip(walk.rest.find(']').map(|at| at + 1)),
                '@' if walk.at_symbol_version() => walk.skip(None),
                _ => walk.copy(char.len_utf8()),
            }
        }
        walk.out
    }

    fn copy(&mut self, bytes: usize) {
        self.out.push_str(self.rest.get(..bytes).unwrap_or_default());
        self.skip(Some(bytes));
    }

    /// Leaves out so many bytes; none = all that is left.
    fn skip(&mut self, bytes: Option<usize>) {
        self.rest = bytes.and_then(|bytes| self.rest.get(bytes..)).unwrap_or_default();
    }

    /// Copies the sign of a C++ `operator<<` or `operator()`, which are no brackets.
    fn operator(&mut self) -> bool {
        let Some(before) = self.out.strip_suffix("operator") else { return false };
        if before.ends_with(|char: char| char.is_alphanumeric() || char == '_') {
            return false;
        }
        if self.rest.starts_with("()") {
            self.copy(2);
            return true;
        }
        let sign = |byte: &u8| b"<>=!+-*/&|^%~".contains(byte);
        let length = self.rest.bytes().take_while(|byte| sign(byte)).take(3).count();
        self.copy(length);
        length > 0
    }

    /// From `<` to its `>`; the arrow of a function type closes nothing.
    fn skip_arguments(&mut self) {
        let mut depth = 0usize;
        let mut before = 0;
        let mut end = None;
        for (at, byte) in self.rest.bytes().enumerate() {
            match byte {
                b'<' => depth += 1,
                b'>' if before == b'-' => {}
                b'>' if depth <= 1 => {
                    end = Some(at + 1);
                    break;
                }
                b'>' => depth -= 1,
                _ => {}
            }
            before = byte;
        }
        self.skip(end);
        if self.out.ends_with("::") && (self.rest.is_empty() || self.rest.starts_with("::")) {
            self.out.truncate(self.out.len() - 2);
        }
    }

    /// From `(` to its `)`, with the qualifiers of a C++ method.
    fn skip_parameters(&mut self) {
        let mut depth = 0usize;
        let mut end = None;
        for (at, byte) in self.rest.bytes().enumerate() {
            match byte {
                b'(' => depth += 1,
                b')' if depth <= 1 => {
                    end = Some(at + 1);
                    break;
                }
                b')' => depth -= 1,
                _ => {}
            }
        }
        self.skip(end);
        while let Some(rest) = [" const", " volatile"].iter().find_map(|word| self.rest.strip_prefix(word)) {
            self.rest = rest;
        }
    }

    /// At `@GLIBC_…`, `@@GLIBC_…`, or the `@8` of a Windows calling convention.
    fn at_symbol_version(&self) -> bool {
        let version = self.rest.trim_start_matches('@');
        let number = !version.is_empty() && version.bytes().all(|byte| byte.is_ascii_digit());
        number || version.starts_with("GLIBC_")
    }
}
