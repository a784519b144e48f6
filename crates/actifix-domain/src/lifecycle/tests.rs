use super::*;
use Status::{Held, Ignored, InProgress, InReview, Open, Resolved};

fn at(micros: i64) -> Timestamp {
    Timestamp::from_micros(1_795_513_649_000_000 + micros)
}

fn event(time: i64, release: Option<&str>, release_order: ReleaseOrder) -> EventFacts<'_> {
    EventFacts { at: at(time), received_at: at(time), release, release_order }
}

#[test]
fn every_command_on_every_status() {
    const NO: Option<Status> = None;
    let agent = Command::Complete { by_agent: true };
    let person = Command::Complete { by_agent: false };
    // The columns are Status::ALL: open, held, in_progress, in_review, resolved, ignored.
    let table: [(Command, [Option<Status>; 6]); 9] = [
        (Command::Claim, [Some(InProgress), NO, NO, NO, NO, NO]),
        (Command::Release, [NO, NO, Some(Open), NO, NO, NO]),
        (agent, [NO, NO, Some(InReview), NO, NO, NO]),
        (person, [Some(Resolved), NO, Some(Resolved), Some(Resolved), NO, NO]),
        (Command::Confirm, [NO, NO, NO, Some(Resolved), NO, NO]),
        (Command::Approve, [Some(Open), Some(Held), Some(InProgress), Some(InReview), NO, NO]),
        (Command::Reopen, [NO, NO, NO, Some(Open), Some(Open), Some(Open)]),
        (Command::Ignore, [Some(Ignored), Some(Ignored), Some(Ignored), Some(Ignored), NO, NO]),
        (Command::Promote, [NO, Some(Open), NO, NO, NO, NO]),
    ];
    assert_eq!(table.map(|row| row.0), Command::ALL, "every command has its row");
    for (command, row) in table {
        for (status, expected) in Status::ALL.into_iter().zip(row) {
            let result = apply(status, command);
            assert_eq!(result.ok(), expected, "{command:?} on {}", status.as_str());
            if let Err(refused) = result {
                assert_eq!(refused.what, command.as_str());
                assert!(!refused.why.is_empty() && !refused.hint.is_empty());
            }
        }
    }
}

#[test]
fn no_agent_reaches_resolved_alone() {
    let mut reachable = std::collections::BTreeSet::from([Open]);
    for _ in 0..10 {
        for status in reachable.clone() {
            for command in [Command::Claim, Command::Release, Command::Complete { by_agent: true }] {
                reachable.extend(apply(status, command));
            }
        }
    }
    assert_eq!(reachable, [Open, InProgress, InReview].into());
}

#[test]
fn refusals_read_well() {
    for (status, command, text) in [
        (
            Open,
            Command::Complete { by_agent: true },
            "cannot complete this ticket: it has no lease; claim it first",
        ),
        (Held, Command::Claim, "cannot claim this ticket: the throttle holds it; promote it first"),
        (Resolved, Command::Ignore, "cannot ignore this ticket: it is resolved; reopen it first"),
        (Ignored, Command::Claim, "cannot claim this ticket: it is ignored; reopen it first"),
    ] {
        assert_eq!(apply(status, command).unwrap_err().to_string(), text);
    }
}

#[test]
fn only_a_resolved_ticket_changes_by_an_event() {
    for status in Status::ALL {
        let ticket = TicketFacts { status, resolved_at: None, resolved_in: None, resolved_after: None };
        let effect = on_event(&ticket, &event(5, Some("9.9.9"), ReleaseOrder::NotEarlier));
        if status == Resolved {
            assert_eq!(effect, EventEffect { status: Open, change: Change::Regressed });
        } else {
            assert_eq!(effect, EventEffect { status, change: Change::Seen });
        }
    }
}

