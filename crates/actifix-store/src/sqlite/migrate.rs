//! Numbered migrations, embedded, each applied once, in one transaction, and remembered by checksum.
//!
//! An older program must not write into a newer schema, and a changed migration would mean two installations with
//! one number and different tables: both are refused before anything is touched.

use actifix_domain::time::Timestamp;
use rusqlite::{Connection, OptionalExtension, TransactionBehavior};

/// Marks the file as ours (`ACTF`).
const APPLICATION_ID: i32 = 0x4143_5446;

/// All migrations, by number from 1.
const MIGRATIONS: &[(u32, &str, &str)] = &[
    (1, "first", include_str!("../../migrations/sqlite/0001_first.sql")),
    (2, "answers", include_str!("../../migrations/sqlite/0002_answers.sql")),
    (3, "versions", include_str!("../../migrations/sqlite/0003_versions.sql")),
    (4, "audit", include_str!("../../migrations/sqlite/0004_audit.sql")),
    (5, "accounts", include_str!("../../migrations/sqlite/0005_accounts.sql")),
    (6, "secrets", include_str!("../../migrations/sqlite/0006_secrets.sql")),
    (7, "limits", include_str!("../../migrations/sqlite/0007_limits.sql")),
    (8, "origins", include_str!("../../migrations/sqlite/0008_origins.sql")),
    (9, "factors", include_str!("../../migrations/sqlite/0009_factors.sql")),
    (10, "access", include_str!("../../migrations/sqlite/0010_access.sql")),
    (11, "upkeep", include_str!("../../migrations/sqlite/0011_upkeep.sql")),
    (13, "alerts", include_str!("../../migrations/sqlite/0013_alerts.sql")),
    (14, "hooks", include_str!("../../migrations/sqlite/0014_hooks.sql")),
    (15, "leases", include_str!("../../migrations/sqlite/0015_leases.sql")),
    (18, "operations", include_str!("../../migrations/sqlite/0018_operations.sql")),
    (20, "views", include_str!("../../migrations/sqlite/0020_views.sql")),
    (22, "alert_states", include_str!("../../migrations/sqlite/0022_alert_states.sql")),
    (23, "inbound", include_str!("../../migrations/sqlite/0023_inbound.sql")),
    (24, "source_maps", include_str!("../../migrations/sqlite/0024_source_maps.sql")),
    (25, "releases", include_str!("../../migrations/sqlite/0025_releases.sql")),
    (26, "clock_mark", include_str!("../../migrations/sqlite/0026_clock_mark.sql")),
    (30, "marks", include_str!("../../migrations/sqlite/0030_marks.sql")),
];

/// The migration that made the audit log.
const AUDIT: u32 = 4;

/// The schema that this program writes.
pub(crate) const SCHEMA_VERSION: u32 = 30;

/// Why the schema cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SchemaError {
    /// Written by a newer program.
    #[error(
        "the database has schema {found}, this program knows up to {known}: start the newer actifix, or restore a backup made before the upgrade"
    )]
    Newer {
        /// What the file has.
        found: u32,
        /// What we know.
        known: u32,
    },
    /// A migration is not the one that was applied.
    #[error(
        "migration {number} differs from the one that made this database: use the release that made it, never edit applied migrations"
    )]
    Changed {
        /// Which.
        number: u32,
    },
    /// A database of another program.
    #[error("the file is a database of another program (application id {found:#x}): choose another home")]
    Foreign {
        /// Its mark.
        found: i32,
    },
    /// The engine failed.
    #[error("cannot prepare the schema: {0}")]
    Sql(#[from] rusqlite::Error),
}

