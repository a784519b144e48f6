use super::*;
use actifix_domain::alert::AddressPolicy;
use actifix_domain::time::SECOND;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

const NOW: Timestamp = Timestamp::from_micros(1_795_000_000_000_000);
/// What a stranger could have written: mentions, markup, links, entities, line breaks.
const HOSTILE: &str = "@everyone <!channel> <@U123> [click](https://evil.example) *b* `c` <script> & \r\n# @here |s| ~x~ https://evil.example/x www.evil.example tg://user?id=1 WWW.evil.example";

fn change(title: &str) -> Change {
    Change {
        trigger: Trigger::New,
        at: NOW,
        ticket: Some("ACT-20261124-7K3QF".parse().unwrap()),
        project: Some("shop".into()),
        title: title.into(),
        culprit: HOSTILE.into(),
        level: Some("error"),
        priority: Some("P1"),
        environment: Some(HOSTILE.into()),
        release: Some("shop@2".into()),
        tags: [("region".to_owned(), HOSTILE.to_owned())].into(),
        count: 3,
        users: 2,
        detail: HOSTILE.into(),
        url: Some("https://errors.example.net/tickets/ACT-20261124-7K3QF".into()),
    }
}

fn message(changes: Vec<Change>, count: u64) -> Message {
    Message {
        id: "msg_1".into(),
        at: NOW,
        rule: "r".into(),
        test: false,
        count,
        muted: 0,
        changes,
        home: "https://errors.example.net/".into(),
    }
}

/// Messages from the smallest to the largest that can come.
fn messages() -> Vec<Message> {
    let wide = |unit: &str, most: usize| unit.repeat(most);
    let mut all = vec![message(vec![change("declined")], 1), message(vec![change(HOSTILE)], 1)];
    for unit in ["x", "*", "<", "&", "@", "𝄞", "ä", "."] {
        let mut largest = change(&wide(unit, TITLE_CHARS_MAX));
        for text in [&mut largest.culprit, &mut largest.detail] {
            *text = wide(unit, TEXT_CHARS_MAX);
        }
        largest.environment = Some(wide(unit, TEXT_CHARS_MAX));
        largest.release = Some(wide(unit, TEXT_CHARS_MAX));
        largest.project = Some(wide("p", 64));
        all.push(message(vec![largest.clone()], 1));
        all.push(message(vec![largest; actifix_domain::alert::SAMPLES_MAX], 5_000));
    }
    all
}

fn channel(kind: Kind) -> ChannelConfig {
    let mut channel = ChannelConfig::new(kind, "https://hooks.example.net/in".into());
    if kind == Kind::Ntfy {
        channel.url = "https://ntfy.example.net/alerts".into();
    }
    channel.token = Some("1:abc".into());
    channel.target = Some("-100".into());
    channel
}

fn body(request: &OutboundRequest) -> Value {
    serde_json::from_slice(&request.body).unwrap()
}

fn chars(value: &Value) -> usize {
    value.as_str().map_or(0, |text| text.chars().count())
}

#[test]
fn slack_blocks_keep_the_documented_limits() {
    for message in messages() {
        let body = body(&chat::slack(&channel(Kind::Slack), &message).unwrap());
        let blocks = body["blocks"].as_array().unwrap();
        assert!((1..=50).contains(&blocks.len()));
        assert!(chars(&body["text"]) <= 4_000);
        for block in blocks {
            match block["type"].as_str().unwrap() {
                "header" => {
                    assert_eq!(block["text"]["type"], "plain_text");
                    assert!((1..=150).contains(&chars(&block["text"]["text"])));
                }
                "section" => {
                    let fields = block["fields"].as_array().cloned().unwrap_or_default();
                    assert!(fields.len() <= 10 && (block.get("text").is_some() || !fields.is_empty()));
                    for text in fields.iter().chain(block.get("text")) {
                        assert_eq!(text["type"], "plain_text", "no markup in texts of strangers");
                        assert!((1..=2_000).contains(&chars(&text["text"])), "{text}");
                    }
                }
                "context" => assert!(chars(&block["elements"][0]["text"]) <= 3_000),
                other => panic!("a block of type {other}"),
            }
        }
    }
}