#[test]
fn a_resolved_ticket_regresses_by_release_else_by_time() {
    use ReleaseOrder::{Earlier, NotEarlier, Unknown};
    // Resolved at 0. (fixing release, release of the event, order by first seen, time of the event, regressed)
    for (fix, release, order, time, regressed) in [
        (Some("web@5.1.0"), Some("web@5.1.0"), Unknown, 1, true),
        (Some("web@5.1.0"), Some("web@5.2.0-rc.1"), Unknown, 1, true),
        (Some("web@5.1.0"), Some("web@5.1.0-rc.1"), Unknown, 1, false),
        (Some("web@5.1.0"), Some("web@5.0.9"), NotEarlier, 1, false),
        (Some("5.10.0"), Some("web@5.9.0"), NotEarlier, 1, false),
        (Some("1.2.3+1"), Some("1.2.3+2"), Earlier, 1, true),
        (Some("abc1234"), Some("abc1234"), Unknown, -1, true),
        (Some("abc1234"), Some("def5678"), Earlier, 1, false),
        (Some("abc1234"), Some("def5678"), NotEarlier, 1, true),
        (Some("abc1234"), Some("def5678"), Unknown, 1, true),
        (Some("abc1234"), Some("def5678"), Unknown, 0, false),
        (Some("web@5.1.0"), Some("api@5.0.0"), NotEarlier, 1, true),
        (Some("5.1.0"), None, Unknown, 1, true),
        (Some("5.1.0"), None, Unknown, -1, false),
        (None, Some("5.1.0"), Unknown, 1, true),
        (None, None, Unknown, 1, true),
        (None, None, Unknown, 0, false),
        (None, None, Unknown, -1, false),
    ] {
        let ticket = TicketFacts {
            status: Resolved,
            resolved_at: Some(at(0)),
            resolved_in: fix,
            resolved_after: None,
        };
        let effect = on_event(&ticket, &event(time, release, order));
        assert_eq!(effect.change == Change::Regressed, regressed, "{fix:?} {release:?} {order:?} {time}");
        assert_eq!(effect.status, if regressed { Open } else { Resolved });
    }
}

#[test]
fn a_ticket_that_the_next_release_fixes_regresses_by_a_newer_release_alone() {
    use ReleaseOrder::{Earlier, NotEarlier, Unknown};
    // Resolved at 0. (latest release then, release of the event, known at the resolution?, time, regressed)
    for (border, release, order, time, regressed) in [
        // Versions: whenever they were seen first.
        ("web@5.1.0", Some("web@5.1.0"), Earlier, 1, false),
        ("web@5.1.0", Some("web@5.0.9"), Earlier, 1, false),
        ("web@5.1.0", Some("web@5.0.10"), NotEarlier, 1, false),
        ("web@5.1.0", Some("web@5.2.0-rc.1"), NotEarlier, 1, true),
        ("web@5.9.0", Some("web@5.10.0"), NotEarlier, 1, true),
        ("web@5.1.0", Some("web@5.1.1"), NotEarlier, -1, true),
        // Days.
        ("2026-11-24", Some("2026-11-23"), Earlier, 1, false),
        ("2026-11-24", Some("2026-11-25"), NotEarlier, 1, true),
        ("2026.11.24", Some("2026.12.01"), NotEarlier, 1, true),
        // Numbers of builds.
        ("app@1.2.3+45", Some("app@1.2.3+45"), Earlier, 1, false),
        ("app@1.2.3+45", Some("app@1.2.3+44"), NotEarlier, 1, false),
        ("app@1.2.3+45", Some("app@1.2.3+46"), NotEarlier, 1, true),
        // Names that tell nothing, and other packages: by when they were known.
        ("abc1234", Some("abc1234"), Earlier, 1, false),
        ("abc1234", Some("def5678"), Earlier, 1, false),
        ("abc1234", Some("def5678"), NotEarlier, 1, true),
        ("1234", Some("1235"), NotEarlier, 1, true),
        ("web@5.1.0", Some("api@1.0.0"), Earlier, 1, false),
        ("web@5.1.0", Some("api@1.0.0"), NotEarlier, 1, true),
        ("abc1234", Some("def5678"), Unknown, 1, true),
        ("abc1234", Some("def5678"), Unknown, -1, false),
        // Which release it is of, nobody knows.
        ("web@5.1.0", None, NotEarlier, 1, false),
    ] {
        let ticket = TicketFacts {
            status: Resolved,
            resolved_at: Some(at(0)),
            resolved_in: None,
            resolved_after: Some(border),
        };
        let effect = on_event(&ticket, &event(time, release, order));
        assert_eq!(effect.change == Change::Regressed, regressed, "{border} {release:?} {order:?} {time}");
        assert_eq!(effect.status, if regressed { Open } else { Resolved });
        let asked = needs_release_order(&ticket, release);
        assert_eq!(asked, release.is_some_and(|name| crate::release::is_after(name, border).is_none()));
    }
}

