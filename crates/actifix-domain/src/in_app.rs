//! Whose code a frame is: the application's own, or a library's (`ingest.md` §10.3).
//!
//! SDKs guess, and often wrongly; what is surely a library or the runtime is corrected here, and the
//! project's rules have the last word.

use crate::event::{Event, Frame};
use crate::function_name::{self, Language};
use crate::glob::Glob;
use crate::project::{InAppRule, RULES_MAX};

/// Crates whose frames are never the application's: the runtime and the plumbing of most services.
const NATIVE_LIBRARIES: [&str; 13] = [
    "std",
    "core",
    "alloc",
    "backtrace",
    "tokio",
    "hyper",
    "axum",
    "tower",
    "rayon",
    "anyhow",
    "futures",
    "tracing",
    "sentry",
];
const NATIVE_LIBRARY_FAMILIES: [&str; 4] = ["tokio_", "futures_", "tracing_", "sentry_"];
const NATIVE_RUNTIME_PREFIXES: [&str; 2] = ["__rust", "__libc_start"];
const NATIVE_RUNTIME: [&str; 6] = ["main", "_start", "start_thread", "clone", "clone3", "rust_begin_unwind"];
const NATIVE_LIBRARY_TRAITS: [&str; 3] = ["core::", "std::", "alloc::"];

/// Sets `in_app` of every frame of the event. Run it once, before title, culprit and grouping, which rely on it.
///
/// Rules that cannot be read match nothing; [`validate`] refuses them when they are written.
pub fn apply(event: &mut Event, rules: &[InAppRule]) {
    let rules: Vec<Rule> = rules.iter().take(RULES_MAX).filter_map(|rule| Rule::parse(rule).ok()).collect();
    let language = Language::of_event(event);
    for frame in event.stacktraces_mut().flat_map(|stack| stack.frames.iter_mut()) {
        let language = Language::or(frame, language);
        let by_rule = rules.iter().rev().find(|rule| rule.matches(language, frame)).map(|rule| rule.in_app);
        let decided = by_rule.unwrap_or_else(|| frame.in_app.unwrap_or(true) && !is_library(language, frame));
        frame.in_app = Some(decided);
    }
}

/// Whether a rule can be read.
///
/// # Errors
/// What is wrong with it, in words for the person who wrote it.
pub fn validate(rule: &InAppRule) -> Result<(), String> {
    Rule::parse(rule).map(drop)
}

/// One rule, read.
struct Rule {
    field: Field,
    glob: Glob,
    in_app: bool,
}

#[derive(Clone, Copy)]
enum Field {
    Path,
    Module,
    Function,
}

impl Rule {
    fn parse(rule: &InAppRule) -> Result<Self, String> {
        const EXPECTED: &str = "write path:, module: or function: and a pattern, such as path:*/vendor/*";
        let (field, pattern) = rule.matcher.split_once(':').ok_or(EXPECTED)?;
        let field = match field {
            "path" => Field::Path,
            "module" => Field::Module,
            "function" => Field::Function,
            _ => return Err(EXPECTED.to_owned()),
        };
        Ok(Self { field, glob: Glob::parse(pattern, false)?, in_app: rule.in_app })
    }

    fn matches(&self, language: Language, frame: &Frame) -> bool {
        let given = |text: &Option<String>| text.as_deref().is_some_and(|text| self.glob.matches(text));
        match self.field {
            Field::Path => given(&frame.filename) || given(&frame.abs_path),
            Field::Module => given(&frame.module),
            Field::Function => frame.function.as_deref().is_some_and(|function| {
                self.glob.matches(function)
                    || self.glob.matches(&function_name::normalize(language, function))
            }),
        }
    }
}

fn is_library(language: Language, frame: &Frame) -> bool {
    let path = |path: &Option<String>| path.as_deref().is_some_and(is_library_path);
    let function = frame.function.as_deref().unwrap_or_default();
    path(&frame.filename)
        || path(&frame.abs_path)
        || function.contains("sentryWrapped")
        || language == Language::Native && is_library_function(function)
}