#[test]
fn discord_embeds_keep_the_documented_limits() {
    for message in messages() {
        let body = body(&chat::discord(&channel(Kind::Discord), &message).unwrap());
        assert_eq!(body["allowed_mentions"], serde_json::json!({ "parse": [] }));
        assert!(body.get("content").is_none());
        let embeds = body["embeds"].as_array().unwrap();
        assert!(embeds.len() <= 10);
        let mut sum = 0;
        for embed in embeds {
            let fields = embed["fields"].as_array().cloned().unwrap_or_default();
            assert!(
                chars(&embed["title"]) <= 256 && chars(&embed["description"]) <= 4_096 && fields.len() <= 25
            );
            sum += chars(&embed["title"]) + chars(&embed["description"]);
            for field in &fields {
                assert!(
                    (1..=256).contains(&chars(&field["name"]))
                        && (1..=1_024).contains(&chars(&field["value"]))
                );
                sum += chars(&field["name"]) + chars(&field["value"]);
            }
        }
        assert!(sum <= 6_000, "{sum} characters in all embeds");
        // Nor where somebody counts a character beyond the first plane as two.
        let wide = |value: &Value| value.as_str().map_or(0, |text| text.encode_utf16().count());
        for embed in embeds {
            assert!(wide(&embed["title"]) <= 256 && wide(&embed["description"]) <= 4_096);
        }
    }
}

#[test]
fn the_other_targets_keep_their_limits() {
    for message in messages() {
        let teams = chat::teams(&channel(Kind::Teams), &message).unwrap();
        assert!(teams.body.len() <= 28 << 10, "{}", teams.body.len());
        let ntfy = body(&push::ntfy(&channel(Kind::Ntfy), &message).unwrap());
        assert!(ntfy["message"].as_str().unwrap().len() <= 4_096 && ntfy["topic"] == "alerts");
        // ntfy reads no more of a message in JSON than twice the length of its text.
        assert!(ntfy.to_string().len() <= 8_192, "{}", ntfy.to_string().len());
        assert!((1..=5).contains(&ntfy["priority"].as_u64().unwrap()));
        let telegram = push::telegram(&channel(Kind::Telegram), &message).unwrap();
        assert_eq!(telegram.url.reveal(), "https://hooks.example.net/in/bot1:abc/sendMessage");
        let telegram = body(&telegram);
        assert!(telegram["text"].as_str().unwrap().ends_with(&format!("\n{}", message.url())));
        assert!(telegram["text"].as_str().unwrap().encode_utf16().count() <= 4_096);
        assert!(telegram.get("parse_mode").is_none());
        let mut mail = channel(Kind::Mail);
        mail.url = "smtp://mail.example.net".into();
        (mail.from, mail.to) = (Some("a@example.net".into()), vec!["b@example.net".into()]);
        let mail = mail::mail(&mail, &message).unwrap();
        assert!(!mail.subject.contains(['\r', '\n']) && mail.subject.chars().count() <= 150);
        assert_eq!((mail.port, mail.implicit_tls), (587, false));
    }
}

/// Whoever reads a digest learns how many changes it stands for, however long those are that it names.
#[test]
fn a_digest_says_how_many_it_does_not_name_whatever_is_cut() {
    let digests = messages().into_iter().filter(|message| message.count > 1);
    let mut seen = 0;
    for message in digests {
        let rest = message.rest().unwrap();
        assert!(rest.contains("4990 more"), "{rest}");
        let mut config = channel(Kind::Mail);
        config.url = "smtp://mail.example.net".into();
        (config.from, config.to) = (Some("a@example.net".into()), vec!["b@example.net".into()]);
        let mail = mail::mail(&config, &message).unwrap().text;
        assert!(mail.contains(&rest), "mail: {mail}");
        for (kind, request) in [
            (Kind::Slack, chat::slack(&channel(Kind::Slack), &message)),
            (Kind::Discord, chat::discord(&channel(Kind::Discord), &message)),
            (Kind::Teams, chat::teams(&channel(Kind::Teams), &message)),
            (Kind::Telegram, push::telegram(&channel(Kind::Telegram), &message)),
            (Kind::Ntfy, push::ntfy(&channel(Kind::Ntfy), &message)),
        ] {
            let text = String::from_utf8(request.unwrap().body).unwrap();
            assert!(text.contains(&rest), "{kind:?}: {text}");
        }
        seen += 1;
    }
    assert!(seen > 5, "{seen}");
}

