//! Signing in by way of a provider, from outside: as a person, as a hostile provider, and as somebody in between.

use std::collections::HashMap;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use crate::harness::{Home, Server};
use crate::http::{Answer, Request};
use crate::provider::{CLIENT, Mischief, Person, Provider, Signed};
use crate::tls::Authority;

const PASSWORD: &str = "violet tractor hums quietly";
const CALLBACK: &str = "/auth/oidc/callback";

fn config(provider: &Provider, more: &str) -> String {
    format!(
        "[oidc]\nissuer = \"{}\"\nclient_id = \"{CLIENT}\"\nclient_secret = \"env:OIDC_SECRET\"\nallow_loopback_http = true\n{more}\n",
        provider.issuer()
    )
}

fn serve(home: &Arc<Home>, provider: &Provider) -> Server {
    let environment = [("OIDC_SECRET", provider.secret()), ("ACTIFIX_RATE_LIMIT_DISABLED", "1")];
    Server::start(Arc::clone(home), &environment)
}

fn account(home: &Home, name: &str, role: &str) {
    home.cli_stdin(&["user", "create", name, "--role", role, "--stdin"], PASSWORD.as_bytes()).ok();
}

/// The value that a cookie is set to, of whatever length.
fn cookie(answer: &Answer, name: &str) -> Option<String> {
    let start = format!("{name}=");
    let set = answer.headers.iter().filter(|(known, _)| known == "set-cookie");
    let value = set.filter_map(|(_, value)| value.strip_prefix(&start)).next()?;
    value.split(';').next().map(str::to_owned)
}

/// A sign-in that was begun: what the browser keeps, and what the provider was asked.
struct Begun {
    cookie: String,
    asked: HashMap<String, String>,
}

impl Begun {
    #[track_caller]
    fn at(server: &Server, path: &str) -> Self {
        let answer = server.send(&Request::get(path));
        assert_eq!(answer.status, 303, "{}", answer.text());
        let location = url::Url::parse(answer.header("location").expect("a location")).expect("an address");
        let line = answer.header("set-cookie").expect("a cookie");
        assert!(line.contains("; HttpOnly; SameSite=Lax; Max-Age=600"), "{line}");
        Self {
            cookie: cookie(&answer, "actifix-sign-in").expect("a cookie"),
            asked: location.query_pairs().into_owned().collect(),
        }
    }

    fn back(&self, server: &Server, parameters: &[(&str, &str)]) -> Answer {
        come_back(server, Some(&self.cookie), parameters)
    }
}

fn come_back(server: &Server, cookie: Option<&str>, parameters: &[(&str, &str)]) -> Answer {
    let query = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(parameters).finish();
    let mut request = Request::get(&format!("{CALLBACK}?{query}"));
    if let Some(cookie) = cookie {
        request = request.header("Cookie", &format!("actifix-sign-in={cookie}"));
    }
    server.send(&request)
}

/// A whole sign-in.
fn sign_in(server: &Server, provider: &Provider, person: &Person) -> Answer {
    let begun = Begun::at(server, "/auth/oidc/start");
    let code = provider.grant(&begun.asked, person);
    begun.back(server, &[("state", &begun.asked["state"]), ("code", &code), ("iss", provider.issuer())])
}

#[track_caller]
fn actor(server: &Server, answer: &Answer) -> String {
    assert_eq!(answer.status, 200, "{}", answer.text());
    let session = cookie(answer, "actifix").expect("a session");
    let request = Request::get("/api/v1/auth/session").header("Cookie", &format!("actifix={session}"));
    server.send(&request).json()["actor"].as_str().expect("an actor").to_owned()
}

#[track_caller]
fn refused(what: &str, answer: &Answer, status: u16) {
    assert_eq!(answer.status, status, "{what}: {}", answer.text());
    assert_eq!(answer.header("content-type"), Some("application/problem+json"), "{what}");
    assert_eq!(cookie(answer, "actifix"), None, "{what}: no session");
}

