//! Second factors: from outside, as their owner, as somebody who knows the password, and as somebody who does not.

use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use totp_rs::{Builder, Secret, Totp};

use crate::harness::{Home, Server};
use crate::http::Answer;
use crate::people::{
    Browser, OTHER, PASSWORD, bearer, cookie, login, post_login, try_login, user, with_admin_and,
};

const SECOND_FACTOR: &str = "urn:actifix:problem:second-factor";

/// These tests log in more often than the default lets one network.
const MANY: &str = "[limits]\nlogin_per_minute = 100\n";

/// An authenticator app. Its codes are asked for by time step, counted from when it was set up: of three that are good
/// at any moment the present one and the next are good long enough for a test.
struct App {
    totp: Totp,
    first_step: u64,
}

impl App {
    fn of(secret: &str) -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock").as_secs();
        let secret = Secret::try_from_base32(secret).expect("a secret");
        Self { totp: Builder::new().with_secret(secret).build().expect("an app"), first_step: now / 30 }
    }

    fn code(&self, step: u64) -> String {
        self.totp.generate((self.first_step + step) * 30).to_string()
    }
}

fn begin(browser: &Browser, server: &Server, password: &str) -> App {
    let begun = browser.send(server, "POST", "/api/v1/auth/totp", &json!({ "password": password }));
    assert_eq!(begun.status, 201, "{}", begun.text());
    let begun = begun.json();
    let (secret, uri) = (begun["secret"].as_str().expect("a secret"), begun["uri"].as_str().expect("a uri"));
    assert!(uri.starts_with("otpauth://totp/") && uri.contains(secret), "{uri}");
    App::of(secret)
}

fn enrol(browser: &Browser, server: &Server, password: &str) -> (App, Vec<String>) {
    let app = begin(browser, server, password);
    let body = json!({ "code": app.code(0) });
    let confirmed = browser.send(server, "POST", "/api/v1/auth/totp/confirm", &body);
    assert_eq!(confirmed.status, 200, "{}", confirmed.text());
    let codes = confirmed.json()["recovery_codes"].as_array().expect("codes").clone();
    (app, codes.iter().map(|code| code.as_str().expect("a code").to_owned()).collect())
}

fn with_code(server: &Server, name: &str, password: &str, code: &str) -> Answer {
    post_login(server, &json!({ "username": name, "password": password, "code": code }), None)
}

fn challenge(server: &Server, name: &str, password: &str) -> String {
    let answer = try_login(server, name, password, None);
    let problem = answer.json();
    assert_eq!((answer.status, &problem["type"]), (401, &json!(SECOND_FACTOR)), "{problem}");
    assert_eq!(answer.count("set-cookie"), 0);
    problem["challenge"].as_str().expect("a challenge").to_owned()
}

fn answer(server: &Server, challenge: &str, code: &str) -> Answer {
    post_login(server, &json!({ "challenge": challenge, "code": code }), None)
}

#[test]
fn a_second_factor_is_asked_for_after_the_password_and_each_code_is_good_once() {
    let (home, server) = with_admin_and(MANY);
    user(&home, "jo", "operator");
    let (browser, other) = (login(&server, "jo", OTHER), login(&server, "jo", OTHER));
    let access = other.access(&server);
    let (app, codes) = enrol(&browser, &server, OTHER);
    assert_eq!(codes.len(), 10);
    assert_eq!(browser.get(&server, "/api/v1/tickets").status, 200);
    assert_eq!(other.get(&server, "/api/v1/tickets").status, 401, "sessions of the password alone end");
    assert_eq!(bearer(&server, &access).status, 401, "and so does what was got for them");
    let state = browser.get(&server, "/api/v1/auth/totp").json();
    assert_eq!((&state["enabled"], &state["recovery_codes_left"]), (&json!(true), &json!(10)));
    // The code that confirmed it was used.
    let asked = challenge(&server, "jo", OTHER);
    let replayed = answer(&server, &asked, &app.code(0));
    assert_eq!((replayed.status, &replayed.json()["type"]), (401, &json!(SECOND_FACTOR)));
    let begun = answer(&server, &asked, &app.code(1));
    assert_eq!(begun.status, 200, "{}", begun.text());
    let new = Browser::of(&begun);
    assert_eq!(new.get(&server, "/api/v1/tickets").status, 200);
    assert_eq!(
        answer(&server, &asked, &app.code(1)).status,
        401,
        "a challenge does not make a code good twice"
    );
    for code in ["", "000000", "1234567", &app.code(9), &app.code(0), "abcdef", &"9".repeat(1 << 16)] {
        let refused = with_code(&server, "jo", OTHER, code);
        assert!(matches!(refused.status, 401 | 429), "{code}: {}", refused.text());
        assert_eq!(refused.count("set-cookie"), 0);
    }
    home.cli(&["user", "unlock", "jo"]).ok();
    assert_eq!(with_code(&server, "jo", OTHER, &codes[0]).status, 200, "a recovery code stands in");
    assert_eq!(with_code(&server, "jo", OTHER, &codes[0]).status, 401, "once");
    let listed = home.cli(&["user", "list", "--json"]).json();
    let jo = listed["items"].as_array().expect("items").iter().find(|item| item["name"] == "jo");
    assert_eq!(jo.expect("jo")["second_factor"], true);
    server.stop();
    // Of what was shown once nothing is anywhere, in clear.
    let secrets = [app.totp.secret().to_base32().into_bytes(), app.totp.secret().as_bytes().to_vec()];
    for secret in secrets.into_iter().chain(codes.iter().map(|code| code.clone().into_bytes())) {
        for (path, bytes) in home.files() {
            assert!(!bytes.windows(secret.len()).any(|part| part == secret), "in {}", path.display());
        }
    }
}

