use super::*;
use crate::detect::{decode, shape};
use proptest::prelude::*;

fn table(words: &[&str]) -> Table {
    let words: Vec<Word<'_>> = words.iter().map(|text| Word { text, stands: Stands::Anywhere }).collect();
    Table::new(&words).unwrap()
}

/// All hits, also those handed out early, and all else.
fn all(table: &Table, text: &[u8]) -> (Vec<(u16, usize, usize)>, Seen, Found) {
    let (mut early, mut found) = (Vec::new(), Found::default());
    let walk = table.start(text, &mut found);
    let seen = table.go_on(text, walk, &mut found, |hits| early.extend_from_slice(hits));
    early.append(&mut found.hits);
    (early.iter().map(|hit| (hit.keyword, hit.start, hit.end)).collect(), seen, found)
}

fn hits(table: &Table, text: &[u8]) -> Vec<(u16, usize, usize)> {
    all(table, text).0
}

#[test]
fn keywords_are_found_in_any_case_and_inside_each_other() {
    let table = table(&["pat", "github_pat_", "hub", "@", "t_", "pw"]);
    let (found, seen, _) = all(&table, b"x GitHub_PAT_1 pa\xff@ pw");
    assert_eq!(found, [(2, 5, 8), (0, 9, 12), (1, 2, 13), (4, 11, 13), (3, 18, 19), (5, 20, 22)]);
    assert!(seen.at_sign() && seen.digit() && seen.upper() && !seen.dot() && !seen.colon());
    for (text, want) in [("@", (3, 0, 1)), ("pw", (5, 0, 2)), ("hUb", (2, 0, 3)), ("a@", (3, 1, 2))] {
        assert_eq!(hits(&table, text.as_bytes()), [want], "{text}");
    }
    for text in ["", "p", "pa", "hu", "ap"] {
        assert_eq!(hits(&table, text.as_bytes()), [], "{text}");
    }
}

#[test]
fn only_whole_keywords_are_hits() {
    // The bit of the case and windows are shared by others.
    let table = table(&["a_b:c", "password_hash"]);
    for text in ["a.b:c", "a\x7fb:c", "a_b\x1ac", "password_hasp", "a_b/c", "a_b:"] {
        assert_eq!(hits(&table, text.as_bytes()), [], "{text:?}");
    }
    assert_eq!(hits(&table, b"A_B:C"), [(0, 0, 5)]);
}

#[test]
fn a_keyword_inside_a_word_may_not_count() {
    let table = Table::new(&[Word { text: "pat", stands: Stands::First }]).unwrap();
    assert_eq!(hits(&table, b"spat -pat \\npat %3Dpat").len(), 3);
}

#[test]
fn a_keyword_may_count_in_long_tokens_only() {
    let words = [
        Word { text: "k-", stands: Stands::InRun },
        Word { text: "nt", stands: Stands::InRun },
        Word { text: "v2.", stands: Stands::BeforeRun },
    ];
    let table = Table::new(&words).unwrap();
    let body = "0123456789ab";
    for (text, want) in [
        (format!("k-{body}"), vec![(0, 0, 2)]),
        (format!("k-{}", &body[1..]), vec![]),
        (format!("x/k-{body}"), vec![(0, 2, 4)]),
        (format!("xk-{body}"), vec![]),
        (format!("\\nk-{body}"), vec![(0, 2, 4)]),
        (format!("%3DK-{body}"), vec![(0, 3, 5)]),
        (format!("\\x3dk-{body}"), vec![(0, 4, 6)]),
        (format!("\\u003dk-{body}"), vec![(0, 6, 8)]),
        (format!("\\nt{body}"), vec![(1, 1, 3)]),
        (format!("\\nt{}", &body[1..]), vec![]),
        (format!("éNT{body}"), vec![(1, 2, 4)]),
        (format!("v2.{body}ab"), vec![(2, 0, 3)]),
        (format!("v2.{body}"), vec![]),
        (format!("\\nv2.{body}ab,v2.v2.{body}ab"), vec![(2, 2, 5), (2, 23, 26)]),
    ] {
        for ahead in 0..70 {
            let shifted: Vec<_> = want.iter().map(|(n, from, to)| (*n, from + ahead, to + ahead)).collect();
            assert_eq!(
                hits(&table, format!("{}{text}", " ".repeat(ahead)).as_bytes()),
                shifted,
                "{text} {ahead}"
            );
        }
    }
}