#[test]
fn one_is_not_said_in_the_plural() {
    let mut message = message(Vec::new(), 1);
    assert_eq!(message.headline(), "1 change", "a digest whose one change is not named");
    message.count = 2;
    assert_eq!(message.headline(), "2 changes");
}

#[test]
fn nothing_that_a_stranger_wrote_mentions_formats_or_links() {
    let message = message(vec![change(HOSTILE)], 1);
    for (kind, request) in [
        (Kind::Slack, chat::slack(&channel(Kind::Slack), &message)),
        (Kind::Discord, chat::discord(&channel(Kind::Discord), &message)),
        (Kind::Teams, chat::teams(&channel(Kind::Teams), &message)),
        (Kind::Telegram, push::telegram(&channel(Kind::Telegram), &message)),
        (Kind::Ntfy, push::ntfy(&channel(Kind::Ntfy), &message)),
    ] {
        let text = String::from_utf8(request.unwrap().body).unwrap();
        for bad in ["@everyone", "@here", "<@U123>", "@U123", "https://evil", "tg://"] {
            assert!(!text.contains(bad), "{kind:?} holds {bad}: {text}");
        }
        // Discord makes no link of it without a scheme.
        assert!(kind == Kind::Discord || !text.to_lowercase().contains("www.evil"), "{kind:?}: {text}");
        if kind == Kind::Slack {
            assert!(
                text.contains("<https://errors.example.net/tickets/"),
                "the link to the ticket is one: {text}"
            );
            assert!(!text.contains("<!channel>") && !text.contains("<https://evil"), "{text}");
        }
        if kind == Kind::Discord {
            for bad in ["[click](", "*b*", "`c`", "https://evil", "||"] {
                assert!(!text.contains(bad), "{kind:?} holds {bad}: {text}");
            }
        }
    }
}

#[test]
fn a_mail_links_to_the_ticket_and_to_nothing_that_a_stranger_wrote() {
    let mut config = channel(Kind::Mail);
    config.url = "smtp://mail.example.net".into();
    (config.from, config.to) = (Some("a@example.net".into()), vec!["b@example.net".into()]);
    let hostile = "pay at https://evil.tld/x or www.evil.tld, http://evil.tld, mailto:a@evil.tld";
    let mut one = change(hostile);
    (one.culprit, one.detail) = (hostile.into(), hostile.into());
    (one.environment, one.release) = (Some(hostile.into()), Some(hostile.into()));
    for message in [message(vec![one.clone()], 1), message(vec![one.clone(), one], 5)] {
        let mail = mail::mail(&config, &message).unwrap();
        for text in [&mail.subject, &mail.text] {
            for bad in ["://evil", "www.evil", "@evil"] {
                assert!(!text.contains(bad), "{bad} in {text}");
            }
            assert!(text.contains("evil"), "it can be read still: {text}");
        }
        assert_eq!(mail.text.matches("://").count(), 1, "{}", mail.text);
        assert!(mail.text.contains(&format!("\r\n{}\r\n", message.url())), "{}", mail.text);
    }
}

#[test]
fn escapes_are_literal_and_break_references() {
    assert_eq!(escape::discord("&lt; <b> a&b"), "&lt; \\<b\\> a&b");
    assert_eq!(escape::one_line("a\u{2028}b\u{2029}c", 9), "a b c");
    let text = escape::markdown(&format!("#1 acme/shop#1 {}", "0123456789".repeat(4)));
    assert!(!text.contains("#1") && !text.contains("0123456"), "{text}");
}