#[test]
fn the_next_release_ships_the_fix() {
    for (border, new, ships) in [
        ("web@5.1.0", "web@5.1.1", true),
        ("web@5.1.0", "web@5.0.10", false),
        ("web@5.1.0", "web@5.1.0", false),
        ("app@1.2.3+45", "app@1.2.3+46", true),
        ("abc1234", "def5678", true),
    ] {
        assert_eq!(ships_fix(border, new, false), ships, "{new} after {border}");
    }
}

#[test]
fn known_at_the_resolution_is_by_our_own_clock() {
    use ReleaseOrder::{Earlier, NotEarlier, Unknown};
    let t = |micros| Some(at(micros));
    for (recorded, resolved, expected) in [
        (t(1), t(3), Earlier),
        (t(3), t(3), Earlier),
        (t(4), t(3), NotEarlier),
        (None, t(3), NotEarlier),
        (t(1), None, Unknown),
    ] {
        assert_eq!(ReleaseOrder::by_recorded(recorded, resolved), expected);
    }
}

#[test]
fn a_sender_whose_clock_is_ahead_does_not_cause_a_regression() {
    let ticket =
        TicketFacts { status: Resolved, resolved_at: Some(at(0)), resolved_in: None, resolved_after: None };
    let ahead = EventFacts {
        at: at(1_000),
        received_at: at(-1),
        release: None,
        release_order: ReleaseOrder::Unknown,
    };
    assert_eq!(on_event(&ticket, &ahead).change, Change::Seen);
}

#[test]
fn first_seen_is_only_looked_up_when_names_do_not_tell() {
    let ticket = |status, fix| TicketFacts {
        status,
        resolved_at: Some(at(0)),
        resolved_in: fix,
        resolved_after: None,
    };
    assert!(needs_release_order(&ticket(Resolved, Some("abc1234")), Some("def5678")));
    assert!(needs_release_order(&ticket(Resolved, Some("1.2.3")), Some("def5678")));
    assert!(!needs_release_order(&ticket(Resolved, Some("abc1234")), Some("abc1234")));
    assert!(!needs_release_order(&ticket(Resolved, Some("1.2.3")), Some("1.2.4")));
    assert!(!needs_release_order(&ticket(Resolved, None), Some("def5678")));
    assert!(!needs_release_order(&ticket(Resolved, Some("abc1234")), None));
    assert!(!needs_release_order(&ticket(Open, Some("abc1234")), Some("def5678")));
}

#[test]
fn order_by_first_seen() {
    use ReleaseOrder::{Earlier, NotEarlier, Unknown};
    let t = |micros| Some(at(micros));
    for (event, fix, resolved, expected) in [
        (t(1), t(2), t(3), Earlier),
        (t(2), t(2), t(3), NotEarlier),
        (t(5), t(2), t(3), NotEarlier),
        (None, t(2), t(3), NotEarlier),
        (t(1), None, t(3), Earlier),
        (t(4), None, t(3), NotEarlier),
        (t(1), None, None, Unknown),
    ] {
        assert_eq!(ReleaseOrder::by_first_seen(event, fix, resolved), expected);
    }
}

fn proof() -> TestProof {
    let run = |exit_code, commit: &str| TestRun {
        exit_code,
        output_digest: "ab".repeat(32),
        commit: commit.to_owned(),
    };
    TestProof { command: "cargo test".to_owned(), before: run(101, "1111111"), after: run(0, "2222222") }
}

fn full() -> Evidence {
    Evidence {
        root_cause: "the cache was read before it was filled".to_owned(),
        commit: Some("2222222abc".to_owned()),
        test: Some(proof()),
        ..Evidence::default()
    }
}

fn missing(evidence: &Evidence, policy: EvidencePolicy) -> Vec<&'static str> {
    evidence.check(&policy).err().unwrap_or_default().iter().map(|missing| missing.field).collect()
}

