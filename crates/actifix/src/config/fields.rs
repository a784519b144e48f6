//! The one list of configuration keys.

/// One key that may be set.
#[derive(Clone, Copy, Debug)]
pub struct Field {
    /// Dotted name; `*` stands for a name of the operator's choice.
    pub key: &'static str,
    /// Form of the value.
    pub form: &'static str,
    /// What it does.
    pub help: &'static str,
}

const fn field(key: &'static str, form: &'static str, help: &'static str) -> Field {
    Field { key, form, help }
}

/// Every key, in the order of the documentation.
pub const FIELDS: &[Field] = &[
    field(
        "server.public_url",
        "URL",
        "base of DSNs and links, may hold a path prefix; default: the first listener",
    ),
    field(
        "server.trusted_proxies",
        "list of addresses and networks (CIDR)",
        "peers whose X-Forwarded-For and X-Forwarded-Proto are believed; default none",
    ),
    field(
        "server.allow_plain_http",
        "true|false",
        "let listeners that are not on loopback speak plain HTTP: loud, and refused by --production",
    ),
    field(
        "server.hosts",
        "list of host names",
        "further names that clients may call the server by, besides that of public_url",
    ),
    field("server.connections_max", "number", "connections open at the same time, per listener"),
    field(
        "server.connections_per_peer_max",
        "number",
        "connections of one address at the same time; trusted proxies have no such bound",
    ),
    field(
        "server.header_timeout_seconds",
        "number",
        "time for a TLS handshake and for a request's headers, 1 to 300; also ends idle connections",
    ),
    field(
        "server.stall_timeout_seconds",
        "number",
        "time within which who waits for an answer must take some KiB of it, 1 to 300",
    ),
    field("server.log_level", "error|warn|info|debug|trace", "what the log says"),
    field("listeners.*.bind", "IP:PORT", "address of a listener; default one on 127.0.0.1:5001"),
    field(
        "listeners.*.modules",
        "list of ingest, api, dashboard, metrics, mcp",
        "what the listener carries; default all; mcp carries nothing yet",
    ),
    field(
        "listeners.*.tls.cert",
        "PATH",
        "PEM file of the certificate and those that sign it; makes it HTTPS",
    ),
    field("listeners.*.tls.key", "PATH", "PEM file of the private key, mode 0600 or stricter"),
    field(
        "cors.allowed_origins",
        "list of origins",
        "exact origins whose pages may read answers of the API; default those of localhost",
    ),
    field("limits.key_per_minute", "events", "per ingest key and minute, refilled evenly"),
    field("limits.project_per_minute", "events", "per project and minute"),
    field("limits.project_per_hour", "events", "per project and hour"),
    field("limits.project_per_day", "events", "per project and day"),
    field("limits.instance_per_minute", "events", "of the whole instance per minute"),
    field("limits.instance_per_day", "events", "of the whole instance per day"),
    field("limits.api_per_minute", "requests", "of the API per token or person, else per client network"),
    field("limits.api_per_hour", "requests", "the same per hour; kept over restarts"),
    field("limits.api_instance_per_day", "requests", "of the API of the whole instance per day"),
    field("limits.api_admin_reserve_percent", "0 to 90", "share of the day that is kept for administrators"),
    field("limits.login_per_minute", "attempts", "to log in per client network, account and known device"),
    field("limits.sample_after", "events", "bodies kept per ticket and clock hour before sampling, 0 = all"),
    field("limits.compressed_bytes_max", "bytes", "largest request as sent"),
    field("limits.decompressed_bytes_max", "bytes", "largest request after decompression"),
    field("limits.event_bytes_max", "bytes", "largest event"),
    field("limits.attachment_bytes_max", "bytes", "largest attachment"),
    field("limits.in_flight_bytes_max", "bytes", "memory for the bodies of all requests in flight"),
    field("limits.in_flight_wait_ms_max", "milliseconds", "wait of a request for room among them, then 503"),
    field("limits.header_line_bytes_max", "bytes", "largest header line of an envelope or item"),
    field("limits.items_max", "items", "items of one envelope"),
    field(
        "limits.json_depth_max",
        "levels",
        "nesting of JSON that is kept, at most 128; what is deeper is cut",
    ),
    field("limits.json_depth_refused", "levels", "nesting of JSON that refuses the request"),
    field("limits.container_bytes_max", "bytes", "largest container of logs, spans or metrics"),
    field("limits.check_in_bytes_max", "bytes", "largest check-in"),
    field("limits.client_report_bytes_max", "bytes", "largest client report"),
    field("limits.event_attachments_bytes_max", "bytes", "all attachments of one event"),
    field("limits.request_read_seconds_max", "seconds", "time in which a request must be read"),
    field(
        "limits.announce_dropped_kinds",
        "true|false",
        "ask SDKs to stop sending kinds that are not stored",
    ),
    field(
        "outbound.allow_private",
        "list of networks (CIDR)",
        "networks that alerts may be sent to although they are not public; default none; https stays required",
    ),
    field(
        "outbound.timeout_seconds",
        "1 to 30",
        "time for one attempt at an alert: name, connection, TLS and answer together; default 5",
    ),
    field("outbound.extra_ca", "PATH", "PEM file of authorities that are trusted besides the platform's"),
    field("oidc.issuer", "URL", "the sign-in provider, to the letter as it names itself; default none"),
    field("oidc.client_id", "text", "name of this server at the provider"),
    field("oidc.client_secret", super::SECRET_FORM, "its secret there; none for a public client"),
    field("oidc.hosts", "list of host names", "hosts of the provider's endpoints besides that of the issuer"),
    field(
        "oidc.allow_loopback_http",
        "true|false",
        "let a provider on this machine speak plain HTTP: for tests",
    ),
    field("oidc.scopes", "list of words", "what is asked for besides openid; default email, profile"),
    field(
        "oidc.allowed_domains",
        "list of domains",
        "domains of verified e-mail addresses that are let in; default any",
    ),
    field("oidc.groups_claim", "text", "claim of the id token that lists groups; default groups"),
    field(
        "oidc.group_roles",
        "list of GROUP=viewer or GROUP=operator",
        "groups that are let in, and as what, at each sign-in; default any",
    ),
    field(
        "oidc.create_accounts",
        "true|false",
        "make an account for who is let in; default only linked ones open",
    ),
    field("oidc.default_role", "viewer|operator", "role of a new account where no group says another"),
    field("throttle.enabled", "true|false", "hold new tickets when they flood"),
    field("throttle.p2_per_hour", "tickets", "new P2 tickets per project and hour"),
    field("throttle.p3_per_4_hours", "tickets", "new P3 tickets per project and 4 hours"),
    field("throttle.p4_per_day", "tickets", "new P4 tickets per project and day"),
    field("throttle.brake_new_per_minute", "tickets", "new tickets in a minute that hold P2 to P4"),
    field("throttle.brake_hard_new_per_minute", "tickets", "new tickets in a minute that hold P0 and P1 too"),
    field("throttle.held_max", "tickets", "held tickets per project; beyond, only counters move"),
    field("retention.events_days", "days", "age of event bodies, 0 = no limit"),
    field("retention.events_bytes_max", "bytes", "size of all bodies, oldest go first, 0 = no limit"),
    field("retention.resolved_tickets_days", "days", "age of resolved tickets, 0 = no limit"),
    field("retention.quarantine_days", "days", "age of quarantined input, 0 = no limit"),
    field("retention.findings_days", "days", "age of findings since last seen, 0 = no limit"),
    field(
        "retention.source_maps_days",
        "days",
        "age of source maps since an event needed them (of used ones four times that), 0 = no limit",
    ),
    field(
        "retention.source_maps_bytes_max",
        "bytes",
        "source maps of one project, an upload beyond is refused, 0 = no limit",
    ),
    field("retention.audit_days", "days", "age of rows of the audit log, 0 = no limit"),
    field("retention.backups_daily", "days", "of which the newest backup is kept; 0 here and below = all"),
    field("retention.backups_weekly", "weeks", "of which the newest backup is kept"),
    field("retention.logs_days", "days", "age of closed files of the server's own log, 0 = no limit"),
    field(
        "retention.logs_bytes_max",
        "bytes",
        "size of the server's own log, oldest files go first, 0 = no limit",
    ),
    field(
        "backup.recipients",
        "list of age recipients (age1…)",
        "who can read backups; none: the server makes none (docs/backups.md)",
    ),
    field("backup.directory", "PATH", "where backups are kept; default .actifix/backups"),
    field("backup.every_hours", "hours", "between two backups, 1 to 672"),
    field(
        "doctor.repositories",
        "list of PATHs",
        "repositories whose commits should be scanned for secrets; default the one that the home lies in",
    ),
    field(
        "security_txt.contact",
        "list of URIs",
        "whom to tell of a security hole of this instance: mailto:, https: or tel:; none: there is no security.txt",
    ),
    field("security_txt.policy", "URL", "page with the terms of disclosure, https"),
    field("security_txt.encryption", "URI", "where the key for encrypted mail is"),
    field("security_txt.acknowledgments", "URL", "page with thanks, https"),
    field("security_txt.preferred_languages", "text", "languages, such as en, de"),
    field(
        "security_txt.expires_days",
        "1 to 364",
        "days until the file expires, counted from today; default 180",
    ),
];