/// One walk over the path: each known part is looked for only at its telling character.
fn is_library_path(path: &str) -> bool {
    const BEFORE_SLASH: [&[u8]; 5] =
        [b"node_modules", b"site-packages", b"dist-packages", b"vendor", b"cargo/registry"];
    const AT_SLASH: [&[u8]; 5] =
        [b"/gems/", b"/rustc/", b"/lib/ruby/", b"/usr/local/go/src/", b"/go/pkg/mod/"];
    const LIB_PYTHON: &[u8] = b"/lib/python";
    if path == "<anonymous>" {
        return true;
    }
    let bytes = path.as_bytes();
    bytes.iter().enumerate().any(|(at, byte)| {
        let (before, rest) = bytes.split_at(at);
        match byte {
            b'/' => {
                BEFORE_SLASH.iter().any(|part| before.ends_with(part))
                    || AT_SLASH.iter().any(|part| rest.starts_with(part))
                    || rest.starts_with(LIB_PYTHON)
                        && rest.get(LIB_PYTHON.len()).is_some_and(u8::is_ascii_digit)
            }
            b':' => before.ends_with(b"node"),
            b'<' => rest.starts_with(b"<frozen "),
            b'[' => rest.starts_with(b"[native code]"),
            _ => false,
        }
    })
}

fn is_library_function(function: &str) -> bool {
    let path = function.trim_start_matches(['<', '&']);
    let crate_name = path.split("::").next().unwrap_or_default();
    NATIVE_LIBRARIES.contains(&crate_name)
        || NATIVE_LIBRARY_FAMILIES.iter().any(|family| crate_name.starts_with(family))
        || NATIVE_RUNTIME_PREFIXES.iter().any(|prefix| function.starts_with(prefix))
        || NATIVE_RUNTIME.contains(&function)
        || is_library_trait(function)
        || is_location(function)
}

/// `<… as core::…>`: code that the standard library's traits call.
fn is_library_trait(function: &str) -> bool {
    let Some(inner) = function.strip_prefix('<') else { return false };
    let mut depth = 0usize;
    let mut before = 0u8;
    for (at, byte) in inner.bytes().enumerate() {
        match byte {
            b'<' => depth += 1,
            b'>' if before == b'-' => {}
            b'>' if depth == 0 => return false,
            b'>' => depth -= 1,
            b' ' if depth == 0 => {
                let name = inner.get(at..).and_then(|rest| rest.strip_prefix(" as "));
                if name.is_some_and(|name| NATIVE_LIBRARY_TRAITS.iter().any(|known| name.starts_with(known)))
                {
                    return true;
                }
            }
            _ => {}
        }
        before = byte;
    }
    false
}

/// `at /rustc/…/panic.rs:359:14`: a location that the SDK's parser took for a function.
fn is_location(function: &str) -> bool {
    let Some(rest) = function.find("at /").and_then(|at| function.get(at..)) else { return false };
    let mut numbers = 0;
    for part in rest.split(':').skip(1) {
        // The last part may be followed by other text; both numbers must begin their part.
        let digits = part.bytes().take_while(u8::is_ascii_digit).count();
        if digits > 0 && numbers == 1 {
            return true;
        }
        numbers = usize::from(digits > 0 && digits == part.len());
    }
    false
}

#[cfg(test)]
mod tests {
    use super::{apply, validate};
    use crate::event::{Event, Exception, Frame, Stacktrace};
    use crate::project::InAppRule;

    fn decide(platform: &str, frame: Frame, rules: &[(&str, bool)]) -> bool {
        let rules: Vec<InAppRule> = rules
            .iter()
            .map(|(matcher, in_app)| InAppRule { matcher: (*matcher).to_owned(), in_app: *in_app })
            .collect();
        let stacktrace = Some(Stacktrace { frames: vec![frame], ..Stacktrace::default() });
        let mut event = Event {
            platform: Some(platform.to_owned()),
            exception: vec![Exception { stacktrace, ..Exception::default() }],
            ..Event::default()
        };
        apply(&mut event, &rules);
        event.exception[0].stacktrace.as_ref().unwrap().frames[0].in_app.unwrap()
    }

