//! Releases: what events and builds tell of them, and tickets that the next one fixes.

use super::{Case, id_of};
use crate::fixtures::{EventBuilder, act};
use crate::{FakeClock, NOW};
use actifix_app::error::Error;
use actifix_app::ports::{Cursor, Page, ReleaseChange, ReleaseDetail, ReleaseQuery, RetentionPolicy, Store};
use actifix_domain::commit::{COMMITS_MAX, Commit, PATHS_IN_ALL_MAX, PATHS_MAX};
use actifix_domain::id::{ProjectId, TicketId};
use actifix_domain::outcome::Change;
use actifix_domain::release::{DEPLOYS_MAX, Deploy, Release};
use actifix_domain::ticket::{Status, Ticket};
use actifix_domain::time::{DAY, HOUR, MINUTE, Timestamp};
use std::sync::Arc;

/// All cases.
pub async fn run(store: Arc<dyn Store>, clock: Arc<FakeClock>) {
    events_make_a_release(&Case::new(&store, &clock, "made").await).await;
    the_list_is_paged(&store, &clock).await;
    the_next_release_alone_reopens(&Case::new(&store, &clock, "next").await).await;
    the_next_release_ships_the_fix(&Case::new(&store, &clock, "ships").await).await;
    names_that_tell_nothing_go_by_when_they_were_known(&Case::new(&store, &clock, "hashes").await).await;
    strangers_ship_nothing(&Case::new(&store, &clock, "forged").await).await;
    what_leads_to_a_release_is_bounded(&Case::new(&store, &clock, "much").await).await;
    builds_tell_of_a_release(&Case::new(&store, &clock, "builds").await).await;
    commits_lead_to_a_release(&Case::new(&store, &clock, "leads").await).await;
    deploys_and_commits_are_bounded(&Case::new(&store, &clock, "bounds").await).await;
    what_is_removed_is_gone(&Case::new(&store, &clock, "removed").await).await;
    what_is_held_is_not_removed(&Case::new(&store, &clock, "held").await).await;
    old_releases_are_forgotten(&Case::new(&store, &clock, "old").await).await;
}

async fn detail(case: &Case, version: &str) -> ReleaseDetail {
    case.store.release_detail(case.project, version).await.unwrap().expect("the release is there")
}

async fn page(case: &Case, project: Option<ProjectId>, cursor: Option<Cursor>, limit: u32) -> Page<Release> {
    case.store.releases(ReleaseQuery { project, cursor, limit, trusted_only: false }).await.unwrap()
}

fn ids(tickets: &[Ticket]) -> Vec<TicketId> {
    tickets.iter().map(|ticket| ticket.id.clone()).collect()
}

fn commit(number: usize, paths: &[&str]) -> Commit {
    Commit {
        id: format!("{number:040x}"),
        author: Some("Mara Quill".to_owned()),
        author_email: None,
        message: format!("change {number}"),
        at: Some(NOW),
        paths: paths.iter().map(|path| (*path).to_owned()).collect(),
        paths_left_out: 0,
    }
}

async fn built(case: &Case, version: &str, commits: Option<Vec<Commit>>) -> Release {
    let change = ReleaseChange { commits, create: true, ..ReleaseChange::default() };
    let saved = case.store.save_release(case.project, version, change, case.now(), &act()).await;
    saved.unwrap().expect("made")
}

async fn resolve_in_next(case: &Case, id: &TicketId, after: &str) {
    let mut save = case.decision(id, "resolved").await;
    save.status = Status::Resolved;
    save.resolved_at = Some(case.now());
    save.resolved_after = Some(after.to_owned());
    case.store.save_ticket(save).await.unwrap();
}

