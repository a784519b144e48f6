//! A person with a browser, who also notices what people do not see: what the page policy refused, whom the page asked,
//! what the console says, what axe-core finds.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::PathBuf;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::people::PASSWORD;
use crate::webdriver::{Element, Scripts, Session};

/// Widths that are looked at: a desk, two telephones.
pub const DESK: u32 = 1280;
pub const PHONE: u32 = 390;
pub const SMALL_PHONE: u32 = 360;
/// Bytes of HTML that a page may have.
const PAGE_BYTES_MAX: u64 = 60_000;
/// The same for the page of an event that is as large as it may be in every part.
pub const LARGEST_PAGE_BYTES_MAX: u64 = 300_000;
/// Rules of axe-core that a page of any size is judged by; fewer mean that it did not run.
const AXE_RULES_MIN: u64 = 15;

/// Collects what the page policy refuses, from before the first byte of a page.
const WATCH: &str = "window.brokenPolicies = []; document.addEventListener('securitypolicyviolation', \
    (event) => window.brokenPolicies.push(event.violatedDirective + ' ' + event.blockedURI), true);";

/// A browser on one server.
pub struct Visitor {
    pub session: Session,
    base: String,
    /// Console messages of answers that are errors on purpose.
    expected: Option<u16>,
    /// Bytes of HTML that a page may have.
    pub bytes_max: u64,
    /// Forms that were sent so far: path and act.
    sent: BTreeSet<(String, String)>,
    // After the session, which ends before its profile is removed.
    _profile: TempDir,
}

impl Visitor {
    pub fn new(server: SocketAddr) -> Self {
        Self::with(server, Scripts::On)
    }

    pub fn with(server: SocketAddr, scripts: Scripts) -> Self {
        let profile = tempfile::tempdir().expect("a temporary directory");
        let session = Session::open(profile.path(), scripts).unwrap_or_else(|error| panic!("{error:#}"));
        let watch = json!({ "source": WATCH });
        session.devtools("Page.addScriptToEvaluateOnNewDocument", &watch).expect("a watcher");
        let visitor = Self {
            session,
            base: format!("http://{server}"),
            expected: None,
            bytes_max: PAGE_BYTES_MAX,
            sent: BTreeSet::new(),
            _profile: profile,
        };
        visitor.size(DESK);
        // What a new tab of Chromium loads is nobody's page.
        visitor.session.go("about:blank").expect("an empty page");
        visitor.session.log("performance").expect("a log");
        visitor.session.log("browser").expect("a log");
        visitor
    }

    #[track_caller]
    pub fn size(&self, width: u32) {
        self.session.resize(width, if width == DESK { 900 } else { 844 }).expect("a size");
    }

    #[track_caller]
    pub fn dark(&self, dark: bool) {
        self.session.prefer_dark(dark).expect("a theme");
    }

    /// Opens a page of the server.
    #[track_caller]
    pub fn open(&self, path: &str) {
        self.session.go(&format!("{}{path}", self.base)).unwrap_or_else(|error| panic!("{path}: {error:#}"));
    }

    /// As [`Visitor::open`] for a page whose status is no success, which the console says too.
    #[track_caller]
    pub fn open_refused(&mut self, path: &str, status: u16) {
        self.expected = Some(status);
        self.open(path);
    }

    /// The next answer will be refused with this status.
    pub fn expect_refusal(&mut self, status: u16) {
        self.expected = Some(status);
    }

    /// Path and query of the page.
    #[track_caller]
    pub fn path(&self) -> String {
        let url = self.session.url().expect("an address");
        url.strip_prefix(&self.base).unwrap_or_else(|| panic!("left for {url}")).to_owned()
    }

    /// Waits for an element.
    #[track_caller]
    pub fn find(&self, selector: &str) -> Element {
        self.session.find(selector).unwrap_or_else(|error| panic!("{error:#}\non {}", self.where_we_are()))
    }

    /// Waits for an element of this kind that holds these words.
    #[track_caller]
    pub fn see(&self, element: &str, words: &str) -> Element {
        let path = format!("//{element}[contains(normalize-space(.), {})]", quoted(words));
        self.session.find_xpath(&path).unwrap_or_else(|error| panic!("{error:#}\non {}", self.where_we_are()))
    }

    /// Clicks on the first element that fits; the page stays.
    #[track_caller]
    pub fn click(&self, selector: &str) {
        self.click_on(&self.find(selector), selector);
    }