#[test]
fn a_linked_person_signs_in_with_every_algorithm_and_is_let_out_by_an_administrator() {
    let provider = Provider::start();
    let home = Home::with_config(&config(&provider, ""));
    let server = serve(&home, &provider);
    account(&home, "jo", "operator");
    let jo = Person::new("248289761001", json!({}));
    refused("not linked", &sign_in(&server, &provider, &jo), 403);
    home.cli(&["identity", "link", "jo", "248289761001"]).ok();
    for signed in [Signed::Rs256, Signed::Es256, Signed::EdDsa] {
        provider.sign_with(signed);
        assert_eq!(actor(&server, &sign_in(&server, &provider, &jo)), "user:jo", "{signed:?}");
    }
    refused("somebody else", &sign_in(&server, &provider, &Person::new("248289761002", json!({}))), 403);
    // A person whose name or address is the same is not the same person.
    let other = json!({ "preferred_username": "jo", "email": "jo@example.net", "email_verified": true });
    refused("the same name", &sign_in(&server, &provider, &Person::new("1", other)), 403);
    let begun = Begun::at(&server, "/auth/oidc/start?next=/tickets?status=open");
    let code = provider.grant(&begun.asked, &jo);
    let parameters = [("state", begun.asked["state"].as_str()), ("code", &code), ("iss", provider.issuer())];
    let arrived = begun.back(&server, &parameters);
    assert!(arrived.text().contains("content=\"0;url=/tickets?status=open\""), "{}", arrived.text());
    assert_eq!(cookie(&arrived, "actifix-sign-in").as_deref(), Some(""), "it is over");
    let line = arrived.headers.iter().find(|(_, value)| value.starts_with("actifix=")).expect("a session");
    assert!(line.1.contains("HttpOnly; SameSite=Strict"), "{}", line.1);
    refused("a second time", &begun.back(&server, &parameters), 403);
    let log = server.list("/api/v1/audit");
    let row = |action: &str| log.iter().find(|row| row["action"] == action).expect("a record").clone();
    assert_eq!(
        (&row("login.ok")["actor"], &row("login.ok")["detail"]["by"]),
        (&json!("user:jo"), &json!("oidc"))
    );
    assert_eq!(row("login.ok")["network"], "127.0.0.1");
    assert_eq!(row("login.failed")["detail"]["reason"], "oidc_replay");
    assert_eq!(row("identity.linked")["target"], "user:jo");
    // What lasts needs a proof that is not old; a sign-in is one.
    let session = cookie(&arrived, "actifix").expect("a session");
    let who = |session: &str| {
        server
            .send(&Request::get("/api/v1/auth/session").header("Cookie", &format!("actifix={session}")))
            .status
    };
    assert_eq!(who(&session), 200);
    home.cli(&["user", "disable", "jo"]).ok();
    assert_eq!(who(&session), 401, "at once");
    refused("closed", &sign_in(&server, &provider, &jo), 403);
    home.cli(&["user", "enable", "jo"]).ok();
    let session = cookie(&sign_in(&server, &provider, &jo), "actifix").expect("a session");
    home.cli(&["identity", "unlink", "jo"]).ok();
    assert_eq!(who(&session), 401);
    refused("unlinked", &sign_in(&server, &provider, &jo), 403);
    let (_, printed) = server.stop();
    let printed = String::from_utf8_lossy(&printed);
    assert!(!printed.contains(&code) && !printed.contains("cret "), "{printed}");
}

