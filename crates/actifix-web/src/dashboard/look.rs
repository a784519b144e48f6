//! How pages look: theme, density, keys. A cookie holds it, since it belongs to the screen rather than to the person.

use super::acts;
use super::forms::{Sent, Viewer, is_https, see};
use super::shell::{Nav, Shell, answer, base, render};
use crate::cookies;
use actifix_app::App;
use actifix_app::error::Error;
use askama::Template;
use axum::extract::{Query, State};
use axum::http::{Extensions, HeaderMap};
use axum::response::Response;
use std::sync::Arc;

/// What the cookie can say: everything else is the default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Look {
    /// `light` or `dark`; empty is what the system says.
    pub theme: &'static str,
    /// Taller rows.
    pub roomy: bool,
    /// Single keys do nothing (WCAG 2.1.4).
    pub keyless: bool,
}

tokio::task_local! {
    static LOOK: Look;
}

impl Look {
    /// Of a request's cookie.
    pub fn of(headers: &HeaderMap) -> Self {
        cookies::value(headers, cookies::LOOK).map(Self::read).unwrap_or_default()
    }

    /// Of the request that is being answered.
    pub fn current() -> Self {
        LOOK.try_with(|look| *look).unwrap_or_default()
    }

    /// Words with dots between them; unknown ones mean nothing.
    fn read(text: &str) -> Self {
        let mut look = Self::default();
        for word in text.split('.').take(3) {
            match word {
                "light" => look.theme = "light",
                "dark" => look.theme = "dark",
                "roomy" => look.roomy = true,
                "keyless" => look.keyless = true,
                _ => {}
            }
        }
        look
    }

    fn written(self) -> String {
        let words =
            [self.theme, if self.roomy { "roomy" } else { "" }, if self.keyless { "keyless" } else { "" }];
        words.into_iter().filter(|word| !word.is_empty()).collect::<Vec<_>>().join(".")
    }

    /// Answers with this look.
    pub async fn worn<F: Future>(self, answering: F) -> F::Output {
        LOOK.scope(self, answering).await
    }
}

#[derive(Template)]
#[template(path = "look.html")]
struct LookPage {
    s: Shell,
}

/// The form.
pub async fn show(State(app): State<Arc<App>>, viewer: Viewer, Query(done): Query<acts::Done>) -> Response {
    let page = async {
        let s = Shell::load(&app, &viewer.0, Nav::Look, "Display").await?;
        Ok::<_, Error>(render(&LookPage { s: s.done(&done) }))
    };
    answer(page.await)
}

/// Sets the cookie.
pub async fn set(State(app): State<Arc<App>>, extensions: Extensions, sent: Sent) -> Response {
    let fields = &sent.fields;
    let look = Look {
        theme: match fields.get("theme") {
            Some("light") => "light",
            Some("dark") => "dark",
            _ => "",
        },
        roomy: fields.get("density") == Some("roomy"),
        keyless: fields.get("keys") == Some("off"),
    };
    let mut response = see(&format!("{}/display?done=look", base(&app)));
    cookies::set_look(response.headers_mut(), &look.written(), is_https(&extensions));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_look_is_one_of_few() {
        let look = Look { theme: "dark", roomy: true, keyless: true };
        assert_eq!(Look::read(&look.written()), look);
        assert_eq!(Look::read("\"><script>"), Look::default());
        assert_eq!(Look::read("x.y.z.dark"), Look::default(), "three words at most");
        assert_eq!(Look::default().written(), "");
    }
}
