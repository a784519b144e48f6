use super::*;
use serde_json::json;

const NOW: i64 = 1_795_514_400_000_000;

fn ctx() -> SecurityContext<'static> {
    SecurityContext { received_at: Timestamp::from_micros(NOW), ..SecurityContext::default() }
}

/// All that a body holds, as the pipeline reads it.
fn parse(
    content_type: &str,
    body: Value,
    ctx: &SecurityContext<'_>,
) -> Result<Vec<SecurityReport>, Unsupported> {
    check_content_type(content_type)?;
    Ok(list(body).reports.into_iter().map(|report| read(report, ctx)).collect())
}

fn events(content_type: &str, body: Value, ctx: &SecurityContext<'_>) -> Vec<Event> {
    let take = |report| match report {
        SecurityReport::Event(draft) => Some(draft.into_event(EventId([1; 16]))),
        SecurityReport::Noise | SecurityReport::Other => None,
    };
    parse(content_type, body, ctx).unwrap().into_iter().filter_map(take).collect()
}

fn capture(file: &str) -> Value {
    let folder = std::path::PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../testdata/sentry");
    let bytes = std::fs::read(folder.join(file)).unwrap();
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n").unwrap();
    serde_json::from_slice(&bytes[end + 4..]).unwrap()
}

#[test]
fn the_report_of_a_browser_becomes_an_event_without_queries() {
    let ctx = SecurityContext {
        release: Some("web@5.1.0".to_owned()),
        environment: Some("production".to_owned()),
        user_agent: Some("Mozilla/5.0 (X11; Linux x86_64) Chrome/156.0.0.0 Safari/537.36"),
        ..ctx()
    };
    let found = events("application/csp-report", capture("csp-report-chromium.http"), &ctx);
    let event = &found[0];
    assert_eq!((event.event_type, event.level), (EventType::Csp, Level::Warning));
    let message = event.logentry.as_ref().unwrap().formatted.as_deref();
    assert_eq!(message, Some("Blocked 'img-src' from 'tracker.example.net'"));
    assert_eq!(
        (event.release.as_deref(), event.environment.as_deref()),
        (Some("web@5.1.0"), Some("production"))
    );
    let csp = event.csp.as_ref().unwrap();
    assert_eq!((csp.directive.as_str(), csp.blocked.as_str()), ("img-src", "https://tracker.example.net"));
    assert_eq!(csp.disposition.as_deref(), Some("enforce"));
    let stored = serde_json::to_string(event).unwrap();
    assert!(!stored.contains("session=abc") && !stored.contains("sentry_key="), "{stored}");
    assert!(stored.contains("script-src 'self'"), "{stored}");
}

#[test]
fn of_the_reporting_api_only_violations_are_taken() {
    let reports = parse("application/reports+json; charset=utf-8", capture("hand-reports-json.http"), &ctx());
    let reports = reports.unwrap();
    assert_eq!(reports.len(), 2);
    assert_eq!(reports[1], SecurityReport::Other);
    let found = events("application/reports+json", capture("hand-reports-json.http"), &ctx());
    let csp = found[0].csp.as_ref().unwrap();
    assert_eq!(
        (csp.directive.as_str(), csp.blocked.as_str()),
        ("script-src-elem", "https://evil.example.org")
    );
    assert_eq!(csp.document_url.as_deref(), Some("https://shop.example.net/cart"));
    assert_eq!(found[0].timestamp.micros(), NOW - 10_000);
    assert!(!serde_json::to_string(&found[0]).unwrap().contains("rkxK8"));
}

