//! Which web pages may send with a key, and which of them may read the answer (`ingest.md` §5).

/// What a key says about a request's origin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OriginVerdict {
    /// Accepted; `echo` tells whether the page may read the answer.
    Accept {
        /// Put the origin into `Access-Control-Allow-Origin`.
        echo: bool,
        /// The key does not list it: named in the project's page.
        unlisted: bool,
    },
    /// Refused with 403.
    Refuse,
}

/// Longest origin that is looked at, bytes.
const ORIGIN_BYTES_MAX: usize = 300;

/// Judges a request with this `Origin` (or else `Referer`) header.
pub fn judge(allowed: &[String], origin: Option<&str>, referer: Option<&str>) -> OriginVerdict {
    let from_referer = || referer.and_then(origin_of_url);
    let Some(origin) = origin.map(str::to_owned).or_else(from_referer) else {
        return OriginVerdict::Accept { echo: false, unlisted: false };
    };
    if allowed.is_empty() {
        let local = is_localhost(&origin);
        return OriginVerdict::Accept { echo: local, unlisted: !local };
    }
    if allowed.iter().any(|entry| matches_entry(entry, &origin)) {
        OriginVerdict::Accept { echo: true, unlisted: false }
    } else {
        OriginVerdict::Refuse
    }
}

/// Whether a text may stand in a key's list.
pub fn is_valid_entry(entry: &str) -> bool {
    if entry == "any" {
        return true;
    }
    if let Some(host) = entry.strip_prefix("*.") {
        return is_host(host) && host.contains('.');
    }
    normal(entry).is_some_and(|normal| normal == entry.to_ascii_lowercase())
}

fn matches_entry(entry: &str, origin: &str) -> bool {
    if entry == "any" {
        return true;
    }
    let Some(origin) = normal(origin) else { return false };
    if let Some(suffix) = entry.strip_prefix("*.") {
        let host = host_of(&origin);
        let suffix = suffix.to_ascii_lowercase();
        return host.strip_suffix(suffix.as_str()).is_some_and(|head| head.len() > 1 && head.ends_with('.'));
    }
    entry.eq_ignore_ascii_case(&origin)
}

/// `scheme://host[:port]` in lower case without a default port; none for `null`, files and malformed text.
fn normal(origin: &str) -> Option<String> {
    if origin.len() > ORIGIN_BYTES_MAX {
        return None;
    }
    let lower = origin.to_ascii_lowercase();
    let (scheme, rest) = lower.split_once("://")?;
    if !matches!(scheme, "http" | "https") || rest.is_empty() || rest.contains(['/', '?', '#', '@', '\\', ' ']) {
        return None;
    }
    let (host, port) = split_port(rest)?;
    if !(is_host(host) || is_bracketed_v6(host)) {
        return None;
    }
    Some(match (scheme, port) {
        (_, None) | ("http", Some(80)) | ("https", Some(443)) => format!("{scheme}://{host}"),
        (_, Some(port)) => format!("{scheme}://{host}:{port}"),
    })
}

fn split_port(authority: &str) -> Option<(&str, Option<u16>)> {
    let after_v6 = authority.rfind(']').map_or(0, |end| end + 1);
    match authority.get(after_v6..)?.rfind(':') {
        None => Some((authority, None)),
        Some(colon) => {
            let port = authority.get(after_v6 + colon + 1..)?;
            Some((authority.get(..after_v6 + colon)?, Some(port.parse().ok()?)))
        }
    }
}

fn is_host(host: &str) -> bool {
    !host.is_empty()
        && host.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_'))
        && !host.starts_with('.')
        && !host.ends_with('.')
}

fn is_bracketed_v6(host: &str) -> bool {
    host.strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
        .is_some_and(|inner| inner.parse::<std::net::Ipv6Addr>().is_ok())
}

fn host_of(normal_origin: &str) -> &str {
    let rest = normal_origin.split_once("://").map_or(normal_origin, |(_, rest)| rest);
    split_port(rest).map_or(rest, |(host, _)| host)
}

fn is_localhost(origin: &str) -> bool {
    normal(origin).is_some_and(|normal| matches!(host_of(&normal), "localhost" | "127.0.0.1" | "[::1]"))
}

/// The origin of a URL, without anything after the authority.
fn origin_of_url(url: &str) -> Option<String> {
    let (scheme, rest) = url.split_once("://")?;
    let authority = rest.split(['/', '?', '#']).next()?;
    let authority = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    Some(format!("{scheme}://{authority}"))
}

/// Whether the origin may be named to people: short and well-formed.
pub fn nameable(origin: &str) -> Option<String> {
    normal(origin)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(allowed: &[&str], origin: Option<&str>) -> OriginVerdict {
        let allowed: Vec<String> = allowed.iter().map(|entry| (*entry).to_owned()).collect();
        judge(&allowed, origin, None)
    }

    const ECHOED: OriginVerdict = OriginVerdict::Accept { echo: true, unlisted: false };
    const SILENT: OriginVerdict = OriginVerdict::Accept { echo: false, unlisted: true };

    #[test]
    fn an_empty_list_accepts_all_and_shows_answers_to_localhost_only() {
        for origin in ["http://localhost:3000", "https://127.0.0.1", "http://[::1]:8080", "HTTP://LocalHost"] {
            assert_eq!(verdict(&[], Some(origin)), ECHOED, "{origin}");
        }
        for origin in
            ["https://shop.example.net", "http://localhost.evil.example", "https://evil-localhost", "null", "file://", "http://localhost@evil.example"]
        {
            assert_eq!(verdict(&[], Some(origin)), SILENT, "{origin}");
        }
    }

    #[test]
    fn a_list_admits_only_what_it_names() {
        let list = ["https://shop.example.net", "*.example.org"];
        for origin in ["https://shop.example.net", "https://shop.example.net:443", "http://a.example.org", "https://a.b.example.org:8443"] {
            assert_eq!(verdict(&list, Some(origin)), ECHOED, "{origin}");
        }
        for origin in [
            "http://shop.example.net",
            "https://shop.example.net:8443",
            "https://shop.example.net.evil.example",
            "https://example.org",
            "https://evilexample.org",
            "null",
            "https://shopxexample.net",
        ] {
            assert_eq!(verdict(&list, Some(origin)), OriginVerdict::Refuse, "{origin}");
        }
        assert_eq!(verdict(&list, None), OriginVerdict::Accept { echo: false, unlisted: false });
        assert_eq!(verdict(&["any"], Some("null")), ECHOED);
    }

    #[test]
    fn the_referer_stands_in_for_a_missing_origin() {
        let list = vec!["https://shop.example.net".to_owned()];
        assert_eq!(judge(&list, None, Some("https://shop.example.net/pay?token=x")), ECHOED);
        assert_eq!(judge(&list, None, Some("https://evil.example/")), OriginVerdict::Refuse);
    }

    #[test]
    fn entries_are_checked_when_they_are_set() {
        for good in ["any", "https://shop.example.net", "http://localhost:3000", "*.example.net"] {
            assert!(is_valid_entry(good), "{good}");
        }
        for bad in ["*", "", "null", "https://", "https://a/b", "*.net", "https://a.example.net/", "ftp://a.example", "https://u@a.example", "*.*.example"] {
            assert!(!is_valid_entry(bad), "{bad}");
        }
    }
}
