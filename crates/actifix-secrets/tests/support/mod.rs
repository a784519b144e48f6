//! Values that look like secrets, made at run time so that none stands in a file.

/// A small generator with a fixed sequence.
#[derive(Debug, Clone)]
pub struct Dice(u64);

impl Dice {
    /// Starts a sequence.
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x5851_f42d_4c95_7f2d)
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// `count` characters of an alphabet.
    pub fn pick(&mut self, alphabet: &str, count: usize) -> String {
        let alphabet = alphabet.as_bytes();
        (0..count).map(|_| char::from(alphabet[(self.next() >> 11) as usize % alphabet.len()])).collect()
    }
}

const UPPER: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZ";
const LOWER: &str = "abcdefghijklmnopqrstuvwxyz";
const DIGITS: &str = "0123456789";

fn alphabet(class: &str) -> String {
    match class {
        "62" => [UPPER, LOWER, DIGITS].concat(),
        "64" => [UPPER, LOWER, DIGITS, "+/"].concat(),
        "url" => [UPPER, LOWER, DIGITS, "_-"].concat(),
        "hex" => "0123456789abcdef".to_owned(),
        "HEX" => "0123456789ABCDEF".to_owned(),
        "U" => [UPPER, "234567"].concat(),
        "A" => [UPPER, LOWER].concat(),
        "l" => [LOWER, DIGITS].concat(),
        "d" => DIGITS.to_owned(),
        "n" => "123456789".to_owned(),
        "q" => [LOWER, "234567"].concat(),
        "dis" => "AEIMQUYcgk".to_owned(),
        other => panic!("unknown class {other}"),
    }
}

/// Replaces `{62:36}` and the like by made-up characters, `{crcbody}` and `{crcall}` by the checksum of the word so far.
pub fn expand(template: &str, seed: u64) -> String {
    let mut dice = Dice::new(seed + template.len() as u64);
    let mut out = String::new();
    let mut rest = template;
    while let Some(open) = rest.find('{') {
        let close = rest[open..].find('}').map(|close| open + close);
        let piece = close.map(|close| &rest[open + 1..close]);
        out.push_str(&rest[..open]);
        let made = piece.and_then(|piece| {
            let word = out.rsplit(|c: char| !c.is_ascii_alphanumeric() && c != '_').next().unwrap_or("");
            match piece {
                "crcbody" => Some(base62(crc32fast::hash(word.split_once('_')?.1.as_bytes()))),
                "crcall" => Some(base62(crc32fast::hash(word.as_bytes()))),
                _ => {
                    let (class, count) = piece.split_once(':')?;
                    let known = ["62", "64", "url", "hex", "HEX", "U", "A", "l", "d", "n", "q", "dis"]
                        .contains(&class);
                    known.then(|| dice.pick(&alphabet(class), count.parse().unwrap()))
                }
            }
        });
        match (made, close) {
            (Some(made), Some(close)) => {
                out.push_str(&made);
                rest = &rest[close + 1..];
            }
            _ => {
                out.push('{');
                rest = &rest[open + 1..];
            }
        }
    }
    out.push_str(rest);
    out
}

fn base62(mut number: u32) -> String {
    let digits = [DIGITS, UPPER, LOWER].concat();
    let mut out = Vec::new();
    for _ in 0..6 {
        out.push(digits.as_bytes()[(number % 62) as usize]);
        number /= 62;
    }
    out.reverse();
    String::from_utf8(out).unwrap()
}
