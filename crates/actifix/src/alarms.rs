//! What ends soon: looked at once an hour and told to those who listen.

use crate::certificate::Certificate;
use actifix_app::App;
use actifix_app::error::Result;
use actifix_domain::alert::{Signal, Trigger};
use actifix_domain::time::{DAY, Timestamp};

/// Days before the end of a token at which it is told.
const TOKEN_DAYS: [i64; 3] = [1, 7, 14];
/// Days before the end of a certificate at which it is told.
const CERTIFICATE_DAYS: [i64; 4] = [1, 3, 7, 21];

/// Tells what there is to tell. Each has a subject of its own, by which rules know a repetition.
pub async fn raise(app: &App, certificates: &[Certificate]) -> Result<()> {
    let now = app.now();
    let mut signals = Vec::new();
    let tokens = app.live_tokens(&actifix_domain::access::Actor::System).await?;
    for token in tokens.into_iter().filter(|token| !token.replaced) {
        if let Some(days) = reached(&TOKEN_DAYS, token.expires_at, now) {
            let subject = format!("token:{}:{days}", token.id);
            let title = format!("API token {} ends on {}", token.name, date(token.expires_at));
            let mut signal = Signal::new(Trigger::Expiry, now, subject, title);
            signal.detail = format!("within {days} d; replace it with `actifix token rotate {}`", token.id);
            signals.push(signal);
        }
    }
    for (listener, end) in certificates.iter().map(Certificate::end) {
        if let Some(days) = reached(&CERTIFICATE_DAYS, end, now) {
            let subject = format!("certificate:{listener}:{days}");
            let title = format!("Certificate of listeners.{listener} ends on {}", date(end));
            let mut signal = Signal::new(Trigger::Expiry, now, subject, title);
            signal.detail = format!("within {days} d; renew it, the server takes the new one over by itself");
            signals.push(signal);
        }
    }
    app.raise_signals(signals).await
}

/// The narrowest of the spans within which something ends.
fn reached(days: &[i64], end: Timestamp, now: Timestamp) -> Option<i64> {
    days.iter().copied().find(|days| end.since(now) <= days * DAY)
}

fn date(at: Timestamp) -> String {
    at.to_string().chars().take(10).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_span_is_told_once() {
        let now = Timestamp::from_micros(1_795_000_000_000_000);
        for (left, days) in [
            (15 * DAY, None),
            (14 * DAY, Some(14)),
            (8 * DAY, Some(14)),
            (7 * DAY, Some(7)),
            (DAY, Some(1)),
            (-DAY, Some(1)),
        ] {
            assert_eq!(reached(&TOKEN_DAYS, now.plus(left), now), days, "{left}");
        }
    }
}
