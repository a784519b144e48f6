use super::catalogue::CHECKS;
use super::*;
use crate::ports::{AuditFault, AuditReport, BackupFile, BackupView};
use actifix_domain::clock::{AHEAD_MAX, Jump};
use actifix_domain::id::ProjectId;
use actifix_domain::time::{DAY, MINUTE};

const NOW: Timestamp = Timestamp::from_micros(1_795_000_000_000_000);
const HEADERS: [(&str, &str); 5] = [
    ("x-content-type-options", "nosniff"),
    ("x-frame-options", "DENY"),
    ("referrer-policy", "no-referrer"),
    ("cross-origin-opener-policy", "same-origin"),
    (
        "content-security-policy",
        "default-src 'none'; style-src 'self'; base-uri 'none'; frame-ancestors 'none'",
    ),
];

fn answer(status: u16, https: bool) -> Answer {
    let mut headers: Vec<(String, String)> =
        HEADERS.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    if https {
        headers.push(("strict-transport-security".into(), "max-age=63072000; includeSubDomains".into()));
    }
    Answer { place: "listeners.main".into(), asked: "GET /x".into(), status, https, headers }
}

fn good() -> Facts {
    let listener = |name: &str, address: &str, tls, serves_people| ListenerFact {
        name: name.into(),
        address: address.parse().unwrap(),
        tls,
        serves_people,
    };
    let statuses = [200, 204, 303, 400, 401, 404, 405, 413, 415, 421, 429];
    let live = Live {
        tls: Some(TlsProbe::Good { expires_at: NOW.plus(60 * DAY), protocol: "TLSv1_3".into() }),
        answers: statuses
            .into_iter()
            .enumerate()
            .map(|(place, status)| answer(status, place % 2 == 0))
            .collect(),
        silent: Vec::new(),
        rate: RateProbe::Refused { at: 3 },
        sockets: Some(vec!["127.0.0.1:5001".parse().unwrap()]),
        leaking: Vec::new(),
        tried_from: 2,
    };
    let file = |path: &str, area| FileFact { path: path.into(), area, wrong: None };
    let site = Deployment {
        production: true,
        key: KeyPlace::Apart("ACTIFIX_MASTER_KEY_FILE".into()),
        planted: Vec::new(),
        files: vec![
            file("data/actifix.db", Area::Data),
            file(".actifix/logs/actifix.log", Area::Logs),
            file(".actifix/backups/a", Area::Backups),
        ],
        listeners: vec![
            listener("a", "127.0.0.1:5001", false, true),
            listener("b", "0.0.0.0:5002", true, false),
        ],
        public_url: Some("https://errors.example.net".into()),
        trusted_proxies: true,
        allow_plain_http: false,
        rate_limit_disabled: false,
        limits: vec![("limits.api_per_minute", 600)],
        allowed_origins: vec!["https://errors.example.net".into()],
        logs: LogFacts {
            is_there: true,
            bytes: 10,
            bytes_max: 100,
            largest_bytes: 10,
            file_bytes_max: 20,
            ..LogFacts::default()
        },
        backups: BackupFacts {
            recipients: 1,
            directory: ".actifix/backups".into(),
            ..BackupFacts::default()
        },
        repositories: vec![RepositoryFact {
            path: "/srv/shop".into(),
            guards: vec!["the pre-commit hook".into()],
            unreadable: None,
        }],
        scanner_works: true,
        machine: Machine {
            core: Some(CoreFact { bytes_max: Some(0), is_dumpable: Some(false) }),
            entropy_bits: Some(256),
            is_synchronised: Some(true),
            newest_file_at: Some(NOW),
            disk: Some(DiskFact { free_bytes: 50 << 30, total_bytes: 100 << 30 }),
            file_system: Some(FileSystemFact {
                kind: "ext4".into(),
                mount: "/".into(),
                encryption: Encryption::By("LUKS".into()),
            }),
            holders: Some(Vec::new()),
            hidden_processes: 3,
        },
        live: Some(live),
    };
    let channel = |name: &str, project| ChannelFact {
        name: name.into(),
        project,
        enabled: true,
        streak: 0,
        last_failure: None,
        disabled_reason: None,
    };
    let kept = Kept {
        now: NOW,
        admins: vec![AdminFact { name: "admin".into(), is_weak: false }],
        ending_tokens: Vec::new(),
        webhooks: vec![("ops".into(), None)],
        channels: vec![channel("ops", None), channel("shop", Some(ProjectId(7)))],
        rules: vec![rule("new", &[])],
        backups: vec![backup(5)],
        backup_every_hours: Some(24),
        root_key_since: Some(NOW.plus(-6 * HOUR)),
        integrity: Some(IntegrityFact { at: NOW.plus(-DAY), intact: true }),
        audit: Some(AuditReport {
            intact: true,
            rows: 9,
            first: 1,
            last: 9,
            witnessed: Some(9),
            faults: Vec::new(),
        }),
        last_act_at: Some(NOW),
        clock_jump: None,
        engine_version: "3.51.3".into(),
    };
    Facts { site, kept }
}