#[test]
fn who_has_not_got_the_password_right_does_not_learn_of_the_second_factor() {
    let (home, server) = with_admin_and(MANY);
    user(&home, "plain", "viewer");
    user(&home, "strong", "viewer");
    let (app, codes) = enrol(&login(&server, "strong", OTHER), &server, OTHER);
    let strip = |answer: &Answer| {
        let mut problem = answer.json();
        problem["request_id"] = Value::Null;
        (answer.status, problem, answer.count("set-cookie"))
    };
    let unknown = strip(&try_login(&server, "nobody", "wrong wrong wrong", None));
    assert_eq!(unknown.0, 401);
    assert_eq!(strip(&try_login(&server, "strong", "wrong wrong wrong", None)), unknown);
    for code in [app.code(1), codes[0].clone(), "000000".to_owned()] {
        assert_eq!(strip(&with_code(&server, "strong", "wrong wrong wrong", &code)), unknown);
        assert_eq!(strip(&with_code(&server, "plain", "wrong wrong wrong", &code)), unknown);
    }
    // Neither was used up by that: the password comes first.
    assert_eq!(with_code(&server, "strong", OTHER, &codes[0]).status, 200);
    assert_eq!(with_code(&server, "plain", OTHER, "000000").status, 200, "who has none may send one");
    assert_eq!(with_code(&server, "strong", OTHER, &app.code(1)).status, 200);
}

#[test]
fn a_challenge_is_nobody_elses_and_ends_with_what_it_was_made_on() {
    let (home, server) = with_admin_and(MANY);
    for name in ["jo", "al"] {
        user(&home, name, "viewer");
    }
    let (app, codes) = enrol(&login(&server, "jo", OTHER), &server, OTHER);
    let (_, of_al) = enrol(&login(&server, "al", OTHER), &server, OTHER);
    let asked = challenge(&server, "jo", OTHER);
    let (id, rest) = asked.split_once('.').expect("parts");
    let (until, mac) = rest.split_once('.').expect("parts");
    let later = until.parse::<i64>().expect("a time") + 1;
    let al = challenge(&server, "al", OTHER);
    let al_id = al.split('.').next().expect("an id");
    for forged in [
        String::new(),
        "..".to_owned(),
        id.to_owned(),
        format!("{id}.{later}.{mac}"),
        format!("{al_id}.{until}.{mac}"),
        format!("{id}.{until}."),
        format!("{id}.{until}.{mac}0"),
        format!("{id}.{}.{mac}", i64::MAX),
        format!("{}.{until}.{mac}", "0".repeat(16)),
    ] {
        let refused = answer(&server, &forged, &codes[0]);
        assert_eq!(
            (refused.status, &refused.json()["type"]),
            (401, &json!("urn:actifix:problem:401")),
            "{forged}"
        );
    }
    let other = answer(&server, &asked, &of_al[0]);
    assert_eq!(other.status, 401, "a code of somebody else");
    for body in [
        json!({}),
        json!({ "challenge": asked }),
        json!({ "challenge": asked, "code": app.code(1), "username": "jo" }),
        json!({ "username": "jo", "code": app.code(1) }),
    ] {
        assert_eq!(post_login(&server, &body, None).status, 422, "{body}");
    }
    home.cli_stdin(&["user", "passwd", "jo", "--stdin"], PASSWORD.as_bytes()).ok();
    assert_eq!(answer(&server, &asked, &codes[0]).json()["type"], "urn:actifix:problem:401");
    let asked = challenge(&server, "jo", PASSWORD);
    home.cli(&["user", "disable", "jo"]).ok();
    assert_eq!(answer(&server, &asked, &codes[0]).json()["type"], "urn:actifix:problem:401");
    home.cli(&["user", "enable", "jo"]).ok();
    assert_eq!(with_code(&server, "jo", PASSWORD, &codes[0]).status, 200, "and the code was not used up");
}

