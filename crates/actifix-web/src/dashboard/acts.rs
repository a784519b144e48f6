//! Acts of forms: what is asked before it is done, and what a page says after it.

use super::forms::{Sent, see};
use super::shell::{Nav, Shell, answer, base, render};
use super::text::Marked;
use crate::problem::Problem;
use actifix_app::App;
use actifix_app::error::Error;
use actifix_app::sessions::LiveSession;
use askama::Template;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use std::fmt;
use std::str::FromStr;

/// The word in an address after an act, and what the page says then. An address says nothing else on a page of ours.
const DONE: [(&str, &str); 39] = [
    ("released", "The entry went through the pipeline and is stored."),
    ("deleted", "The entry is deleted."),
    ("created", "The account is made."),
    ("role", "The role is changed; the sessions of that account ended."),
    ("disabled", "The account is closed and its sessions ended."),
    ("enabled", "The account is open again."),
    ("unlocked", "Failed logins of the account are forgotten."),
    ("password", "The password is set; the sessions of that account ended."),
    ("factor", "The second factor is no longer asked for; the sessions of that account ended."),
    ("session", "The session ended."),
    ("sessions", "All sessions ended."),
    ("revoked", "The token is revoked."),
    ("rule", "The rule is saved."),
    ("unruled", "The rule is removed."),
    ("on", "The channel is switched on."),
    ("off", "The channel is switched off."),
    ("added", "The channel is added: send a test to it."),
    ("removed", "The channel is removed."),
    ("delivered", "The receiver took the test message."),
    ("again", "The delivery waits to be sent again."),
    ("backup", "A backup is on the disk."),
    ("verified", "The backup was restored into a temporary home and is whole."),
    ("intact", "Every row and page was looked at; nothing is damaged."),
    ("held", "The hold is set."),
    ("unheld", "The hold is released."),
    ("look", "The display is changed in this browser."),
    ("view", "The view is saved."),
    ("unview", "The view is removed."),
    ("mine", "The chosen tickets are yours."),
    ("assigned", "The chosen tickets are assigned."),
    ("ignored", "The chosen tickets are ignored."),
    ("reopened", "The chosen tickets are open again."),
    ("resolved", "The chosen tickets are resolved."),
    ("none", "Nothing was chosen, so nothing was done."),
    ("checked", "Everything was checked anew."),
    ("approved", "Agents may have the ticket from now on."),
    ("unapproved", "Agents no longer have the ticket by an approval."),
    ("merged", "The tickets are merged into this one."),
    (
        "merged-unapproved",
        "The tickets are merged into this one. Its approval for agents ended, since not all of them had one: look at \
         what came in, then let agents have it again.",
    ),
];

/// What was done, of an address.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Done {
    /// One of our words; others mean nothing.
    pub done: String,
}

impl Done {
    /// What the page says.
    pub fn text(&self) -> &'static str {
        DONE.iter().find(|(word, _)| *word == self.done).map_or("", |(_, text)| text)
    }
}

/// A secret that is shown now and never again.
pub struct Once {
    /// Id of the element that holds it, from which it is copied.
    pub id: &'static str,
    /// What it is, with the name of the thing that it belongs to.
    pub title: Marked,
    /// What it is for.
    pub advice: &'static str,
    /// What ends when, and when that is, RFC 3339.
    pub ends: Option<(&'static str, String)>,
    /// The half of it that is no secret.
    pub public_key: Option<String>,
    /// The secret.
    pub text: String,
}

impl fmt::Debug for Once {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Once").field("title", &self.title).finish_non_exhaustive()
    }
}

/// What a page says besides its rows: what was done, what was not, a secret.
#[derive(Debug, Default)]
pub struct News {
    /// What was done.
    pub done: Done,
    /// What was not done, and why; empty where nothing went wrong.
    pub problem: String,
    /// What is shown once.
    pub once: Option<Once>,
}

impl From<Done> for News {
    fn from(done: Done) -> Self {
        Self { done, ..Self::default() }
    }
}

