//! Rows of the table that tell a time.

use super::Scan;

const MONTHS: [&[u8]; 12] =
    [b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec"];
const WEEKDAYS: [&[u8]; 7] = [b"Mon", b"Tue", b"Wed", b"Thu", b"Fri", b"Sat", b"Sun"];

/// Where `hh:mm`, `hh:mm:ss` and `hh:mm:ss.frac` end.
#[derive(Clone, Copy)]
struct Clock {
    minutes: usize,
    seconds: Option<usize>,
    fraction: Option<usize>,
}

impl Scan<'_> {
    /// A date, a date with time, or a time with seconds.
    pub(super) fn timestamp(self, at: usize) -> Option<usize> {
        if self.at(at).is_ascii_digit() {
            return self.numeric_date(at).or_else(|| self.named_date(at)).or_else(|| self.bare_clock(at));
        }
        if !self.at(at).is_ascii_uppercase() {
            return None;
        }
        let Some(weekday) = self.word(at, &WEEKDAYS) else { return self.log_date(at) };
        if self.starts_with(weekday, b", ") {
            return self.named_date(weekday + 2);
        }
        self.byte(weekday, b' ').and_then(|month| self.log_date(month))
    }

    fn word(self, at: usize, words: &[&[u8]]) -> Option<usize> {
        words.iter().find(|word| self.starts_with(at, word)).map(|word| at + word.len())
    }

    fn clock(self, at: usize) -> Option<Clock> {
        let minutes = self.digits(self.byte(self.digits(at, 2)?, b':')?, 2)?;
        let seconds = self.byte(minutes, b':').and_then(|at| self.digits(at, 2));
        let fraction = seconds.filter(|end| matches!(self.at(*end), b'.' | b',')).and_then(|end| {
            let digits = self.run(end + 1, usize::MAX, |byte| byte.is_ascii_digit());
            (digits > end + 1).then_some(digits)
        });
        Some(Clock { minutes, seconds, fraction })
    }

    /// `Z`, `UTC`, `GMT`, `±hh[:]mm`, a space before it allowed.
    fn zone(self, at: usize) -> Option<usize> {
        let at = self.byte(at, b' ').unwrap_or(at);
        let end = match self.at(at) {
            b'Z' => at + 1,
            b'U' | b'G' => self.word(at, &[b"UTC", b"GMT"])?,
            b'+' | b'-' => {
                let hours = self.digits(at + 1, 2)?;
                self.digits(self.byte(hours, b':').unwrap_or(hours), 2)?
            }
            _ => return None,
        };
        self.ends(end).then_some(end)
    }

    /// The longest of the given ends, each with a zone if there is one, that may end a match.
    fn longest(self, ends: [Option<usize>; 3]) -> Option<usize> {
        ends.into_iter()
            .flatten()
            .find_map(|end| self.zone(end).or_else(|| Some(end).filter(|end| self.ends(*end))))
    }

    /// `2026-11-24`, `2026/11/24`, with or without a time.
    fn numeric_date(self, at: usize) -> Option<usize> {
        let year = self.digits(at, 4)?;
        let mark = self.at(year);
        if !matches!(mark, b'-' | b'/') {
            return None;
        }
        let month = self.digits(year + 1, 2)?;
        let date = self.digits(self.byte(month, mark)?, 2)?;
        let clock = matches!(self.at(date), b'T' | b' ').then(|| self.clock(date + 1)).flatten();
        clock
            .and_then(|clock| self.longest([clock.fraction, clock.seconds, Some(clock.minutes)]))
            .or_else(|| Some(date).filter(|end| self.ends(*end)))
    }

    fn day(self, at: usize) -> Option<usize> {
        let end = self.run(at, 2, |byte| byte.is_ascii_digit());
        (end > at).then_some(end)
    }

    /// `24 Nov 2026`, with or without a time.
    fn named_date(self, at: usize) -> Option<usize> {
        let month = self.word(self.byte(self.day(at)?, b' ')?, &MONTHS)?;
        let year = self.digits(self.byte(month, b' ')?, 4)?;
        let clock = self.byte(year, b' ').and_then(|at| self.clock(at));
        clock
            .and_then(|clock| self.longest([clock.seconds, Some(clock.minutes), None]))
            .or_else(|| Some(year).filter(|end| self.ends(*end)))
    }

    /// `Nov 24 09:47:29`, days below ten padded with a space, a year after it allowed.
    fn log_date(self, at: usize) -> Option<usize> {
        let month = self.byte(self.word(at, &MONTHS)?, b' ')?;
        let day = self.day(self.byte(month, b' ').unwrap_or(month))?;
        let end = self.clock(self.byte(day, b' ')?)?.seconds?;
        let with_year = self.byte(end, b' ').and_then(|at| self.digits(at, 4));
        with_year.filter(|end| self.ends(*end)).or_else(|| Some(end).filter(|end| self.ends(*end)))
    }

    /// `09:47:29`, with or without a fraction.
    fn bare_clock(self, at: usize) -> Option<usize> {
        let clock = self.clock(at)?;
        [clock.fraction, clock.seconds].into_iter().flatten().find(|end| self.ends(*end))
    }
}