async fn events_make_a_release(case: &Case) {
    assert!(case.store.release_detail(case.project, "web@1.0.0").await.unwrap().is_none());
    let (early, late) = (NOW.plus(-HOUR), NOW.plus(MINUTE));
    let first = case.send([
        EventBuilder::new(1, "a").release("web@1.0.0").at(NOW),
        EventBuilder::new(2, "a").release("web@1.0.0").at(late),
        EventBuilder::new(3, "b").release("web@1.0.0").at(early),
    ]);
    let (a, b) = {
        let first = first.await;
        (id_of(&first[0]), id_of(&first[2]))
    };
    // A duplicate tells nothing anew.
    case.one(EventBuilder::new(1, "a").release("web@1.0.0")).await;
    let release = detail(case, "web@1.0.0").await.release;
    assert_eq!((release.events, release.new_tickets, release.regressions), (3, 2, 0));
    assert_eq!((release.first_seen, release.last_seen), (early, Some(late)));
    assert_eq!(release.recorded_at, case.now());
    // A later batch moves the same row, and times in both directions.
    case.clock.advance(HOUR);
    let earlier = NOW.plus(-2 * HOUR);
    case.send([EventBuilder::new(4, "a").release("web@1.0.0").at(earlier)]).await;
    let shown = detail(case, "web@1.0.0").await;
    assert_eq!((shown.release.events, shown.release.first_seen), (4, earlier));
    assert_eq!(shown.release.last_seen, Some(late));
    let mut new = ids(&shown.new_tickets);
    new.sort();
    let mut expected = vec![a.clone(), b.clone()];
    expected.sort();
    assert_eq!(new, expected);
    // What comes back counts for the release that it came back with.
    let mut save = case.decision(&a, "resolved").await;
    save.status = Status::Resolved;
    save.resolved_at = Some(case.now());
    save.resolved_in = Some("web@1.1.0".to_owned());
    case.store.save_ticket(save).await.unwrap();
    case.clock.advance(HOUR);
    let back = case.one(EventBuilder::new(5, "a").release("web@1.2.0").at(case.now())).await;
    assert_eq!(back.change, Change::Regressed);
    let shown = detail(case, "web@1.2.0").await;
    assert_eq!((shown.release.events, shown.release.new_tickets, shown.release.regressions), (1, 0, 1));
    assert_eq!(ids(&shown.regressed), [a]);
    assert!(shown.new_tickets.is_empty() && shown.resolved.is_empty());
}

async fn the_list_is_paged(store: &Arc<dyn Store>, clock: &Arc<FakeClock>) {
    let case = Case::new(store, clock, "list-one").await;
    let other = Case::new(store, clock, "list-two").await;
    for number in 0..5_u32 {
        let at = case.now().plus(DAY + i64::from(number) * MINUTE);
        let name = format!("list@1.{number}.0");
        case.one(EventBuilder::new(100 + u64::from(number), "a").release(&name).at(at)).await;
        // The same moment and name in another project.
        other.one(EventBuilder::new(100 + u64::from(number), "a").release(&name).at(at)).await;
    }
    let mut found = Vec::new();
    let mut cursor = None;
    loop {
        let page = page(&case, Some(case.project), cursor, 2).await;
        assert!(page.items.len() <= 2);
        found.extend(page.items.into_iter().map(|release| release.version));
        cursor = page.next_cursor;
        if cursor.is_none() {
            break;
        }
    }
    assert_eq!(found, ["list@1.4.0", "list@1.3.0", "list@1.2.0", "list@1.1.0", "list@1.0.0"]);
    let mut all = Vec::new();
    let mut cursor = None;
    while all.len() < 10 {
        let page = page(&case, None, cursor, 3).await;
        all.extend(page.items.into_iter().map(|release| (release.version, release.project)));
        cursor = page.next_cursor;
        assert!(cursor.is_some() || all.len() >= 10, "{all:?}");
    }
    all.truncate(10);
    let unique: std::collections::BTreeSet<_> = all.iter().collect();
    assert_eq!(unique.len(), 10, "each once: {all:?}");
    let odd = ReleaseQuery {
        project: None,
        cursor: Some(Cursor("tickets.1.2".to_owned())),
        limit: 1,
        trusted_only: false,
    };
    assert!(matches!(case.store.releases(odd).await, Err(Error::Invalid(_))));
    let named = case.store.releases_named("list@1.0.0").await.unwrap();
    let projects: Vec<ProjectId> = named.iter().map(|release| release.project).collect();
    assert_eq!(projects, [case.project, other.project]);
}

