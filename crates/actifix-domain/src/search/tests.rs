use super::*;
use crate::time::{DAY, HOUR};
use proptest::prelude::{Just, Strategy, any, prop, prop_assert, prop_assert_eq, prop_oneof, proptest};

fn now() -> Timestamp {
    Timestamp::parse("2026-11-24T09:47:29.000001Z").unwrap()
}

fn parse(text: &str) -> Search {
    Search::parse(text, now()).unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn one(text: &str) -> Condition {
    let mut search = parse(text);
    assert_eq!(search.terms.len(), 1, "{text}");
    let term = search.terms.remove(0);
    assert!(!term.negated, "{text}");
    term.cond
}

#[test]
fn canonical_forms() {
    for (text, canonical) in [
        ("", ""),
        ("  \t ", ""),
        ("is:open", "is:open"),
        ("is:held,open,held", "is:open,held"),
        ("is:unresolved", "is:open,in_progress,in_review"),
        ("is:regressed -is:unhandled", "is:regressed -is:unhandled"),
        ("is:unassigned !is:unassigned", "-is:assigned is:assigned"),
        ("priority:p1", "priority:P1"),
        ("priority:P1,P0", "priority:P0,P1"),
        ("priority:<=P1", "priority:P0,P1"),
        ("priority:>P2", "priority:P3,P4"),
        ("level:error", "level:error"),
        ("level:>=warning", "level:warning,error,fatal"),
        ("level:<info", "level:debug"),
        ("release:web@5.*", "release:web@5.*"),
        ("release:\"web 5\"", "release:\"web 5\""),
        ("release:\"\"", "release:\"\""),
        ("release:\"a\\*b\"", "release:\"a\\*b\""),
        ("release:a\"b c\"*", "release:\"ab c*\""),
        ("environment:production platform:python", "environment:production platform:python"),
        ("project:42 user:jo@example.org assigned:jo", "project:42 user:jo@example.org assigned:jo"),
        ("id:7k3qf id:ACT-20261124-7K3QF tags.id:7", "id:7K3QF id:ACT-20261124-7K3QF tags.id:7"),
        ("count:5 users:>=3", "count:5 users:>=3"),
        ("count:>100", "count:>=101"),
        ("count:<100", "count:<=99"),
        ("count:10..20", "count:10..20"),
        ("last_seen:-24h", "last_seen:>=2026-11-23T09:47:29.000001Z"),
        ("last_seen:>-24h", "last_seen:>=2026-11-23T09:47:29.000002Z"),
        ("last_seen:<-2w", "last_seen:<=2026-11-10T09:47:29.000000Z"),
        ("first_seen:2026-11-01", "first_seen:2026-11-01T00:00:00.000000Z..2026-11-01T23:59:59.999999Z"),
        ("first_seen:<2026-11-01", "first_seen:<=2026-10-31T23:59:59.999999Z"),
        ("first_seen:>2026-11-01", "first_seen:>=2026-11-02T00:00:00.000000Z"),
        ("first_seen:>=2026-11-01", "first_seen:>=2026-11-01T00:00:00.000000Z"),
        ("first_seen:2026-11-24T10:00:00+01:00", "first_seen:2026-11-24T09:00:00.000000Z"),
        ("first_seen:2026-11-01..-1d", "first_seen:2026-11-01T00:00:00.000000Z..2026-11-23T09:47:29.000001Z"),
        ("browser:Firefox*", "browser:Firefox*"),
        ("tags.browser:x tags.level:y tags.tags.z:1", "browser:x tags.level:y tags.tags.z:1"),
        ("path:C:\\foo", "path:\"C:\\\\foo\""),
        ("a**b:1 x:a**b", "\"a\\*\\*b:1\" x:a*b"),
        ("no route \"to host\"", "no route \"to host\""),
        ("-\"connection reset\" !timeout", "-\"connection reset\" -timeout"),
        (
            "http://example.org/x std::fmt::Error TypeError: (x)",
            "\"http://example.org/x\" \"std::fmt::Error\" \"TypeError:\" \"(x)\"",
        ),
        ("- ! -- \"-x\"", "\"-\" \"!\" -\"-\" \"-x\""),
        ("Zeitüberschreitung -名前:値", "Zeitüberschreitung -\"名前:値\""),
        ("say\\\"hi", "\"say\\\"hi\""),
        ("\"two\nlines\"", "\"two lines\""),
    ] {
        let search = parse(text);
        assert_eq!(search.to_string(), canonical, "{text}");
        assert_eq!(parse(canonical), search, "{text} by way of {canonical}");
    }
}

#[test]
fn conditions_are_typed() {
    assert_eq!(one("priority:<P2"), Condition::Priority([Priority::P0, Priority::P1].into()));
    assert_eq!(one("count:>100"), Condition::Count(Range { min: Some(101), max: None }));
    assert_eq!(one("last_seen:-24h"), Condition::LastSeen(Range { min: Some(now().plus(-DAY)), max: None }));
    assert_eq!(one("os:linux"), Condition::Tag { key: "os".into(), value: Pattern::exact("linux") });
    assert_eq!(one("\"is:open\""), Condition::Text("is:open".into()));
    assert_eq!(one("user:\"a*b\""), Condition::User("a*b".into()));
}

#[test]
fn errors_point_at_the_place_and_say_what_would_work() {
    for (text, at, message, hint) in [
        ("foo is:opne", 7, "is: does not know this word", "did you mean is:open?"),
        ("is:unresolvd", 3, "is: does not know this word", "did you mean is:unresolved?"),
        ("is:INREVIEW", 3, "is: does not know this word", "did you mean is:in_review?"),
        ("is:open,xyzzyplugh", 8, "is: does not know this word", "one of open, held"),
        ("is:open,regressed", 8, "is:regressed stands alone", "only statuses can be listed"),
        ("-is:", 0, "is: has no value", "write is:VALUE"),
        ("priority:P5", 9, "unknown priority", "P0, P1, P2, P3 and P4"),
        ("priority:P1,", 12, "unknown priority", "P0"),
        ("priority:<P0", 9, "no priority lies there", "P0"),
        ("level:bad", 6, "unknown level", "debug, info"),
        ("count:many", 6, "not a number", "for example"),
        ("count:-1", 6, "not a number", "for example"),
        ("count:99999999999999999999", 6, "not a number", "for example"),
        ("count:<0", 6, "no number is below 0", "0"),
        ("id:7K*", 3, "not the id of a ticket", "tags.id:"),
        ("id:ACT-20261124-7K3QFX", 3, "not the id of a ticket", "id:7K3QF"),
        ("users:20..10", 6, "the range ends before it starts", "smaller"),
        ("first_seen:yesterday", 11, "not a time", "-24h"),
        ("first_seen:-h", 11, "not a time", "-24h"),
        ("first_seen:-5é", 11, "not a time", "-24h"),
        ("first_seen:-999999999999h", 11, "not a time", "-24h"),
        ("first_seen:2026-13-01", 11, "not a time", "-24h"),
        ("first_seen:20261101", 11, "not a time", "-24h"),
        ("a \"b", 2, "a quotation mark is not closed", "add one"),
        ("a \"\"", 2, "there is nothing between", "write a word"),
        ("a\u{0}b", 1, "a control character", "remove it"),
    ] {
        let error = Search::parse(text, now()).expect_err(text);
        assert_eq!(error.at, at, "{text}: {error}");
        assert!(error.message.contains(message), "{text}: {error}");
        assert!(error.hint.contains(hint), "{text}: {error}");
    }
}

#[test]
fn searches_are_bounded() {
    assert_eq!(parse(&"é".repeat(512)).terms.len(), 1);
    assert!(Search::parse(&"é".repeat(513), now()).is_err());
    assert_eq!(parse(&"a ".repeat(20)).terms.len(), 20);
    let error = Search::parse(&"a ".repeat(21), now()).unwrap_err();
    assert_eq!((error.message.as_str(), error.at), ("the search has more than 20 terms", 40));
}

#[test]
fn patterns_match_as_wildcards_say() {
    for (pattern, value, fits) in [
        ("abc", "abc", true),
        ("abc", "abcd", false),
        ("abc", "ABC", false),
        ("*", "", true),
        ("a*", "a", true),
        ("a*a", "a", false),
        ("a*a", "aba", true),
        ("*b*", "abc", true),
        ("a*b*c", "a-b-c", true),
        ("a*b*c", "acb", false),
        ("*aab", "aaaab", true),
        ("a*é*z", "aéz", true),
        ("\"\"", "", true),
        ("\"\"", "x", false),
        ("\"a\\*\"", "a*", true),
        ("\"a\\*\"", "ab", false),
    ] {
        let Condition::Release(parsed) = one(&format!("release:{pattern}")) else { panic!() };
        assert_eq!(parsed.matches(value), fits, "{pattern} on {value}");
    }
}

#[test]
fn patterns_for_sql_escape_what_sql_would_read() {
    let Condition::Release(pattern) = one(r#"release:"100%_[x]?\\*\*""#) else { panic!() };
    assert_eq!(pattern.to_like(), r"100\%\_[x]?\\%*");
    assert_eq!(pattern.to_glob(), r"100%_[[]x][?]\*[*]");
    assert_eq!(pattern.as_exact(), None);
    assert_eq!(Pattern::exact("a*").as_exact(), Some("a*"));
}

#[test]
fn ranges_include_both_ends() {
    let range = Range { min: Some(2), max: Some(4) };
    assert_eq!([1, 2, 4, 5].map(|n| range.contains(&n)), [false, true, true, false]);
}

fn text() -> impl Strategy<Value = String> {
    // Any printable text; white space is one blank, as in a parsed value.
    prop_oneof!["[a-zA-Z0-9._@/:*\"\\\\ !<>=,-]{1,12}", "\\PC{1,6}"]
        .prop_map(|text| text.chars().map(|c| if c.is_whitespace() { ' ' } else { c }).collect())
}

fn pattern() -> impl Strategy<Value = Pattern> {
    prop::collection::vec(prop_oneof![text(), Just(String::new())], 1..3).prop_map(Pattern::from_pieces)
}

fn numbers() -> impl Strategy<Value = Range<u64>> {
    (0..NUMBER_MAX, 0..1_000_u64, 0..3_u8).prop_map(|(min, more, kind)| Range {
        min: (kind != 0).then_some(min),
        max: (kind != 1).then(|| (min + more).min(NUMBER_MAX)),
    })
}

fn times() -> impl Strategy<Value = Range<Timestamp>> {
    (0..3_000_000_000_000_000_i64, 0..400 * HOUR, 0..3_u8).prop_map(|(min, more, kind)| Range {
        min: (kind != 0).then_some(Timestamp::from_micros(min)),
        max: (kind != 1).then_some(Timestamp::from_micros(min + more)),
    })
}

fn condition() -> impl Strategy<Value = Condition> {
    let statuses = prop::sample::subsequence(Status::ALL.to_vec(), 1..=6);
    let priorities = prop::sample::subsequence(Priority::ALL.to_vec(), 1..=5);
    let levels =
        prop::sample::subsequence(vec![Level::Debug, Level::Info, Level::Warning, Level::Fatal], 1..=4);
    prop_oneof![
        statuses.prop_map(|set| Condition::Status(set.into_iter().collect())),
        prop_oneof![Just(Condition::Regressed), Just(Condition::Unhandled), Just(Condition::Assigned)],
        priorities.prop_map(|set| Condition::Priority(set.into_iter().collect())),
        levels.prop_map(|set| Condition::Level(set.into_iter().collect())),
        "[0-9A-Z-]{1,18}".prop_map(Condition::Id),
        pattern().prop_map(Condition::Project),
        pattern().prop_map(Condition::Release),
        pattern().prop_map(Condition::Environment),
        pattern().prop_map(Condition::Platform),
        pattern().prop_map(Condition::AssignedTo),
        prop_oneof![text(), Just(String::new())].prop_map(Condition::User),
        numbers().prop_map(Condition::Count),
        numbers().prop_map(Condition::Users),
        times().prop_map(Condition::FirstSeen),
        times().prop_map(Condition::LastSeen),
        (
            prop_oneof!["[a-z0-9_][a-z0-9._-]{0,8}", Just("level".to_owned()), Just("tags.x".to_owned())],
            pattern()
        )
            .prop_map(|(key, value)| Condition::Tag { key, value }),
        text().prop_map(Condition::Text),
    ]
}

proptest! {
    #[test]
    fn what_is_printed_is_parsed_to_the_same(
        terms in prop::collection::vec((any::<bool>(), condition()), 0..5)
    ) {
        let terms = terms.into_iter().map(|(negated, cond)| Term { negated, cond }).collect();
        let search = Search { terms };
        let text = search.to_string();
        prop_assert_eq!(Search::parse(&text, now()), Ok(search), "{}", text);
    }

    #[test]
    fn any_text_is_parsed_or_refused_with_a_place_in_it(text in "\\PC{0,60}|[a-z:\"\\\\*<>=.,! -]{0,60}") {
        match Search::parse(&text, now()) {
            Ok(search) => {
                let canonical = search.to_string();
                prop_assert_eq!(Search::parse(&canonical, now()), Ok(search), "{}", canonical);
            }
            Err(error) => prop_assert!(error.at <= text.len()),
        }
    }
}
