//! Made-up characters in a fixed sequence.

/// A small generator of pseudo-random numbers (splitmix64), enough for tests.
#[derive(Debug, Clone)]
pub struct Dice(u64);

const UPPER: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZ";
const LOWER: &str = "abcdefghijklmnopqrstuvwxyz";
const DIGITS: &str = "0123456789";

impl Dice {
    /// Starts a sequence.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `bound`, which is at least 1.
    pub fn below(&mut self, bound: usize) -> usize {
        ((self.next() >> 8) as usize) % bound.max(1)
    }

    /// One of some values.
    pub fn one<'v, T: ?Sized>(&mut self, values: &[&'v T]) -> &'v T {
        values[self.below(values.len())]
    }

    /// Made-up bytes.
    pub fn bytes(&mut self, count: usize) -> Vec<u8> {
        (0..count).map(|_| (self.next() >> 24) as u8).collect()
    }

    /// `count` characters of an alphabet.
    pub fn of(&mut self, alphabet: &str, count: usize) -> String {
        let alphabet = alphabet.as_bytes();
        (0..count).map(|_| char::from(alphabet[self.below(alphabet.len())])).collect()
    }

    /// `count` characters of a class: `62` letters and digits, `64` base64, `url` base64url, `hex`, `HEX`, `up` upper case and
    /// digits, `b32` base32, `low` lower case and digits, `q` lower base32, `let` letters, `dig` digits, `nz` digits without 0.
    pub fn class(&mut self, class: &str, count: usize) -> String {
        let alphabet = match class {
            "62" => [UPPER, LOWER, DIGITS].concat(),
            "64" => [UPPER, LOWER, DIGITS, "+/"].concat(),
            "url" => [UPPER, LOWER, DIGITS, "-_"].concat(),
            "hex" => "0123456789abcdef".to_owned(),
            "HEX" => "0123456789ABCDEF".to_owned(),
            "up" => [UPPER, DIGITS].concat(),
            "b32" => [UPPER, "234567"].concat(),
            "low" => [LOWER, DIGITS].concat(),
            "q" => [LOWER, "234567"].concat(),
            "let" => [UPPER, LOWER].concat(),
            "dig" => DIGITS.to_owned(),
            "nz" => "123456789".to_owned(),
            other => panic!("unknown class {other}"),
        };
        self.of(&alphabet, count)
    }

    /// A password as generators make it: all classes, no quotes, no blanks.
    pub fn password(&mut self, count: usize) -> String {
        let mut chars: Vec<char> = self.class("62", count).chars().collect();
        let marks = ['!', '#', '*', '+', '-', '.', '=', '^', '_', '~'];
        for (at, class) in [(1, "let"), (2, "dig"), (count / 2, "dig")] {
            chars[at] = self.class(class, 1).chars().next().unwrap();
        }
        chars[count - 2] = marks[self.below(marks.len())];
        chars.into_iter().collect()
    }

    /// A version 4 UUID.
    pub fn uuid(&mut self) -> String {
        let hex = self.class("hex", 32);
        let variant = self.of("89ab", 1);
        format!("{}-{}-4{}-{variant}{}-{}", &hex[..8], &hex[8..12], &hex[13..16], &hex[17..20], &hex[20..])
    }
}

/// Standard base64 with padding.
pub fn base64(bytes: &[u8]) -> String {
    encode(bytes, [UPPER, LOWER, DIGITS, "+/"].concat().as_bytes(), true)
}

/// base64url without padding.
pub fn base64url(bytes: &[u8]) -> String {
    encode(bytes, [UPPER, LOWER, DIGITS, "-_"].concat().as_bytes(), false)
}

fn encode(bytes: &[u8], alphabet: &[u8], padded: bool) -> String {
    let mut out = String::new();
    for chunk in bytes.chunks(3) {
        let bits =
            chunk.iter().fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - chunk.len()));
        for index in 0..4 {
            if index <= chunk.len() {
                out.push(char::from(alphabet[(bits >> (18 - 6 * index)) as usize & 63]));
            } else if padded {
                out.push('=');
            }
        }
    }
    out
}

/// CRC-32 (IEEE), bit by bit, as six base62 digits.
pub fn crc_base62(bytes: &[u8]) -> String {
    let mut crc = u32::MAX;
    for byte in bytes {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 { crc >> 1 ^ 0xedb8_8320 } else { crc >> 1 };
        }
    }
    crc = !crc;
    let digits = [DIGITS, UPPER, LOWER].concat();
    let mut out = Vec::new();
    for _ in 0..6 {
        out.push(digits.as_bytes()[(crc % 62) as usize]);
        crc /= 62;
    }
    out.iter().rev().map(|byte| char::from(*byte)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encodings_are_those_of_their_standards() {
        assert_eq!(base64(b"foob"), "Zm9vYg==");
        assert_eq!(base64url(&[0xfb, 0xff]), "-_8");
        // CRC-32 of the check string is 0xcbf43926.
        assert_eq!(crc_base62(b"123456789"), {
            let mut n = 0xcbf4_3926_u32;
            let mut out = String::new();
            while n > 0 {
                out.insert(0, [DIGITS, UPPER, LOWER].concat().as_bytes()[(n % 62) as usize] as char);
                n /= 62;
            }
            out
        });
    }
}