fn rule(name: &str, channels: &[&str]) -> RuleFact {
    RuleFact {
        name: name.into(),
        enabled: true,
        project: None,
        project_is_gone: false,
        channels: channels.iter().map(|name| (*name).to_owned()).collect(),
    }
}

fn backup(hours_ago: i64) -> BackupView {
    let created_at = NOW.plus(-hours_ago * HOUR);
    let file = BackupFile { name: "actifix-1.tar.zst.age".into(), size: 1, created_at };
    BackupView { file, verified_at: Some(created_at), problem: None }
}

fn live(facts: &mut Facts) -> &mut Live {
    facts.site.live.as_mut().unwrap()
}

/// Checks that do not pass, with their states.
fn seen(facts: &Facts, production: bool) -> Vec<(&'static str, State)> {
    let checks = judge(facts, production);
    for check in &checks {
        assert_eq!(check.state == State::Pass, check.advice.is_empty(), "{check:?}");
        assert!(!check.evidence.is_empty(), "{check:?}");
    }
    let open = checks.into_iter().filter(|check| check.state != State::Pass);
    open.map(|check| (check.id, check.state)).collect()
}

type Break = fn(&mut Facts);

#[track_caller]
fn check(cases: &[(&'static str, State, Break)]) {
    for (place, (id, state, break_it)) in cases.iter().enumerate() {
        let mut facts = good();
        break_it(&mut facts);
        assert_eq!(seen(&facts, true), [(*id, *state)], "case {place}");
    }
}

#[test]
fn a_good_deployment_passes_every_check() {
    assert_eq!(seen(&good(), true), []);
    let report = DoctorReport::new(NOW, true, judge(&good(), true));
    assert!(report.healthy && report.counts.pass == check_ids().len(), "{report:?}");
    let mut ids = check_ids();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), CHECKS.len(), "ids are unique");
    let boxes = CHECKS.iter().filter(|entry| entry.guide).count();
    assert_eq!(boxes, 12, "as many boxes as the guide's checklist has");
    let groups: Vec<Group> = CHECKS.iter().map(|entry| entry.group).collect();
    assert!(groups.is_sorted(), "checks of a group stand together");
}

