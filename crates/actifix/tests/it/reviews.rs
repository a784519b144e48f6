//! Regular reviews, from outside.

use std::fs;

use serde_json::{Value, json};

use crate::harness::Home;
use crate::people::{try_login, with_admin};
use crate::setup::tamper;

fn line<'v>(review: &'v Value, id: &str) -> &'v Value {
    let items = review["items"].as_array().expect("lines");
    items.iter().find(|item| item["id"] == id).unwrap_or_else(|| panic!("no line {id}: {review}"))
}

fn review(home: &Home, arguments: &[&str]) -> (i32, Value) {
    let mut all = vec!["review"];
    all.extend(arguments);
    all.push("--json");
    let done = home.cli(&all);
    let code = done.code();
    (code, serde_json::from_str(&done.stdout).unwrap_or_else(|_| panic!("{}", done.stderr)))
}

/// A home whose backups somebody can read.
fn recipient(home: &Home) -> String {
    let file = home.path().join("backup.key");
    home.cli(&["backup", "keygen", "--out", file.to_str().expect("a path")]).ok().trim().to_owned()
}

#[test]
fn a_review_says_once_that_it_was_signed() {
    let home = Home::new();
    home.cli(&["project", "create", "spare"]).ok();
    let said = |record: bool| {
        let mut arguments = vec!["review", "weekly"];
        if record {
            arguments.extend(["--record", "--by", "jo"]);
        }
        home.cli(&arguments).stdout
    };
    assert!(said(false).contains("; it was never signed; "), "{}", said(false));
    let first = said(true);
    assert!(first.contains("signed by jo and kept (for the first time)"), "{first}");
    assert!(!first.contains("never"), "{first}");
    let second = said(true);
    assert!(second.contains("signed by jo and kept (before: signed last 20"), "{second}");
}

#[test]
fn a_review_shows_evidence_is_signed_and_cannot_be_changed() {
    let (home, server) = with_admin();
    try_login(&server, "admin", "wrong wrong wrong wrong", None);
    let (code, weekly) = review(&home, &["weekly"]);
    assert_eq!(code, 1);
    assert_eq!(
        line(&weekly, "auth_logs")["evidence"][0].as_str().expect("evidence").get(..15),
        Some("1 failed logins")
    );
    for id in ["auth_logs", "rate_limits", "backup_integrity"] {
        assert_eq!(line(&weekly, id)["state"], "DUE", "{id}");
    }
    let (_, monthly) = review(&home, &["monthly"]);
    assert_eq!(line(&monthly, "tokens")["state"], "PASS");
    for id in ["cors_origins", "webhooks", "dependencies"] {
        assert_eq!(line(&monthly, id)["state"], "DUE", "{id}");
    }
    let (_, quarterly) = review(&home, &["quarterly"]);
    assert_eq!(line(&quarterly, "service_accounts")["state"], "PASS");
    // To look is not to sign, and who signs has a name.
    assert_eq!(review(&home, &["history"]).1["items"], json!([]));
    assert_eq!(home.cli(&["review", "weekly", "--record"]).code(), 2);
    assert_eq!(home.cli(&["review", "weekly", "--record", "--by", " "]).code(), 2);
    // What a person judges is done when they sign; what is wrong stays due.
    let (code, signed) = review(&home, &["weekly", "--record", "--by", "jo"]);
    assert_eq!(code, 1);
    assert_eq!(
        (&line(&signed, "auth_logs")["state"], &line(&signed, "backup_integrity")["state"]),
        (&json!("PASS"), &json!("DUE"))
    );
    let name = home.cli(&["backup", "create", "--recipient", &recipient(&home)]).ok();
    let (code, signed) = review(&home, &["weekly", "--record", "--by", "jo"]);
    assert_eq!(code, 0, "{signed}");
    assert!(
        line(&signed, "backup_integrity")["evidence"][0].as_str().expect("evidence").starts_with(name.trim())
    );
    assert_eq!((&signed["last"]["reviewer"], &signed["missed"]), (&json!("jo"), &json!(0)));
    let (code, monthly) = review(&home, &["monthly", "--record", "--by", "jo"]);
    assert_eq!(code, 0, "{monthly}");
    home.cli_stdin(&["webhook", "add", "ops", "--stdin"], b"https://hooks.example.net/x").ok();
    let (_, later) = review(&home, &["monthly"]);
    assert!(line(&later, "webhooks")["evidence"].to_string().contains("new ops; gone none"), "{later}");
    // Kept, in the audit log, and not to be changed without being seen.
    let (code, history) = review(&home, &["history"]);
    assert_eq!((code, history["items"].as_array().map(Vec::len)), (0, Some(3)));
    let rows = home.cli(&["audit", "list", "--action", "review.recorded", "--json"]).json();
    assert_eq!(rows["items"].as_array().map(Vec::len), Some(3));
    let metrics = server.call("GET", "/metrics", None).text();
    assert!(metrics.contains("actifix_review_overdue{period=\"weekly\"} 0"), "{metrics}");
    server.stop();
    tamper(
        &home,
        "DROP TRIGGER reviews_stay; UPDATE reviews SET document = replace(document, 'DUE', 'PASS') WHERE review_id = 1;",
    );
    let (code, history) = review(&home, &["history"]);
    assert_eq!(code, 1, "{history}");
    let intact: Vec<&Value> =
        history["items"].as_array().expect("items").iter().map(|item| &item["intact"]).collect();
    assert_eq!(intact, [&json!(true), &json!(true), &json!(false)]);
}

