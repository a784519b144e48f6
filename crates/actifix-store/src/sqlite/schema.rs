//! Whether a database holds what its migrations make, and nothing else.
//!
//! A trigger or view that somebody planted in a file would act with the first write of whoever opens it. So the
//! definitions of the file are compared with those of a database in memory to which the same migrations were applied.

use super::migrate;
use super::scrub::damage;
use crate::fault::{Fault, Result};
use rusqlite::Connection;
use std::collections::BTreeSet;

/// Definitions that are read of one file.
const DEFINITIONS_MAX: usize = 2_000;
/// Differences that are told.
const TOLD_MAX: usize = 10;
/// Characters of a foreign name that are told.
const NAME_CHARS_MAX: usize = 60;
/// Tables that the engine makes for itself when it gathers statistics.
const STATISTICS: [&str; 2] =
    ["CREATE TABLE sqlite_stat1(tbl,idx,stat)", "CREATE TABLE sqlite_stat4(tbl,idx,neq,nlt,ndlt,sample)"];

/// One row of `sqlite_schema`: its kind, name, table and text.
type Definition = (String, String, String, Option<String>);

/// What of the schema is not as the applied migrations make it; empty is good. Reads definitions only: nothing of the
/// file is evaluated.
pub(crate) fn differences(db: &Connection) -> Result<Vec<String>> {
    let found = match definitions(db) {
        Ok(found) => found,
        Err(Fault::Sql(error)) => return Ok(vec![damage(error)?]),
        Err(other) => return Err(other),
    };
    let applied = match applied(db) {
        Ok(applied) => applied,
        Err(_) => return Ok(vec!["the schema does not tell which migrations made it".to_owned()]),
    };
    let mut memory = Connection::open_in_memory()?;
    migrate::replay(&mut memory, &applied).map_err(|error| Fault::Defect(error.to_string()))?;
    let wanted = definitions(&memory)?;
    let of_engine = |definition: &&Definition| {
        definition.3.as_deref().is_some_and(|text| STATISTICS.contains(&text))
            || (definition.3.is_none() && definition.2.starts_with("sqlite_stat"))
    };
    let foreign = found.difference(&wanted).filter(|definition| !of_engine(definition));
    let mut told: Vec<String> = foreign
        .map(|(kind, name, ..)| {
            format!("the schema has a {} that no release of ours made: {}", word(kind), short(name))
        })
        .collect();
    told.extend(
        wanted.difference(&found).map(|(kind, name, ..)| {
            format!("the schema lacks the {kind} {name}, or has another of that name")
        }),
    );
    told.truncate(TOLD_MAX);
    Ok(told)
}

fn definitions(db: &Connection) -> Result<BTreeSet<Definition>> {
    let mut statement = db.prepare("SELECT type, name, tbl_name, sql FROM sqlite_schema")?;
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)))?;
    let found: BTreeSet<Definition> = rows.take(DEFINITIONS_MAX + 1).collect::<rusqlite::Result<_>>()?;
    if found.len() > DEFINITIONS_MAX {
        return Err(Fault::Defect(format!("the schema has more than {DEFINITIONS_MAX} definitions")));
    }
    Ok(found)
}

/// Numbers of the migrations that were applied, in the order in which they were: a column that was added later stands
/// later in the definition.
fn applied(db: &Connection) -> rusqlite::Result<Vec<u32>> {
    let mut statement = db.prepare("SELECT number FROM schema_migrations ORDER BY applied_at, number")?;
    let numbers = statement.query_map([], |row| row.get(0))?;
    numbers.take(DEFINITIONS_MAX).collect()
}

/// The kinds that there are; the file may say anything.
fn word(kind: &str) -> &str {
    ["table", "index", "view", "trigger"].into_iter().find(|known| *known == kind).unwrap_or("definition")
}

/// A name of somebody else, fit to be printed.
fn short(name: &str) -> String {
    name.chars().take(NAME_CHARS_MAX).map(|c| if c.is_control() { '?' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use actifix_domain::time::Timestamp;

    fn current() -> Connection {
        let mut db = Connection::open_in_memory().unwrap();
        migrate::migrate(&mut db, Timestamp::default()).unwrap();
        db
    }

    #[test]
    fn our_own_schema_is_as_expected_also_with_statistics() {
        let db = current();
        assert_eq!(differences(&db).unwrap(), Vec::<String>::new());
        db.execute_batch("ANALYZE").unwrap();
        assert_eq!(differences(&db).unwrap(), Vec::<String>::new());
    }

    #[test]
    fn whatever_was_planted_or_taken_away_is_told() {
        for (plant, told) in [
            (
                "CREATE TRIGGER t AFTER INSERT ON events BEGIN DELETE FROM audit; END",
                "trigger that no release",
            ),
            ("CREATE VIEW v AS SELECT 1", "view that no release"),
            ("CREATE TABLE mine (x)", "table that no release"),
            ("CREATE INDEX mine ON projects (name) WHERE name = 'x'", "index that no release"),
            ("DROP TRIGGER audit_is_not_edited", "lacks the trigger"),
            (
                "DROP TRIGGER audit_is_not_cut; CREATE TRIGGER audit_is_not_cut BEFORE DELETE ON audit BEGIN SELECT 1; END",
                "lacks the trigger",
            ),
            ("CREATE TABLE sqlite_mine (x)", "that no release"),
            ("DROP TABLE schema_migrations", "which migrations"),
        ] {
            let db = current();
            db.set_db_config(rusqlite::config::DbConfig::SQLITE_DBCONFIG_WRITABLE_SCHEMA, true).unwrap();
            if db.execute_batch(plant).is_err() {
                // The engine keeps its names for itself; somebody with an editor does not ask it.
                let sql = "INSERT INTO sqlite_schema VALUES ('table', 'sqlite_mine', 'sqlite_mine', 0, 'CREATE TABLE sqlite_mine (x)')";
                db.execute_batch(sql).unwrap();
            }
            let found = differences(&db).unwrap();
            assert!(found.iter().any(|line| line.contains(told)), "{plant}: {found:?}");
        }
    }
}
