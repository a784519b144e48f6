//! What bytes hold: text in some encoding, or text among other bytes. Nothing is left out for a byte that stands in it.

use super::runs::{ALL_WIDTHS, Runs, WIDE_WIDTHS};
use super::wide::{Form, Wide};
use std::borrow::Cow;
use std::io::Read;

/// The first bytes decide, as for git.
const HEAD_BYTES: usize = 8 << 10;
/// Of the bytes of a text with zeros in it, at most one in this many is no text.
const STRANGE_ONE_IN: usize = 20;

/// What the first bytes say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Text, maybe with a few bytes that are none.
    Plain,
    /// UTF-16 or UTF-32.
    Wide(Form),
    /// Anything else.
    Binary,
}

/// Decides by the first bytes.
pub fn kind(bytes: &[u8]) -> Kind {
    let head = bytes.get(..HEAD_BYTES.min(bytes.len())).unwrap_or_default();
    if let Some(form) = marked(head).iter().flatten().find(|form| form.fits(head)) {
        return Kind::Wide(*form);
    }
    if memchr::memchr(0, head).is_none() {
        return Kind::Plain;
    }
    match unmarked(head) {
        Some(form) => Kind::Wide(form),
        None if is_nearly_text(head) => Kind::Plain,
        None => Kind::Binary,
    }
}

/// The forms that a byte order mark can mean.
fn marked(head: &[u8]) -> [Option<Form>; 2] {
    let form = |unit, little, mark| Some(Form { unit, little, mark });
    match head {
        [0xff, 0xfe, 0, 0, ..] => [form(4, true, 4), form(2, true, 2)],
        [0, 0, 0xfe, 0xff, ..] => [form(4, false, 4), None],
        [0xff, 0xfe, ..] => [form(2, true, 2), None],
        [0xfe, 0xff, ..] => [form(2, false, 2), None],
        _ => [None, None],
    }
}

/// UTF-16 and UTF-32 without a mark, as some editors write them: ASCII, each byte beside zeros.
fn unmarked(head: &[u8]) -> Option<Form> {
    /// Fewer units say nothing.
    const UNITS_MIN: usize = 16;
    let text = |byte: u8| matches!(byte, b' '..=b'~' | b'\n' | b'\r' | b'\t');
    let is = |form: &Form| {
        let units = head.len() / form.unit;
        let low = if form.little { 0 } else { form.unit - 1 };
        let good = head.chunks_exact(form.unit).filter(|unit| {
            unit.iter().enumerate().all(|(at, byte)| if at == low { text(*byte) } else { *byte == 0 })
        });
        units >= UNITS_MIN && good.count() * 10 >= units * 9
    };
    let forms = [(4, true), (4, false), (2, true), (2, false)];
    forms.map(|(unit, little)| Form { unit, little, mark: 0 }).into_iter().find(is)
}

/// A log or a dump of a database can hold a zero and be text all the same.
fn is_nearly_text(head: &[u8]) -> bool {
    let mut strange = 0;
    for chunk in head.utf8_chunks() {
        strange += chunk.invalid().len();
        strange += chunk
            .valid()
            .bytes()
            .filter(|byte| byte.is_ascii_control() && !byte.is_ascii_whitespace() && *byte != 0x1b)
            .count();
    }
    strange * STRANGE_ONE_IN <= head.len()
}

/// Bytes that are in memory, ready for a scan.
#[derive(Debug)]
pub struct Content<'a> {
    /// All of it as text, decoded if need be; none if it is binary.
    pub text: Option<Cow<'a, [u8]>>,
    /// What the text does not show: of binary bytes all runs, of a text those in another encoding.
    pub runs: Runs,
    /// Of wide text: the plain text in it, from which the runs are.
    pub strays: Option<Vec<u8>>,
    /// There was more of that than is kept.
    pub more: bool,
}

impl<'a> Content<'a> {
    /// Looks at bytes.
    pub fn of(bytes: &'a [u8]) -> Self {
        let plain = |text, runs| Self { text, runs, strays: None, more: false };
        match kind(bytes) {
            Kind::Binary => plain(None, Runs::of(bytes, ALL_WIDTHS)),
            Kind::Plain => plain(Some(bytes.into()), hidden(bytes)),
            Kind::Wide(form) => {
                let mut decoder = Wide::new(bytes.get(form.mark..).unwrap_or_default(), form);
                let mut text = Vec::with_capacity(bytes.len());
                // Reading from memory does not fail.
                let _always = decoder.read_to_end(&mut text);
                let strays = decoder.into_strays();
                let runs = Runs::of(&strays.text, super::runs::PLAIN_WIDTH);
                Self { text: Some(text.into()), runs, strays: Some(strays.text), more: strays.more }
            }
        }
    }

    /// It is no text.
    pub fn is_binary(&self) -> bool {
        self.text.is_none()
    }
}

/// What a plain text can hold that a search for plain text does not see.
pub fn hidden(bytes: &[u8]) -> Runs {
    if memchr::memchr(0, bytes).is_none() { Runs::default() } else { Runs::of(bytes, WIDE_WIDTHS) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wide(text: &str, unit: usize, little: bool) -> Vec<u8> {
        let mut out = Vec::new();
        let mut push = |value: u32| {
            let bytes = if little { value.to_le_bytes() } else { value.to_be_bytes() };
            out.extend_from_slice(if little { &bytes[..unit] } else { &bytes[4 - unit..] });
        };
        if unit == 2 {
            text.encode_utf16().for_each(|unit| push(u32::from(unit)));
        } else {
            text.chars().for_each(|character| push(u32::from(character)));
        }
        out
    }

    #[test]
    fn every_wide_form_is_decoded_with_and_without_a_mark() {
        for unit in [2, 4] {
            for little in [true, false] {
                let form = |mark| Kind::Wide(Form { unit, little, mark });
                let text = "\u{feff}grüße 😀 und mehr\r\n";
                let bytes = wide(text, unit, little);
                assert_eq!(kind(&bytes), form(unit), "{unit} {little}");
                assert_eq!(Content::of(&bytes).text.unwrap(), text.trim_start_matches('\u{feff}').as_bytes());
                assert_eq!(kind(&wide("plain words and a number 17\n", unit, little)), form(0));
            }
        }
        assert_eq!(
            kind(&wide("\u{feff}東京都千代田区の設定ファイル", 2, true)),
            kind(&wide("\u{feff}a", 2, true))
        );
    }

    #[test]
    fn a_mark_before_a_plain_text_is_not_believed() {
        for mark in [&b"\xff\xfe"[..], b"\xfe\xff", b"\xff\xfe\xff", b"\xff\xfe\0\0"] {
            let bytes = [mark, b"key = value and so on, for some lines of text\n"].concat();
            assert!(!matches!(kind(&bytes), Kind::Wide(_)), "{mark:?}");
        }
    }

    #[test]
    fn a_zero_makes_no_text_binary_and_images_are() {
        assert_eq!(kind(b"one line of a log with a \0 in it\n"), Kind::Plain);
        let noise: Vec<u8> = (0..4096u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
        assert_eq!(kind(&noise), Kind::Binary);
    }

    #[test]
    fn plain_text_after_wide_text_is_not_hidden() {
        let mut bytes = wide(&"\u{feff}words ".repeat(4_000), 2, true);
        bytes.extend_from_slice(b"a word of twenty letters");
        let content = Content::of(&bytes);
        assert_eq!(content.runs.text.trim_ascii_end(), b"a word of twenty letters");
    }
}
