//! Words of a search.
//!
//! The index of words gives the tickets that have them in the order of their numbers, which is not the order of any
//! list. So the latest of them are listed, which is all of them unless they are very many; about older tickets the index
//! is asked as the list comes to them, those whose numbers are close together at once.

use super::projects::collect;
use super::search::Numbers;
use super::word;
use crate::fault::Result;
use actifix_domain::search::Pattern;
use rusqlite::Connection;
use rusqlite::types::Value;

/// Tickets with a word that are listed: about 5 ms.
const LISTED_MAX: usize = 20_000;
/// The same where the word is only a start. To ask the index about some of them costs it as much as to ask about all.
const LISTED_OF_START_MAX: usize = 200_000;
/// Fewest characters of a word's start that is looked for.
const START_CHARS_MIN: usize = 3;
/// Numbers that are read through rather than looked up one by one.
const GAP_MAX: i64 = 32;
/// Cost of one look into the index, in looks at a ticket in the index of an order.
const LOOKUP_UNITS: usize = 128;

/// Texts of a search: those that must be there, which are asked for together, and those that must not.
#[derive(Default)]
pub(crate) struct Texts {
    wanted: Vec<Text>,
    unwanted: Vec<Text>,
}

struct Text {
    /// In the language of the index.
    phrase: String,
    /// A word that titles can be looked through for.
    plain: Option<String>,
    /// The word may go on.
    is_start: bool,
}

/// Words whose tickets were too many to list.
pub(crate) struct Words {
    /// What the index is asked, in its own language.
    question: String,
    pub(crate) is_negated: bool,
    /// Words that titles are looked through for first, each with whether it may go on; empty is none.
    plain: Vec<(String, bool)>,
    /// The latest tickets that have them.
    latest: Numbers,
    /// What one look into the index costs.
    lookup_units: usize,
}

/// What the index knows of some texts.
pub(crate) enum Listed {
    /// All tickets that have them.
    All(Numbers),
    /// Only the latest.
    Latest(Words),
}

impl Texts {
    /// Adds a text of letters and digits.
    pub(crate) fn add(&mut self, db: &Connection, text: &str, negated: bool) -> Result<()> {
        let phrase = format!("\"{}\"", text.replace('"', "\"\""));
        let sql = "SELECT rowid FROM ticket_words WHERE ticket_words MATCH ? LIMIT 1";
        let known = !collect(db, sql, [&phrase], |row| Ok(row.get::<_, i64>(0)?))?.is_empty();
        // A whole word is found at once; the start of a word costs more, so it is only tried where there is none.
        let is_start = !known && text.chars().count() >= START_CHARS_MIN;
        let text = Text {
            phrase: if is_start { format!("{phrase} *") } else { phrase },
            plain: word::is_plain(text).then(|| text.to_owned()),
            is_start,
        };
        if negated {
            self.unwanted.push(text)
        } else {
            self.wanted.push(text)
        }
        Ok(())
    }

    /// Asks the index: first what must be there, in one question, then each that must not.
    pub(crate) fn ask(self, db: &Connection) -> Result<(Option<Listed>, Vec<Listed>)> {
        let wanted = if self.wanted.is_empty() { None } else { Some(ask(db, self.wanted, false)?) };
        let unwanted = self.unwanted.into_iter().map(|text| ask(db, vec![text], true));
        Ok((wanted, unwanted.collect::<Result<_>>()?))
    }
}