    /// Clicks on what leads to another page, and waits for that one.
    #[track_caller]
    pub fn follow(&self, selector: &str) {
        let element = self.find(selector);
        self.leave_by(|visitor| visitor.click_on(&element, selector));
    }

    /// As [`Visitor::follow`], for a link or button with these words.
    #[track_caller]
    pub fn follow_words(&self, element: &str, words: &str) {
        let found = self.see(element, words);
        self.leave_by(|visitor| visitor.click_on(&found, words));
    }

    /// Presses keys that lead to another page, and waits for that one.
    #[track_caller]
    pub fn leave_by_keys(&self, keys: &str) {
        self.leave_by(|visitor| visitor.press(keys));
    }

    /// The present document is marked; what comes after it is not.
    #[track_caller]
    fn leave_by(&self, act: impl FnOnce(&Self)) {
        self.run("document.documentElement.dataset.left = ''");
        act(self);
        self.find("html:not([data-left]) body");
    }

    #[track_caller]
    fn click_on(&self, element: &Element, what: &str) {
        // Away from the bars that stick to the edges, as a person scrolls.
        let scroll = "arguments[0].scrollIntoView({ block: 'center', behavior: 'instant' })";
        self.session
            .run(scroll, &[element.to_json()])
            .and_then(|_| self.session.click(element))
            .unwrap_or_else(|error| panic!("{what}: {error:#}\non {}", self.where_we_are()));
    }

    /// Fills a field anew.
    #[track_caller]
    pub fn fill(&self, selector: &str, text: &str) {
        let field = self.find(selector);
        self.session.clear(&field).expect("an empty field");
        self.session.enter(&field, text).expect("a filled field");
    }

    /// Chooses from a list by what is read there.
    #[track_caller]
    pub fn choose(&self, selector: &str, words: &str) {
        let list = self.find(selector);
        self.session.enter(&list, words).expect("a choice");
        let shown = self.run(&format!(
            "return document.querySelector({}).selectedOptions[0].textContent.trim()",
            json!(selector)
        ));
        assert_eq!(shown, words, "{selector}");
    }

    #[track_caller]
    pub fn press(&self, keys: &str) {
        self.session.press(keys).expect("pressed keys");
    }

    #[track_caller]
    pub fn text(&self, selector: &str) -> String {
        self.session.text(&self.find(selector)).expect("text")
    }

    /// Runs the body of a function in the page.
    #[track_caller]
    pub fn run(&self, script: &str) -> Value {
        self.session.run(script, &[]).unwrap_or_else(|error| panic!("{script}: {error:#}"))
    }

    /// Signs in as the administrator, and is then on the page `next`.
    #[track_caller]
    pub fn sign_in(&self, next: &str) {
        self.open(&format!("/login?next={}", encoded(next)));
        self.fill("[name=username]", "admin");
        self.fill("[name=password]", PASSWORD);
        self.follow("button[type=submit]");
        self.find("header.top");
        assert_eq!(self.path(), next);
    }

    /// What every page must be at any width and with any setting; gives its text.
    #[track_caller]
    pub fn check(&mut self) -> String {
        let (text, problems) = self.inspect();
        assert!(problems.is_empty(), "{}", problems.join("\n"));
        text
    }

    /// The text of the page, and what is wrong with it.
    #[track_caller]
    pub fn inspect(&mut self) -> (String, Vec<String>) {
        let found = self.run(include_str!("inspect.js"));
        let mut problems = Vec::new();
        if found["heads"] != 1 {
            problems.push(format!("{} headings of the first rank", found["heads"]));
        }
        if found["language"] != "en" {
            problems.push(format!("its language is {}", found["language"]));
        }
        let overflow = found["overflow"].as_i64().expect("a width");
        if overflow > 0 {
            problems.push(format!("{overflow} px wider than the window: {}", found["beyond"]));
        }
        let bytes = found["bytes"].as_u64().expect("a size");
        if bytes > self.bytes_max {
            problems.push(format!("{bytes} bytes of HTML"));
        }
        for (what, why) in [
            ("elsewhere", "points at others"),
            ("broken", "was refused by the page policy"),
            ("ran", "ran a script of an event"),
        ] {
            if found[what] != json!([]) {
                problems.push(format!("{why}: {}", found[what]));
            }
        }
        problems.extend(self.heard());
        let page = self.where_we_are();
        let problems = problems.into_iter().map(|problem| format!("{page}: {problem}")).collect();
        (found["text"].as_str().expect("text").to_owned(), problems)
    }

