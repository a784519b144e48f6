//! Live counts: one stream of server-sent events per window that somebody looks at. It says how many, never what; it
//! ends with its session, and when the server stops.

use crate::cookies;
use crate::extract::{Session, live_session};
use crate::problem::Problem;
use crate::server::{Stopping, Streaming};
use actifix_app::App;
use actifix_app::live::{ListCounts, LiveCounts, StreamPlace};
use actifix_app::sessions::LiveSession;
use actifix_domain::time::Timestamp;
use axum::body::{Body, Bytes};
use axum::extract::{FromRequestParts, Query, State};
use axum::http::request::Parts;
use axum::http::{Extensions, StatusCode, header};
use axum::response::{IntoResponse, Response};
use hyper::body::Frame;
use serde::{Deserialize, Serialize};
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::sync::mpsc;

/// Between two looks: a page changes once in this time at most.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// Looks without news after which the reader hears that the stream goes on.
const QUIET_LOOKS_MAX: u32 = 5;
/// Looks of one stream; the browser begins another one after it.
const LOOKS_MAX: u32 = 1_800;
/// Messages that wait for a reader; who takes none for so long is gone.
const WAITING_MAX: usize = 8;
/// The browser waits so long before it begins again, milliseconds.
const RETRY_MS: u32 = 5_000;

/// Tells the browser not to begin again.
const END: &[u8] = b"event: end\ndata: {}\n\n";

/// Who looks. Without a session the answer is 401 and no page to sign in: a stream is no document.
#[derive(Debug)]
pub struct Looker(LiveSession);

impl FromRequestParts<Arc<App>> for Looker {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Problem> {
        if !cookies::is_same_origin(&parts.headers) {
            return Err(Problem::new(StatusCode::FORBIDDEN, "only pages of this server may look at it"));
        }
        match parts.extensions.get::<Session>() {
            Some(Session(live)) => Ok(Self(live.clone())),
            None => live_session(parts, app).await.map(Self),
        }
    }
}

/// Which list somebody looks at, since when.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Asked {
    q: String,
    project: String,
    since: String,
}

/// What is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
struct Told {
    #[serde(flatten)]
    counts: LiveCounts,
    #[serde(flatten)]
    list: Option<ListCounts>,
}

/// The stream.
pub async fn stream(
    State(app): State<Arc<App>>,
    Looker(live): Looker,
    Query(asked): Query<Asked>,
    extensions: Extensions,
) -> Response {
    let place = match app.open_stream(&live) {
        Ok(place) => place,
        Err(error) => return Problem::from(error).into_response(),
    };
    let (to, messages) = mpsc::channel(WAITING_MAX);
    let stopping = extensions.get::<Stopping>().cloned();
    let look = Look { app, live, asked, place, last: None, listed: None };
    let looking = Some(Box::pin(look.go_on(to, stopping)) as Looking);
    let mut response = Body::new(Messages { looking, messages }).into_response();
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, header::HeaderValue::from_static("text/event-stream"));
    response.extensions_mut().insert(Streaming);
    response
}

/// One reader.
struct Look {
    app: Arc<App>,
    live: LiveSession,
    asked: Asked,
    place: StreamPlace,
    last: Option<Told>,
    /// The list as it was counted last, and at how many events that was.
    listed: Option<(LiveCounts, ListCounts)>,
}

impl Look {
    /// Looks again and again until the session ends or the server stops. It is driven by the connection that reads it, and
    /// goes with that.
    async fn go_on(mut self, to: mpsc::Sender<Bytes>, stopping: Option<Stopping>) {
        let stop = async {
            match stopping {
                Some(stopping) => stopping.begun().await,
                None => std::future::pending().await,
            }
        };
        let mut stop = std::pin::pin!(stop);
        let mut looks = tokio::time::interval(LOOK_EVERY);
        looks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut quiet = 0;
        for number in 0..LOOKS_MAX {
            tokio::select! {
                biased;
                () = &mut stop => break,
                () = self.place.taken() => {
                    let _reader_gone = to.try_send(Bytes::from_static(END));
                    break;
                }
                _ = looks.tick() => {}
            }
            let message = tokio::select! {
                biased;
                () = &mut stop => break,
                message = self.look(number) => message,
            };
            let sent = match message {
                Message::News(text) => to.try_send(text.into()),
                Message::Nothing if quiet < QUIET_LOOKS_MAX => {
                    quiet += 1;
                    continue;
                }
                Message::Nothing => to.try_send(Bytes::from_static(b": still here\n\n")),
                Message::End => {
                    // Whether or not it is heard: the next request is refused.
                    let _reader_gone = to.try_send(Bytes::from_static(END));
                    break;
                }
            };
            quiet = 0;
            if sent.is_err() {
                break;
            }
        }
        drop(self.place);
    }

    async fn look(&mut self, number: u32) -> Message {
        match self.app.goes_on(&self.live).await {
            Ok(true) => {}
            Ok(false) => return Message::End,
            // The database does not answer for the moment: nothing is known, and nothing is told.
            Err(_) => return Message::Nothing,
        }
        let Ok(counts) = self.app.live_counts(&self.live.actor).await else { return Message::Nothing };
        let told = Told { counts, list: self.list(counts).await };
        if self.last == Some(told) {
            return Message::Nothing;
        }
        self.last = Some(told);
        match serde_json::to_string(&told) {
            Ok(data) => {
                let retry = if number == 0 { format!("retry: {RETRY_MS}\n") } else { String::new() };
                Message::News(format!("{retry}id: {number}\nevent: counts\ndata: {data}\n\n"))
            }
            Err(_) => Message::Nothing,
        }
    }

    /// Counts of the list, anew where anything was counted since. A search that cannot be read has none.
    async fn list(&mut self, counts: LiveCounts) -> Option<ListCounts> {
        let since = Timestamp::parse(&self.asked.since)?;
        if let Some((at, list)) = self.listed
            && at == counts
        {
            return Some(list);
        }
        let project = Some(self.asked.project.as_str()).filter(|name| !name.is_empty());
        let list = self.app.list_changes(&self.live.actor, project, &self.asked.q, since).await.ok()?;
        self.listed = Some((counts, list));
        Some(list)
    }
}

enum Message {
    News(String),
    Nothing,
    End,
}

type Looking = Pin<Box<dyn Future<Output = ()> + Send>>;

/// A body of messages as they come.
struct Messages {
    /// Who makes them; none when it has ended.
    looking: Option<Looking>,
    messages: mpsc::Receiver<Bytes>,
}

impl hyper::body::Body for Messages {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if let Some(looking) = &mut self.looking
            && looking.as_mut().poll(context).is_ready()
        {
            self.looking = None;
        }
        self.messages.poll_recv(context).map(|message| message.map(|bytes| Ok(Frame::data(bytes))))
    }
}