#[test]
fn what_was_blocked_is_an_origin_or_a_keyword() {
    for (sent, blocked, host) in [
        ("https://a.example.net:8443/x?k=1#f", "https://a.example.net", "a.example.net"),
        ("HTTPS://A.Example.net", "https://a.example.net", "a.example.net"),
        ("https://u:[redacted:url_password]@a.example.net/x", "https://a.example.net", "a.example.net"),
        ("http://[2001:db8::1]:80/x", "http://[2001:db8::1]", "[2001:db8::1]"),
        ("http://[redacted:ip]:80/x", "http://[redacted:ip]", "[redacted:ip]"),
        ("wss://a.example.net", "wss://a.example.net", "a.example.net"),
        ("inline", "inline", "inline"),
        ("'eval'", "eval", "eval"),
        ("data:image/png;base64,AAAA", "data", "data"),
        ("data", "data", "data"),
        ("blob:https://a.example.net/1-2", "blob", "blob"),
        ("", "self", "self"),
        ("a.example.net/x?y", "a.example.net", "a.example.net"),
        ("[redacted:x]", "[redacted:x]", "[redacted:x]"),
    ] {
        let body =
            json!({"csp-report": {"violated-directive": "Script-Src https://x 'self'", "blocked-uri": sent}});
        let event = &events("application/json", body, &ctx())[0];
        let csp = event.csp.as_ref().unwrap();
        assert_eq!((csp.directive.as_str(), csp.blocked.as_str()), ("script-src", blocked), "{sent}");
        let message = event.logentry.as_ref().unwrap().formatted.clone().unwrap();
        assert_eq!(message, format!("Blocked 'script-src' from '{host}'"));
    }
}

#[test]
fn extensions_and_bots_are_noise() {
    let report = |blocked: &str, source: &str| json!({"csp-report": {"effective-directive": "script-src", "blocked-uri": blocked, "source-file": source}});
    for (blocked, source) in [
        ("chrome-extension://abc/x.js", ""),
        ("chrome-extension", ""),
        ("moz-extension://abc", ""),
        ("safari-extension:x", ""),
        ("about", ""),
        ("about:blank", ""),
        ("inline", "moz-extension://abc/x.js"),
    ] {
        let found = parse("application/csp-report", report(blocked, source), &ctx()).unwrap();
        assert_eq!(found, [SecurityReport::Noise], "{blocked} {source}");
    }
    let bot = "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)";
    let bot = SecurityContext { user_agent: Some(bot), ..ctx() };
    let found = parse("application/csp-report", report("https://a.example.net", ""), &bot).unwrap();
    assert_eq!(found, [SecurityReport::Noise]);
    let phone = SecurityContext { user_agent: Some("Mozilla/5.0 (Linux; Android 9; CUBOT X19)"), ..ctx() };
    assert_eq!(events("application/csp-report", report("https://a.example.net", ""), &phone).len(), 1);
}

#[test]
fn certificate_reports_name_the_host() {
    for (content_type, key, kind) in [
        ("application/expect-ct-report+json", "expect-ct-report", "expect-ct"),
        ("application/expect-staple-report", "expect-staple-report", "expect-staple"),
        ("application/json", "expect-ct-report", "expect-ct"),
    ] {
        let body =
            json!({ key: {"hostname": "Shop.example.net", "port": 443, "served-certificate-chain": ["PEM"]}});
        let event = &events(content_type, body, &ctx())[0];
        let csp = event.csp.as_ref().unwrap();
        assert_eq!((csp.directive.as_str(), csp.blocked.as_str()), (kind, "shop.example.net"));
        assert_eq!(event.extra["port"], json!("443"));
        assert!(!serde_json::to_string(event).unwrap().contains("PEM"));
    }
}

#[test]
fn other_bodies_and_types_are_told_apart() {
    assert_eq!(parse("text/html", json!({}), &ctx()), Err(Unsupported));
    assert_eq!(parse("", json!({}), &ctx()), Err(Unsupported));
    for body in [json!({}), json!("[redacted:x]"), json!(null), json!({"csp-report": 7}), json!([7])] {
        assert_eq!(
            parse("application/json", body.clone(), &ctx()),
            Ok(vec![SecurityReport::Other]),
            "{body}"
        );
    }
    let many = Value::Array(vec![json!({}); 500]);
    assert_eq!(parse("application/reports+json", many, &ctx()).unwrap().len(), REPORTS_MAX);
    let odd = SecurityContext { release: Some("/x/".to_owned()), ..ctx() };
    let body = json!({"csp-report": {"effective-directive": {"a": 1}, "blocked-uri": 7}});
    let event = &events("application/json", body, &odd)[0];
    assert_eq!((event.release.as_deref(), event.problems.len()), (None, 1));
}
