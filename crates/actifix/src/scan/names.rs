//! Paths as people and formats want them. File names are bytes of strangers: they can hold escape sequences, line
//! breaks and no UTF-8 at all.

use std::fmt::Write;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::Arc;

/// The bytes of a path, relative to `root` where it lies below it.
pub fn relative(path: &Path, root: &Path) -> Arc<[u8]> {
    let short = path.strip_prefix(root).unwrap_or(path);
    let short = short.strip_prefix(".").unwrap_or(short);
    let short = if short.as_os_str().is_empty() { path } else { short };
    Arc::from(short.as_os_str().as_bytes())
}

/// A path on one line of printable text: what is not UTF-8 and what steers a terminal becomes `\xNN`.
pub fn printable(path: &[u8]) -> String {
    let mut out = String::with_capacity(path.len());
    for chunk in path.utf8_chunks() {
        for character in chunk.valid().chars() {
            if steers(character) {
                let mut bytes = [0; 4];
                escape(&mut out, character.encode_utf8(&mut bytes).as_bytes());
            } else {
                out.push(character);
            }
        }
        escape(&mut out, chunk.invalid());
    }
    out
}

/// A path as a relative URI reference (RFC 3986), for SARIF.
pub fn uri(path: &[u8]) -> String {
    let mut out = String::with_capacity(path.len());
    for byte in path {
        if byte.is_ascii_alphanumeric() || b"-._~/".contains(byte) {
            out.push(char::from(*byte));
        } else {
            let _infallible = write!(out, "%{byte:02X}");
        }
    }
    out
}

/// Control characters, and the marks that reorder a line of text.
fn steers(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{2028}' | '\u{2029}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

fn escape(out: &mut String, bytes: &[u8]) {
    for byte in bytes {
        let _infallible = write!(out, "\\x{byte:02x}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_strangers_stay_on_one_printable_line() {
        assert_eq!(printable("häuser/a b.env".as_bytes()), "häuser/a b.env");
        assert_eq!(printable(b"a\x1b[31m\nb\xff"), "a\\x1b[31m\\x0ab\\xff");
        assert_eq!(printable("x\u{202e}y".as_bytes()), "x\\xe2\\x80\\xaey");
    }

    #[test]
    fn a_uri_holds_every_byte() {
        assert_eq!(uri(b"a b/\xff#%.env"), "a%20b/%FF%23%25.env");
    }

    #[test]
    fn paths_are_relative_to_the_root_of_the_scan() {
        assert_eq!(&*relative(Path::new("/r/a/b"), Path::new("/r")), b"a/b");
        assert_eq!(&*relative(Path::new("./a"), Path::new("/r")), b"a");
        assert_eq!(&*relative(Path::new("/r"), Path::new("/r")), b"/r");
    }
}
