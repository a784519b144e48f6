//! People, sessions, tokens, the audit log: from outside, as a user and as an attacker.

use serde_json::{Value, json};

use crate::harness::{Home, finish};
use crate::http::{Answer, Request};
use crate::people::{OTHER, PASSWORD, login, try_login, user, with_admin, with_admin_and};

#[test]
fn a_person_logs_in_works_and_logs_out() {
    let (_home, server) = with_admin();
    let browser = login(&server, " Admin ", PASSWORD);
    let session = browser.get(&server, "/api/v1/auth/session").json();
    assert_eq!((&session["actor"], &session["csrf_token"]), (&json!("user:admin"), &json!(browser.csrf)));
    assert_eq!(browser.get(&server, "/api/v1/tickets").status, 200);
    let made = browser.send(&server, "POST", "/api/v1/projects", &json!({ "name": "shop" }));
    assert_eq!(made.status, 201, "{}", made.text());
    // Another login is another session, and does not end this one.
    let second = login(&server, "admin", PASSWORD);
    assert_ne!(second.session, browser.session);
    assert_eq!(browser.send(&server, "POST", "/api/v1/auth/logout", &json!({})).status, 204);
    assert_eq!(browser.get(&server, "/api/v1/tickets").status, 401);
    assert_eq!(second.get(&server, "/api/v1/tickets").status, 200);
}

#[test]
fn ghsa_f7r5_an_unsafe_request_needs_the_token_of_its_session_and_a_page_of_ours() {
    let (_home, server) = with_admin();
    let browser = login(&server, "admin", PASSWORD);
    let other = login(&server, "admin", PASSWORD);
    let body = json!({ "name": "planted" });
    let plain = || browser.request("POST", "/api/v1/projects", Some(&body));
    let named = || plain().header("X-CSRF-Token", &browser.csrf);
    for (what, request) in [
        ("no token", plain()),
        ("a token of another session", plain().header("X-CSRF-Token", &other.csrf)),
        ("an empty token", plain().header("X-CSRF-Token", "")),
        ("another site", named().header("Sec-Fetch-Site", "cross-site")),
        ("another port or scheme", named().header("Sec-Fetch-Site", "same-site")),
        ("another origin", named().header("Origin", "https://evil.example")),
        ("no origin", named().header("Origin", "null")),
        ("two tokens", named().header("X-CSRF-Token", "x")),
    ] {
        assert_eq!(server.send(&request).status, 403, "{what}");
    }
    assert_eq!(server.get("/api/v1/projects")["items"].as_array().expect("items").len(), 1);
    assert_eq!(server.send(&named().header("Sec-Fetch-Site", "same-origin")).status, 201);
    // A page of another origin cannot put its own session into the browser either.
    let body = json!({ "username": "admin", "password": PASSWORD }).to_string();
    let foreign = Request::post("/api/v1/auth/login", body)
        .header("Content-Type", "application/json")
        .header("Sec-Fetch-Site", "cross-site");
    assert_eq!(server.send(&foreign).status, 403);
}

#[test]
fn cve_2025_6011_all_that_fails_looks_alike() {
    let (home, server) = with_admin();
    user(&home, "closed", "viewer");
    home.cli(&["user", "disable", "closed"]).ok();
    let strip = |answer: &Answer| {
        let mut problem = answer.json();
        problem["request_id"] = Value::Null;
        (answer.status, problem, answer.count("set-cookie"))
    };
    let unknown = try_login(&server, "nobody", PASSWORD, None);
    assert_eq!(unknown.status, 401);
    for (name, password) in
        [("admin", OTHER), ("closed", OTHER), ("closed", PASSWORD), ("ADMIN ", "x"), ("admin", "")]
    {
        assert_eq!(strip(&try_login(&server, name, password, None)), strip(&unknown), "{name}");
    }
    let log = home.cli(&["audit", "list", "--action", "login.failed", "--json"]).json();
    let reasons: Vec<&str> = log["items"]
        .as_array()
        .expect("items")
        .iter()
        .rev()
        .map(|row| row["detail"]["reason"].as_str().expect("a reason"))
        .collect();
    assert_eq!(reasons, ["unknown", "password", "disabled", "password", "password", "password"]);
}