/// Whether the file was never given an audit log. All that could tell must say so, as the witness of the log depends on
/// it: whoever takes back migration 4 alone has the later ones against them.
pub(crate) fn is_before_audit(connection: &Connection) -> Result<bool, SchemaError> {
    let count = |sql: &str| connection.query_row(sql, [], |row| row.get::<_, u32>(0));
    if count("PRAGMA user_version")? >= AUDIT {
        return Ok(false);
    }
    if count("SELECT count(*) FROM sqlite_schema WHERE name = 'schema_migrations'")? == 0 {
        return Ok(true);
    }
    let applied = "SELECT count(*) FROM schema_migrations WHERE number >= ?1";
    Ok(connection.query_row(applied, [AUDIT], |row| row.get::<_, u32>(0))? == 0)
}

/// Brings the schema to [`SCHEMA_VERSION`].
pub(crate) fn migrate(connection: &mut Connection, now: Timestamp) -> Result<(), SchemaError> {
    apply(connection, MIGRATIONS, now)
}

/// Whether the schema of a database that must not be changed is one that this program made, or can bring up to date.
pub(crate) fn check_known(connection: &Connection) -> Result<(), SchemaError> {
    let mark: i32 = connection.query_row("PRAGMA application_id", [], |row| row.get(0))?;
    if mark != APPLICATION_ID {
        return Err(SchemaError::Foreign { found: mark });
    }
    let found: u32 = connection.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    if found > SCHEMA_VERSION {
        return Err(SchemaError::Newer { found, known: SCHEMA_VERSION });
    }
    for (number, _, sql) in MIGRATIONS {
        let applied: Option<String> = connection
            .query_row("SELECT checksum FROM schema_migrations WHERE number = ?1", [number], |row| row.get(0))
            .optional()?;
        if applied.is_some_and(|applied| applied != blake3::hash(sql.as_bytes()).to_hex().to_string()) {
            return Err(SchemaError::Changed { number: *number });
        }
    }
    Ok(())
}

/// Applies the migrations of these numbers, in this order, to an empty database. Numbers that this program does not know
/// are left out: [`check_known`] refuses a newer schema.
pub(crate) fn replay(connection: &mut Connection, numbers: &[u32]) -> Result<(), SchemaError> {
    for number in numbers {
        if let Some(one) = MIGRATIONS.iter().find(|(known, _, _)| known == number) {
            apply_one(connection, one, Timestamp::default())?;
        }
    }
    Ok(())
}

fn apply(
    connection: &mut Connection,
    migrations: &[(u32, &str, &str)],
    now: Timestamp,
) -> Result<(), SchemaError> {
    let known = migrations.last().map_or(0, |(number, _, _)| *number);
    let mark: i32 = connection.query_row("PRAGMA application_id", [], |row| row.get(0))?;
    let tables: i64 = connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    if mark != APPLICATION_ID && (mark != 0 || tables > 0) {
        return Err(SchemaError::Foreign { found: mark });
    }
    let found: u32 = connection.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    if found > known {
        return Err(SchemaError::Newer { found, known });
    }
    for migration in migrations {
        if apply_one(connection, migration, now)? {
            tracing::info!(number = migration.0, name = migration.1, "store.migrated");
        }
    }
    Ok(())
}