#[test]
fn very_many_hits_come_in_order() {
    let words = [("pwd", Stands::Anywhere), ("pw", Stands::InRun), ("wdpwdpwd", Stands::Anywhere)];
    let table = Table::new(&words.map(|(text, stands)| Word { text, stands })).unwrap();
    let found = hits(&table, &b"pwd".repeat(5_000));
    assert_eq!(found.len(), 5_000 + 1 + 4_998);
    assert!(found.is_sorted_by_key(|(_, start, end)| (*end, *start)));
    let found = hits(&table, &b"pwd/".repeat(5_000));
    assert_eq!(found.len(), 5_000 + 4_997);
    assert!(found.is_sorted_by_key(|(_, start, end)| (*end, *start)));
}

/// The reference: every keyword compared at every byte.
fn everywhere(words: &[Word<'_>], text: &[u8]) -> Vec<(u16, usize, usize)> {
    let run = |from: usize| {
        let part = text.get(from..from + RUN_MIN);
        part.is_some_and(|part| {
            part.iter().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'+' | b'/'))
        })
    };
    let mut found = Vec::new();
    for start in 0..text.len() {
        for (number, word) in (0..).zip(words) {
            let end = start + word.text.len();
            let stands = match word.stands {
                Stands::Anywhere => true,
                Stands::First => starts_token(text, start),
                Stands::InRun => starts_token(text, start) && run(start),
                Stands::BeforeRun => starts_token(text, start) && run(end),
            };
            if has(text, start, word.text.as_bytes()) && stands {
                found.push((number, start, end));
            }
        }
    }
    found.sort_by_key(|(_, start, end)| (*end, *start));
    found
}

/// Keywords with the places where they can count.
fn words() -> impl Strategy<Value = Vec<(String, Stands)>> {
    let letters = prop_oneof![Just("[ab]{1,9}"), Just("[a%2_.:/-]{1,9}"), Just("[a-z0-9_ =\\\\%-]{1,12}")];
    let word = letters.prop_flat_map(|letters| letters).prop_flat_map(|text| {
        let first = text.starts_with(|first: char| first.is_ascii_alphanumeric());
        let is_run = |c: char| c.is_ascii_alphanumeric() || "_-+/".contains(c);
        let mut stands = vec![Stands::Anywhere];
        if first {
            stands.push(Stands::First);
        }
        if first && text.len() > 1 {
            stands.push(Stands::InRun);
        }
        if first && !text.ends_with(is_run) {
            stands.push(Stands::BeforeRun);
        }
        (Just(text), prop::sample::select(stands))
    });
    prop::collection::vec(word, 1..60).prop_map(|mut words| {
        words.sort_by(|a, b| a.0.cmp(&b.0));
        words.dedup_by(|a, b| a.0 == b.0);
        words
    })
}

