//! Commits of a release, and which of them may have caused an error.

mod suspects;

pub use suspects::{Ranked, SUSPECTS_MAX, StackFile, own_files, rank};

use crate::time::Timestamp;
use serde::{Deserialize, Serialize};

/// Commits kept of one release: what a build sends of some weeks of work. The newest stay.
pub const COMMITS_MAX: usize = 500;
/// Changed files kept of one commit.
pub const PATHS_MAX: usize = 200;
/// Changed files kept of all commits of one release.
pub const PATHS_IN_ALL_MAX: usize = 20_000;
/// Longest path, characters; longer ones are left out, since a part of one names another file.
pub const PATH_CHARS_MAX: usize = 500;
/// Longest message, characters; the rest is cut.
pub const MESSAGE_CHARS_MAX: usize = 1_000;
/// Longest name or address of an author, characters; the rest is cut.
pub const AUTHOR_CHARS_MAX: usize = 128;
/// Longest address of a repository, bytes.
const REPOSITORY_BYTES_MAX: usize = 300;

/// One commit. All but its id and time is text of whoever wrote it, redacted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Commit {
    /// Its id, hex.
    pub id: String,
    /// Who wrote it.
    pub author: Option<String>,
    /// Their e-mail address: only where the project keeps personal data.
    pub author_email: Option<String>,
    /// What they said.
    pub message: String,
    /// When it was made, as its author's clock said.
    pub at: Option<Timestamp>,
    /// Files that it changed.
    pub paths: Vec<String>,
    /// Files beyond the bounds.
    pub paths_left_out: u32,
}

/// Whether `text` is the id of a commit, whole or shortened.
pub fn is_valid_id(text: &str) -> bool {
    (7..=64).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// The address of a repository as links begin with it: `https://host/path`, without `.git` and a slash at its end.
/// Plain characters only: whatever it is put into, it is an address and nothing else.
///
/// # Errors
/// What is expected instead.
pub fn repository(text: &str) -> Result<String, &'static str> {
    const EXPECTED: &str = "an https address of a repository, such as https://github.com/acme/shop";
    let address = text.trim().trim_end_matches('/');
    let address = address.strip_suffix(".git").unwrap_or(address);
    let (host, path) =
        address.strip_prefix("https://").and_then(|rest| rest.split_once('/')).ok_or(EXPECTED)?;
    let (name, port) = host.split_once(':').unwrap_or((host, "443"));
    let label = |label: &str| {
        !label.is_empty() && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    let part = |part: &str| {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
        !matches!(part, "" | "." | "..") && part.bytes().all(plain)
    };
    let fits = address.len() <= REPOSITORY_BYTES_MAX
        && name.split('.').all(label)
        && port.parse::<u16>().is_ok_and(|port| port > 0)
        && path.split('/').all(part);
    if fits { Ok(address.to_owned()) } else { Err(EXPECTED) }
}

/// How builds name a repository: its address without the host, `acme/shop`.
pub fn repository_name(repository: &str) -> Option<&str> {
    repository.strip_prefix("https://")?.split_once('/').map(|(_, name)| name)
}

/// The page of a commit, as GitHub, GitLab, Bitbucket, or Gitea and what is like it name it; none for what is no id.
pub fn link(repository: &str, id: &str) -> Option<String> {
    let host = repository.strip_prefix("https://")?.split('/').next()?;
    let form = if host.contains("gitlab") {
        "-/commit"
    } else if host.contains("bitbucket") {
        "commits"
    } else {
        "commit"
    };
    is_valid_id(id).then(|| format!("{repository}/{form}/{id}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repositories_are_plain_https_addresses() {
        for (given, kept) in [
            ("https://github.com/acme/shop", "https://github.com/acme/shop"),
            (" https://github.com/acme/shop.git ", "https://github.com/acme/shop"),
            ("https://git.example.net:8443/a/b/c/", "https://git.example.net:8443/a/b/c"),
        ] {
            assert_eq!(repository(given), Ok(kept.to_owned()));
        }
        let long = format!("https://github.com/{}", "x".repeat(300));
        for bad in [
            "",
            "http://github.com/acme/shop",
            "javascript:alert(1)",
            "https://github.com",
            "https://github.com/",
            "https://user:pass@github.com/acme/shop",
            "https://github.com/acme/shop?x=1",
            "https://github.com/acme/shop#x",
            "https://github.com/acme/../shop",
            "https://github.com//shop",
            "https://github.com/a\"b",
            "https://github.com/a b",
            "https://github.com:0/acme",
            "https://-/\\evil",
            "https://github..com/acme",
            "git@github.com:acme/shop.git",
            &long,
        ] {
            assert!(repository(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn links_are_of_the_form_of_the_host() {
        let id = "8be41d0aa1";
        for (repository, expected) in [
            ("https://github.com/acme/shop", "https://github.com/acme/shop/commit/8be41d0aa1"),
            ("https://gitlab.example.net/a/b", "https://gitlab.example.net/a/b/-/commit/8be41d0aa1"),
            ("https://codeberg.org/a/b", "https://codeberg.org/a/b/commit/8be41d0aa1"),
            ("https://bitbucket.org/a/b", "https://bitbucket.org/a/b/commits/8be41d0aa1"),
        ] {
            assert_eq!(link(repository, id).as_deref(), Some(expected));
            assert_eq!(link(repository, "main\"><script>"), None);
        }
    }

    #[test]
    fn ids_are_hex() {
        for good in ["8be41d0", &"a".repeat(40), &"F".repeat(64)] {
            assert!(is_valid_id(good), "{good}");
        }
        for bad in ["", "8be41d", "main", "--upload-pack", &"a".repeat(65)] {
            assert!(!is_valid_id(bad), "{bad}");
        }
    }

    #[test]
    fn a_repository_is_called_by_its_address_without_the_host() {
        assert_eq!(repository_name("https://github.com/acme/shop"), Some("acme/shop"));
        assert_eq!(repository_name("https://git.example.net:8443/a/b/c"), Some("a/b/c"));
        assert_eq!(repository_name("acme/shop"), None);
    }
}
