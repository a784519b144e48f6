//! Rows of the table that name machines and objects: UUID, IP address, hexadecimal ids.

use super::Scan;

/// Lower-case hex ids have at least this many digits (a short commit hash).
const HEX_LOWER_MIN: usize = 7;
/// Upper-case hex ids have at least this many digits; shorter ones are mostly words.
const HEX_UPPER_MIN: usize = 8;
/// Longest hex id, in digits (SHA-512).
const HEX_MAX: usize = 128;
/// Groups of an IPv6 address.
const V6_GROUPS: usize = 8;

impl Scan<'_> {
    /// 8-4-4-4-12 hex digits.
    pub(super) fn uuid(self, at: usize) -> Option<usize> {
        let mut place = at;
        for (part, digits) in [8usize, 4, 4, 4, 12].into_iter().enumerate() {
            if part > 0 {
                place = self.byte(place, b'-')?;
            }
            let end = self.run(place, digits, |byte| byte.is_ascii_hexdigit());
            if end != place + digits {
                return None;
            }
            place = end;
        }
        self.ends(place).then_some(place)
    }

    /// IPv4 with an optional port, or IPv6.
    pub(super) fn address(self, at: usize) -> Option<usize> {
        if matches!(self.before(at), b'.' | b':') {
            return None;
        }
        self.v4(at).or_else(|| self.v6(at))
    }

    /// `:` and 1 to 5 digits.
    pub(super) fn port(self, at: usize) -> Option<usize> {
        let digits = self.byte(at, b':')?;
        let end = self.run(digits, 5, |byte| byte.is_ascii_digit());
        (end > digits && self.ends(end)).then_some(end)
    }

    fn v4(self, at: usize) -> Option<usize> {
        let mut place = at;
        for octet in 0..4 {
            if octet > 0 {
                place = self.byte(place, b'.')?;
            }
            let end = self.run(place, 3, |byte| byte.is_ascii_digit());
            let value = (place..end).fold(0u32, |sum, digit| sum * 10 + u32::from(self.at(digit) - b'0'));
            if end == place || value > 255 {
                return None;
            }
            place = end;
        }
        if !self.ends(place) {
            return None;
        }
        Some(self.port(place).unwrap_or(place))
    }

    /// Eight groups, or one `::` with a group after it; the whole holds a digit, so that `a::b` of a
    /// program's text is none. The last two groups may be an IPv4 address, as Node writes mapped ones.
    fn v6(self, at: usize) -> Option<usize> {
        let mut place = at;
        let mut groups = 0usize;
        let mut gap = false;
        let mut group_after_gap = false;
        let mut digit = false;
        if self.at(at) == b':' {
            place = self.byte(at + 1, b':')?;
            gap = true;
        }
        while groups < V6_GROUPS {
            if (groups > 0 || gap)
                && let Some(end) = self.v4(place)
            {
                let whole = groups + 2 == V6_GROUPS || gap && groups + 2 < V6_GROUPS;
                return whole.then_some(end);
            }
            let end = self.run(place, 4, |byte| byte.is_ascii_hexdigit());
            if end == place {
                return None;
            }
            digit |= (place..end).any(|place| self.at(place).is_ascii_digit());
            groups += 1;
            group_after_gap = gap;
            place = end;
            if self.at(place) != b':' {
                break;
            }
            place += 1;
            if self.at(place) == b':' {
                if gap {
                    return None;
                }
                gap = true;
                place += 1;
            }
        }
        let whole = if gap { group_after_gap && groups < V6_GROUPS } else { groups == V6_GROUPS };
        // A further `:` was stepped over only when a group had to follow it.
        let closed = self.before(place) != b':' && self.ends(place);
        (whole && digit && closed).then_some(place)
    }

    /// `0x…`, or a run of hex digits in one case that holds a letter and a digit.
    pub(super) fn hex(self, at: usize) -> Option<usize> {
        if self.starts_with(at, b"0x") {
            let end = self.run(at + 2, usize::MAX, |byte| byte.is_ascii_hexdigit());
            return (end > at + 2 && self.ends(end)).then_some(end);
        }
        let end = self.run(at, HEX_MAX + 1, |byte| byte.is_ascii_hexdigit());
        let digits = self.bytes.get(at..end)?;
        let lower = digits.iter().any(u8::is_ascii_lowercase);
        let upper = digits.iter().any(u8::is_ascii_uppercase);
        let min = match (lower, upper) {
            (true, false) => HEX_LOWER_MIN,
            (false, true) => HEX_UPPER_MIN,
            _ => return None,
        };
        let long_enough = (min..=HEX_MAX).contains(&digits.len());
        (long_enough && digits.iter().any(u8::is_ascii_digit) && self.ends(end)).then_some(end)
    }
}
