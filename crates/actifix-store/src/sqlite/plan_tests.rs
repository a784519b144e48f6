//! No list or search reads through a table: the plans of all statements that they ask, so that speed does not get lost
//! unseen.

use super::projects::PROJECTS_MAX;
use super::{SqliteStore, StoreOptions, care, events, lists, tickets};
use actifix_app::ports::{IngestStore, Page, ProjectStore, Sort, TicketQuery};
use actifix_domain::search::Search;
use actifix_domain::throttle::ThrottleConfig;
use actifix_domain::ticket::Ticket;
use actifix_domain::time::HOUR;
use actifix_testkit::{EventBuilder, FakeClock, NOW, act, submission};
use rusqlite::Connection;
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use tempfile::TempDir;

thread_local! {
    static ASKED: RefCell<Option<BTreeSet<String>>> = const { RefCell::new(None) };
}

/// Remembers a statement while a test wants to know.
pub(super) fn note(sql: &str) {
    ASKED.with_borrow_mut(|asked| {
        if let Some(asked) = asked {
            asked.insert(sql.to_owned());
        }
    });
}

/// More than are listed of one value, so that values are also looked at ticket by ticket.
const TICKETS: u64 = 2_100;

async fn filled() -> (TempDir, SqliteStore) {
    let dir = TempDir::new().unwrap();
    let mut options = StoreOptions::new(dir.path().join("data"), Arc::new(FakeClock::at(NOW)), [7; 32]);
    options.throttle = ThrottleConfig { enabled: false, ..ThrottleConfig::default() };
    let store = SqliteStore::open(options).unwrap();
    let project = store.create_project(None, "shop", None, NOW, &act()).await.unwrap().id;
    let event = |number: u64| {
        EventBuilder::new(number + 1, &format!("n{number}"))
            .title(&format!("Declined in step {number}"))
            .environment("production")
            .release(&format!("web@{}", number % 900))
            .tag("worker", &(number % 3).to_string())
            .user(number)
    };
    for from in (0..TICKETS).step_by(300) {
        store.ingest(submission(project, NOW, (from..from + 300).map(event))).await.unwrap();
    }
    // What a long-lived home has, too: statistics, by which the engine chooses.
    store
        .write(|work| {
            work.db.execute_batch("ANALYZE")?;
            Ok(())
        })
        .await
        .unwrap();
    (dir, store)
}

fn list(db: &Connection, search: &str, sort: Sort) -> Page<Ticket> {
    let query = TicketQuery {
        project: None,
        search: Search::parse(search, NOW).unwrap(),
        user_hashes: BTreeMap::from([("7".to_owned(), 7)]),
        sort,
        cursor: None,
        limit: 50,
        with_total: true,
    };
    lists::page(db, &query).unwrap()
}

/// Lines of a plan that read through more than a few rows.
fn slow_lines(db: &Connection, sql: &str) -> Vec<String> {
    let mut statement = db.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
    let lines = statement.raw_query().mapped(|row| row.get::<_, String>(3)).collect::<Result<Vec<_>, _>>();
    let is_bounded = |line: &str| {
        // Lists that we made, days that have tickets, the index of words (which has its own limit), the sums.
        ["SCAN v VIRTUAL", "SCAN c VIRTUAL", "SCAN json_each VIRTUAL", "SCAN days", "SCAN CONSTANT ROW"]
            .iter()
            .any(|known| line.starts_with(known))
            || (line.starts_with("SCAN ticket_words VIRTUAL TABLE INDEX") && line.contains(":M"))
            || line.starts_with("SCAN (subquery")
            || (line.starts_with("SCAN projects") && sql.contains(&format!("LIMIT {PROJECTS_MAX}")))
            // A few rows of each project.
            || ["SCAN counters", "SCAN throttles"].iter().any(|known| line.starts_with(known))
    };
    lines.unwrap().into_iter().filter(|line| line.starts_with("SCAN") && !is_bounded(line)).collect()
}

#[tokio::test]
async fn no_list_reads_through_a_table() {
    let (_dir, store) = filled().await;
    let searches = [
        "",
        "is:unresolved",
        "is:open priority:<=P1 level:fatal",
        "environment:production",
        "environment:production release:web@7",
        "environment:prod* worker:1",
        "is:open !environment:production",
        "!worker:2 is:unassigned platform:python",
        "worker:\"\"",
        "declined",
        "decli",
        "declined step 7",
        "-declined",
        "-\"step 7\" worker:1",
        "user:7",
        "users:>1 first_seen:-24h last_seen:-24h count:>0",
        "assigned:jo is:regressed",
        "id:7K3QF",
        "id:ACT-20261124-7K3QF",
        "!id:7K3QF",
        "project:shop \"%%\"",
    ];
    let asked = store
        .read(move |db| {
            ASKED.set(Some(BTreeSet::new()));
            for search in searches {
                for sort in [Sort::LastSeen, Sort::FirstSeen, Sort::Count, Sort::Priority] {
                    list(db, search, sort);
                }
            }
            let page = list(db, "", Sort::LastSeen);
            let one = page.items.first().unwrap();
            tickets::detail(db, &one.id, NOW)?.unwrap();
            tickets::similar(db, one.project, one.fingerprint, 10)?;
            tickets::trends(db, std::slice::from_ref(&one.id), NOW.plus(-24 * HOUR))?;
            events::of_ticket(db, &one.id, None, 50)?;
            care::stats(db, std::path::Path::new("none"), &ThrottleConfig::default(), NOW)?;
            let asked = ASKED.take().unwrap();
            let slow = |sql: &String| (sql.clone(), slow_lines(db, sql));
            Ok(asked.iter().map(slow).collect::<Vec<_>>())
        })
        .await
        .unwrap();
    assert!(asked.len() > 30, "{} statements", asked.len());
    assert!(asked.iter().any(|(sql, _)| sql.contains("INDEXED BY tickets_last")));
    let slow: Vec<_> = asked.into_iter().filter(|(_, lines)| !lines.is_empty()).collect();
    assert!(slow.is_empty(), "{slow:#?}");
}

/// A piece of a list is read from the index of its order alone, in its order.
#[tokio::test]
async fn pieces_of_lists_are_read_from_an_index_alone() {
    let (_dir, store) = filled().await;
    for sort in [Sort::LastSeen, Sort::FirstSeen, Sort::Count] {
        let lines: Vec<String> = store
            .read(move |db| {
                let mut statement = db.prepare(&format!("EXPLAIN QUERY PLAN {}", lists::piece_sql(sort)))?;
                Ok(statement.raw_query().mapped(|row| row.get(3)).collect::<Result<_, _>>()?)
            })
            .await
            .unwrap();
        assert_eq!(lines.len(), 1, "{lines:?}");
        assert!(lines[0].starts_with("SEARCH t USING COVERING INDEX tickets_"), "{lines:?}");
    }
}