#[test]
fn addresses_are_https_and_public_or_allowed() {
    let none = AddressPolicy::default();
    let inner =
        AddressPolicy { allow_private: vec!["127.0.0.0/8".parse().unwrap(), "10.0.0.0/8".parse().unwrap()] };
    let check = |url: &str, policy: &AddressPolicy| {
        ChannelConfig::new(Kind::Webhook, url.into()).validate(policy).map_err(|error| error.to_string())
    };
    for good in [
        "https://hooks.example.net/x?y=1",
        "https://8.8.8.8/",
        "https://[2606:4700::1]:8443/",
        "https://xn--bcher-kva.example/",
        "https://hooks.example.net/@room?to=a@b",
    ] {
        assert_eq!(check(good, &none), Ok(()), "{good}");
    }
    for bad in [
        "",
        "hooks.example.net",
        "http://hooks.example.net/",
        "ftp://a.example/",
        "https://",
        "https://u:p@hooks.example.net/",
        "https://u@hooks.example.net/",
        "https://@1.1.1.1/",
        "https://:@1.1.1.1/",
        "https:\\\\@1.1.1.1/",
        "https:@1.1.1.1/",
        "https://hooks.example.net:0/",
        "https://hooks.example.net/#a",
        "https://hooks.example.net/ x",
        "https://hooks.example.net/\nx",
        "https://localhost/",
        "https://LOCALHOST./",
        "https://a.localhost/",
        "https://127.0.0.1/",
        "https://2130706433/",
        "https://0x7f000001/",
        "https://0177.0.0.1/",
        "https://127.1/",
        "https://0/",
        "https://[::1]/",
        "https://[::]/",
        "https://[::ffff:127.0.0.1]/",
        "https://[::ffff:7f00:1]/",
        "https://[64:ff9b::a00:1]/",
        "https://[2002:7f00:1::]/",
        "https://169.254.169.254/latest",
        "https://0xa9fea9fe/",
        "https://100.64.0.1/",
        "https://10.0.0.1/",
        "https://192.168.1.1/",
        "https://[fd00::1]/",
        "https://[fe80::1]/",
        "https://１２７.０.０.１/",
        "https://127。0。0。1/",
        "file:///etc/passwd",
        "smtp://mail.example.net/",
    ] {
        let refused = check(bad, &none).expect_err(bad);
        assert!(bad.len() < 9 || !refused.contains(bad), "the address is not repeated: {refused}");
    }
    assert_eq!(check("https://127.0.0.1:8443/", &inner), Ok(()));
    assert_eq!(check("https://localhost:8443/", &inner), Ok(()));
    assert!(check("http://127.0.0.1:8443/", &inner).is_err(), "never http");
    assert!(check("https://192.168.0.1/", &inner).is_err());
    let mail = |url: &str| {
        let mut mail = ChannelConfig::new(Kind::Mail, url.into());
        (mail.from, mail.to) = (Some("a@example.net".into()), vec!["b@example.net".into()]);
        mail.validate(&none).is_ok()
    };
    assert!(mail("smtp://mail.example.net") && mail("smtps://mail.example.net:465"));
    for bad in [
        "smtp://127.0.0.1",
        "smtp://0x7f.1",
        "smtp://localhost",
        "smtp://@mail.example.net",
        "https://mail.example.net",
        "smtp://2130706433",
        "smtp://[::1]:25",
    ] {
        assert!(!mail(bad), "{bad}");
    }
}

#[test]
fn the_configuration_of_a_channel_is_never_printed() {
    let mut config = channel(Kind::Telegram);
    config.secrets = vec![SigningSecret { text: new_secret([7; 32]), ends_at: None }];
    let shown = format!("{config:?} {:?}", config.secrets);
    for part in ["hooks.example", "1:abc", "whsec_", "BwcH"] {
        assert!(!shown.contains(part), "{shown}");
    }
    assert_eq!(config.place(), "hooks.example.net/…");
}

fn header<'a>(request: &'a OutboundRequest, name: &str) -> &'a str {
    request
        .headers
        .iter()
        .find(|(known, _)| *known == name)
        .map(|(_, value)| value.reveal())
        .unwrap_or_default()
}