#[test]
fn what_is_overdue_is_told_and_what_was_left_out_is_counted() {
    let (home, server) = with_admin();
    server.stop();
    // The home is a hundred days old.
    tamper(&home, "UPDATE projects SET created_at = created_at - 100 * 86400000000;");
    let server = home.serve();
    let metrics = server.call("GET", "/metrics", None).text();
    for (period, missed) in [("weekly", 14), ("monthly", 3), ("quarterly", 1)] {
        assert!(
            metrics.contains(&format!("actifix_review_overdue{{period=\"{period}\"}} {missed}")),
            "{metrics}"
        );
    }
    assert_eq!(review(&home, &["weekly"]).1["missed"], 14);
    review(&home, &["weekly", "--record", "--by", "jo"]);
    let metrics = server.call("GET", "/metrics", None).text();
    assert!(metrics.contains("actifix_review_overdue{period=\"weekly\"} 0"), "{metrics}");
}

#[test]
fn a_newest_backup_that_is_damaged_falls_to_the_one_before_and_alarms() {
    let (home, server) = with_admin();
    let to = recipient(&home);
    let older = home.cli(&["backup", "create", "--recipient", &to]).ok();
    home.cli(&["record", "in between"]).ok();
    let newer = home.cli(&["backup", "create", "--recipient", &to]).ok();
    let (_, weekly) = review(&home, &["weekly"]);
    assert_eq!(line(&weekly, "backup_integrity")["state"], "PASS", "{weekly}");
    let path = home.path().join(".actifix/backups").join(newer.trim());
    let mut bytes = fs::read(&path).expect("a backup");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&path, bytes).expect("a backup");
    let (code, weekly) = review(&home, &["weekly", "--record", "--by", "jo"]);
    assert_eq!(code, 1);
    let found = line(&weekly, "backup_integrity");
    assert_eq!(found["state"], "DUE");
    let evidence: Vec<&str> = found["evidence"]
        .as_array()
        .expect("evidence")
        .iter()
        .map(|text| text.as_str().expect("text"))
        .collect();
    assert_eq!(evidence.len(), 2, "{evidence:?}");
    assert!(
        evidence[0].starts_with(newer.trim()) && evidence[0].contains("cannot be restored"),
        "{evidence:?}"
    );
    assert!(evidence[1].starts_with(older.trim()) && evidence[1].contains("whole"), "{evidence:?}");
    let metrics = server.call("GET", "/metrics", None).text();
    assert!(metrics.contains("actifix_backup_failures_total{step=\"verify\"} 1"), "{metrics}");
}

#[test]
fn a_monthly_review_names_components_and_says_when_names_could_not_be_looked_up() {
    let config = "[server]\npublic_url = \"https://errors.invalid\"\n[cors]\nallowed_origins = [\"https://shop.invalid\"]\n";
    let home = Home::with_config(config);
    home.cli(&["record", "so that there is a home"]).ok();
    // Names below .invalid have no address anywhere (RFC 6761): as if this machine had no DNS.
    let (_, monthly) = review(&home, &["monthly"]);
    let names = line(&monthly, "names");
    let told = names["evidence"][0].as_str().expect("evidence");
    assert!(
        told.starts_with("skipped: no name could be looked up (errors.invalid, shop.invalid)"),
        "{names}"
    );
    assert_eq!((&names["state"], &names["by_person"]), (&json!("DUE"), &json!(true)));
    let parts = line(&monthly, "dependencies")["evidence"].clone();
    assert!(parts[1].as_str().expect("evidence").contains(" components: "), "{parts}");
    assert_eq!(parts.as_array().map(Vec::len), Some(2), "nothing to compare with: {parts}");
    review(&home, &["monthly", "--record", "--by", "jo"]);
    let (_, later) = review(&home, &["monthly"]);
    let parts = line(&later, "dependencies")["evidence"].clone();
    assert_eq!(parts[2], "since the last review: new none; other versions none; gone none", "{parts}");
}
