//! People of tests: what a browser keeps, and how it logs in.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::harness::{Home, Server};
use crate::http::{Answer, Request};

/// The administrator's.
pub const PASSWORD: &str = "nine lamps in the rain";
/// Everybody else's.
pub const OTHER: &str = "violet tractor hums quietly";

/// What a browser keeps after a login.
#[derive(Clone, Debug)]
pub struct Browser {
    pub session: String,
    pub device: String,
    pub csrf: String,
}

pub fn cookie(answer: &Answer, name: &str) -> String {
    let start = format!("{name}=");
    answer
        .headers
        .iter()
        .filter(|(known, _)| known == "set-cookie")
        .find_map(|(_, value)| value.strip_prefix(&start))
        .and_then(|rest| rest.split(';').next())
        .unwrap_or_else(|| panic!("no cookie {name}: {:?}", answer.headers))
        .to_owned()
}

pub fn try_login(server: &Server, name: &str, password: &str, device: Option<&str>) -> Answer {
    post_login(server, &json!({ "username": name, "password": password }), device)
}

/// Sends any body to the login.
pub fn post_login(server: &Server, body: &Value, device: Option<&str>) -> Answer {
    let body = body.to_string();
    let mut request = Request::post("/api/v1/auth/login", body).header("Content-Type", "application/json");
    if let Some(device) = device {
        request = request.header("Cookie", &format!("actifix-device={device}"));
    }
    server.send(&request)
}

#[track_caller]
pub fn login(server: &Server, name: &str, password: &str) -> Browser {
    let answer = try_login(server, name, password, None);
    assert_eq!(answer.status, 200, "{}", answer.text());
    Browser::of(&answer)
}

impl Browser {
    /// What a login that succeeded left.
    pub fn of(answer: &Answer) -> Self {
        Self {
            session: cookie(answer, "actifix"),
            device: cookie(answer, "actifix-device"),
            csrf: answer.json()["csrf_token"].as_str().expect("a token").to_owned(),
        }
    }

    /// The Cookie header of what it keeps.
    pub fn cookies(&self) -> String {
        format!("actifix={}", self.session)
    }

    pub fn request(&self, method: &str, path: &str, body: Option<&Value>) -> Request {
        let mut request = Request::new(method, path).header("Cookie", &self.cookies());
        if let Some(body) = body {
            request = request.header("Content-Type", "application/json").body(body.to_string());
        }
        request
    }

    pub fn get(&self, server: &Server, path: &str) -> Answer {
        server.send(&self.request("GET", path, None))
    }

    pub fn send(&self, server: &Server, method: &str, path: &str, body: &Value) -> Answer {
        server.send(&self.request(method, path, Some(body)).header("X-CSRF-Token", &self.csrf))
    }

    /// An access token of the session. It was used, so that the server remembers it.
    #[track_caller]
    pub fn access(&self, server: &Server) -> String {
        let answer = self.send(server, "POST", "/api/v1/auth/token", &json!({}));
        assert_eq!(answer.status, 200, "{}", answer.text());
        let token = answer.json()["access_token"].as_str().expect("a token").to_owned();
        assert_eq!((bearer(server, &token).status, bearer(server, &token).status), (200, 200));
        token
    }
}

/// Asks with a token what everybody may read.
pub fn bearer(server: &Server, token: &str) -> Answer {
    server.send(&Request::get("/api/v1/tickets").header("Authorization", &format!("Bearer {token}")))
}

/// A server whose administrator has a password.
pub fn with_admin() -> (Arc<Home>, Server) {
    with_admin_and("")
}

/// As [`with_admin`], with a configuration.
pub fn with_admin_and(config: &str) -> (Arc<Home>, Server) {
    let home = Home::with_config(config);
    home.cli_stdin(&["admin", "set-password", "--stdin"], format!("{PASSWORD}\n").as_bytes()).ok();
    let server = home.serve();
    (home, server)
}

pub fn user(home: &Home, name: &str, role: &str) {
    home.cli_stdin(&["user", "create", name, "--role", role, "--stdin"], OTHER.as_bytes()).ok();
}