#[test]
fn accounts_are_made_and_get_roles_only_as_the_configuration_says() {
    let provider = Provider::start();
    let more = "create_accounts = true\nallowed_domains = [\"example.net\"]\ngroup_roles = [\"ops=operator\", \"dev=viewer\"]\n";
    let home = Home::with_config(&config(&provider, more));
    let server = serve(&home, &provider);
    account(&home, "root", "admin");
    let person = |subject: &str, name: &str, email: &str, verified: Value, groups: Value| {
        let claims = json!({ "preferred_username": name, "email": email, "email_verified": verified, "groups": groups });
        sign_in(&server, &provider, &Person::new(subject, claims))
    };
    for (what, answer) in [
        ("another domain", person("1", "a", "a@evil.example", json!(true), json!(["ops"]))),
        ("a domain below", person("1", "a", "a@x.example.net", json!(true), json!(["ops"]))),
        ("not verified", person("1", "a", "a@example.net", json!(false), json!(["ops"]))),
        ("verified in words", person("1", "a", "a@example.net", json!("true"), json!(["ops"]))),
        ("no group", person("1", "a", "a@example.net", json!(true), json!([]))),
        ("another group", person("1", "a", "a@example.net", json!(true), json!(["admin", "OPS"]))),
        ("a name of somebody", person("1", "Root", "a@example.net", json!(true), json!(["ops"]))),
        ("a name that is none", person("1", "../x", "a@example.net", json!(true), json!(["ops"]))),
    ] {
        refused(what, &answer, 403);
    }
    let roles = || -> HashMap<String, String> {
        let users = server.get("/api/v1/users");
        let users = users["items"].as_array().expect("items").iter();
        users
            .map(|user| {
                (user["name"].as_str().unwrap().to_owned(), user["role"].as_str().unwrap().to_owned())
            })
            .collect()
    };
    assert_eq!(roles().len(), 1, "nobody was made");
    let both = json!(["dev", "ops"]);
    assert_eq!(actor(&server, &person("7", "Kim", "kim@example.net", json!(true), both)), "user:kim");
    assert_eq!(roles()["kim"], "operator");
    // The group was taken away there: here the role goes with it, and sessions that had it.
    let session =
        cookie(&person("7", "kim", "kim@example.net", json!(true), json!("ops")), "actifix").expect("one");
    assert_eq!(
        actor(&server, &person("7", "kim", "kim@example.net", json!(true), json!(["dev"]))),
        "user:kim"
    );
    assert_eq!(roles()["kim"], "viewer");
    let old = Request::get("/api/v1/tickets").header("Cookie", &format!("actifix={session}"));
    assert_eq!(server.send(&old).status, 401);
    refused("no group any more", &person("7", "kim", "kim@example.net", json!(true), json!([])), 403);
    // A password that nobody knows opens nothing.
    let body = json!({ "username": "kim", "password": "" }).to_string();
    let login = Request::post("/api/v1/auth/login", body).header("Content-Type", "application/json");
    assert_eq!(server.send(&login).status, 401);
    home.cli(&["user", "set-role", "kim", "admin"]).ok();
    assert_eq!(
        actor(&server, &person("7", "kim", "kim@example.net", json!(true), json!(["dev"]))),
        "user:kim"
    );
    assert_eq!(roles()["kim"], "admin", "made by hand");
}

#[test]
fn nobody_of_a_provider_becomes_the_administrator_by_name() {
    let provider = Provider::start();
    let home =
        Home::with_config(&config(&provider, "create_accounts = true\ngroup_roles = [\"dev=viewer\"]\n"));
    let server = serve(&home, &provider);
    let accounts =
        || home.cli(&["user", "list", "--json"]).json()["items"].as_array().expect("items").clone();
    for name in [
        "admin",
        "Admin",
        " ADMIN ",
        "ADM\u{130}N",
        "\u{ff41}\u{ff44}\u{ff4d}\u{ff49}\u{ff4e}",
        "\u{430}dmin",
        "ad\u{200b}min",
    ] {
        let thief = Person::new("6", json!({ "preferred_username": name, "groups": "dev" }));
        refused(name, &sign_in(&server, &provider, &thief), 403);
    }
    let by_address = json!({ "email": "admin@example.net", "email_verified": true, "groups": "dev" });
    refused("an address", &sign_in(&server, &provider, &Person::new("6", by_address)), 403);
    assert_eq!(accounts(), Vec::<Value>::new(), "nobody was made");

    // An account of the name that somebody at the provider opens, from a time when that was possible.
    account(&home, "admin", "viewer");
    home.cli(&["identity", "link", "admin", "6"]).ok();
    let thief = Person::new("6", json!({ "groups": "dev" }));
    assert_eq!(actor(&server, &sign_in(&server, &provider, &thief)), "user:admin");
    let set = || home.cli_stdin(&["admin", "set-password", "--stdin"], PASSWORD.as_bytes());
    let told = set();
    assert_eq!(told.code(), 2, "{}", told.stderr);
    assert!(told.stderr.contains("actifix identity unlink admin"), "{}", told.stderr);
    assert_eq!(accounts()[0]["role"], "viewer");
    home.cli(&["identity", "unlink", "admin"]).ok();
    set().ok();
    assert_eq!(accounts()[0]["role"], "admin");
    refused("no longer theirs", &sign_in(&server, &provider, &thief), 403);
    // Whom an administrator linked by hand stays linked when the password changes.
    home.cli(&["identity", "link", "admin", "7"]).ok();
    set().ok();
    let owner = Person::new("7", json!({ "groups": "dev" }));
    assert_eq!(actor(&server, &sign_in(&server, &provider, &owner)), "user:admin");
}

fn encode(value: &Value) -> String {
    URL_SAFE_NO_PAD.encode(value.to_string())
}

fn part(token: &str, number: usize) -> Value {
    let part = token.split('.').nth(number).expect("a part");
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).expect("base64url")).expect("JSON")
}