#[test]
fn cve_2025_6015_of_many_who_send_one_code_at_once_one_gets_in() {
    let (home, server) = with_admin_and(MANY);
    user(&home, "jo", "viewer");
    let (app, codes) = enrol(&login(&server, "jo", OTHER), &server, OTHER);
    for code in [app.code(1), codes[0].clone()] {
        let asked = challenge(&server, "jo", OTHER);
        let statuses: Vec<u16> = std::thread::scope(|scope| {
            let send = || answer(&server, &asked, &code).status;
            let threads: Vec<_> = (0..5).map(|_| scope.spawn(send)).collect();
            threads.into_iter().map(|thread| thread.join().expect("an answer")).collect()
        });
        assert_eq!(statuses.iter().filter(|status| **status == 200).count(), 1, "{statuses:?}");
        home.cli(&["user", "unlock", "jo"]).ok();
    }
}

#[test]
fn cve_2025_6015_codes_are_not_guessed_for_free_and_a_known_device_still_gets_in() {
    let (home, server) = with_admin_and(MANY);
    user(&home, "jo", "viewer");
    let browser = login(&server, "jo", OTHER);
    let (app, codes) = enrol(&browser, &server, OTHER);
    let asked = challenge(&server, "jo", OTHER);
    let wrong: Vec<u16> = (0..12).map(|n| answer(&server, &asked, &format!("{n:06}")).status).collect();
    assert!(wrong.iter().filter(|status| **status == 401).count() <= 8, "{wrong:?}");
    assert!(wrong.ends_with(&[429, 429]), "{wrong:?}");
    // A right password does not give the guesses back, nor does another challenge.
    assert_eq!(with_code(&server, "jo", OTHER, &codes[0]).status, 429);
    assert_eq!(answer(&server, &challenge(&server, "jo", OTHER), &codes[0]).status, 429);
    let known = json!({ "username": "jo", "password": OTHER, "code": app.code(1) });
    let begun = post_login(&server, &known, Some(&browser.device));
    assert_eq!(begun.status, 200, "{}", begun.text());
    assert!(!cookie(&begun, "actifix-device").is_empty());
    server.kill();
    let server = home.serve();
    // A restart forgives nothing: nobody begins with so many guesses that cost no wait, however long the restart took.
    let asked = challenge(&server, "jo", OTHER);
    let wrong: Vec<u16> = (0..12).map(|n| answer(&server, &asked, &format!("{n:06}")).status).collect();
    assert!(wrong.iter().filter(|status| **status == 401).count() < 5, "{wrong:?}");
    home.cli(&["user", "unlock", "jo"]).ok();
    assert_eq!(with_code(&server, "jo", OTHER, &codes[0]).status, 200);
}

#[test]
fn enrolling_and_disabling_need_the_password_and_the_code() {
    let (home, server) = with_admin_and(MANY);
    user(&home, "jo", "viewer");
    let browser = login(&server, "jo", OTHER);
    let post =
        |path: &str, body: Value| browser.send(&server, "POST", &format!("/api/v1/auth/totp{path}"), &body);
    assert_eq!(post("", json!({ "password": "wrong wrong wrong" })).status, 403);
    assert_eq!(post("", json!({})).status, 400);
    assert_eq!(post("/confirm", json!({ "code": "000000" })).status, 409, "nothing was begun");
    let first = begin(&browser, &server, OTHER);
    let app = begin(&browser, &server, OTHER);
    assert_eq!(post("/confirm", json!({ "code": first.code(0) })).status, 403, "the former secret");
    assert_eq!(browser.get(&server, "/api/v1/auth/totp").json()["enabled"], false);
    login(&server, "jo", OTHER);
    let confirmed = post("/confirm", json!({ "code": app.code(0) }));
    assert_eq!(confirmed.status, 200, "{}", confirmed.text());
    let code = confirmed.json()["recovery_codes"][0].clone();
    assert_eq!(post("", json!({ "password": OTHER })).status, 409, "one in use is not replaced");
    for (password, code) in
        [("wrong wrong wrong", code.clone()), (OTHER, json!("000000")), (OTHER, json!(app.code(0)))]
    {
        assert_eq!(post("/disable", json!({ "password": password, "code": code })).status, 403);
    }
    let renewed = post("/recovery-codes", json!({ "password": OTHER, "code": code }));
    assert_eq!(renewed.status, 200, "{}", renewed.text());
    let renewed = renewed.json()["recovery_codes"].as_array().expect("codes").clone();
    assert_eq!(renewed.len(), 10);
    assert_eq!(post("/disable", json!({ "password": OTHER, "code": renewed[0] })).status, 204);
    login(&server, "jo", OTHER);
    let log = home.cli(&["audit", "list", "--user", "jo", "--json"]).json();
    let actions: Vec<&str> =
        log["items"].as_array().expect("items").iter().filter_map(|row| row["action"].as_str()).collect();
    for action in ["totp.started", "totp.confirmed", "totp.codes_replaced", "totp.recovered", "totp.removed"]
    {
        assert!(actions.contains(&action), "{action} is not in {actions:?}");
    }
    // Tokens have no second factor, whoever holds them.
    let answer = server.call("POST", "/api/v1/auth/totp", Some(&json!({ "password": OTHER })));
    assert_eq!(answer.status, 403);
}