#[test]
fn cve_2025_6004_guessing_is_limited_under_every_spelling_and_a_known_device_still_gets_in() {
    let (home, server) = with_admin();
    let browser = login(&server, "admin", PASSWORD);
    let spellings = ["admin", "Admin", " admin", "ADMIN\t", "aDmin "];
    let statuses: Vec<u16> = (0..15)
        .map(|n| try_login(&server, spellings[n % 5], "not the password at all", None).status)
        .collect();
    let looked_at = statuses.iter().filter(|status| **status == 401).count();
    assert!(looked_at <= 9, "{statuses:?}");
    assert!(statuses.ends_with(&[429, 429]), "{statuses:?}");
    let refused = try_login(&server, "admin", PASSWORD, None);
    assert_eq!(refused.status, 429, "the right password is not looked at either");
    assert!(refused.header("retry-after").is_some());
    assert_eq!(try_login(&server, "admin", PASSWORD, Some(&browser.device)).status, 200);
    for forged in
        ["", "x", &format!("{}.{}", "0".repeat(32), "0".repeat(64)), &browser.device.replace('.', "0.")]
    {
        assert_eq!(try_login(&server, "admin", PASSWORD, Some(forged)).status, 429, "{forged}");
    }
    home.cli(&["user", "unlock", "admin"]).ok();
}

/// What a network may try in a minute would hide what an account's own waits do.
#[test]
fn cve_2025_6004_an_account_has_its_waits_under_every_spelling() {
    let (_home, server) = with_admin_and("[limits]\nlogin_per_minute = 100\n");
    let spellings = ["admin", "Admin", " admin", "ADMIN\t", "aDmin "];
    let statuses: Vec<u16> = (0..30)
        .map(|n| try_login(&server, spellings[n % 5], "not the password at all", None).status)
        .collect();
    // A few cost no wait; the waits double, so that hardly more are looked at however long all of it takes.
    assert!(statuses.iter().filter(|status| **status == 401).count() <= 12, "{statuses:?}");
}

#[test]
fn ghsa_6j4w_a_change_of_password_role_or_state_ends_sessions_at_once() {
    let (home, server) = with_admin();
    user(&home, "jo", "operator");
    let change = |arguments: &[&str], stdin: &str| {
        let jo = login(&server, "jo", OTHER);
        assert_eq!(jo.get(&server, "/api/v1/tickets").status, 200);
        home.cli_stdin(arguments, stdin.as_bytes()).ok();
        assert_eq!(jo.get(&server, "/api/v1/tickets").status, 401, "{arguments:?}");
        jo
    };
    change(&["user", "set-role", "jo", "viewer"], "");
    change(&["user", "passwd", "jo", "--stdin"], OTHER);
    change(&["sessions", "kill", "--all"], "");
    change(&["user", "disable", "jo"], "");
    home.cli(&["user", "enable", "jo"]).ok();
    let jo = login(&server, "jo", OTHER);
    // One's own password: the present one is asked for.
    let body = json!({ "current": "wrong wrong wrong", "password": PASSWORD });
    assert_eq!(jo.send(&server, "POST", "/api/v1/auth/password", &body).status, 403);
    let body = json!({ "current": OTHER, "password": PASSWORD });
    assert_eq!(jo.send(&server, "POST", "/api/v1/auth/password", &body).status, 204);
    assert_eq!(jo.get(&server, "/api/v1/tickets").status, 401);
    login(&server, "jo", PASSWORD);
}

#[test]
fn one_sees_and_ends_ones_own_sessions_only() {
    let (home, server) = with_admin();
    user(&home, "jo", "viewer");
    let (admin, jo) = (login(&server, "admin", PASSWORD), login(&server, "jo", OTHER));
    let of_admin = admin.get(&server, "/api/v1/auth/session").json()["session"]["id"].clone();
    let of_admin = of_admin.as_str().expect("an id");
    let own = jo.get(&server, "/api/v1/sessions").json();
    assert_eq!(own["items"].as_array().expect("items").len(), 1);
    assert_eq!(jo.get(&server, "/api/v1/sessions?all=true").status, 403);
    let path = format!("/api/v1/sessions/{of_admin}");
    assert_eq!(jo.send(&server, "DELETE", &path, &json!({})).status, 404, "not that there is one");
    assert_eq!(admin.get(&server, "/api/v1/tickets").status, 200);
    let id = own["items"][0]["id"].as_str().expect("an id");
    assert_eq!(jo.send(&server, "DELETE", &format!("/api/v1/sessions/{id}"), &json!({})).status, 204);
    assert_eq!(jo.get(&server, "/api/v1/tickets").status, 401);
}