#[test]
fn a_signature_is_good_for_five_minutes_and_by_each_of_two_secrets() {
    let (new, old) = (new_secret([1; 32]), new_secret([2; 32]));
    let mut config = channel(Kind::Webhook);
    config.secrets = vec![
        SigningSecret { text: new.clone(), ends_at: None },
        SigningSecret { text: old.clone(), ends_at: Some(NOW.plus(SECOND)) },
    ];
    config.seed = Some(new_seed([3; 32]));
    let message = message(vec![change("declined")], 1);
    let request = generic::request(&config, &message, NOW).unwrap();
    let list = header(&request, "webhook-signature").to_owned();
    assert_eq!(list.split(' ').count(), 3);
    let stamp = header(&request, "webhook-timestamp").to_owned();
    let judge = |secret: &str, body: &[u8], now: Timestamp| verify(secret, "msg_1", &stamp, &list, body, now);
    assert_eq!(judge(&new, &request.body, NOW), Verdict::Good);
    assert_eq!(judge(&old, &request.body, NOW), Verdict::Good);
    assert_eq!(judge(&new_secret([9; 32]), &request.body, NOW), Verdict::Bad);
    for (seconds, verdict) in [
        (299, Verdict::Good),
        (300, Verdict::Good),
        (301, Verdict::Old),
        (-299, Verdict::Good),
        (-301, Verdict::Old),
    ] {
        assert_eq!(judge(&new, &request.body, NOW.plus(seconds * SECOND)), verdict, "{seconds}");
    }
    let mut changed = request.body.clone();
    changed.push(b' ');
    assert_eq!(judge(&new, &changed, NOW), Verdict::Bad);
    assert_eq!(verify(&new, "msg_2", &stamp, &list, &request.body, NOW), Verdict::Bad);
    for (secret, list) in [
        ("", list.as_str()),
        ("whsec_", &list),
        ("whsec_AAAA", &list),
        (&new, ""),
        (&new, "v1,"),
        (&new, "v2,AAAA"),
        (&new, "v1a,AAAA"),
    ] {
        assert_eq!(verify(secret, "msg_1", &stamp, list, &request.body, NOW), Verdict::Bad);
    }
    // A good one behind a thousand others is not looked for.
    let long = format!("{}{list}", "v1,AAAA ".repeat(1_000));
    assert_eq!(verify(&new, "msg_1", &stamp, &long, &request.body, NOW), Verdict::Bad);
    for bad in ["", "x", "-1", "+1", "1e9", "99999999999999999999"] {
        assert_eq!(verify(&new, "msg_1", bad, &list, &request.body, NOW), Verdict::Bad);
    }
    // The former secret stops.
    let later = generic::request(&config, &message, NOW.plus(SECOND)).unwrap();
    assert_eq!(header(&later, "webhook-signature").split(' ').count(), 2);
    assert_eq!(later.body, request.body, "an attempt says the same as the one before");
    config.secrets.clear();
    config.seed = None;
    config.former_seeds.clear();
    assert_eq!(generic::request(&config, &message, NOW).unwrap_err(), Failure::Unusable, "never unsigned");
}

/// Public keys, of those given, that a signature of the list was made with.
fn signed_with<'a>(keys: &[&'a str], id: &str, list: &str, stamp: &str, body: &[u8]) -> Vec<&'a str> {
    use aws_lc_rs::signature::{ED25519, UnparsedPublicKey};
    let text = [id.as_bytes(), b".", stamp.as_bytes(), b".", body].concat();
    let given: Vec<Vec<u8>> = list
        .split(' ')
        .filter_map(|one| one.strip_prefix("v1a,"))
        .map(|one| STANDARD.decode(one).unwrap())
        .collect();
    let made_with = |key: &&str| {
        let raw = STANDARD.decode(key.strip_prefix("whpk_").unwrap()).unwrap();
        let key = UnparsedPublicKey::new(&ED25519, raw);
        given.iter().any(|one| key.verify(&text, one).is_ok())
    };
    keys.iter().copied().filter(|key| made_with(key)).collect()
}