/// The known key nearest to `unknown`, or a section if it is none of a key, if one is near enough to be meant.
pub fn nearest(unknown: &str) -> Option<&'static str> {
    let candidate = |field: &Field| -> &'static str {
        match field.key.split_once('.') {
            Some((section, _)) if !unknown.contains('.') => section,
            _ => field.key,
        }
    };
    FIELDS
        .iter()
        .map(candidate)
        .map(|candidate| (distance(unknown, candidate), candidate))
        .min()
        .filter(|(distance, _)| *distance <= unknown.len().max(6) / 2)
        .map(|(_, key)| key)
}

/// Whether `name` is a section.
pub fn is_section(name: &str) -> bool {
    FIELDS.iter().any(|field| field.key.split_once('.').is_some_and(|(section, _)| section == name))
}

/// The known key that `key` is, with `*` for one free segment.
pub fn known(key: &str) -> Option<&'static Field> {
    FIELDS.iter().find(|field| {
        let mut ours = field.key.split('.');
        let mut theirs = key.split('.');
        loop {
            match (ours.next(), theirs.next()) {
                (None, None) => return true,
                (Some("*"), Some(name)) if !name.is_empty() => {}
                (Some(a), Some(b)) if a == b => {}
                _ => return false,
            }
        }
    })
}

