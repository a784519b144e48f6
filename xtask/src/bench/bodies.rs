//! Gzip bodies whose ids can be changed without compressing anew.
//!
//! Compressing 15 KB costs more than the server needs to store it, so it must not happen in the measured window,
//! and as many bodies as a window needs do not fit into memory. The beginning of a body, where its ids are, is
//! therefore a stored deflate block; the rest is compressed once. A request costs the client a copy, and a
//! checksum of the beginning that is combined with that of the rest.

use std::io::Write;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context, Result, bail};
use flate2::write::DeflateEncoder;
use flate2::{Compression, Crc};

/// Bytes of a stored block, by its format.
const STORED_MAX: usize = 0xffff;
/// Magic, deflate, no flags, no time, no extra flags, unknown system.
const GZIP_HEAD: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];
/// What zlib clients use.
const LEVEL: u32 = 6;

/// Where an id of 32 hex digits goes.
pub const ID_MARK: &str = "%%%%%%%%%%%%%%%id%%%%%%%%%%%%%%%";
/// Where a word of 8 letters goes that makes the event's group.
pub const GROUP_MARK: &str = "%%group%";
/// Where a user's number goes, 8 digits.
pub const USER_MARK: &str = "%%user%%";

const _: () = assert!(ID_MARK.len() == 32 && GROUP_MARK.len() == 8 && USER_MARK.len() == 8);

/// One body, ready to be sent any number of times with other ids.
#[derive(Debug)]
pub struct Template {
    head: Vec<u8>,
    ids: Vec<usize>,
    groups: Vec<usize>,
    users: Vec<usize>,
    rest: Vec<u8>,
    rest_crc: Crc,
    /// Bytes before compression.
    pub clear_bytes: usize,
}

/// What is put into a template.
#[derive(Debug, Clone, Copy)]
pub struct Ids {
    pub event: u64,
    pub group: u64,
    pub user: u64,
}

impl Template {
    /// `head` holds the marks, `rest` is compressed as it is.
    pub fn new(head: &str, rest: &[u8]) -> Result<Self> {
        if head.len() > STORED_MAX {
            bail!("the beginning of a body is longer than a stored block: {} bytes", head.len());
        }
        let places = |mark| head.match_indices(mark).map(|(place, _)| place).collect::<Vec<usize>>();
        let mut encoder = DeflateEncoder::new(Vec::new(), Compression::new(LEVEL));
        encoder.write_all(rest).context("cannot compress")?;
        let mut rest_crc = Crc::new();
        rest_crc.update(rest);
        Ok(Self {
            ids: places(ID_MARK),
            groups: places(GROUP_MARK),
            users: places(USER_MARK),
            head: head.as_bytes().to_vec(),
            rest: encoder.finish().context("cannot compress")?,
            rest_crc,
            clear_bytes: head.len() + rest.len(),
        })
    }

    /// Appends a gzip body with these ids.
    pub fn write(&self, ids: Ids, out: &mut Vec<u8>) {
        out.extend_from_slice(&GZIP_HEAD);
        let length = u16::try_from(self.head.len()).unwrap_or(u16::MAX);
        out.push(0);
        out.extend_from_slice(&length.to_le_bytes());
        out.extend_from_slice(&(!length).to_le_bytes());
        let start = out.len();
        out.extend_from_slice(&self.head);
        let head = &mut out[start..];
        put(head, &self.ids, &hex_id(ids.event));
        put(head, &self.groups, &letters(ids.group));
        put(head, &self.users, &digits(ids.user));
        let mut crc = Crc::new();
        crc.update(head);
        crc.combine(&self.rest_crc);
        out.extend_from_slice(&self.rest);
        out.extend_from_slice(&crc.sum().to_le_bytes());
        out.extend_from_slice(&crc.amount().to_le_bytes());
    }

    /// Bytes of [`Template::write`].
    pub fn sent_bytes(&self) -> usize {
        GZIP_HEAD.len() + 5 + self.head.len() + self.rest.len() + 8
    }
}

fn put(text: &mut [u8], places: &[usize], word: &[u8]) {
    for place in places {
        if let Some(slot) = text.get_mut(*place..place + word.len()) {
            slot.copy_from_slice(word);
        }
    }
}

