//! Browser security reports: CSP violations (old and Reporting API form), Expect-CT, Expect-Staple
//! (`ingest.md` §12). The same function serves the endpoint and the items `security` and `raw_security`.

use crate::event::cut::cut;
use crate::event::field::{text, whole};
use crate::event::{Misnamed, environment_name, release_name};
use actifix_domain::event::{Csp, Event, EventType, FreeMap, Level, LogEntry};
use actifix_domain::id::EventId;
use actifix_domain::time::{DAY, SECOND, Timestamp};
use serde_json::Value;

/// Most reports read of one body.
pub const REPORTS_MAX: usize = 100;

/// What browser extensions and empty pages put into reports.
const NOISE_SCHEMES: [&str; 6] = [
    "chrome-extension",
    "moz-extension",
    "safari-extension",
    "safari-web-extension",
    "ms-browser-extension",
    "about",
];
/// Words in the user agent of programs that fetch pages on nobody's behalf.
const BOT_WORDS: [&str; 12] = [
    "googlebot",
    "bingbot",
    "adsbot",
    "yandexbot",
    "duckduckbot",
    "applebot",
    "gptbot",
    "claudebot",
    "slurp",
    "crawler",
    "spider",
    "facebookexternalhit",
];

/// The content type is none of the security reports: answer 415.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a content type of security reports")]
pub struct Unsupported;

/// What is known beside the body.
#[derive(Clone, Debug, Default)]
pub struct SecurityContext<'a> {
    /// When the request arrived.
    pub received_at: Timestamp,
    /// `sentry_release` of the query.
    pub release: Option<String>,
    /// `sentry_environment` of the query.
    pub environment: Option<String>,
    /// `User-Agent` of the request.
    pub user_agent: Option<&'a str>,
}

/// One report of a body.
#[derive(Clone, Debug, PartialEq)]
pub enum SecurityReport {
    /// Worth an event.
    Event(SecurityDraft),
    /// From an extension or a bot: outcome `filtered`, reason `noise`.
    Noise,
    /// A kind of report that is not taken: outcome `filtered`, reason `unsupported`.
    Other,
}

/// An event without its id, as one body may hold several.
#[derive(Clone, Debug, PartialEq)]
pub struct SecurityDraft(Box<Event>);

impl SecurityDraft {
    /// The event.
    pub fn into_event(self, event_id: EventId) -> Event {
        Event { event_id, ..*self.0 }
    }
}

/// Whether a body of this content type, which may have parameters, holds security reports.
///
/// # Errors
/// [`Unsupported`], to be answered 415.
pub fn check_content_type(content_type: &str) -> Result<(), Unsupported> {
    let essence = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let known = [
        "application/csp-report",
        "application/reports+json",
        "application/json",
        "application/expect-ct-report+json",
        "application/expect-ct-report",
        "application/expect-staple-report",
    ];
    if known.contains(&essence.as_str()) { Ok(()) } else { Err(Unsupported) }
}

/// The reports of a body, each to be limited, redacted and read by itself.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ReportList {
    /// At most [`REPORTS_MAX`].
    pub reports: Vec<Value>,
    /// How many more there were.
    pub left_out: usize,
}

/// Takes a body apart.
pub fn list(body: Value) -> ReportList {
    let mut reports = match body {
        Value::Array(list) => list,
        single => vec![single],
    };
    let left_out = reports.len().saturating_sub(REPORTS_MAX);
    reports.truncate(REPORTS_MAX);
    ReportList { reports, left_out }
}

