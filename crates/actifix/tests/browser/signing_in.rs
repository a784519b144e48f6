//! Signing in and out, as people and as those who want to send people elsewhere.

use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::json;
use totp_rs::{Builder, Secret, Totp};

use crate::drives::{self, assert_drove};
use crate::harness::Server;
use crate::people::{OTHER, PASSWORD, login, user};
use crate::stage::Stage;
use crate::visitor::{PHONE, Visitor, encoded};
use crate::webdriver::Scripts;

/// Where a page after the login would lead away: what browsers, not the RFC, make of it.
const ELSEWHERE: [&str; 12] = [
    "//evil.example",
    "///evil.example",
    "/\\evil.example",
    "\\\\evil.example",
    "https://evil.example/",
    "https:evil.example",
    "javascript:document.body.dataset.ran=1",
    "/%5Cevil.example",
    "/%2Fevil.example",
    "/\t/evil.example",
    "/\n//evil.example",
    "//127.0.0.1@evil.example",
];

fn submit(visitor: &Visitor, name: &str, password: &str) {
    visitor.fill("[name=username]", name);
    visitor.fill("[name=password]", password);
    visitor.follow("button[type=submit]");
}

#[test]
fn a_person_signs_in_after_a_mistake_and_out_again() {
    for scripts in [Scripts::On, Scripts::Off] {
        let stage = Stage::empty();
        let ticket = stage.ticket("PaymentError", "card declined");
        let mut visitor = Visitor::with(stage.server.address, scripts);
        // A page that wants a person sends there, and back.
        visitor.open(&format!("/tickets/{ticket}"));
        assert_eq!(visitor.path(), format!("/login?next={}", encoded(&format!("/tickets/{ticket}"))));
        visitor.check();
        visitor.expect_refusal(401);
        submit(&visitor, "admin", "not the right one");
        visitor.see("p[@role='alert']", "is wrong");
        let page = visitor.check();
        assert!(!page.contains("not the right one"), "{page}");
        assert_eq!(visitor.run("return document.querySelector('[name=password]').value"), "");
        visitor.fill("[name=password]", PASSWORD);
        visitor.follow("button[type=submit]");
        visitor.see("h1", "PaymentError");
        assert_eq!(visitor.path(), format!("/tickets/{ticket}"));
        // Scripts of a page cannot read the session.
        assert_eq!(visitor.run("return document.cookie"), "");
        visitor.check();
        visitor.click("header details.wide > summary");
        visitor.follow_words("button", "Sign out");
        visitor.see("h1", "Sign in");
        assert_eq!(visitor.path(), "/login");
        // What the back button would show is asked for anew, and refused.
        visitor.open(&format!("/tickets/{ticket}"));
        visitor.see("h1", "Sign in");
        visitor.check();
        assert_drove(&mut visitor, drives::SIGNING_IN);
    }
}

#[test]
fn the_small_menu_signs_out_too() {
    let stage = Stage::empty();
    let mut visitor = Visitor::new(stage.server.address);
    visitor.size(PHONE);
    visitor.sign_in("/tickets");
    visitor.click("header details.narrow > summary");
    visitor.check_with_axe();
    visitor.follow_words("nav[@aria-label='Main, small screen']//a", "Findings");
    visitor.see("h1", "No leaked secret");
    visitor.click("header details.narrow > summary");
    visitor.follow_words("nav//button", "Sign out admin");
    visitor.see("h1", "Sign in");
    visitor.check();
}

/// An authenticator app.
fn app(secret: &str) -> Totp {
    let secret = Secret::try_from_base32(secret).expect("a secret");
    Builder::new().with_secret(secret).build().expect("an app")
}

/// Sets up a second factor for somebody whose password is [`OTHER`]; the step of time whose code is used up with that.
/// The code of the next one is good already.
pub fn with_factor(server: &Server, name: &str) -> (Totp, u64) {
    let browser = login(server, name, OTHER);
    let begun = browser.send(server, "POST", "/api/v1/auth/totp", &json!({ "password": OTHER })).json();
    let app = app(begun["secret"].as_str().expect("a secret"));
    let step = SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock").as_secs() / 30;
    let body = json!({ "code": app.generate(step * 30).to_string() });
    let confirmed = browser.send(server, "POST", "/api/v1/auth/totp/confirm", &body);
    assert_eq!(confirmed.status, 200, "{}", confirmed.text());
    (app, step)
}

#[test]
fn a_second_factor_is_asked_for_on_a_page_of_its_own() {
    let stage = Stage::empty();
    let (home, server) = (&stage.home, &stage.server);
    user(home, "jo", "operator");
    let (app, step) = with_factor(server, "jo");
    let mut visitor = Visitor::new(server.address);
    visitor.open("/login?next=%2Fheld");
    visitor.expect_refusal(401);
    submit(&visitor, "jo", OTHER);
    visitor.see("label", "Code of the authenticator app");
    visitor.check();
    visitor.check_with_axe();
    visitor.expect_refusal(401);
    visitor.fill("[name=code]", "000000");
    visitor.follow("button[type=submit]");
    visitor.see("p[@role='alert']", "The code is wrong");
    visitor.check();
    visitor.fill("[name=code]", &app.generate((step + 1) * 30).to_string());
    visitor.follow("button[type=submit]");
    visitor.see("h1", "Nothing is held");
    assert_eq!(visitor.path(), "/held");
    visitor.check();
}

/// security.md, advisories: a path after the login that leads to another host.
#[test]
fn no_page_after_the_login_leads_away() {
    let stage = Stage::empty();
    let mut visitor = Visitor::new(stage.server.address);
    for next in ELSEWHERE {
        visitor.open(&format!("/login?next={}", encoded(next)));
        submit(&visitor, "admin", PASSWORD);
        visitor.find("header.top");
        assert_eq!(visitor.path(), "/", "{next:?}");
        visitor.check();
        // Also where the form itself was tampered with.
        visitor.open("/login");
        visitor.run(&format!("document.querySelector('[name=next]').value = {}", json!(next)));
        submit(&visitor, "admin", PASSWORD);
        visitor.find("header.top");
        assert_eq!(visitor.path(), "/", "{next:?} in the form");
        visitor.check();
    }
}