#[test]
fn the_last_administrator_stays_and_agents_are_not_people() {
    let (home, _server) = with_admin();
    assert_ne!(home.cli(&["user", "disable", "admin"]).code(), 0);
    assert_ne!(home.cli(&["user", "set-role", "admin", "viewer"]).code(), 0);
    user(&home, "jo", "admin");
    home.cli(&["user", "disable", "admin"]).ok();
    let made = home.cli_stdin(&["user", "create", "bot", "--role", "agent", "--stdin"], OTHER.as_bytes());
    assert_ne!(made.code(), 0);
}

#[test]
fn passwords_that_are_easily_guessed_are_refused_and_none_is_left_anywhere() {
    let home = Home::new();
    let large = "long enough ".repeat(200);
    for bad in
        ["", "fourteen chars", "passwordpassword", "nul \0 in the middle of it", &large, "adminadminadmin1"]
    {
        let refused = home.cli_stdin(&["admin", "set-password", "--stdin"], bad.as_bytes());
        assert_eq!(refused.code(), 2, "{bad}: {}", refused.stdout);
        assert!(bad.is_empty() || !refused.stderr.contains(bad), "{}", refused.stderr);
    }
    let spaced = "  spaces stay where they are  ";
    home.cli_stdin(&["admin", "set-password", "--stdin"], format!("{spaced}\n").as_bytes()).ok();
    let server = home.serve();
    assert_eq!(try_login(&server, "admin", spaced.trim(), None).status, 401);
    login(&server, "admin", spaced);
    assert!(home.cli(&["admin", "set-password"]).code() != 0, "without a terminal it does not wait for one");
    let (_, printed) = server.stop();
    assert!(!String::from_utf8_lossy(&printed).contains(spaced));
    for (path, bytes) in home.files() {
        let found = bytes.windows(spaced.len()).any(|window| window == spaced.as_bytes());
        assert!(!found, "the password is in {}", path.display());
    }
}

#[test]
fn ghsa_683j_a_session_mints_tokens_only_after_its_password_was_given_lately() {
    let (home, server) = with_admin();
    let browser = login(&server, "admin", PASSWORD);
    let body = |extra: Value| {
        let mut body = json!({ "name": "t", "role": "viewer" });
        body.as_object_mut().expect("an object").extend(extra.as_object().expect("an object").clone());
        body
    };
    let made = browser.send(&server, "POST", "/api/v1/tokens", &body(json!({})));
    assert_eq!(made.status, 201, "a fresh login is recent: {}", made.text());
    let wrong = browser.send(&server, "POST", "/api/v1/tokens", &body(json!({ "password": OTHER })));
    assert_eq!(wrong.status, 403, "a wrong password is not passed over");
    // What proves itself with every request gives no password: it makes none, and does not prolong itself.
    let admin = server.mint(&json!({ "name": "ci", "role": "admin" }));
    let bearer = format!("Bearer {}", admin["token"].as_str().expect("a token"));
    let itself = format!("/api/v1/tokens/{}/rotate", admin["id"].as_str().expect("an id"));
    let before = server.list("/api/v1/tokens").len();
    for (path, body) in [
        ("/api/v1/tokens", json!({ "name": "mine", "role": "admin", "days": 90 })),
        ("/api/v1/tokens", json!({ "name": "mine", "role": "viewer", "password": PASSWORD })),
        (itself.as_str(), json!({})),
        (itself.as_str(), json!({ "overlap_hours": 0, "password": PASSWORD })),
    ] {
        let request = Request::post(path, body.to_string())
            .header("Content-Type", "application/json")
            .header("Authorization", &bearer);
        let refused = server.send(&request);
        assert_eq!(refused.status, 403, "{path} {body}: {}", refused.text());
        assert!(refused.text().contains("a person who logged in, or the home's own socket"));
    }
    // Nor by way of the command line, when that speaks to the server as the token does.
    let mut remote = home.command(&["token", "create", "--name", "mine", "--role", "viewer"]);
    remote.env("ACTIFIX_URL", format!("http://{}", server.address));
    remote.env("ACTIFIX_TOKEN", bearer.trim_start_matches("Bearer "));
    let told = finish(remote, b"");
    assert_eq!((told.code(), told.stdout.as_str()), (2, ""), "{}", told.stderr);
    assert!(told.stderr.contains("a person who logged in"), "{}", told.stderr);
    assert_eq!(server.list("/api/v1/tokens").len(), before);
}