/// A number as an id that looks random and never repeats (an odd multiplier is a bijection).
fn hex_id(number: u64) -> [u8; 32] {
    let high = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let low = high.rotate_left(29) ^ 0x5bd1_e995_c2b2_ae35;
    let mut out = [b'0'; 32];
    for (place, slot) in out.iter_mut().enumerate() {
        let word = if place < 16 { high } else { low };
        let nibble = (word >> (60 - 4 * (place % 16))) & 0xf;
        *slot = b"0123456789abcdef"[usize::try_from(nibble).unwrap_or(0)];
    }
    // Version and variant of a random id, as SDKs send them.
    out[12] = b'4';
    out[16] = b'a';
    out
}

/// A number as letters: digits in a function's name would be taken out before grouping.
fn letters(mut number: u64) -> [u8; 8] {
    let mut out = [b'a'; 8];
    for slot in out.iter_mut().rev() {
        *slot = b'a' + u8::try_from(number % 26).unwrap_or(0);
        number /= 26;
    }
    out
}

fn digits(mut number: u64) -> [u8; 8] {
    let mut out = [b'0'; 8];
    for slot in out.iter_mut().rev() {
        *slot = b'0' + u8::try_from(number % 10).unwrap_or(0);
        number /= 10;
    }
    out
}

/// Numbers of events: unique in a run, and different from those of other runs.
#[derive(Debug)]
pub struct Numbers(AtomicU64);

impl Numbers {
    pub fn new() -> Self {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        Self(AtomicU64::new(u64::from(since.subsec_nanos()) << 32 | since.as_secs() << 40))
    }

    pub fn next(&self) -> u64 {
        self.0.fetch_add(1, Ordering::Relaxed)
    }
}

/// Repeatable randomness (xorshift64*): every run sends the same mixture.
#[derive(Debug, Clone)]
pub struct Dice(u64);

impl Dice {
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// A number below `end`.
    pub fn below(&mut self, end: u64) -> u64 {
        (self.next() >> 11) % end.max(1)
    }

    /// A number below 1.
    pub fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }
}

/// Chances of groups after Zipf: the first comes twice as often as the second, and so on.
#[derive(Debug, Clone)]
pub struct Zipf(Vec<f64>);

impl Zipf {
    pub fn new(groups: u32) -> Self {
        let total: f64 = (1..=groups).map(|rank| 1.0 / f64::from(rank)).sum();
        let mut sum = 0.0;
        Self(
            (1..=groups)
                .map(|rank| {
                    sum += 1.0 / f64::from(rank) / total;
                    sum
                })
                .collect(),
        )
    }

    pub fn pick(&self, dice: &mut Dice) -> usize {
        let chance = dice.unit();
        self.0.partition_point(|sum| *sum < chance).min(self.0.len().saturating_sub(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    #[test]
    fn a_body_is_valid_gzip_with_its_ids_in_place() {
        let head = format!("{{\"event_id\":\"{ID_MARK}\",\"f\":\"{GROUP_MARK}\",\"u\":\"{USER_MARK}\",");
        let rest = "\"rest\":\"".to_owned() + &"lorem ipsum ".repeat(500) + "\"}";
        let template = Template::new(&head, rest.as_bytes()).unwrap();
        for number in [0, 1, u64::MAX] {
            let mut body = Vec::new();
            template.write(Ids { event: number, group: 27, user: 42 }, &mut body);
            assert_eq!(body.len(), template.sent_bytes());
            let mut text = String::new();
            flate2::read::GzDecoder::new(body.as_slice()).read_to_string(&mut text).unwrap();
            assert_eq!(text.len(), template.clear_bytes);
            assert!(text.contains("\"f\":\"aaaaaabb\",\"u\":\"00000042\",\"rest\":\"lorem"), "{text}");
            assert!(!text.contains('%'));
        }
    }

    #[test]
    fn ids_do_not_repeat() {
        let ids: std::collections::HashSet<[u8; 32]> = (0..100_000).map(hex_id).collect();
        assert_eq!(ids.len(), 100_000);
    }

    #[test]
    fn zipf_prefers_the_first() {
        let (zipf, mut dice) = (Zipf::new(200), Dice::new(1));
        let mut seen = [0u32; 200];
        for _ in 0..50_000 {
            seen[zipf.pick(&mut dice)] += 1;
        }
        assert!(seen[0] > seen[1] && seen[1] > seen[20] && seen.iter().all(|count| *count > 0));
    }
}
