#![allow(clippy::indexing_slicing)]

use super::{CHARS_MAX, parameterize};
use proptest::prelude::{ProptestConfig, any};
use proptest::{prop_assert, prop_assert_eq, proptest};

fn check(rows: &[(&str, &str)]) {
    for (text, expected) in rows {
        assert_eq!(parameterize(text), *expected, "for {text:?}");
    }
}

#[test]
fn the_table_of_the_specification_holds() {
    check(&[
        ("order -17.5 failed", "order <num> failed"),
        ("GET https://api.example.net/v2/users/8821?x=1 returned 500", "GET <url> returned <num>"),
        ("dial tcp 10.1.2.3:5432: connect refused", "dial tcp <ip>: connect refused"),
        ("peer fe80::1ff:fe23:4567:890a gone", "peer <ip> gone"),
        ("std::io::Error in Foo::bar", "std::io::Error in Foo::bar"),
        (
            "commit 3f2a91c not found; deadbeef and facade stay",
            "commit <hex> not found; deadbeef and facade stay",
        ),
        ("timeout of 5000ms exceeded, waited 30.001s", "timeout of <dur> exceeded, waited <dur>"),
        ("Nov 24 09:47:29 host died", "<ts> host died"),
        (
            "Import of /data/in/2026-11-24/batch_000123.csv skipped 17 rows",
            "Import of /data/in/<ts>/batch_<num>.csv skipped <num> rows",
        ),
        ("Disk 93% full, used 12.5 MiB", "Disk <num> full, used <size>"),
        (
            "python3.11, HTTP2, utf-16, sha-256, v1.2.3, SQLSTATE[42S02]",
            "python3.11, HTTP2, utf-16, sha-256, v1.2.3, SQLSTATE[42S02]",
        ),
        ("name='bob' ok=True", "name=<str> ok=<bool>"),
        (
            "Version 1.2.3 of 10.0.0.1, issue #5 of #12 (item-42)",
            "Version <num> of <ip>, issue #5 of #<num> (item-<num>)",
        ),
        ("native@1.4 loaded, mail bob@example.com", "native@<num> loaded, mail <email>"),
        (
            "dial tcp [redacted:ip]:5432: token [redacted:vault_token] refused",
            "dial tcp <ip>: token [redacted:vault_token] refused",
        ),
        (
            "GET https://u:[redacted:url_password]@h.example.net/x?k=[redacted:api_key]&a=1 failed",
            "GET <url> failed",
        ),
        (
            "Cannot read properties of undefined (reading 'total')",
            "Cannot read properties of undefined (reading 'total')",
        ),
        ("no answer from 10.0.0.7:8443 in 30.5s", "no answer from <ip> in <dur>"),
    ]);
}

#[test]
fn masked_hashed_and_bare_personal_data_read_the_same() {
    for (bare, masked) in [("bob.x+y@mail.example.com", "email"), ("203.0.113.9", "ip")] {
        let texts =
            [bare.to_owned(), format!("[redacted:{masked}]"), format!("[redacted:{masked}:0a1b2c3d]")];
        let read = texts.map(|text| parameterize(&format!("from {text}: gone")));
        assert_eq!(read, [format!("from <{masked}>: gone"), read[0].clone(), read[0].clone()]);
    }
    check(&[
        ("[redacted:ip:0a1b2c3d]:443/x", "<ip>/x"),
        ("[redacted:ipx] [redacted:] [redacted:ip", "[redacted:ipx] [redacted:] [redacted:ip"),
        ("k=[redacted:sha_12345678] 7", "k=[redacted:sha_12345678] <num>"),
    ]);
}

#[test]
fn mail_and_urls_end_where_people_expect() {
    check(&[
        ("<bob@example.com>, a@b.io.", "<<email>>, <email>."),
        ("bob@example.com-old bob@localhost bob@1.2.c3", "<email>-old bob@localhost bob@<num>.c3"),
        ("see (https://x.example/a?b=1) and 'ftp://h/1'", "see (<url>) and '<url>'"),
        ("mailto:bob@example.com postgres://u@db.example.com:5432/x", "mailto:<email> <url>"),
        ("1http://x", "1http://x"),
        ("https://x.example/\u{a0}y", "<url> y"),
    ]);
}

#[test]
fn times_are_read_in_all_forms_of_the_table() {
    check(&[
        ("at 2026-11-24T09:47:29.123456Z end", "at <ts> end"),
        ("at 2026/11/24 09:47 end", "at <ts> end"),
        ("at 2026-11-24 09:47:29,123 +0100 end", "at <ts> end"),
        ("at 2026-11-24T09:47:29+01:00 end", "at <ts> end"),
        ("at Tue, 24 Nov 2026 09:47:29 GMT end", "at <ts> end"),
        ("at 24 Nov 2026 end", "at <ts> end"),
        ("at Tue Nov  4 09:47:29 2026 end", "at <ts> end"),
        ("at 09:47:29.5 end", "at <ts> end"),
        ("2026-11-24T09:47:29X", "<ts>:29X"),
        ("09:47", "<num>:<num>"),
        ("Mayor 24 Marble", "Mayor <num> Marble"),
    ]);
}

#[test]
fn addresses_and_ids_are_told_from_words_and_versions() {
    check(&[
        ("::1 refused", "<ip> refused"),
        ("[::1]:8080", "[<ip>]:<num>"),
        ("::ffff:10.0.0.1:5432 refused", "<ip> refused"),
        ("2001:db8:1:2:3:4:5:6 up", "<ip> up"),
        ("1:2:3:4:5:6:7:8:9", "<num>:<num>:<num>:<num>:<num>:<num>:<num>:<num>:<num>"),
        ("1::2::3 a::b fe80::", "<num>::<num>::<num> a::b fe80::"),
        ("300.1.1.1 10.0.0.1x", "<num> <num>.1x"),
        ("id 550e8400-e29b-41d4-a716-446655440000.", "id <uuid>."),
        ("at 0xDEADBEEF 0x1g DEADBEE1 DEADBE1 dEADBEE1", "at <hex> 0x1g <hex> DEADBE1 dEADBEE1"),
    ]);
}

