//! Marks of a ticket: a number in its row and in the index of each order, by which a search passes over most tickets that
//! do not match without reading more of them.
//!
//! Every value of a facet has one of 55 bits, which it shares with others; levels and some states have bits of their own.
//! A bit that is not set is certain: the ticket has no such value. One that is set is looked into. So a bit may stay when
//! its value goes, but is there whenever the value is. Databases hold these numbers: the bit of a value never changes.

use super::rows::TicketRow;
use actifix_domain::event::Level;
use rusqlite::Connection;
use rusqlite::functions::FunctionFlags;

/// Somebody works on it.
pub(crate) const ASSIGNED: i64 = 1 << 5;
/// Nobody caught the latest event.
pub(crate) const UNHANDLED: i64 = 1 << 6;
/// It came back after it was resolved.
pub(crate) const REGRESSED: i64 = 1 << 7;
/// Bits before those of facets: five levels and three states.
const OWN: u64 = 8;
/// Bits of facets. The sign is left out.
const FACETS: u64 = 55;
/// Name of [`facet`] in SQL, for the migration that marks the tickets of before.
const NAME: &str = "facet_mark";

/// The bit of a level.
pub(crate) const fn level(level: Level) -> i64 {
    match level {
        Level::Debug => 1,
        Level::Info => 1 << 1,
        Level::Warning => 1 << 2,
        Level::Error => 1 << 3,
        Level::Fatal => 1 << 4,
    }
}

/// The bit of a value, by its hash (FNV-1a).
pub(crate) fn facet(key: &str, value: &str) -> i64 {
    const START: u64 = 0xcbf2_9ce4_8422_2325;
    const PRIME: u64 = 0x0000_0100_0000_01b3;
    // The byte between the two is none of UTF-8.
    let bytes = key.bytes().chain([0xff]).chain(value.bytes());
    let hash = bytes.fold(START, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(PRIME));
    1 << (OWN + (hash ^ (hash >> 32)) % FACETS)
}

/// The marks of a ticket as it is now; those of its facets are kept in the row.
pub(crate) fn of(row: &TicketRow) -> i64 {
    let ticket = &row.ticket;
    let own = (1 << OWN) - 1;
    let mut marks = (row.marks & !own) | level(ticket.level);
    for (is_so, mark) in [
        (ticket.assignee.is_some(), ASSIGNED),
        (ticket.unhandled, UNHANDLED),
        (ticket.regressions > 0, REGRESSED),
    ] {
        if is_so {
            marks |= mark;
        }
    }
    match &ticket.platform {
        Some(platform) => marks | facet("platform", platform),
        None => marks,
    }
}

/// Lets the statements of a migration ask for the bit of a value.
pub(crate) fn register(connection: &Connection) -> rusqlite::Result<()> {
    let flags = FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_DETERMINISTIC;
    connection.create_scalar_function(NAME, 2, flags | FunctionFlags::SQLITE_DIRECTONLY, |arguments| {
        let text = |place: usize| arguments.get_raw(place).as_str().unwrap_or_default();
        Ok(facet(text(0), text(1)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_of_values_never_change() {
        for (key, value, bit) in [
            ("environment", "production", 62),
            ("environment", "staging", 16),
            ("release", "web@5.1", 54),
            ("", "", 23),
            ("würzburg", "ü", 27),
        ] {
            assert_eq!(facet(key, value), 1 << bit, "{key}={value}: {}", facet(key, value).trailing_zeros());
        }
        assert_ne!(facet("ab", "c"), facet("a", "bc"));
    }

    #[test]
    fn all_bits_are_used_and_none_twice() {
        let bits = (0..2_000).fold(0, |bits, number| bits | facet("shard", &format!("s{number}")));
        assert_eq!(bits.count_ones(), 55);
        let levels = [Level::Debug, Level::Info, Level::Warning, Level::Error, Level::Fatal].map(level);
        let own = levels.into_iter().chain([ASSIGNED, UNHANDLED, REGRESSED]).fold(0, |own, bit| own | bit);
        assert_eq!((own, own & bits), (255, 0));
        assert!(bits > 0);
    }
}