#[test]
fn breaking_a_box_of_the_guide_changes_exactly_its_check() {
    use State::{Fail, Unknown, Warn};
    check(&[
        ("admin_password", Fail, |f| f.kept.admins.clear()),
        ("admin_password", Fail, |f| f.kept.admins[0].is_weak = true),
        ("secret_backend", Fail, |f| f.site.key = KeyPlace::InHome(".actifix/root.key".into())),
        ("secret_backend", Fail, |f| f.site.planted.push((3, "aws".into()))),
        ("db_mode", Fail, |f| f.site.files[0].wrong = Some("mode 0644".into())),
        ("tls", Fail, |f| f.site.public_url = None),
        ("tls", Fail, |f| f.site.public_url = Some("http://errors.example.net".into())),
        ("tls", Fail, |f| f.site.allow_plain_http = true),
        ("tls", Fail, |f| f.site.trusted_proxies = false),
        ("tls", Fail, |f| live(f).tls = Some(TlsProbe::Refused("it has expired".into()))),
        ("tls", Unknown, |f| live(f).tls = Some(TlsProbe::Unreached("no connection".into()))),
        ("tls", Unknown, |f| live(f).tls = None),
        ("tls", Fail, |f| {
            live(f).tls = Some(TlsProbe::Good { expires_at: NOW.plus(6 * DAY), protocol: "x".into() });
        }),
        ("tls", Warn, |f| {
            live(f).tls = Some(TlsProbe::Good { expires_at: NOW.plus(20 * DAY), protocol: "x".into() });
        }),
        ("rate_limit", Fail, |f| f.site.rate_limit_disabled = true),
        ("rate_limit", Fail, |f| f.site.limits.push(("limits.login_per_minute", 0))),
        ("rate_limit", Fail, |f| live(f).rate = RateProbe::NeverRefused { asked: 4 }),
        ("rate_limit", Unknown, |f| live(f).rate = RateProbe::Untried),
        ("secret_scan", Fail, |f| f.site.repositories.clear()),
        ("secret_scan", Fail, |f| f.site.repositories[0].guards.clear()),
        ("secret_scan", Fail, |f| f.site.scanner_works = false),
        ("secret_scan", Unknown, |f| f.site.repositories[0].unreadable = Some("denied".into())),
        ("webhooks", Fail, |f| f.kept.webhooks.push(("x".into(), Some("only https".into())))),
        ("cors", Fail, |f| f.site.allowed_origins.clear()),
        ("cors", Fail, |f| f.site.allowed_origins.push("http://errors.example.net".into())),
        ("cors", Fail, |f| f.site.allowed_origins.push("https://localhost:3000".into())),
        ("cors", Fail, |f| f.site.allowed_origins.push("https://[::1]".into())),
        ("cors", Fail, |f| f.site.allowed_origins.push("https://127.0.0.9:1".into())),
        ("cors", Fail, |f| f.site.allowed_origins.push("https://app.localhost".into())),
        ("logs", Fail, |f| f.site.files[1].wrong = Some("mode 0755".into())),
        ("logs", Fail, |f| f.site.logs.bytes_max = 0),
        ("logs", Fail, |f| f.site.logs.bytes = 101),
        ("logs", Fail, |f| f.site.logs.largest_bytes = 21),
        ("logs", Unknown, |f| f.site.logs.is_there = false),
        ("backup", Fail, |f| f.site.backups.recipients = 0),
        ("backup", Fail, |f| f.site.backups.plain.push("dump.sql".into())),
        ("backup", Fail, |f| f.site.backups.identities.push("backup.key".into())),
        ("backup", Fail, |f| f.site.files[2].wrong = Some("mode 0644".into())),
        ("backup", Unknown, |f| f.site.backups.unreadable = Some("denied".into())),
        ("exposure", Fail, |f| f.site.listeners[1].serves_people = true),
        ("exposure", Warn, |f| {
            f.site.listeners[1].serves_people = true;
            f.site.listeners[1].address = "10.0.0.7:5002".parse().unwrap();
        }),
        ("exposure", Fail, |f| live(f).leaking.push("listeners.a (10.0.0.7:5001)".into())),
        ("exposure", Fail, |f| live(f).sockets.as_mut().unwrap().push("0.0.0.0:9".parse().unwrap())),
        ("exposure", Unknown, |f| live(f).sockets = None),
        ("headers", Fail, |f| live(f).answers[0].headers.retain(|(name, _)| name != "x-frame-options")),
        ("headers", Fail, |f| live(f).answers[0].headers.push(("x-frame-options".into(), "DENY".into()))),
        ("headers", Fail, |f| live(f).answers[1].headers[0].1 = "sniff".into()),
        ("headers", Fail, |f| live(f).answers[0].headers.retain(|(name, _)| !name.starts_with("strict"))),
        ("headers", Fail, |f| live(f).answers[0].headers[5].1 = "max-age=3600; includeSubDomains".into()),
        ("headers", Fail, |f| live(f).answers[1].https = true),
        ("headers", Fail, |f| live(f).answers[0].https = false),
        ("headers", Fail, |f| live(f).answers[2].headers[4].1 = "default-src 'self'".into()),
        ("headers", Fail, |f| live(f).answers[2].headers[4].1.push_str("; script-src 'unsafe-inline'")),
        ("headers", Unknown, |f| live(f).answers.truncate(4)),
        ("headers", Unknown, |f| live(f).silent.push("server.public_url did not answer".into())),
    ]);
}