#[test]
fn the_default_policy_wants_the_cause_and_commit_and_test_or_reasons() {
    let policy = EvidencePolicy::default();
    assert_eq!(missing(&full(), policy), [""; 0]);
    assert_eq!(missing(&Evidence::default(), policy), ["root_cause", "commit", "test"]);
    let reasons = Evidence {
        root_cause: "a wrong setting of the proxy".to_owned(),
        no_commit_reason: Some("configuration, not code".to_owned()),
        no_test_reason: Some("the proxy is not under test".to_owned()),
        ..Evidence::default()
    };
    assert_eq!(missing(&reasons, policy), [""; 0]);
    let strict = EvidencePolicy { commit: Need::Required, test: Need::Required, ci: false };
    assert_eq!(missing(&reasons, strict), ["commit", "test"]);
    let lax = EvidencePolicy { commit: Need::Optional, test: Need::Optional, ci: false };
    assert_eq!(missing(&Evidence { root_cause: reasons.root_cause, ..Evidence::default() }, lax), [""; 0]);
    assert_eq!(missing(&Evidence::default(), lax), ["root_cause"], "the cause is always asked");
}

#[test]
fn evidence_that_proves_nothing_is_refused() {
    type Case = (&'static str, fn(&mut Evidence), &'static [&'static str]);
    let cases: [Case; 18] = [
        ("a cause that nobody sees", |e| e.root_cause = "\u{200b}".repeat(50), &["root_cause"]),
        (
            "a cause of marks",
            |e| e.root_cause = "\u{2060}\u{feff}\u{ad}\u{3164}\u{2800}".repeat(9),
            &["root_cause"],
        ),
        (
            "one word among blanks",
            |e| e.root_cause = format!("a{}b", " \u{a0}\u{3000}".repeat(20)),
            &["root_cause"],
        ),
        (
            "a short cause, padded",
            |e| e.root_cause = format!("{}fixed{0}", "\u{e0041}".repeat(20)),
            &["root_cause"],
        ),
        (
            "a reason that nobody sees",
            |e| e.no_test_reason = Some("\u{200d}".repeat(50)),
            &["no_test_reason"],
        ),
        (
            "a command of marks",
            |e| e.test.as_mut().unwrap().command = "\u{202e}".to_owned(),
            &["test.command"],
        ),
        ("blank cause", |e| e.root_cause = " ".repeat(50), &["root_cause"]),
        ("short cause", |e| e.root_cause = "fixed it".to_owned(), &["root_cause"]),
        ("huge cause", |e| e.root_cause = "x".repeat(8_193), &["root_cause"]),
        ("commit is no id", |e| e.commit = Some("main".to_owned()), &["commit"]),
        ("commit is an option", |e| e.commit = Some("--upload-pack=x".to_owned()), &["commit"]),
        ("blank reason", |e| e.no_commit_reason = Some("  ".to_owned()), &["no_commit_reason"]),
        ("huge reason", |e| e.no_test_reason = Some("x".repeat(1_001)), &["no_test_reason"]),
        ("never failed", |e| e.test.as_mut().unwrap().before.exit_code = 0, &["test.before"]),
        ("still fails", |e| e.test.as_mut().unwrap().after.exit_code = 1, &["test.after"]),
        ("no digest", |e| e.test.as_mut().unwrap().after.output_digest.clear(), &["test.after"]),
        ("no command", |e| e.test.as_mut().unwrap().command = " ".to_owned(), &["test.command"]),
        ("one commit", |e| e.test.as_mut().unwrap().after.commit = "1111111AB".to_owned(), &["test.after"]),
    ];
    for (name, spoil, fields) in cases {
        let mut evidence = full();
        spoil(&mut evidence);
        assert_eq!(missing(&evidence, EvidencePolicy::default()), fields, "{name}");
    }
}

#[test]
fn words_of_every_script_are_evidence() {
    for cause in [
        "typo in it",
        "キャッシュが空だった",
        "\u{5d4}\u{5de}\u{5d8}\u{5de}\u{5d5}\u{5df} \u{5e8}\u{5d9}\u{5e7}",
        "cafe\u{301} was nil",
    ] {
        let evidence = Evidence { root_cause: cause.to_owned(), ..full() };
        assert_eq!(missing(&evidence, EvidencePolicy::default()), [""; 0], "{cause}");
    }
}

#[test]
fn unknown_fields_of_evidence_are_refused() {
    assert!(serde_json::from_str::<Evidence>(r#"{"root_cause":"x","verified":true}"#).is_err());
    let copy: Evidence = serde_json::from_str(&serde_json::to_string(&full()).unwrap()).unwrap();
    assert_eq!(copy, full());
}