async fn the_next_release_alone_reopens(case: &Case) {
    let id = id_of(&case.one(EventBuilder::new(1, "a").release("web@1.9.0")).await);
    case.one(EventBuilder::new(2, "b").release("web@1.10.0")).await;
    case.clock.advance(HOUR);
    resolve_in_next(case, &id, "web@1.10.0").await;
    case.clock.advance(HOUR);
    for (number, release) in [
        (3, Some("web@1.9.0")),
        (4, Some("web@1.10.0")),
        // Nobody knew it, and it is older than what was known.
        (5, Some("web@1.9.7")),
        (6, None),
    ] {
        let event = EventBuilder::new(number, "a").at(case.now());
        let event = match release {
            Some(release) => event.release(release),
            None => event,
        };
        assert_eq!(case.one(event).await.change, Change::Seen, "{release:?}");
    }
    let ticket = case.ticket(&id).await;
    assert_eq!((ticket.status, ticket.resolved_after.as_deref()), (Status::Resolved, Some("web@1.10.0")));
    let back = case.one(EventBuilder::new(7, "a").release("web@1.11.0").at(case.now())).await;
    assert_eq!(back.change, Change::Regressed);
    let ticket = case.ticket(&id).await;
    assert_eq!((ticket.status, ticket.resolved_after, ticket.resolved_in), (Status::Open, None, None));
    assert_eq!(ids(&detail(case, "web@1.11.0").await.regressed), [id]);
}

async fn the_next_release_ships_the_fix(case: &Case) {
    let id = id_of(&case.one(EventBuilder::new(1, "a").release("web@2.0.0")).await);
    case.clock.advance(HOUR);
    resolve_in_next(case, &id, "web@2.0.0").await;
    let before = case.ticket(&id).await.version;
    case.clock.advance(HOUR);
    // A release that is older than what was known is not the one.
    case.one(EventBuilder::new(2, "b").release("web@1.9.9").at(case.now())).await;
    assert_eq!(case.ticket(&id).await.resolved_in, None);
    // The error of another ticket tells that the next release is there.
    case.one(EventBuilder::new(3, "b").release("web@2.1.0").at(case.now())).await;
    let ticket = case.ticket(&id).await;
    assert_eq!((ticket.status, ticket.resolved_in.as_deref()), (Status::Resolved, Some("web@2.1.0")));
    assert_eq!((ticket.resolved_after, ticket.version), (None, before + 1));
    let activity = case.detail(&id).await.activity;
    assert_eq!(activity.first().map(|entry| entry.kind.as_str()), Some("shipped"));
    assert_eq!(ids(&detail(case, "web@2.1.0").await.resolved), std::slice::from_ref(&id));
    // From now on it is fixed in that one.
    let old = case.one(EventBuilder::new(4, "a").release("web@2.0.0").at(case.now())).await;
    assert_eq!(old.change, Change::Seen);
    let back = case.one(EventBuilder::new(5, "a").release("web@2.1.0").at(case.now())).await;
    assert_eq!(back.change, Change::Regressed);
    assert!(detail(case, "web@2.1.0").await.resolved.is_empty(), "it is open again");
}

async fn names_that_tell_nothing_go_by_when_they_were_known(case: &Case) {
    let id = id_of(&case.one(EventBuilder::new(1, "a").release("abc1234")).await);
    built(case, "def5678", None).await;
    // Its sender's clock is a day ahead of ours.
    case.one(EventBuilder::new(9, "b").release("fade123").at(NOW.plus(DAY))).await;
    case.clock.advance(HOUR);
    resolve_in_next(case, &id, "abc1234").await;
    case.clock.advance(HOUR);
    for (number, release) in [(2, "abc1234"), (3, "def5678"), (5, "fade123")] {
        let seen = case.one(EventBuilder::new(number, "a").release(release).at(case.now())).await;
        assert_eq!(seen.change, Change::Seen, "{release} was known");
    }
    // A sender whose clock is behind does not make a new release an old one.
    let back = case.one(EventBuilder::new(4, "a").release("0ff1ce5").at(NOW.plus(-DAY))).await;
    assert_eq!(back.change, Change::Regressed);
    // And a build that tells of one before any event does the same as an event.
    case.clock.advance(HOUR);
    resolve_in_next(case, &id, "0ff1ce5").await;
    case.clock.advance(HOUR);
    built(case, "5eeded1", None).await;
    assert_eq!(case.ticket(&id).await.resolved_in.as_deref(), Some("5eeded1"));
}

