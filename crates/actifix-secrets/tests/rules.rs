//! Every rule finds its examples and leaves its counter-examples alone, in redaction and in the scanner.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod support;

use actifix_secrets::{Dropped, Engine, RuleSource, Settings};

#[test]
fn examples_are_found() {
    let engine = Engine::builtin();
    let settings = Settings::default();
    let mut missed = Vec::new();
    for rule in engine.rules() {
        for (index, example) in rule.examples().iter().enumerate() {
            let text = support::expand(&example.concat(), index as u64);
            let mut found = engine.candidates(text.as_bytes());
            // Short passwords and the like are for redaction; formats have to be reported.
            let format = rule.tier() == 1;
            found.retain(|found| {
                !format || matches!(found.dropped, None | Some(Dropped::Overlap)) || rule.id() == "card"
            });
            if !found.iter().any(|found| *found.rule == *rule.id()) {
                missed.push(format!("{} scan: {text}", rule.id()));
            }
            let hit = found.iter().find(|found| *found.rule == *rule.id());
            if hit.is_some_and(|hit| hit.checksum == Some(false)) {
                missed.push(format!("{} checksum: {text}", rule.id()));
            }
            let (redacted, findings) = engine.redact_text(&text, &settings);
            if findings.is_empty() {
                missed.push(format!("{} redact: {redacted}", rule.id()));
            }
            if let Some(hit) = hit {
                let value = &text[hit.span.clone()];
                if redacted.contains(value) && value.len() > 3 {
                    missed.push(format!("{} left: {redacted}", rule.id()));
                }
            }
        }
    }
    assert!(missed.is_empty(), "{}", missed.join("\n"));
}

#[test]
fn counter_examples_are_left_alone() {
    let engine = Engine::builtin();
    let mut wrong = Vec::new();
    for rule in engine.rules() {
        for (index, example) in rule.counter_examples().iter().enumerate() {
            let text = support::expand(&example.concat(), index as u64);
            if engine.candidates(text.as_bytes()).iter().any(|found| *found.rule == *rule.id()) {
                wrong.push(format!("{}: {text}", rule.id()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Whoever finds a vendor's key wants the page where it is revoked, not the advice to look for it.
#[test]
fn rules_of_vendors_name_the_page_where_to_revoke() {
    let engine = Engine::builtin();
    let pathless: Vec<&str> =
        engine.rules().filter(|rule| !rule.fix().contains("https://")).map(|rule| rule.id()).collect();
    // Formats and names that no single vendor issues.
    let general = [
        "actifix_token",
        "api_key",
        "auth",
        "authorization",
        "card",
        "card_code",
        "client_secret",
        "cookie",
        "credential",
        "csrf",
        "email",
        "ip",
        "jwt",
        "national_id",
        "one_time_code",
        "password",
        "private_key",
        "query_token",
        "secret",
        "secret_key",
        "secret_word",
        "sensitive_key",
        "session",
        "short_code",
        "short_password",
        "token",
        "tokens",
        "url_password",
        "url_token",
    ];
    let missing: Vec<&&str> = pathless.iter().filter(|id| !general.contains(id)).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

#[test]
fn patterns_have_examples_and_all_rules_have_texts() {
    let engine = Engine::builtin();
    assert!(engine.rules().count() > 100);
    for rule in engine.rules() {
        assert!(!rule.description().is_empty(), "{}", rule.id());
        let personal = ["email", "ip", "sensitive_key"].contains(&rule.id());
        assert!(personal || (!rule.examples().is_empty() && !rule.fix().is_empty()), "{}", rule.id());
    }
}

#[test]
fn own_rules_are_added_replaced_and_disabled() {
    let own = |text: &str| RuleSource { name: "actifix.toml".to_owned(), text: text.to_owned() };
    let engine = Engine::from_rules(&[own(
        "disable = [\"npm_token\"]\n[[rule]]\nid = \"acme_key\"\ndescription = \"Acme\"\nseverity = \"high\"\nkeywords = [\"acme_\"]\npattern = 'acme_[a-z]{8}'\n",
    )])
    .unwrap();
    assert!(engine.rules().all(|rule| rule.id() != "npm_token"));
    let (text, findings) = engine.redact_text("key acme_abcdefgh.", &Settings::default());
    assert_eq!(text, "key [redacted:acme_key].");
    assert_eq!(&*findings[0].rule, "acme_key");
    assert_eq!(findings[0].masked, "ac…");
}

#[test]
fn broken_rules_name_file_and_line() {
    let error = |text: &str| {
        let source = RuleSource { name: "own.toml".to_owned(), text: text.to_owned() };
        Engine::from_rules(&[source]).unwrap_err().to_string()
    };
    let rule = |pattern: &str| {
        format!(
            "# own\n[[rule]]\nid = \"a\"\ndescription = \"d\"\nseverity = \"low\"\nkeywords = [\"ab\"]\npattern = '{pattern}'\n"
        )
    };
    assert!(error(&rule("(")).starts_with("own.toml:7: rule `a`: "), "{}", error(&rule("(")));
    assert!(error(&rule("a").replace("\"low\"", "\"lo\"")).starts_with("own.toml:"));
    assert!(error(&rule("a").replace("id = \"a\"", "id = \"A-b\"")).contains("[a-z0-9_]"));
    assert!(error(&rule("a").replace("keywords = [\"ab\"]", "")).contains("keywords"));
    assert!(error("nonsense = 1\n").starts_with("own.toml:1: "));
    assert!(error("disable = [\"no_such_rule\"]\n").contains("no_such_rule"));
}