/// Text of keywords, long tokens, escapes, other bytes and blanks, so that all of them meet the ends of blocks.
fn text(words: Vec<String>) -> impl Strategy<Value = Vec<u8>> {
    let word = prop::sample::select(words);
    let piece = prop_oneof![
        4 => word.clone().prop_map(String::into_bytes),
        1 => word.prop_map(|word| word.to_ascii_uppercase().into_bytes()),
        3 => "[a-zA-Z0-9_+/-]{1,40}".prop_map(String::into_bytes),
        1 => "[a-f0-9]{28,50}|[0-9]{3,20}([ .-][0-9]{2,6}){0,4}|[A-Za-z0-9]{60,140}".prop_map(String::into_bytes),
        2 => prop::sample::select(vec!["\\n", "%3D", "\\x3d", "\\u003d", "\\/", "&#", "é", "\n", "="])
            .prop_map(|piece| piece.as_bytes().to_vec()),
        1 => prop::collection::vec(any::<u8>(), 1..5),
        1 => (0..70_usize).prop_map(|count| vec![b' '; count]),
    ];
    prop::collection::vec(piece, 0..24).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_windows_hide_no_keyword(
        (words, text) in words().prop_flat_map(|words| {
            let texts = words.iter().map(|(text, _)| text.clone()).collect();
            (Just(words), text(texts))
        })
    ) {
        let words: Vec<Word<'_>> =
            words.iter().map(|(text, stands)| Word { text, stands: *stands }).collect();
        let (found, seen, _) = all(&Table::new(&words).unwrap(), &text);
        prop_assert_eq!(found, everywhere(&words, &text));
        let holds = |is: fn(&[u8]) -> bool| (0..text.len()).any(|from| is(&text[from..]));
        prop_assert_eq!(seen.at_sign(), text.contains(&b'@'));
        prop_assert_eq!(seen.colon(), text.contains(&b':'));
        prop_assert_eq!(seen.dot(), text.contains(&b'.'));
        prop_assert_eq!(seen.digit(), text.iter().any(u8::is_ascii_digit));
        prop_assert_eq!(seen.upper(), text.iter().any(u8::is_ascii_uppercase));
        prop_assert_eq!(seen.percent(), holds(|part| matches!(part, [b'%', b'2'..=b'7', ..])));
        prop_assert_eq!(seen.escaped(), holds(|part| {
            matches!(part, [b'\\', b'/', ..] | [b'\\', b'x' | b'X', b'4'..=b'7', ..] | [b'&', b'#', ..])
        }));
    }

    #[test]
    fn long_words_and_numbers_are_found_at_the_ends_of_blocks(text in text(vec!["x".to_owned()])) {
        let (_, _, found) = all(&table(&["x"]), &text);
        let is_run = |b: &u8| b.is_ascii_alphanumeric() || b"_-+/".contains(b);
        let first = |start: usize| start == 0 || !is_run(&text[start - 1]);
        let long = |start: usize| {
            text.get(start..start + decode::BASE64_MIN).is_some_and(|part| part.iter().all(is_run))
        };
        let runs: Vec<usize> = (0..text.len()).filter(|start| first(*start) && long(*start)).collect();
        prop_assert_eq!(&found.runs, &runs);
        let (mut cards, mut among) = (Vec::new(), Vec::new());
        shape::cards(&text, |start, end| cards.push((start, end)));
        shape::cards_among(&text, &found.numbers, |start, end| among.push((start, end)));
        prop_assert_eq!(among, cards);
    }

    #[test]
    fn cards_are_found_at_the_ends_of_blocks(
        ahead in 0..150_usize,
        number in prop::sample::select(vec![
            "4242424242424242", "4242 4242 4242 4242", "3782-822463-10005", "3056.930902.5904", "30569309025904",
            "6212345678901232", "4242+4242+4242+4242",
        ]),
        before in "[ =:a-z\"]?",
        behind in "[ ,a-z\"0-9]{0,3}",
    ) {
        let text = format!("{}{before}{number}{behind}", "-".repeat(ahead).replace("--", "- ")).into_bytes();
        let (_, _, found) = all(&table(&["x"]), &text);
        let (mut cards, mut among) = (Vec::new(), Vec::new());
        shape::cards(&text, |start, end| cards.push((start, end)));
        shape::cards_among(&text, &found.numbers, |start, end| among.push((start, end)));
        prop_assert_eq!(among, cards);
    }
}

#[test]
fn no_keywords_are_a_table_too() {
    let (found, seen, _) = all(&table(&[]), b"a.b");
    assert!(found.is_empty() && seen.dot());
}