#[test]
fn breaking_anything_else_changes_exactly_its_check() {
    use State::{Fail, Unknown, Warn};
    check(&[
        ("token_expiry", Warn, |f| {
            f.kept.ending_tokens.push(TokenFact { id: "0a".into(), name: "ci".into(), hours_left: 30 });
        }),
        ("audit_chain", Fail, |f| f.kept.audit.as_mut().unwrap().intact = false),
        ("audit_chain", Fail, |f| {
            let report = f.kept.audit.as_mut().unwrap();
            report.intact = false;
            report.faults.push(AuditFault { kind: "missing", seq: 4, message: "row 4 is gone".into() });
        }),
        ("audit_chain", Unknown, |f| f.kept.audit = None),
        ("core_dumps", Fail, |f| f.site.machine.core.as_mut().unwrap().bytes_max = None),
        ("core_dumps", Fail, |f| f.site.machine.core.as_mut().unwrap().is_dumpable = Some(true)),
        ("core_dumps", Unknown, |f| f.site.machine.core = None),
        ("entropy", Fail, |f| f.site.machine.entropy_bits = Some(20)),
        ("entropy", Unknown, |f| f.site.machine.entropy_bits = None),
        ("backup_verified", Fail, |f| f.kept.backups.clear()),
        ("backup_verified", Fail, |f| f.kept.backups[0] = backup(49)),
        ("backup_verified", Fail, |f| f.kept.backups[0].verified_at = None),
        ("backup_verified", Fail, |f| f.kept.backups[0].problem = Some("truncated".into())),
        ("backup_verified", Fail, |f| f.kept.root_key_since = Some(NOW.plus(-4 * HOUR))),
        ("integrity", Unknown, |f| f.kept.integrity = None),
        ("integrity", Fail, |f| f.kept.integrity.as_mut().unwrap().intact = false),
        ("integrity", Warn, |f| f.kept.integrity.as_mut().unwrap().at = NOW.plus(-3 * DAY)),
        ("sqlite_version", Fail, |f| f.kept.engine_version = "3.51.2".into()),
        ("sqlite_version", Fail, |f| f.kept.engine_version = "3.9.99".into()),
        ("sqlite_version", Unknown, |f| f.kept.engine_version = "four".into()),
        ("foreign_sqlite", Fail, |f| {
            let engine = Some("3.40.1".into());
            f.site.machine.holders = Some(vec![Holder { pid: 7, program: "sqlite3".into(), engine }]);
        }),
        ("foreign_sqlite", Unknown, |f| f.site.machine.holders = None),
        ("disk_space", Fail, |f| f.site.machine.disk.as_mut().unwrap().free_bytes = 100 << 20),
        ("disk_space", Warn, |f| f.site.machine.disk.as_mut().unwrap().free_bytes = 4 << 30),
        ("disk_space", Unknown, |f| f.site.machine.disk = None),
        ("file_system", Fail, |f| f.site.machine.file_system.as_mut().unwrap().kind = "nfs4".into()),
        ("file_system", Warn, |f| f.site.machine.file_system.as_mut().unwrap().kind = "overlay".into()),
        ("encryption_at_rest", Warn, |f| {
            f.site.machine.file_system.as_mut().unwrap().encryption = Encryption::Unknown;
        }),
        ("clock", Fail, |f| f.kept.last_act_at = Some(NOW.plus(6 * MINUTE))),
        ("clock", Fail, |f| f.site.machine.newest_file_at = Some(NOW.plus(HOUR))),
        ("clock", Warn, |f| f.site.machine.is_synchronised = Some(false)),
        ("clock", Warn, |f| f.kept.clock_jump = Jump::between(NOW, NOW.plus(AHEAD_MAX + 1))),
        ("webhook_delivery", Warn, |f| f.kept.channels[0].streak = 1),
        ("webhook_delivery", Fail, |f| f.kept.channels[0].streak = 5),
        ("webhook_delivery", Fail, |f| {
            f.kept.channels[1].enabled = false;
            f.kept.channels[1].disabled_reason = Some("410".into());
        }),
        ("alert_rules", Warn, |f| f.kept.channels.iter_mut().for_each(|channel| channel.enabled = false)),
        ("alert_rules", Warn, |f| f.kept.rules.push(rule("old", &["gone"]))),
        ("alert_rules", Warn, |f| f.kept.rules[0].project_is_gone = true),
        ("alert_rules", Warn, |f| f.kept.rules[0].enabled = false),
    ]);
    let mut early = good();
    early.kept.now = Timestamp::from_micros(1_000_000_000_000_000);
    assert!(seen(&early, true).contains(&("clock", State::Fail)), "it is 2001");
    let mut unknown = good();
    unknown.site.machine = Machine::default();
    for (id, state) in seen(&unknown, true) {
        assert!(
            matches!(state, State::Unknown | State::Warn),
            "{id}: what is not told neither passes nor fails"
        );
    }
}