async fn strangers_ship_nothing(case: &Case) {
    let known = async || -> Vec<String> {
        let known = case.store.known_releases(case.project).await.unwrap();
        known.into_iter().map(|(name, _)| name).collect()
    };
    let forged = |number: u64, release: &str| {
        EventBuilder::new(number, "noise").from_anyone(number).release(release).at(case.now())
    };
    let id = id_of(&case.one(EventBuilder::new(1, "a").release("web@1.0.0")).await);
    case.clock.advance(HOUR);
    resolve_in_next(case, &id, "web@1.0.0").await;
    case.clock.advance(HOUR);
    case.send([forged(2, "web@9999.0.0"), forged(3, "web@1.1.0"), forged(4, "web@1.2.0")]).await;
    assert_eq!(detail(case, "web@9999.0.0").await.release.events, 1, "it is shown all the same");
    let ticket = case.ticket(&id).await;
    assert_eq!((ticket.resolved_in, ticket.resolved_after.as_deref()), (None, Some("web@1.0.0")));
    assert_eq!(known().await, ["web@1.0.0"], "it is no border of what comes next");
    // Who named it first does not keep a trusted sender, or a build, from telling that it is there.
    case.clock.advance(HOUR);
    case.send([forged(5, "web@1.1.0"), EventBuilder::new(6, "b").release("web@1.1.0").at(case.now())]).await;
    assert_eq!(case.ticket(&id).await.resolved_in.as_deref(), Some("web@1.1.0"));
    let back = case.one(EventBuilder::new(7, "a").release("web@1.1.0").at(case.now())).await;
    assert_eq!(back.change, Change::Regressed, "a forged release hides nothing");
    resolve_in_next(case, &id, "web@1.1.0").await;
    case.clock.advance(HOUR);
    built(case, "web@1.2.0", None).await;
    assert_eq!(case.ticket(&id).await.resolved_in.as_deref(), Some("web@1.2.0"));
    // Where names do not tell: what strangers named before the resolution is not the next one.
    let id = id_of(&case.one(EventBuilder::new(8, "c").release("abc1234")).await);
    case.one(forged(9, "def5678")).await;
    case.clock.advance(HOUR);
    resolve_in_next(case, &id, "abc1234").await;
    case.clock.advance(HOUR);
    case.one(EventBuilder::new(10, "b").release("def5678").at(case.now())).await;
    assert_eq!(case.ticket(&id).await.resolved_in, None);
    case.one(EventBuilder::new(11, "b").release("5eeded1").at(case.now())).await;
    assert_eq!(case.ticket(&id).await.resolved_in.as_deref(), Some("5eeded1"));
}

async fn what_leads_to_a_release_is_bounded(case: &Case) {
    let paths: Vec<String> = (0..PATHS_MAX).map(|number| format!("src/{number}.rs")).collect();
    let paths: Vec<&str> = paths.iter().map(String::as_str).collect();
    let leading = async |version: &str| {
        let found = case.store.commits_leading_to(case.project, version).await.unwrap();
        found.into_iter().flat_map(|(_, commits)| commits).collect::<Vec<Commit>>()
    };
    // Three releases of many small commits: what is latest goes first.
    let half = COMMITS_MAX / 2 + 1;
    for version in ["s1", "s2", "s3"] {
        built(case, version, Some((0..half).map(|number| commit(number, &["a.rs"])).collect())).await;
        case.clock.advance(HOUR);
    }
    case.one(EventBuilder::new(1, "a").release("s4").at(case.now())).await;
    assert_eq!(leading("s4").await.len(), COMMITS_MAX);
    case.clock.advance(HOUR);
    // And of commits of many files each.
    let full = PATHS_IN_ALL_MAX / PATHS_MAX;
    for version in ["p1", "p2"] {
        let commits = (0..full - 1).map(|number| commit(number, &paths)).collect();
        built(case, version, Some(commits)).await;
        case.clock.advance(HOUR);
    }
    case.one(EventBuilder::new(2, "a").release("p3").at(case.now())).await;
    let found = leading("p3").await;
    assert_eq!(found.iter().map(|commit| commit.paths.len()).sum::<usize>(), PATHS_IN_ALL_MAX);
}