/// Reads one redacted report.
pub fn read(report: Value, ctx: &SecurityContext<'_>) -> SecurityReport {
    let Value::Object(mut report) = report else { return SecurityReport::Other };
    if let Some(Value::Object(body)) = report.remove("csp-report") {
        return violation(body, None, None, ctx);
    }
    for (key, kind) in [("expect-ct-report", "expect-ct"), ("expect-staple-report", "expect-staple")] {
        match report.remove(key) {
            Some(Value::Object(body)) => return certificate(kind, body, ctx),
            // Chrome's first form of Expect-Staple is text that holds JSON; nothing to show without a host.
            Some(_) => return SecurityReport::Other,
            None => {}
        }
    }
    let kind = report.get("type").and_then(Value::as_str).map(str::to_owned);
    match (kind.as_deref(), report.remove("body")) {
        (Some("csp-violation"), Some(Value::Object(body))) => {
            let agent = report.remove("user_agent").and_then(text);
            violation(body, agent.as_deref(), report.get("age"), ctx)
        }
        (None, None) if report.contains_key("violated-directive") => violation(report, None, None, ctx),
        _ => SecurityReport::Other,
    }
}

/// The `csp` interface that old servers made of a report and some SDKs send.
pub(crate) fn csp_of_event(value: Value) -> Option<Csp> {
    let Value::Object(mut body) = value else { return None };
    Some(csp(&mut body))
}

fn violation(
    mut body: FreeMap,
    agent: Option<&str>,
    age: Option<&Value>,
    ctx: &SecurityContext<'_>,
) -> SecurityReport {
    let csp = csp(&mut body);
    let places = [Some(&csp.blocked), csp.source_file.as_ref(), csp.document_url.as_ref()];
    if is_bot(agent.or(ctx.user_agent)) || places.into_iter().flatten().any(|place| is_noise(place)) {
        return SecurityReport::Noise;
    }
    let mut extra = FreeMap::new();
    for (key, value) in body {
        if let Some(text) = text(value).filter(|text| text != "0") {
            extra.insert(key.replace('-', "_"), Value::String(cut(strip_urls(&text))));
        }
    }
    let host = csp.blocked.split_once("://").map_or(csp.blocked.as_str(), |(_, host)| host);
    let message = format!("Blocked '{}' from '{host}'", csp.directive);
    let age = age.and_then(whole).unwrap_or(0).clamp(0, 30 * DAY / 1_000) * (SECOND / 1_000);
    draft(csp, message, extra, age, ctx)
}

fn certificate(kind: &str, mut body: FreeMap, ctx: &SecurityContext<'_>) -> SecurityReport {
    if is_bot(ctx.user_agent) {
        return SecurityReport::Noise;
    }
    let host = body.remove("hostname").and_then(text).unwrap_or_default().to_lowercase();
    let csp = Csp { directive: kind.to_owned(), blocked: host, ..Csp::default() };
    let mut extra = FreeMap::new();
    for (key, value) in body {
        // Certificate chains and raw responses: kilobytes that no reader can read.
        let plain = value.is_string() || value.is_number() || value.is_boolean();
        if plain && !matches!(key.as_str(), "ocsp-response" | "scts") {
            extra.insert(key.replace('-', "_"), Value::String(text(value).unwrap_or_default()));
        }
    }
    let message = format!("Blocked '{kind}' from '{}'", csp.blocked);
    draft(csp, message, extra, 0, ctx)
}

fn draft(
    csp: Csp,
    message: String,
    mut extra: FreeMap,
    age: i64,
    ctx: &SecurityContext<'_>,
) -> SecurityReport {
    crate::event::cut::cut_map(&mut extra);
    let mut problems = Vec::new();
    let value = |text: &Option<String>| text.clone().map_or(Value::Null, Value::String);
    let mut kept = |named: Result<Option<String>, Misnamed>, words: &str| {
        named.unwrap_or_else(|Misnamed| {
            problems.push(words.to_owned());
            None
        })
    };
    let release = kept(release_name(value(&ctx.release)), "the release is not valid and was left out");
    let environment =
        kept(environment_name(value(&ctx.environment)), "the environment is not valid and was left out");
    SecurityReport::Event(SecurityDraft(Box::new(Event {
        event_type: EventType::Csp,
        timestamp: ctx.received_at.plus(-age),
        level: Level::Warning,
        logger: Some("csp".to_owned()),
        logentry: Some(LogEntry { formatted: Some(cut(message)), ..LogEntry::default() }),
        release,
        environment,
        csp: Some(csp),
        extra,
        problems,
        ..Event::default()
    })))
}