#[test]
fn numbers_keep_out_of_names() {
    check(&[
        ("1,234.5e-7% of 1e5", "<num> of <num>"),
        (
            "12_000 x_5 x_55 a.5 --42 a-5 a-55 (1)-42",
            "12_<num> x_5 x_<num> a.5 --42 a-5 a-<num> (<num>)-<num>",
        ),
        ("UTF-16 Utf-16 iso-8859-15 AES-128", "UTF-16 Utf-<num> iso-8859-<num> AES-128"),
        ("3.14abc 50%s 5_", "<num>.14abc <num>%s 5_"),
        ("-5 -5ms 7\u{b5}s 1.5 kB 2 bytes 5m 5 seconds", "<num> <dur> <dur> <size> <size> 5m <dur>"),
        ("_5ms .5ms #5ms", "_5ms .5ms #<dur>"),
        ("a='x' b=\"y z\" c='open d=nil e=nilx f='g'h", "a=<str> b=<str> c='open d=<bool> e=nilx f='g'h"),
    ]);
}

#[test]
fn texts_that_differ_in_ids_and_times_only_read_the_same() {
    let same = |rows: &[(&str, &[&str])]| {
        for (expected, texts) in rows {
            for text in *texts {
                assert_eq!(parameterize(text), *expected, "for {text:?}");
            }
        }
    };
    same(&[
        (
            "took <dur>",
            &["took 5m10.915s", "took 3h8m40s", "took 1m0s", "took 2h45m0.5s", "took 30.5s", "took 1d2h"],
        ),
        (
            "mac <mac> lost",
            &["mac f1:12:e2:91:52:b2 lost", "mac 11:22:33:44:55:66 lost", "mac F1-12-E2-91-52-B2 lost"],
        ),
        ("id <id> bad", &["id 01HFDE2KQR7NC9XDVBQTQX6V1T bad", "id 01h455vb4pex5vsknk084sn02q bad"]),
        (
            "req_<id> failed",
            &["req_HwAGcYHOhfAwN8 failed", "req_t6gEcFcN8yffmr failed", "req_7k2m9q1x8z4w failed"],
        ),
        ("no cus_test_<id>.", &["no cus_test_KogAc3J7gSY5Vc.", "no cus_test_yNApWJ8orcnClc."]),
        (
            "open /tmp/tmp<id>.csv",
            &["open /tmp/tmplbn43faa.csv", "open /tmp/tmpabcdefgh.csv", "open /tmp/tmp_x9kz2q0.csv"],
        ),
        ("in /var/tmp<id>/x", &["in /var/tmp9np9wlTT/x", "in /var/tmp.Xy12Zk90ab/x"]),
        ("pod shop-<hex>-<id> oom", &["pod shop-7d9f8b6c5d-4wt4n oom", "pod shop-x5kqz7wvb-vtgqg oom"]),
        ("Thread-<num> (worker) died", &["Thread-1 (worker) died", "Thread-56 (worker) died"]),
        ("pool-<num>-thread-<num>", &["pool-1-thread-2", "pool-10-thread-12"]),
        ("MainThread-<num>", &["MainThread-3", "MainThread-31"]),
    ]);
    // Names of people stay apart.
    check(&[
        ("5m away, 3s2h x5m10s", "5m away, 3s2h x5m10s"),
        ("get_getUserByName user_serviceFactory", "get_getUserByName user_serviceFactory"),
        ("open /srv/tmpdirname and /tmp/tmpfiles", "open /srv/tmpdirname and /tmp/tmpfiles"),
        ("my-connection-right my-strength-first", "my-connection-right my-strength-first"),
        ("multithread-5 step-5", "multithread-5 step-5"),
        ("ABCDEFGHJKMNPQRSTVWXYZABCD", "ABCDEFGHJKMNPQRSTVWXYZABCD"),
    ]);
}

#[test]
fn two_lines_are_read_and_white_space_collapses() {
    check(&[
        ("\n \r\n first\t 1 \r\n\n  second  \nthird", "first <num> second"),
        ("", ""),
        (" \n\t", ""),
        ("ünï\u{2003}cöde 5", "ünï cöde <num>"),
    ]);
    assert_eq!(parameterize(&"x".repeat(5_000)).len(), CHARS_MAX);
    assert_eq!(parameterize(&"ü".repeat(5_000)).chars().count(), CHARS_MAX);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn any_text_is_read_without_panic_into_one_trimmed_line(text in any::<String>()) {
        let out = parameterize(&text);
        prop_assert!(!out.contains('\n') && !out.contains("  "));
        prop_assert_eq!(out.trim(), out.as_str());
    }

    #[test]
    fn hostile_text_too(text in "[a-f0-9.:,\\-_@/#%+ TZe='\"\\[\\]]{0,80}") {
        let out = parameterize(&text);
        prop_assert!(!out.contains("  "));
        prop_assert_eq!(parameterize(&text), out);
    }

    #[test]
    fn words_are_left_alone(text in "[g-z]{1,8}( [g-z]{1,8}){0,5}") {
        prop_assert_eq!(parameterize(&text), text);
    }

    #[test]
    fn numbers_do_not_tell_texts_apart(a in 0u32..1_000_000, b in 0u32..1_000_000) {
        let text = |n: u32| parameterize(&format!("order {n} of shop {n} failed: {n}% done"));
        prop_assert_eq!(text(a), text(b));
    }
}