#[test]
fn a_token_is_rotated_once_with_an_overlap() {
    let (home, server) = with_admin();
    let browser = login(&server, "admin", PASSWORD);
    let made = server.mint(&json!({ "name": "t", "role": "viewer" }));
    let id = made["id"].as_str().expect("an id").to_owned();
    let path = format!("/api/v1/tokens/{id}/rotate");
    let with = |token: &Value| {
        let bearer = format!("Bearer {}", token["token"].as_str().expect("a token"));
        server.send(&Request::get("/api/v1/tickets").header("Authorization", &bearer)).status
    };
    let answers: Vec<Answer> = std::thread::scope(|scope| {
        let rotate = || browser.send(&server, "POST", &path, &json!({ "overlap_hours": 1 }));
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(rotate)).collect();
        threads.into_iter().map(|thread| thread.join().expect("an answer")).collect()
    });
    let mut statuses: Vec<u16> = answers.iter().map(|answer| answer.status).collect();
    statuses.sort_unstable();
    assert_eq!(statuses, [201, 409, 409, 409], "one wins");
    let new = answers.iter().find(|answer| answer.status == 201).expect("a winner").json();
    assert_eq!((with(&made), with(&new)), (200, 200), "both are good during the overlap");
    // Without an overlap the old one ends at once; whatever happens then, one is good.
    let next = new["id"].as_str().expect("an id");
    let last = home.cli(&["token", "rotate", next, "--overlap", "0h", "--json"]).json();
    assert_eq!((with(&new), with(&last)), (401, 200));
    server.kill();
    let server = home.serve();
    let bearer = format!("Bearer {}", last["token"].as_str().expect("a token"));
    assert_eq!(server.send(&Request::get("/api/v1/tickets").header("Authorization", &bearer)).status, 200);
}

#[test]
fn acts_are_in_the_log_with_who_and_where_and_the_log_proves_itself() {
    let (home, server) = with_admin();
    let browser = login(&server, "admin", PASSWORD);
    try_login(&server, "admin", OTHER, None);
    browser.send(&server, "POST", "/api/v1/projects", &json!({ "name": "shop" }));
    let body = json!({ "settings": { "sample_after": 7 } });
    assert_eq!(browser.send(&server, "PATCH", "/api/v1/projects/shop", &body).status, 200);
    let viewer = server.mint(&json!({ "name": "v", "role": "viewer" }));
    let bearer = format!("Bearer {}", viewer["token"].as_str().expect("a token"));
    assert_eq!(server.send(&Request::get("/api/v1/audit").header("Authorization", &bearer)).status, 403);
    let rows = server.list("/api/v1/audit");
    let found = |action: &str| {
        rows.iter()
            .find(|row| row["action"] == action)
            .unwrap_or_else(|| panic!("no {action}: {rows:?}"))
            .clone()
    };
    let created = found("project.created");
    assert_eq!((&created["actor"], &created["network"]), (&json!("user:admin"), &json!("127.0.0.1")));
    let changed = found("setting.changed");
    assert_eq!(changed["detail"]["after"]["sample_after"], 7);
    assert_eq!(found("login.failed")["target"], "user:admin");
    assert_eq!(found("user.created")["network"], Value::Null, "a command on this machine");
    let refused = found("access.refused");
    assert_eq!((&refused["target"], &refused["result"]), (&json!("GET /api/v1/audit"), &json!("refused")));
    let by_ip = home.cli(&["audit", "list", "--ip", "127.0.0.1", "--user", "admin", "--json"]).json();
    assert!(by_ip["items"].as_array().expect("items").len() >= 3);
    home.cli(&["audit", "verify"]).ok();
    let lines = home.cli(&["audit", "export"]).ok();
    assert!(lines.lines().all(|line| serde_json::from_str::<Value>(line).is_ok()));
    server.stop();
    // Offline, by an attacker: the end of the log is put back.
    let head = home.path().join(".actifix/audit.head");
    let text = std::fs::read_to_string(&head).expect("a witness");
    std::fs::write(&head, text.replace("\"seq\":", "\"seq\":9")).expect("a file");
    let verified = home.cli(&["audit", "verify"]);
    assert_eq!(verified.code(), 1, "{}", verified.stdout);
    assert!(verified.stdout.contains("witness"), "{}", verified.stdout);
}