fn ask(db: &Connection, texts: Vec<Text>, is_negated: bool) -> Result<Listed> {
    let has_start = texts.iter().any(|text| text.is_start);
    let question = texts.iter().map(|text| text.phrase.as_str()).collect::<Vec<_>>().join(" AND ");
    let most = if has_start { LISTED_OF_START_MAX } else { LISTED_MAX };
    let sql = "SELECT rowid FROM ticket_words WHERE ticket_words MATCH ?1 ORDER BY rowid DESC LIMIT ?2";
    let values = rusqlite::params![question, i64::try_from(most + 1).unwrap_or(i64::MAX)];
    let found = collect(db, sql, values, |row| Ok(row.get(0)?))?;
    if found.len() <= most {
        return Ok(Listed::All(Numbers::of(found)));
    }
    let plain = texts.iter().map(|text| Some((text.plain.clone()?, text.is_start)));
    Ok(Listed::Latest(Words {
        question,
        is_negated,
        plain: plain.collect::<Option<Vec<_>>>().unwrap_or_default(),
        latest: Numbers::of(found),
        lookup_units: if has_start { LOOKUP_UNITS * 100 } else { LOOKUP_UNITS },
    }))
}

impl Words {
    /// Which of some tickets have the words, and what it cost to know.
    pub(crate) fn among(&self, db: &Connection, seqs: &[i64]) -> Result<(Numbers, usize)> {
        let oldest_listed = self.latest.first().unwrap_or(i64::MAX);
        let (listed, mut open): (Vec<i64>, Vec<i64>) = seqs.iter().partition(|seq| **seq >= oldest_listed);
        let mut found: Vec<i64> = listed.into_iter().filter(|seq| self.latest.has(*seq)).collect();
        let mut units = 0;
        if !self.plain.is_empty() && !open.is_empty() {
            units += open.len() * super::lists::ROW_UNITS;
            let titles = self.in_titles(db, &open)?;
            open.retain(|seq| !titles.has(*seq));
            found.extend(titles.iter());
        }
        open.sort_unstable();
        for close in open.chunk_by(|one, next| next - one <= GAP_MAX) {
            let (Some(first), Some(last)) = (close.first(), close.last()) else { continue };
            units += self.lookup_units + usize::try_from(last - first).unwrap_or(usize::MAX) / 4;
            let sql =
                "SELECT rowid FROM ticket_words WHERE ticket_words MATCH ?1 AND rowid BETWEEN ?2 AND ?3";
            let between =
                collect(db, sql, rusqlite::params![self.question, first, last], |row| Ok(row.get(0)?))?;
            let between = Numbers::of(between);
            found.extend(close.iter().filter(|seq| between.has(**seq)));
        }
        Ok((Numbers::of(found), units))
    }

    /// Those whose title or culprit certainly has all of the words.
    fn in_titles(&self, db: &Connection, seqs: &[i64]) -> Result<Numbers> {
        let tests = vec!["has_word(t.title, t.culprit, ?, ?)"; self.plain.len()].join(" AND ");
        let sql =
            format!("SELECT t.seq FROM json_each(?) v CROSS JOIN tickets t ON t.seq = v.value WHERE {tests}");
        let words = self
            .plain
            .iter()
            .flat_map(|(word, is_start)| [Value::Text(word.clone()), Value::Integer(i64::from(*is_start))]);
        let values = std::iter::once(Value::Text(super::search::json(seqs))).chain(words);
        Ok(Numbers::of(collect(db, &sql, rusqlite::params_from_iter(values), |row| Ok(row.get(0)?))?))
    }
}

/// A text without a letter or digit is in no index of words: it is looked for in titles. The condition, and its values.
pub(crate) fn of_signs(text: &str) -> (&'static str, [Value; 2]) {
    let pieces = vec![String::new(), text.to_owned(), String::new()];
    let like = Value::Text(Pattern::from_pieces(pieces).to_like());
    ("t.title LIKE ? ESCAPE '\\' OR t.culprit LIKE ? ESCAPE '\\'", [like.clone(), like])
}

#[cfg(test)]
mod tests {
    use super::super::search::plan;
    use super::super::{migrate, word};
    use actifix_app::ports::{Sort, TicketQuery};
    use actifix_domain::search::Search;
    use actifix_domain::time::Timestamp;
    use rusqlite::Connection;
    use std::collections::BTreeMap;