#[test]
fn a_token_that_is_not_for_this_sign_in_is_refused() {
    let provider = Provider::start();
    let home = Home::with_config(&config(&provider, ""));
    let server = serve(&home, &provider);
    account(&home, "jo", "viewer");
    home.cli(&["identity", "link", "jo", "4711"]).ok();
    let jo = Person::new("4711", json!({}));
    let claim = |name: &'static str, value: Value| Mischief {
        claims: Some(Box::new(move |claims| claims[name] = value.clone())),
        ..Mischief::default()
    };
    let header = |name: &'static str, value: Value| Mischief {
        header: Some(Box::new(move |header| header[name] = value.clone())),
        ..Mischief::default()
    };
    let token =
        |change: fn(&str) -> String| Mischief { token: Some(Box::new(change)), ..Mischief::default() };
    let answer =
        |status: u16, body: &str| Mischief { answer: Some((status, body.to_owned())), ..Mischief::default() };
    assert_eq!(actor(&server, &sign_in(&server, &provider, &jo)), "user:jo");
    for (what, mischief, status) in [
        ("another nonce", claim("nonce", json!("x")), 403),
        ("another audience", claim("aud", json!("another client")), 403),
        ("a further audience", claim("aud", json!([CLIENT, "another client"])), 403),
        ("for another party", claim("azp", json!("another client")), 403),
        ("another issuer", claim("iss", json!("https://evil.example")), 403),
        ("over", claim("exp", json!(1_000_000_000)), 403),
        ("over, as a string", claim("exp", json!("9999999999")), 403),
        ("old", claim("iat", json!(1_000_000_000)), 403),
        ("nobody", claim("sub", json!("")), 403),
        ("a critical extension", header("crit", json!(["exp"])), 403),
        ("a log-out", header("typ", json!("logout+jwt")), 403),
        ("another algorithm's key", header("kid", json!("rsa")), 403),
        ("a key that is not listed", header("kid", json!("unknown")), 403),
        ("the shared key", header("kid", json!("shared")), 403),
        ("alg none", header("alg", json!("none")), 403),
        ("alg HS256", header("alg", json!("HS256")), 403),
        ("alg of a key of another kind", header("alg", json!("RS256")), 403),
        (
            "unsigned",
            token(|good| {
                let mut header = part(good, 0);
                header["alg"] = json!("none");
                format!("{}.{}.", encode(&header), encode(&part(good, 1)))
            }),
            403,
        ),
        ("without its signature", token(|good| good.rsplit_once('.').unwrap().0.to_owned() + "."), 403),
        (
            "another person's claims",
            token(|good| {
                let mut claims = part(good, 1);
                claims["sub"] = json!("4711 ");
                let parts: Vec<&str> = good.split('.').collect();
                format!("{}.{}.{}", parts[0], encode(&claims), parts[2])
            }),
            403,
        ),
        ("large", token(|good| format!("{good}{}", "A".repeat(40_000))), 403),
        ("no token", token(|_| String::new()), 403),
        ("the code is not taken", answer(400, "{\"error\":\"invalid_grant\"}"), 403),
        ("no JSON", answer(200, "<html>"), 403),
        ("a member twice", answer(200, "{\"id_token\":\"a\",\"id_token\":\"b\"}"), 403),
        ("a failure", answer(500, ""), 503),
        ("a redirect", answer(302, ""), 503),
        ("a large answer", answer(200, &"x".repeat(300 << 10)), 503),
    ] {
        provider.behave(mischief);
        refused(what, &sign_in(&server, &provider, &jo), status);
    }
    provider.behave(Mischief::default());
    assert_eq!(actor(&server, &sign_in(&server, &provider, &jo)), "user:jo");
    // Unknown ids of keys do not make us ask for keys each time.
    let asked = provider.asked().iter().filter(|path| *path == "/jwks").count();
    assert!(asked <= 2, "{asked}");
    let metrics = server.call("GET", "/metrics", None).text();
    let counted =
        metrics.lines().find(|line| line.starts_with("actifix_auth_failures_total{reason=\"oidc\"}"));
    assert!(counted.is_some_and(|line| !line.ends_with(" 0")), "{counted:?}");
}