async fn builds_tell_of_a_release(case: &Case) {
    let change = ReleaseChange::default();
    let none = case.store.save_release(case.project, "api@1.0.0", change, case.now(), &act()).await.unwrap();
    assert!(none.is_none(), "it is not made where nobody asks");
    let made = built(case, "api@1.0.0", None).await;
    assert_eq!((made.events, made.last_seen, made.first_seen), (0, None, case.now()));
    case.clock.advance(HOUR);
    let change = ReleaseChange {
        released_at: Some(case.now()),
        url: Some("https://example.net/1".to_owned()),
        commits: Some(vec![commit(2, &["src/b.rs"]), commit(1, &["src/a.rs", "src/c.rs"])]),
        create: false,
    };
    let saved = case.store.save_release(case.project, "api@1.0.0", change, case.now(), &act()).await;
    let saved = saved.unwrap().expect("it is there");
    assert_eq!((saved.released_at, saved.commits), (Some(case.now()), 2));
    // What is not said stays.
    let again = built(case, "api@1.0.0", None).await;
    assert_eq!((again.released_at, again.url.as_deref()), (saved.released_at, Some("https://example.net/1")));
    case.one(EventBuilder::new(1, "a").release("api@1.0.0").at(case.now())).await;
    let shown = detail(case, "api@1.0.0").await;
    assert_eq!((shown.release.events, shown.release.commits), (1, 2));
    assert_eq!(shown.commits[0].id, format!("{:040x}", 2));
    assert_eq!(shown.commits[1].paths, ["src/a.rs", "src/c.rs"]);
    // Commits are set, not added.
    assert_eq!(built(case, "api@1.0.0", Some(vec![commit(3, &[])])).await.commits, 1);
    assert_eq!(built(case, "api@1.0.0", Some(Vec::new())).await.commits, 0);
    assert!(case.store.previous_with_commits(case.project, "api@2.0.0").await.unwrap().is_none());
}

async fn commits_lead_to_a_release(case: &Case) {
    let leading = async |version: &str| -> Vec<String> {
        let found = case.store.commits_leading_to(case.project, version).await.unwrap();
        found.into_iter().map(|(release, _)| release).collect()
    };
    let event = |number, release: &str, at: Timestamp| EventBuilder::new(number, "a").release(release).at(at);
    built(case, "r1", Some(vec![commit(1, &["a.rs"])])).await;
    case.one(event(1, "r1", case.now())).await;
    case.clock.advance(HOUR);
    built(case, "r2", Some(vec![commit(2, &["b.rs"])])).await;
    case.clock.advance(HOUR);
    built(case, "r3", Some(vec![commit(3, &["c.rs"])])).await;
    case.clock.advance(HOUR);
    case.one(event(2, "r4", case.now())).await;
    assert_eq!(leading("r3").await, ["r3"], "its own");
    // Neither r2 nor r3 ever ran: what they brought came with r4. What r1 brought ran before.
    assert_eq!(leading("r4").await, ["r3", "r2"]);
    assert_eq!(leading("r5").await, [""; 0]);
    let (release, id) = case.store.previous_with_commits(case.project, "r4").await.unwrap().expect("one");
    assert_eq!((release.version.as_str(), id), ("r3", format!("{:040x}", 3)));
    let (release, _) = case.store.previous_with_commits(case.project, "r3").await.unwrap().expect("one");
    assert_eq!(release.version, "r2");
}

async fn deploys_and_commits_are_bounded(case: &Case) {
    let deploy = |number: usize| Deploy {
        id: 0,
        environment: format!("stage-{number}"),
        name: None,
        url: None,
        started_at: None,
        finished_at: NOW,
    };
    let none = case.store.add_deploy(case.project, "r1", deploy(0), &act()).await.unwrap();
    assert!(none.is_none());
    built(case, "r1", None).await;
    for number in 0..DEPLOYS_MAX + 3 {
        case.store.add_deploy(case.project, "r1", deploy(number), &act()).await.unwrap().expect("added");
    }
    let deploys = case.store.deploys(case.project, "r1").await.unwrap();
    assert_eq!(deploys.len(), DEPLOYS_MAX);
    assert_eq!(deploys[0].environment, format!("stage-{}", DEPLOYS_MAX + 2), "the latest first");
    assert_eq!(detail(case, "r1").await.release.deploys, DEPLOYS_MAX as u64);
    let many = (0..COMMITS_MAX + 1).map(|number| commit(number, &[])).collect();
    assert_eq!(built(case, "r1", Some(many)).await.commits, COMMITS_MAX as u64);
    // Commits of so many releases are kept, not of all that there ever were.
    for number in 0..201 {
        case.clock.advance(MINUTE);
        built(case, &format!("n{number}"), Some(vec![commit(number, &[])])).await;
    }
    assert_eq!(detail(case, "r1").await.commits.len(), 0, "they were set longest ago");
    assert_eq!(detail(case, "n1").await.commits.len(), 1);
}