#[test]
fn wrong_proofs_of_an_open_session_are_limited_and_shut_nobody_out() {
    let (home, server) = with_admin_and(MANY);
    user(&home, "jo", "viewer");
    let thief = login(&server, "jo", OTHER);
    let body = json!({ "current": "wrong wrong wrong", "password": PASSWORD });
    let statuses: Vec<u16> =
        (0..8).map(|_| thief.send(&server, "POST", "/api/v1/auth/password", &body).status).collect();
    assert!(statuses.contains(&429) && !statuses.contains(&204), "{statuses:?}");
    login(&server, "jo", OTHER);
}

#[test]
fn an_administrator_resets_what_somebody_lost_and_the_log_says_so() {
    let (home, server) = with_admin_and(MANY);
    user(&home, "jo", "viewer");
    let browser = login(&server, "jo", OTHER);
    enrol(&browser, &server, OTHER);
    let admin = login(&server, "admin", PASSWORD);
    assert_eq!(browser.send(&server, "POST", "/api/v1/users/jo/totp/reset", &json!({})).status, 403);
    assert_eq!(admin.send(&server, "POST", "/api/v1/users/admin/totp/reset", &json!({})).status, 404);
    let access = browser.access(&server);
    home.cli(&["user", "totp", "reset", "jo"]).ok();
    // First what the server remembers: the second reset, of none, must not be what makes it forget.
    assert_eq!(bearer(&server, &access).status, 401, "what was got for the session ends with it");
    assert_ne!(home.cli(&["user", "totp", "reset", "jo"]).code(), 0, "there is none any more");
    assert_eq!(browser.get(&server, "/api/v1/tickets").status, 401);
    login(&server, "jo", OTHER);
    let log = home.cli(&["audit", "list", "--action", "totp.removed", "--json"]).json();
    let row = &log["items"][0];
    assert_eq!((&row["target"], &row["detail"]["reset"]), (&json!("user:jo"), &json!(true)));
}

#[test]
fn it_is_enrolled_on_the_command_line_by_its_person() {
    let home = Home::new();
    home.cli_stdin(&["admin", "set-password", "--stdin"], PASSWORD.as_bytes()).ok();
    for server in [None, Some(home.serve())] {
        let enrol = ["user", "totp", "enrol", "admin", "--stdin", "--json"];
        let wrong = home.cli_stdin(&enrol, b"wrong wrong wrong\n000000\n");
        assert_ne!(wrong.code(), 0);
        assert!(!wrong.stdout.contains("otpauth"), "{}", wrong.stdout);
        let mut child = home
            .command(&enrol)
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped())
            .spawn()
            .expect("the program");
        let mut input = child.stdin.take().expect("a pipe");
        let mut output = std::io::BufReader::new(child.stdout.take().expect("a pipe"));
        let mut line = || {
            let mut text = String::new();
            std::io::BufRead::read_line(&mut output, &mut text).expect("a line");
            serde_json::from_str::<Value>(&text).unwrap_or_else(|_| panic!("no JSON: {text}"))
        };
        let mut write =
            |text: String| std::io::Write::write_all(&mut input, text.as_bytes()).expect("a reader");
        write(format!("{PASSWORD}\n"));
        let app = App::of(line()["secret"].as_str().expect("a secret"));
        write(format!("{}\n", app.code(0)));
        assert_eq!(line()["recovery_codes"].as_array().map(Vec::len), Some(10));
        assert!(child.wait().expect("its end").success());
        let sessions = home.cli(&["sessions", "list", "--json"]).json();
        assert_eq!(sessions["items"], json!([]), "the session was for this alone");
        if let Some(server) = server {
            challenge(&server, "admin", PASSWORD);
            assert_eq!(with_code(&server, "admin", PASSWORD, &app.code(1)).status, 200);
        }
        home.cli(&["user", "totp", "reset", "admin"]).ok();
    }
}