#[test]
fn an_answer_that_this_browser_did_not_ask_for_is_refused() {
    let provider = Provider::start();
    let home = Home::with_config(&config(&provider, ""));
    let server = serve(&home, &provider);
    account(&home, "jo", "viewer");
    home.cli(&["identity", "link", "jo", "4711"]).ok();
    let jo = Person::new("4711", json!({}));
    let (own, victim) = (Begun::at(&server, "/auth/oidc/start"), Begun::at(&server, "/auth/oidc/start"));
    for name in ["state", "nonce", "code_challenge"] {
        assert_ne!(own.asked[name], victim.asked[name]);
        assert_eq!(own.asked[name].len(), 43, "256 bits");
    }
    let code = provider.grant(&own.asked, &jo);
    let (state, issuer) = (own.asked["state"].as_str(), provider.issuer());
    // Log-in CSRF: the attacker's answer in the victim's browser, which has another cookie or none.
    let good = [("state", state), ("code", code.as_str()), ("iss", issuer)];
    refused("no cookie", &come_back(&server, None, &good), 403);
    refused("another browser", &victim.back(&server, &good), 403);
    let mut forged = own.cookie.clone();
    forged.replace_range(30..31, if &forged[30..31] == "A" { "B" } else { "A" });
    refused("a changed cookie", &come_back(&server, Some(&forged), &good), 403);
    refused("no cookie of ours", &come_back(&server, Some(&"A".repeat(300)), &good), 403);
    refused("no state", &own.back(&server, &[("code", &code), ("iss", issuer)]), 403);
    refused("another state", &own.back(&server, &[("state", &victim.asked["state"]), ("code", &code)]), 403);
    refused("two states", &own.back(&server, &[("state", state), ("state", state), ("code", &code)]), 400);
    refused("a long query", &own.back(&server, &[("state", &"x".repeat(9_000))]), 400);
    assert!(!provider.asked().contains(&"/token".to_owned()), "no code was given away");
    assert_eq!(actor(&server, &own.back(&server, &good)), "user:jo", "the right one still works");
    refused("replayed", &own.back(&server, &good), 403);
    // Mix-up: the answer of another provider must not bring our code to this one.
    for (what, issuer) in [("another issuer", Some("https://evil.example")), ("no issuer", None)] {
        let begun = Begun::at(&server, "/auth/oidc/start");
        let code = provider.grant(&begun.asked, &jo);
        let mut parameters = vec![("state", begun.asked["state"].as_str()), ("code", code.as_str())];
        parameters.extend(issuer.map(|issuer| ("iss", issuer)));
        let before = provider.asked().len();
        refused(what, &begun.back(&server, &parameters), 403);
        assert_eq!(provider.asked().len(), before, "{what}: the code stays here");
    }
    // A code that was granted for another sign-in: PKCE.
    let (first, second) = (Begun::at(&server, "/auth/oidc/start"), Begun::at(&server, "/auth/oidc/start"));
    let stolen = provider.grant(&first.asked, &jo);
    let parameters = [("state", second.asked["state"].as_str()), ("code", &stolen), ("iss", issuer)];
    refused("a stolen code", &second.back(&server, &parameters), 403);
    let begun = Begun::at(&server, "/auth/oidc/start");
    let said_no = [("state", begun.asked["state"].as_str()), ("error", "access_denied"), ("iss", issuer)];
    refused("the provider says no", &begun.back(&server, &said_no), 403);
    let begun = Begun::at(&server, "/auth/oidc/start");
    refused("no code", &begun.back(&server, &[("state", &begun.asked["state"]), ("iss", issuer)]), 403);
}

#[test]
fn cve_2025_4123_nobody_is_sent_to_another_host() {
    let provider = Provider::start();
    let home = Home::with_config(&config(&provider, ""));
    let server = serve(&home, &provider);
    for next in [
        "//evil.example",
        "/%2fevil.example",
        "/%5cevil.example",
        "/%252fevil.example",
        "%5c%5cevil.example",
        "https://evil.example",
        "/..//evil.example",
        "javascript:alert(1)",
        "/%0d%0aLocation:%20x",
        "/%22%3E%3Cscript%3E",
        "evil.example",
        "",
        "/@evil.example%23",
    ] {
        let answer = server.send(&Request::get(&format!("/auth/oidc/start?next={next}")));
        assert_eq!(answer.status, 400, "{next}: {:?}", answer.headers);
        assert_eq!(answer.header("location"), None, "{next}");
    }
    for path in [
        "/auth/oidc/start",
        "/auth/oidc/start?next=/a&redirect_uri=https://evil.example&issuer=https://evil.example",
    ] {
        let answer = server.send(&Request::get(path).header("X-Forwarded-Host", "evil.example"));
        let location = url::Url::parse(answer.header("location").expect("a location")).expect("an address");
        assert_eq!(location.origin().ascii_serialization(), provider.issuer());
        let asked: HashMap<String, String> = location.query_pairs().into_owned().collect();
        assert_eq!(asked["redirect_uri"], format!("http://{}{CALLBACK}", server.address));
    }
    let elsewhere = server.send(&Request::get("/auth/oidc/start").header("Host", "evil.example"));
    assert_eq!(elsewhere.status, 421);
}