#[test]
fn without_a_server_nothing_that_only_it_can_tell_passes() {
    let mut facts = good();
    facts.site.live = None;
    let open = seen(&facts, true);
    let expected = ["tls", "headers", "rate_limit", "exposure"].map(|id| (id, State::Unknown));
    assert_eq!(open, expected);
    let refused = start_checks(&facts).into_iter().filter(|check| check.state != State::Pass).count();
    assert_eq!(refused, 0, "a start needs no server that runs already");
}

#[test]
fn what_only_matters_where_others_come_warns_elsewhere() {
    let mut facts = good();
    facts.kept.admins.clear();
    facts.site.rate_limit_disabled = true;
    assert_eq!(seen(&facts, false), [("admin_password", State::Warn), ("rate_limit", State::Fail)]);
    let refused = start_checks(&facts).into_iter().filter(|check| check.state == State::Fail);
    assert_eq!(refused.map(|check| check.id).collect::<Vec<_>>(), ["admin_password", "rate_limit"]);
}

#[test]
fn the_page_of_the_doctor_tells_of_every_check_and_of_no_other() {
    let page = include_str!("../../../../docs/doctor.md");
    let told: Vec<&str> =
        page.lines().filter_map(|line| line.strip_prefix("### `")?.strip_suffix('`')).collect();
    assert_eq!(told, check_ids());
    for entry in &CHECKS {
        let (_, rest) = page.split_once(&format!("### `{}`", entry.id)).unwrap();
        let section = rest.split("\n### ").next().unwrap();
        assert!(section.contains(entry.title), "{}: its title", entry.id);
        assert!(section.contains("Looks at:") && section.contains("Mend:"), "{}", entry.id);
    }
}

#[test]
fn long_lists_are_cut() {
    let problems = (0..100).map(|n| Problem::fail(format!("p{n}"), "the same")).collect();
    let found = Found::of(problems, "");
    assert!(found.evidence.ends_with("p7; and 92 more"), "{}", found.evidence);
    assert_eq!(found.advice, "the same");
}

#[test]
fn the_worst_problem_of_a_check_decides_and_is_told_first() {
    let problems = || [Problem::warn("w", "x"), Problem::fail("f", "x"), Problem::unknown("u", "x")];
    for turn in 0..3 {
        let mut problems = problems();
        problems.rotate_left(turn);
        let found = Found::of(problems.into(), "seen");
        assert_eq!(found.state, State::Fail, "{}", found.evidence);
        assert!(found.evidence.starts_with('f'), "{}", found.evidence);
    }
}