    fn path(path: &str) -> Frame {
        Frame { abs_path: Some(path.to_owned()), in_app: Some(true), ..Frame::default() }
    }

    fn function(function: &str) -> Frame {
        Frame { function: Some(function.to_owned()), ..Frame::default() }
    }

    #[test]
    fn libraries_are_told_by_their_path_whatever_the_sdk_says() {
        for library in [
            "/srv/node_modules/x/y.js",
            "/venv/lib/python3.11/site-packages/flask/app.py",
            "/usr/lib/python3/dist-packages/x.py",
            "/usr/local/lib/python3.11/threading.py",
            "/var/gems/rack/x.rb",
            "/app/vendor/autoload.php",
            "node:internal/timers",
            "<frozen importlib._bootstrap>",
            "[native code]",
            "/rustc/59807616e1/library/std/src/rt.rs",
            "/build/cargo/registry/src/x.rs",
            "/usr/lib/ruby/3.2.0/net/http.rb",
            "/usr/local/go/src/net/http/server.go",
            "/home/ci/go/pkg/mod/github.com/x/y.go",
            "<anonymous>",
        ] {
            assert!(!decide("other", path(library), &[]), "{library}");
        }
        for own in ["/srv/lib/pythonic.py", "/srv/Vendor/x", "/srv/gemstone/x.rb", "src/node.js"] {
            assert!(decide("other", path(own), &[]), "{own}");
        }
        assert!(!decide("python", Frame { in_app: Some(false), ..path("/srv/x.py") }, &[]));
        assert!(!decide("javascript", function("HTMLButtonElement.sentryWrapped"), &[]));
    }

    #[test]
    fn native_libraries_are_told_by_function() {
        for library in [
            "std::rt::lang_start",
            "<std::backtrace::Backtrace>::capture",
            "<&core::fmt::X>::y",
            "tokio_util::x",
            "sentry_core::hub::Hub::with",
            "__rust_try",
            "__libc_start_main_impl",
            "main",
            "clone3",
            "<app::Cart as core::ops::Drop>::drop",
            "at /srv/worker/src/panic.rs:359:14",
        ] {
            assert!(!decide("native", function(library), &[]), "{library}");
            if !library.contains("::") {
                assert!(decide("python", function(library), &[]), "{library}");
            }
        }
        for own in [
            "rs::main",
            "tokiosk::x",
            "<app::Cart as app::Total>::total",
            "<app::W<<T as core::X>::Y> as app::Tr>::f",
            "look at /x:1",
        ] {
            assert!(decide("rust", function(own), &[]), "{own}");
        }
    }

    #[test]
    fn the_last_rule_of_the_project_that_matches_wins() {
        let rules = [("path:*/site-packages/acme/*", true), ("function:debug_*", false)];
        assert!(decide("python", path("/v/site-packages/acme/pay.py"), &rules));
        assert!(!decide("python", path("/v/site-packages/flask/app.py"), &rules));
        let both = Frame { function: Some("debug_dump".to_owned()), ..path("/v/site-packages/acme/x.py") };
        assert!(!decide("python", both, &rules));
        let module = Frame { module: Some("acme.pay".to_owned()), ..Frame::default() };
        assert!(!decide("python", module, &[("module:acme.*", false), ("nonsense", true)]));
    }

    #[test]
    fn rules_that_cannot_be_read_are_refused_with_words() {
        for bad in ["", "acme.*", "file:x", "path:"] {
            let rule = InAppRule { matcher: bad.to_owned(), in_app: true };
            assert!(validate(&rule).unwrap_err().contains("pattern"), "{bad}");
        }
    }
}