async fn what_is_removed_is_gone(case: &Case) {
    built(case, "r1", Some(vec![commit(1, &["a.rs"])])).await;
    assert!(case.store.remove_release(case.project, "r1", &act()).await.unwrap());
    assert!(!case.store.remove_release(case.project, "r1", &act()).await.unwrap());
    assert!(case.store.release_detail(case.project, "r1").await.unwrap().is_none());
    let again = built(case, "r1", None).await;
    assert_eq!((again.events, again.commits), (0, 0));
    // One that ran would come back as a new one, and ship what waits for the next release.
    let id = id_of(&case.one(EventBuilder::new(1, "a").release("r1")).await);
    case.one(EventBuilder::new(2, "b").release("r2")).await;
    case.clock.advance(HOUR);
    resolve_in_next(case, &id, "r2").await;
    let refused = case.store.remove_release(case.project, "r1", &act()).await;
    assert!(matches!(refused, Err(Error::Conflict { .. })), "{refused:?}");
    case.clock.advance(HOUR);
    case.one(EventBuilder::new(3, "b").release("r1").at(case.now())).await;
    assert_eq!(case.ticket(&id).await.resolved_after.as_deref(), Some("r2"), "it waits still");
}

async fn what_is_held_is_not_removed(case: &Case) {
    built(case, "r1", Some(vec![commit(1, &["a.rs"])])).await;
    built(case, "r2", None).await;
    let hold = case.store.hold(case.project, None, "case 17", &act()).await.unwrap();
    let removed = case.store.remove_release(case.project, "r1", &act()).await;
    assert!(matches!(removed, Err(Error::Conflict { .. })), "{removed:?}");
    for commits in [Vec::new(), vec![commit(2, &[])]] {
        let change = ReleaseChange { commits: Some(commits), create: true, ..ReleaseChange::default() };
        let replaced = case.store.save_release(case.project, "r1", change, case.now(), &act()).await;
        assert!(matches!(replaced, Err(Error::Conflict { .. })), "{replaced:?}");
    }
    assert_eq!(detail(case, "r1").await.commits, [commit(1, &["a.rs"])]);
    // What is added takes nothing away.
    assert_eq!(built(case, "r2", Some(vec![commit(3, &[])])).await.commits, 1);
    assert!(case.store.release_hold(hold.id, &act()).await.unwrap());
    assert_eq!(built(case, "r1", Some(Vec::new())).await.commits, 0);
    assert!(case.store.remove_release(case.project, "r1", &act()).await.unwrap());
}

async fn old_releases_are_forgotten(case: &Case) {
    built(case, "never-used", None).await;
    case.one(EventBuilder::new(1, "a").release("used")).await;
    case.clock.advance(300 * DAY);
    case.one(EventBuilder::new(2, "a").release("used").at(case.now())).await;
    let deploy = Deploy {
        id: 0,
        environment: "production".to_owned(),
        name: None,
        url: None,
        started_at: None,
        finished_at: case.now(),
    };
    for version in ["deployed", "filled"] {
        // Made long ago, as their first time tells.
        let change = ReleaseChange { create: true, ..ReleaseChange::default() };
        case.store.save_release(case.project, version, change, NOW, &act()).await.unwrap();
    }
    case.store.add_deploy(case.project, "deployed", deploy, &act()).await.unwrap().expect("added");
    built(case, "filled", Some(vec![commit(1, &[])])).await;
    case.clock.advance(101 * DAY);
    case.store.run_retention(&RetentionPolicy::default(), Some(case.now()), false).await.unwrap();
    assert!(case.store.release_detail(case.project, "never-used").await.unwrap().is_none());
    assert_eq!(detail(case, "used").await.release.events, 2);
    assert_eq!(detail(case, "deployed").await.release.deploys, 1, "it was deployed since");
    assert_eq!(detail(case, "filled").await.release.commits, 1, "its commits were told since");
    case.clock.advance(500 * DAY);
    case.store.run_retention(&RetentionPolicy::default(), Some(case.now()), false).await.unwrap();
    for version in ["deployed", "filled"] {
        assert!(case.store.release_detail(case.project, version).await.unwrap().is_none(), "{version}");
    }
    assert_eq!(detail(case, "used").await.release.events, 2, "one that ran would come back as new");
}