impl News {
    /// Something went wrong.
    pub fn problem(problem: String) -> Self {
        Self { problem, ..Self::default() }
    }
}

/// How an act ended that was done.
#[derive(Debug)]
pub enum End {
    /// The page says so by one of our words, and can be loaded again.
    Word(&'static str),
    /// The answer shows a secret.
    Once(Box<Once>),
    /// It did not come out well.
    Failed(String),
}

/// Answers the form of a page of rows: sends back to its path (which may have a query), or shows the page itself, where
/// something is told now only or can be mended there.
pub async fn finish<F>(
    app: &App,
    path: &str,
    ended: Result<End, Error>,
    page: impl FnOnce(News) -> F,
) -> Response
where
    F: Future<Output = Result<Response, Error>>,
{
    match ended {
        Ok(End::Word(word)) => {
            let join = if path.contains('?') { '&' } else { '?' };
            see(&format!("{}{path}{join}done={word}", base(app)))
        }
        Ok(End::Once(once)) => created(answer(page(News { once: Some(*once), ..News::default() }).await)),
        Ok(End::Failed(why)) => answer(page(News::problem(why)).await),
        Err(error) => again(error, |why| page(News::problem(why))).await,
    }
}

/// What cannot be taken back is asked on a page of its own, with the thing's name in the button.
#[derive(Debug)]
pub struct Question {
    /// Entry of the menu.
    pub nav: Nav,
    /// Path of the page that it belongs to.
    pub path: &'static str,
    /// What it is about.
    pub fact: String,
    /// What follows from it.
    pub consequence: &'static str,
    /// Verb and thing.
    pub button: String,
    /// What the form sends again.
    pub fields: Vec<(&'static str, String)>,
    /// The App wants the password, where it was not given lately.
    pub password: bool,
    /// A further field: name, label, value, form.
    pub further: Option<Further>,
}

/// Hours that the former secret goes on to be good for, where none are named.
pub const OVERLAP_HOURS: &str = "24";

/// A field of a question.
#[derive(Clone, Copy, Debug)]
pub struct Further {
    /// Name.
    pub name: &'static str,
    /// Label.
    pub label: &'static str,
    /// Kind of input.
    pub kind: &'static str,
    /// What stands in it first.
    pub value: &'static str,
}

#[derive(Template)]
#[template(path = "confirm.html")]
struct ConfirmPage {
    s: Shell,
    q: Question,
}

impl Further {
    /// For how long the former secret stays good.
    pub const OVERLAP: Self =
        Self { name: "overlap", label: "Overlap, hours", kind: "number", value: OVERLAP_HOURS };
}

/// The overlap of a form; `wanted` says what it may be.
pub fn overlap<T: FromStr>(sent: &Sent, wanted: impl FnOnce() -> String) -> Result<T, Error> {
    let hours = sent.fields.get(Further::OVERLAP.name).unwrap_or(OVERLAP_HOURS).parse();
    hours.map_err(|_| Error::invalid(Further::OVERLAP.name, wanted()))
}

/// The page of a question.
pub async fn ask(app: &App, live: &LiveSession, question: Question) -> Response {
    let page = async {
        let s = Shell::load(app, live, question.nav, &question.button).await?;
        Ok(render(&ConfirmPage { s, q: question }))
    };
    answer(page.await)
}

/// Whether the question was answered with yes.
pub fn is_sure(sent: &Sent) -> bool {
    sent.fields.get("sure") == Some("yes")
}

/// The password that came with a form.
pub fn password(sent: &Sent) -> Option<&str> {
    sent.fields.get("your_password")
}

/// A form that no page of ours has.
pub fn unknown() -> Error {
    Error::invalid("act", "this page does not know it: load it again")
}

/// How the refusal of an act begins that the App wants a password for.
const PASSWORD_NEEDED: &str = "your password again";

/// What was not done: on its page again where the person can mend it, else on a page that says only so.
pub async fn again<F>(error: Error, page: impl FnOnce(String) -> F) -> Response
where
    F: Future<Output = Result<Response, Error>>,
{
    let mendable = match &error {
        Error::Forbidden { needs } => needs.starts_with(PASSWORD_NEEDED) || needs.contains("password"),
        Error::Invalid(_) | Error::Conflict { .. } | Error::Unavailable { .. } | Error::Throttled { .. } => {
            true
        }
        Error::NotFound { .. } | Error::Damaged { .. } | Error::Internal(_) => false,
    };
    let asked = matches!(&error, Error::Forbidden { needs } if needs.starts_with(PASSWORD_NEEDED));
    let problem = Problem::from(error);
    if !mendable {
        return problem.into_response();
    }
    let why = if asked {
        "You gave your password more than 10 minutes ago: give it again with the form.".to_owned()
    } else {
        problem.detail.clone()
    };
    match page(why).await {
        Ok(mut response) => {
            *response.status_mut() = problem.status;
            if let Some(seconds) = problem.retry_after {
                response.headers_mut().insert(axum::http::header::RETRY_AFTER, seconds.into());
            }
            response
        }
        Err(error) => Problem::from(error).into_response(),
    }
}

/// A page after an act that was not let, without a way to mend it.
pub fn failed(error: Error) -> Response {
    Problem::from(error).into_response()
}

/// Marks a page as the answer to an act that was done.
fn created(mut response: Response) -> Response {
    if response.status() == StatusCode::OK {
        *response.status_mut() = StatusCode::CREATED;
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_says_only_what_is_known() {
        assert_eq!(Done { done: "revoked".into() }.text(), "The token is revoked.");
        for other in ["", "Revoked", "<b>", "your account is stolen, call 555"] {
            assert_eq!(Done { done: other.into() }.text(), "", "{other}");
        }
        let words: std::collections::BTreeSet<_> = DONE.iter().map(|(word, _)| word).collect();
        assert_eq!(words.len(), DONE.len());
    }

    const HOSTILE: &str = "<script>alert(1)</script>\"'><img src=x>";

    #[test]
    fn a_question_shows_names_as_text() {
        let q = Question {
            nav: Nav::Tokens,
            path: "/tokens",
            fact: format!("Revoke the token {HOSTILE}?"),
            consequence: "It is refused.",
            button: format!("Revoke {HOSTILE}"),
            fields: vec![("act", "revoke".to_owned()), ("id", HOSTILE.to_owned())],
            password: true,
            further: None,
        };
        let html = ConfirmPage { s: Shell::sample(), q }.render().expect("a page");
        assert!(!html.contains("<script>alert") && !html.contains("<img src=x"), "{html}");
        assert!(html.contains("name=\"your_password\""), "asked again after ten minutes: {html}");
    }

    #[tokio::test]
    async fn what_can_be_mended_is_told_on_its_page() {
        async fn page(why: String) -> Result<Response, Error> {
            Ok(axum::response::Html(why).into_response())
        }
        let stale = Error::Forbidden { needs: "your password again, in the field password" };
        for (error, status, told) in [
            (stale, 403, "more than 10 minutes ago"),
            (Error::invalid("name", "1 to 64 characters"), 422, "1 to 64 characters"),
            (Error::conflict("there are too many"), 409, "there are too many"),
            (Error::Throttled { retry_after_seconds: 7 }, 429, "try again in 7 s"),
        ] {
            let answer = again(error, page).await;
            assert_eq!(answer.status(), status);
            let body = axum::body::to_bytes(answer.into_body(), 1_000).await.expect("a body");
            assert!(String::from_utf8_lossy(&body).contains(told), "{told}");
        }
        // What somebody may not do, and what is not there, has no page.
        for error in [Error::Forbidden { needs: "admin" }, Error::NotFound { what: "token" }] {
            let answer = again(error, page).await;
            let body = axum::body::to_bytes(answer.into_body(), 1_000).await.expect("a body");
            assert!(body.is_empty());
        }
    }
}