/// Edit distance (Levenshtein), for hints only.
pub(super) fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, ca) in a.chars().enumerate() {
        let mut diagonal = i;
        let mut left = i + 1;
        let mut next = vec![left];
        for (cb, up) in b.iter().zip(row.iter().skip(1)) {
            let cost = diagonal + usize::from(ca != *cb);
            diagonal = *up;
            left = cost.min(*up + 1).min(left + 1);
            next.push(left);
        }
        row = next;
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    #[test]
    fn the_table_and_the_struct_name_the_same_keys() {
        let mut config = Config::default();
        config.server.public_url = Some("http://x".into());
        config.listeners = config.listeners();
        let tls = crate::config::TlsConfig { cert: "c".into(), key: "k".into() };
        config.listeners.get_mut("default").unwrap().tls = Some(tls);
        config.outbound.extra_ca = Some("ca".into());
        config.backup.directory = Some("d".into());
        let some = || Some("x".to_owned());
        let contact = &mut config.security_txt;
        (contact.policy, contact.encryption) = (some(), some());
        (contact.acknowledgments, contact.preferred_languages) = (some(), some());
        config.oidc.issuer = Some("https://x".into());
        config.oidc.client_id = Some("x".into());
        config.oidc.client_secret = Some("env:X".parse().unwrap());
        let table = toml::Table::try_from(&config).unwrap();
        let mut from_struct = Vec::new();
        flatten("", &table, &mut from_struct);
        let mut from_table: Vec<String> = FIELDS.iter().map(|field| field.key.to_owned()).collect();
        from_struct.sort();
        from_table.sort();
        assert_eq!(from_struct, from_table);
    }

    fn flatten(prefix: &str, table: &toml::Table, out: &mut Vec<String>) {
        for (name, value) in table {
            let name = if prefix == "listeners." { "*" } else { name };
            match value.as_table() {
                Some(inner) => flatten(&format!("{prefix}{name}."), inner, out),
                None => out.push(format!("{prefix}{name}")),
            }
        }
    }

    #[test]
    fn a_typo_is_answered_with_the_nearest_key() {
        assert_eq!(nearest("throttle.enable"), Some("throttle.enabled"));
        assert_eq!(nearest("sever.public_url"), Some("server.public_url"));
        assert_eq!(nearest("listener"), Some("listeners"));
        assert_eq!(nearest("x"), None);
    }
}