#[test]
fn a_provider_that_is_not_what_it_should_be_lets_nobody_in_and_stops_nothing_else() {
    for (what, change) in [
        ("another issuer", ("issuer", json!("https://evil.example"))),
        ("keys at another host", ("jwks_uri", json!("http://localhost:1/jwks"))),
        ("tokens at another host", ("token_endpoint", json!("http://evil.example/token"))),
        ("a page at another host", ("authorization_endpoint", json!("http://evil.example/authorize"))),
        ("a file", ("jwks_uri", json!("file:///etc/passwd"))),
        ("a user in an address", ("jwks_uri", json!("http://u:p@127.0.0.1/jwks"))),
        ("an endpoint missing", ("token_endpoint", Value::Null)),
        ("no PKCE", ("code_challenge_methods_supported", json!(["plain"]))),
    ] {
        let provider = Provider::start();
        let (name, value) = change;
        provider.behave(Mischief {
            discovery: Some(Box::new(move |document| document[name] = value.clone())),
            ..Mischief::default()
        });
        let home = Home::with_config(&config(&provider, ""));
        let server = serve(&home, &provider);
        let answer = server.send(&Request::get("/auth/oidc/start"));
        refused(what, &answer, 503);
        assert!(answer.header("retry-after").is_some(), "{what}");
        let again = server.send(&Request::get("/auth/oidc/start"));
        refused(what, &again, 503);
        assert_eq!(provider.asked().len(), 1, "{what}: it is not asked again at once");
        assert_eq!(server.call("GET", "/api/v1/tickets", None).status, 200);
    }
    let home = Home::new();
    let server = home.serve();
    let none = server.send(&Request::get("/auth/oidc/start"));
    assert_eq!(none.status, 404, "{}", none.text());
    for (text, key) in [
        ("[oidc]\nissuer = \"http://id.example.net\"\nclient_id = \"x\"\n", "oidc.issuer"),
        ("[oidc]\nissuer = \"https://id.example.net\"\n", "oidc.client_id"),
        (
            "[oidc]\nissuer = \"https://id.example.net\"\nclient_id = \"x\"\ncreate_accounts = true\n",
            "oidc.create_accounts",
        ),
        (
            "[oidc]\nissuer = \"https://id.example.net\"\nclient_id = \"x\"\nclient_secret = \"env:NOT_SET\"\n",
            "oidc.client_secret",
        ),
    ] {
        let finished = Home::with_config(text).cli(&["serve"]);
        assert_eq!(finished.code(), 78, "{text}: {}", finished.stderr);
        assert!(finished.stderr.contains(key), "{}", finished.stderr);
    }
}

#[test]
fn a_provider_behind_https_is_believed_by_its_certificate() {
    let authority = Authority::new();
    let (certificate, key) = authority.issue(&["localhost"], (2_099, 1, 1));
    let provider = Provider::with_tls(Some((&certificate, &key)));
    let text = config(&provider, "").replace("allow_loopback_http = true\n", "");
    let near = "[outbound]\nallow_private = [\"127.0.0.0/8\", \"::1/128\"]\n";
    let home = Home::with_config(&format!("{text}{near}"));
    let server = serve(&home, &provider);
    refused("an authority that nobody trusts", &server.send(&Request::get("/auth/oidc/start")), 503);
    drop(server);
    let trusting = format!("{text}[outbound]\nextra_ca = \"ca.pem\"\n");
    let home = Home::with_config(&trusting);
    std::fs::write(home.path().join("ca.pem"), &authority.pem).expect("a file");
    let server = serve(&home, &provider);
    refused("an address that is not public", &server.send(&Request::get("/auth/oidc/start")), 503);
    drop(server);
    let home = Home::with_config(&format!("{trusting}allow_private = [\"127.0.0.0/8\", \"::1/128\"]\n"));
    std::fs::write(home.path().join("ca.pem"), &authority.pem).expect("a file");
    let server = serve(&home, &provider);
    account(&home, "jo", "viewer");
    home.cli(&["identity", "link", "jo", "4711"]).ok();
    let answer = sign_in(&server, &provider, &Person::new("4711", json!({})));
    assert_eq!(actor(&server, &answer), "user:jo");
}