#[test]
fn the_commands_of_the_guide_do_what_it_says() {
    let home = Home::new();
    home.cli(&["project", "create", "shop"]).ok();
    let token = home.cli(&["token", "create", "--name", "t", "--role", "viewer", "--json"]).json();
    let guide = include_str!("../../../../docs/ADMIN_AUTHENTICATION.md");
    let program = std::path::Path::new(env!("CARGO_BIN_EXE_actifix")).parent().expect("a directory");
    let path = format!("{}:{}", program.display(), std::env::var("PATH").unwrap_or_default());
    let mut run = 0;
    for block in guide.split("```sh\n").skip(1) {
        for line in block.split("```").next().unwrap_or_default().lines() {
            let mut command = std::process::Command::new("sh");
            command.arg("-c").arg(line).env("PATH", &path).env("ACTIFIX_HOME", home.path());
            command.env("NEW_PASSWORD", PASSWORD).env("TOKEN_ID", token["id"].as_str().expect("an id"));
            crate::harness::finish(command, b"").ok();
            run += 1;
        }
    }
    assert!(run >= 17, "{run} commands");
}

#[test]
fn a_token_tells_when_it_was_used_and_warns_before_it_ends() {
    let home = Home::new();
    let made = |name: &str, days: &str| {
        let arguments = ["token", "create", "--name", name, "--role", "viewer", "--expires", days, "--json"];
        home.cli(&arguments).json()
    };
    let (used, unused, long) = (made("used", "5d"), made("unused", "1d"), made("long", "60d"));
    let server = home.serve();
    let bearer = format!("Bearer {}", used["token"].as_str().expect("a token"));
    let metrics = server.send(&Request::get("/metrics").header("Authorization", &bearer)).text();
    let seconds = |token: &Value| {
        let line =
            format!("actifix_token_expires_seconds{{token=\"{}\"}} ", token["id"].as_str().expect("an id"));
        metrics.lines().find_map(|known| known.strip_prefix(&line)?.parse::<i64>().ok())
    };
    assert!(seconds(&used).is_some_and(|left| (4 * 86_400..=5 * 86_400).contains(&left)), "{metrics}");
    assert!(seconds(&unused).is_some() && seconds(&long).is_some());
    let logged = || -> String {
        let files = home.files().into_iter();
        let logs = files.filter(|(path, _)| path.to_string_lossy().contains(".actifix/logs"));
        logs.map(|(_, bytes)| String::from_utf8_lossy(&bytes).into_owned()).collect()
    };
    // A server that stops leaves the rest of the warnings to its next start.
    crate::backups::wait_until(|| logged().matches("token.expires_soon").count() >= 2);
    // What is still to be written is written at the latest when the server stops.
    server.stop();
    let listed = home.cli(&["token", "list", "--json"]).json();
    let last = |token: &Value| {
        let rows = listed["items"].as_array().expect("items");
        rows.iter().find(|row| row["id"] == token["id"]).expect("the token")["last_used_at"].clone()
    };
    assert!(last(&used).is_string() && last(&unused).is_null(), "{listed}");
    let log = logged();
    let warned = |token: &Value| {
        let id = token["id"].as_str().expect("an id");
        log.lines().filter(|line| line.contains("token.expires_soon") && line.contains(id)).count()
    };
    assert_eq!((warned(&used), warned(&unused), warned(&long)), (1, 1, 0), "{log}");
    // Once, and not with each start.
    home.serve().stop();
    assert_eq!(logged().matches("token.expires_soon").count(), 2);
}