/// Applies a migration in one transaction; false when it was applied before.
fn apply_one(
    connection: &mut Connection,
    (number, name, sql): &(u32, &str, &str),
    now: Timestamp,
) -> Result<bool, SchemaError> {
    let checksum = blake3::hash(sql.as_bytes()).to_hex().to_string();
    let tx = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    tx.execute_batch(
        "CREATE TABLE IF NOT EXISTS schema_migrations (
               number INTEGER PRIMARY KEY, name TEXT NOT NULL, checksum TEXT NOT NULL, applied_at INTEGER NOT NULL
             ) STRICT;",
    )?;
    let applied: Option<String> = tx
        .query_row("SELECT checksum FROM schema_migrations WHERE number = ?1", [number], |row| row.get(0))
        .optional()?;
    match applied {
        Some(applied) if applied == checksum => return Ok(false),
        Some(_) => return Err(SchemaError::Changed { number: *number }),
        None => {}
    }
    super::marks::register(&tx)?;
    tx.execute_batch(sql)?;
    tx.execute(
        "INSERT INTO schema_migrations (number, name, checksum, applied_at) VALUES (?1, ?2, ?3, ?4)",
        rusqlite::params![number, name, checksum, now.micros()],
    )?;
    tx.pragma_update(None, "application_id", APPLICATION_ID)?;
    tx.pragma_update(None, "user_version", number)?;
    tx.commit()?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;
    use actifix_domain::alert::{AlertRule, Signal, Trigger};
    use actifix_domain::id::ProjectId;

    const ONE: (u32, &str, &str) = (1, "one", "CREATE TABLE a (x INTEGER);");
    const TWO: (u32, &str, &str) = (2, "two", "CREATE TABLE b (x INTEGER); INSERT INTO nowhere VALUES (1);");

    fn memory() -> Connection {
        Connection::open_in_memory().unwrap()
    }

    #[test]
    fn the_constant_names_the_last_migration() {
        assert_eq!(MIGRATIONS.last().unwrap().0, SCHEMA_VERSION);
        assert!(MIGRATIONS.is_sorted_by(|a, b| a.0 < b.0), "each number once, in order");
    }

    #[test]
    fn a_migration_that_fails_leaves_the_former_schema() {
        let mut db = memory();
        assert!(apply(&mut db, &[ONE, TWO], Timestamp::default()).is_err());
        let tables: i64 = db
            .query_row("SELECT count(*) FROM sqlite_schema WHERE name IN ('a', 'b')", [], |row| row.get(0))
            .unwrap();
        assert_eq!(tables, 1);
        apply(&mut db, &[ONE], Timestamp::default()).unwrap();
    }

    #[test]
    fn newer_changed_and_foreign_databases_are_refused() {
        let mut db = memory();
        apply(&mut db, &[ONE], Timestamp::default()).unwrap();
        let changed = [(1, "one", "CREATE TABLE a (y INTEGER);")];
        assert!(matches!(
            apply(&mut db, &changed, Timestamp::default()),
            Err(SchemaError::Changed { number: 1 })
        ));
        db.pragma_update(None, "user_version", 7).unwrap();
        let newer = apply(&mut db, &[ONE], Timestamp::default());
        assert!(matches!(newer, Err(SchemaError::Newer { found: 7, known: 1 })));
        let mut foreign = memory();
        foreign.execute_batch("CREATE TABLE theirs (x INTEGER);").unwrap();
        assert!(matches!(
            apply(&mut foreign, &[ONE], Timestamp::default()),
            Err(SchemaError::Foreign { found: 0 })
        ));
    }

    /// What rules remembered of all projects together keeps its meaning when it is told apart by project.
    #[test]
    fn states_of_rules_of_before_keep_their_meaning() {
        let mut db = memory();
        let before: Vec<_> = MIGRATIONS.iter().copied().filter(|(number, ..)| *number < 22).collect();
        apply(&mut db, &before, Timestamp::default()).unwrap();
        let sample = |project: Option<i64>, title: &str| {
            let mut signal = Signal::new(Trigger::New, Timestamp::from_micros(5), title, title);
            signal.project = project.map(ProjectId);
            serde_json::to_value(signal).unwrap()
        };
        let due = Timestamp::from_micros(1_795_000_000_000_000);
        let gathers = serde_json::json!({
            "told": { "new:a": due }, "sent": [due], "gathered": 5, "digest_at": due, "pressing": true,
            "samples": [sample(Some(1), "a"), sample(Some(2), "b"), sample(Some(1), "c"), sample(None, "d")],
        });
        let silent = serde_json::json!({
            "told": { "new:a": due }, "sent": [due], "gathered": 0, "digest_at": null, "samples": [],
        });
        let rows =
            [("gathers", gathers.to_string()), ("silent", silent.to_string()), ("torn", "{".to_owned())];
        for (name, state) in rows {
            db.execute("INSERT INTO alert_states (name, state) VALUES (?1, ?2)", [name, &state]).unwrap();
        }
        migrate(&mut db, Timestamp::default()).unwrap();
        let states = super::super::alerts::states(&db).unwrap();
        let kept: Vec<_> =
            states.iter().map(|((name, project), _)| (name.as_str(), project.map(|id| id.0))).collect();
        assert_eq!(kept, [("gathers", None), ("gathers", Some(1)), ("gathers", Some(2))]);
        let rule = AlertRule { name: "gathers".into(), triggers: vec![Trigger::New], ..AlertRule::default() };
        for ((_, project), mut state) in states {
            assert_eq!(state.digest_at(), Some(due), "it is said when it was to be said");
            assert_eq!(state.take_digest(&rule, due.plus(-1)), None);
            let digest = state.take_digest(&rule, due).unwrap();
            let titles: Vec<&str> = digest.samples.iter().map(|signal| signal.title.as_str()).collect();
            let wanted: &[&str] = match project.map(|id| id.0) {
                Some(1) => &["a", "c"],
                Some(2) => &["b"],
                _ => &["d"],
            };
            assert_eq!(titles, wanted, "{project:?}");
            assert_eq!(digest.count, u64::try_from(wanted.len()).unwrap());
            assert!(digest.samples.iter().all(|signal| signal.project == project), "of no other project");
        }
    }

    /// Tickets of before are marked with what they have, and with nothing else.
    #[test]
    fn tickets_of_before_are_marked() {
        let mut db = memory();
        let before: Vec<_> = MIGRATIONS.iter().copied().filter(|(number, ..)| *number < 30).collect();
        apply(&mut db, &before, Timestamp::default()).unwrap();
        let rows = [
            (1, "fatal", "NULL", 0, 0, "NULL", "[['environment','production'],['browser','Firefox 130']]"),
            (
                2,
                "error",
                "'jo'",
                1,
                2,
                "'python'",
                "[['environment','staging'],['shard','s1'],['shard','s2']]",
            ),
            (3, "debug", "NULL", 0, 0, "'node'", "[]"),
        ];
        for (seq, level, assignee, unhandled, regressions, platform, facets) in rows {
            let sql = format!(
                "INSERT INTO tickets (seq, project_id, ticket_id, fingerprint, title, culprit, level, status, priority, \
                 priority_reason, event_count, user_count, first_seen, last_seen, platform, unhandled, regressions, raised, \
                 assignee, created_at, version, latest_transient, hour, hour_count, day, day_count, indexed_hour, \
                 last_fence, approved) VALUES ({seq}, 1, 't{seq}', 'f', '', '', '{level}', 'open', 2, '', 1, 0, {seq}, {seq}, \
                 {platform}, {unhandled}, {regressions}, 0, {assignee}, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0)"
            );
            db.execute_batch(&sql).unwrap();
            let sql = "INSERT INTO ticket_facets (project_id, ticket_seq, key, value, quantity, first_seen, last_seen) \
                       SELECT 1, ?1, json_extract(value, '$[0]'), json_extract(value, '$[1]'), 1, 0, 0 FROM json_each(?2)";
            db.execute(sql, rusqlite::params![seq, facets.replace('\'', "\"")]).unwrap();
        }
        migrate(&mut db, Timestamp::default()).unwrap();
        let marks = |seq: i64| -> i64 {
            db.query_row("SELECT marks FROM tickets WHERE seq = ?1", [seq], |row| row.get(0)).unwrap()
        };
        use super::super::marks::{ASSIGNED, REGRESSED, UNHANDLED, facet, level};
        use actifix_domain::event::Level;
        let first =
            level(Level::Fatal) | facet("environment", "production") | facet("browser", "Firefox 130");
        let second = level(Level::Error)
            | ASSIGNED
            | UNHANDLED
            | REGRESSED
            | facet("platform", "python")
            | facet("environment", "staging")
            | facet("shard", "s1")
            | facet("shard", "s2");
        assert_eq!(marks(1), first);
        assert_eq!(marks(2), second);
        assert_eq!(marks(3), level(Level::Debug) | facet("platform", "node"));
    }
}