/// Takes the members of [`Csp`] out of a report, by their names in any of the three forms.
fn csp(body: &mut FreeMap) -> Csp {
    let mut take = |names: [&str; 3]| {
        // All forms are removed, so that none is left for the free part.
        let found = names.map(|name| body.remove(name).and_then(text));
        found.into_iter().flatten().next()
    };
    let violated = take(["violated-directive", "violatedDirective", "violated_directive"]);
    let effective = take(["effective-directive", "effectiveDirective", "effective_directive"]);
    let blocked = take(["blocked-uri", "blockedURL", "blocked_uri"]);
    let document_url = take(["document-uri", "documentURL", "document_uri"]);
    let source_file = take(["source-file", "sourceFile", "source_file"]);
    let disposition = take(["disposition", "", ""]);
    let first_word =
        violated.as_deref().and_then(|text| text.split_whitespace().next()).unwrap_or_default().to_owned();
    Csp {
        directive: effective.unwrap_or(first_word).trim().to_lowercase(),
        blocked: origin(&blocked.unwrap_or_default()),
        document_url: document_url.map(|url| strip(&url).to_owned()),
        source_file: source_file.map(|url| strip(&url).to_owned()),
        disposition,
    }
}

/// `scheme://host` without port and user, or the keyword; nothing at all is `self`, as old browsers meant it.
fn origin(blocked: &str) -> String {
    let blocked = blocked.trim();
    if blocked.is_empty() {
        return "self".to_owned();
    }
    let Some((scheme, rest)) = blocked.split_once("://") else {
        // `data:…`, `blob:…`, `chrome-extension`, `inline`; or a host that came without scheme.
        let word = blocked.split([':', '/', '?', '#']).next().unwrap_or_default();
        let whole = if blocked.starts_with('[') { strip(blocked) } else { word };
        return whole.trim_matches('\'').to_lowercase();
    };
    let scheme = scheme.split(':').next().unwrap_or_default();
    if scheme.eq_ignore_ascii_case("data") || scheme.eq_ignore_ascii_case("blob") {
        return scheme.to_lowercase();
    }
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    // In brackets stands an IPv6 address, or a redacted one.
    let host = match host.find(']') {
        Some(end) if host.starts_with('[') => host.get(..=end).unwrap_or(host),
        _ => host.split(':').next().unwrap_or_default(),
    };
    format!("{scheme}://{host}").to_lowercase()
}

/// A URL without query and fragment.
fn strip(url: &str) -> &str {
    url.split(['?', '#']).next().unwrap_or_default()
}

/// Text (a policy names report addresses) without the query and fragment of the URLs in it.
fn strip_urls(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for word in text.split_inclusive([' ', '\n', '\t', ';', ',']) {
        let is_url = word.contains("://") || word.starts_with('/');
        match word.find(['?', '#']) {
            Some(at) if is_url => {
                out.push_str(word.get(..at).unwrap_or_default());
                out.extend(word.chars().next_back().filter(|c| matches!(c, ' ' | '\n' | '\t' | ';' | ',')));
            }
            _ => out.push_str(word),
        }
    }
    out
}

fn is_noise(place: &str) -> bool {
    let scheme = place.split(':').next().unwrap_or_default();
    NOISE_SCHEMES.iter().any(|noise| scheme.eq_ignore_ascii_case(noise))
}

fn is_bot(agent: Option<&str>) -> bool {
    let Some(agent) = agent else { return false };
    let agent: String = agent.chars().take(512).collect::<String>().to_ascii_lowercase();
    BOT_WORDS.iter().any(|word| agent.contains(word))
}

#[cfg(test)]
mod tests;