#[test]
fn a_replaced_key_signs_beside_the_new_one_until_it_ends() {
    let (new, old) = (new_seed([3; 32]), new_seed([4; 32]));
    let (new_key, old_key) = (public_key(&new).unwrap(), public_key(&old).unwrap());
    let mut config = channel(Kind::Webhook);
    config.secrets = vec![SigningSecret { text: new_secret([1; 32]), ends_at: None }];
    config.seed = Some(new);
    // As it was stored before keys had an overlap.
    let stored = serde_json::to_string(&config).unwrap();
    assert!(!stored.contains("former_seeds"), "{}", stored.len());
    assert!(serde_json::from_str::<ChannelConfig>(&stored).unwrap() == config);
    config.former_seeds = vec![SigningSecret { text: old, ends_at: Some(NOW.plus(SECOND)) }];
    let stored = serde_json::to_string(&config).unwrap();
    assert!(serde_json::from_str::<ChannelConfig>(&stored).unwrap() == config);
    assert!(config.validate(&AddressPolicy::default()).is_ok());
    let message = message(vec![change("declined")], 1);
    for (now, keys) in [(NOW, vec![&new_key, &old_key]), (NOW.plus(SECOND), vec![&new_key])] {
        let request = generic::request(&config, &message, now).unwrap();
        let (list, stamp) = (header(&request, "webhook-signature"), header(&request, "webhook-timestamp"));
        let good = signed_with(&[&new_key, &old_key], &message.id, list, stamp, &request.body);
        assert_eq!(good, keys);
        assert_eq!(list.split(' ').count(), keys.len() + 1);
    }
}

#[test]
fn github_signs_the_body() {
    let body = b"Hello, World!";
    // The example of GitHub's documentation.
    let secret = "It's a Secret to Everybody";
    let signature = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";
    assert!(verify_github(secret, signature, body));
    for (secret, signature, body) in [
        ("", signature, &body[..]),
        ("another", signature, body),
        (secret, signature, b"Hello, World?"),
        (secret, &signature[7..], body),
        (secret, "sha256=", body),
        (secret, "sha1=757107ea0eb2509fc211221cce984b8a37570b6d", body),
    ] {
        assert!(!verify_github(secret, signature, body));
    }
}

#[test]
fn an_issue_carries_its_marker_and_a_stranger_cannot_forge_another() {
    let forged = "<!-- actifix:ACT-20261124-00000 -->";
    let one = change(forged);
    let ticket = one.ticket.clone().unwrap();
    let body = github::opened(&message(vec![one.clone()], 1), &one, &ticket);
    let text = body["body"].as_str().unwrap();
    assert_eq!(text.matches("<!--").count(), 1, "{text}");
    assert!(text.ends_with(&github::marker(&ticket)));
    assert!(!text.contains("@everyone") && body["title"].as_str().unwrap().chars().count() <= 200);
}

#[test]
fn channels_hold_at_each_bound_and_are_refused_beyond() {
    let url = |bytes: usize| format!("https://hooks.example.net/{}", "x".repeat(bytes - 26));
    let telegram = |token: usize| {
        let mut channel = ChannelConfig::new(Kind::Telegram, "https://api.telegram.org".to_owned());
        (channel.token, channel.target) = (Some("t".repeat(token)), Some("1".to_owned()));
        channel
    };
    let mail = |receivers: usize| {
        let mut channel = ChannelConfig::new(Kind::Mail, "smtps://mail.example.net".to_owned());
        channel.from = Some("actifix@example.net".to_owned());
        channel.to = (0..receivers).map(|number| format!("ops{number}@example.net")).collect();
        channel
    };
    for (what, channel, fits) in [
        ("url", ChannelConfig::new(Kind::Webhook, url(2_048)), true),
        ("url", ChannelConfig::new(Kind::Webhook, url(2_049)), false),
        ("token", telegram(4_096), true),
        ("token", telegram(4_097), false),
        ("to", mail(20), true),
        ("to", mail(21), false),
        ("to", mail(0), false),
    ] {
        match channel.validate(&AddressPolicy::default()) {
            Ok(()) => assert!(fits, "{what}"),
            Err(crate::error::Error::Invalid(fields)) => {
                assert!(!fits && fields[0].field == what, "{what}: {fields:?}");
            }
            Err(other) => panic!("{other}"),
        }
    }
}