    /// Whom else the page asked, and what the console says.
    #[track_caller]
    pub fn heard(&mut self) -> Vec<String> {
        let mut problems = Vec::new();
        let expected = self.expected.take();
        for entry in self.session.log("performance").expect("a log") {
            let message = entry["message"].as_str().expect("a message");
            let event: Value = serde_json::from_str(message).expect("an event in JSON");
            let event = &event["message"];
            let url = match event["method"].as_str() {
                Some("Network.requestWillBeSent") => &event["params"]["request"]["url"],
                Some("Network.webSocketCreated" | "Network.webTransportCreated") => &event["params"]["url"],
                _ => continue,
            };
            let url = url.as_str().expect("an address");
            match url.strip_prefix(&self.base).filter(|path| path.starts_with('/')) {
                None => problems.push(format!("asked for {url}")),
                Some(path) if event["params"]["request"]["method"] == "POST" => {
                    let form = event["params"]["request"]["postData"].as_str().expect("a form");
                    self.sent.insert((path.to_owned(), act_of(form)));
                }
                Some(_) => {}
            }
        }
        for entry in self.session.log("browser").expect("a log") {
            let message = entry["message"].as_str().expect("a message");
            // The browser reports every answer that is no success; one was asked for.
            if !expected.is_some_and(|status| message.contains(&format!("a status of {status}"))) {
                problems.push(format!("the console says {message}"));
            }
        }
        problems
    }

    /// The forms that were sent so far: path, with its query, and act.
    #[track_caller]
    pub fn sent(&mut self) -> BTreeSet<(String, String)> {
        assert_eq!(self.heard(), Vec::<String>::new());
        self.sent.clone()
    }

    /// Nothing that axe-core could find, of any weight.
    #[track_caller]
    pub fn check_with_axe(&self) {
        let findings = self.axe();
        assert!(findings.is_empty(), "{}", findings.join("\n"));
    }

    /// What axe-core finds.
    #[track_caller]
    pub fn axe(&self) -> Vec<String> {
        let page = self.where_we_are();
        // As tall as the page is: what lies under a bar that sticks is judged as it is once it was scrolled to.
        let size = self.run("return [innerWidth, innerHeight, document.documentElement.scrollHeight]");
        let [width, height, whole] =
            [0, 1, 2].map(|n| u32::try_from(size[n].as_u64().expect("a length")).expect("a length"));
        self.session.resize(width, whole.max(height)).expect("a size");
        self.run(&axe_source());
        let result = self.run(include_str!("axe.js"));
        self.session.resize(width, height).expect("a size");
        assert!(result["rules"].as_u64().is_some_and(|rules| rules >= AXE_RULES_MIN), "{page}: {result}");
        let findings = result["findings"].as_array().expect("findings").iter();
        findings.filter_map(Value::as_str).map(|finding| format!("{page}: {finding}")).collect()
    }

    fn where_we_are(&self) -> String {
        self.session.url().unwrap_or_else(|error| format!("no page: {error:#}"))
    }
}

/// A string of XPath 1.0, which knows no escapes.
fn quoted(words: &str) -> String {
    if words.contains('\'') { format!("\"{words}\"") } else { format!("'{words}'") }
}

/// What a form of ours is to do; empty where it says nothing of that.
fn act_of(form: &str) -> String {
    let mut fields = url::form_urlencoded::parse(form.as_bytes());
    fields.find(|(name, _)| name == "act").map(|(_, act)| act.into_owned()).unwrap_or_default()
}

/// As it stands in a query.
pub fn encoded(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

/// axe-core as `cargo xtask install-tools` installs it.
fn axe_source() -> String {
    let installed = concat!(env!("CARGO_MANIFEST_DIR"), "/../../target/test-tools/node/node_modules");
    let modules =
        std::env::var_os("ACTIFIX_TEST_NODE_MODULES").map_or_else(|| PathBuf::from(installed), PathBuf::from);
    let path = modules.join("axe-core/axe.min.js");
    std::fs::read_to_string(&path).unwrap_or_else(|error| {
        panic!("{}: {error}: run `cargo xtask install-tools`", path.display());
    })
}