    fn query(search: &str) -> TicketQuery {
        TicketQuery {
            project: None,
            search: Search::parse(search, Timestamp::default()).unwrap(),
            user_hashes: BTreeMap::new(),
            sort: Sort::LastSeen,
            cursor: None,
            limit: 50,
            with_total: true,
        }
    }

    /// Tickets up to 60,000: two thirds have `common` in their text, each third of those also `gateway`; the titles of
    /// every tenth say it, too.
    fn crowd() -> Connection {
        let mut db = Connection::open_in_memory().unwrap();
        migrate::migrate(&mut db, Timestamp::default()).unwrap();
        word::register(&db).unwrap();
        db.execute_batch(
            "WITH RECURSIVE n (seq) AS (SELECT 1 UNION ALL SELECT seq + 1 FROM n WHERE seq < 60000)
             INSERT INTO ticket_words (rowid, title, culprit, text) SELECT seq, iif(seq % 10 = 0, 'common', ''), '',
               iif(seq % 3 > 0, 'the common socket ', 'a calm one ') || iif(seq % 3 = 1, 'gateway', '') FROM n;
             WITH RECURSIVE n (seq) AS (SELECT 10 UNION ALL SELECT seq + 10 FROM n WHERE seq < 60000)
             INSERT INTO tickets (seq, project_id, ticket_id, fingerprint, title, culprit, level, status, priority,
               priority_reason, event_count, user_count, first_seen, last_seen, unhandled, regressions, raised, created_at,
               version, latest_transient, hour, hour_count, day, day_count, indexed_hour, last_fence, approved)
             SELECT seq, 1, 't' || seq, 'f', 'a common title', '', 'error', 'open', 2, '', 1, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0,
               0, 0, 0, 0, 0 FROM n;",
        )
        .unwrap();
        db
    }

    #[test]
    fn words_too_many_to_list_are_known_of_each_ticket() {
        let db = crowd();
        type Has = fn(i64) -> bool;
        let cases: [(&str, bool, Has); 6] = [
            ("common", true, |seq| seq % 3 > 0 || seq % 10 == 0),
            ("-common", true, |seq| seq % 3 == 0 && seq % 10 > 0),
            ("\"common socket\"", true, |seq| seq % 3 > 0),
            ("-\"common socket\"", true, |seq| seq % 3 == 0),
            // Together they are few enough to be listed.
            ("common gateway", false, |seq| seq % 3 == 1),
            ("-gateway", false, |seq| seq % 3 != 1),
        ];
        for (search, asks, has) in cases {
            let plan = plan(&db, &query(search)).unwrap();
            assert_eq!(!plan.words.is_empty(), asks, "{search}");
            // The latest, old ones side by side, and old ones far apart.
            let seqs: Vec<i64> =
                (59_000..59_050).chain(100..160).chain((1_000..30_000).step_by(977)).collect();
            let mut wanted: Vec<i64> = seqs.iter().copied().filter(|seq| has(*seq)).collect();
            wanted.sort_unstable();
            let (found, _) = plan.look_up(&db, None, seqs.clone()).unwrap();
            let found: Vec<i64> = found.iter().filter(|seq| plan.may_have(*seq, -1)).collect();
            assert_eq!(found, wanted, "{search}");
        }
    }

    /// What lies side by side is asked for at once.
    #[test]
    fn neighbours_cost_one_look() {
        let db = crowd();
        let plan = plan(&db, &query("\"common socket\"")).unwrap();
        let units = |seqs: Vec<i64>| plan.look_up(&db, None, seqs).unwrap().1;
        let (close, apart) = (units((100..164).collect()), units((0..64).map(|n| 100 + n * 300).collect()));
        assert!(close * 20 < apart, "{close} against {apart}");
        assert_eq!(units((59_900..59_964).collect()), 0, "the latest are listed");
    }
}
