//! A credential that was refused: counted by reason, and told to the log for programs that ban addresses.

use crate::audit::address;

/// Target of the events that carry a client's address. The log for people leaves them out.
pub const TARGET: &str = "actifix_auth";

/// Words of the label `reason` that do not depend on what was sent. Each is served from the start, so that an alert rule
/// can tell none from unknown.
pub const REASONS: [&str; 13] = [
    "login",
    "throttled",
    "locked",
    "confirm",
    "hook",
    "oidc",
    "csrf",
    "authorization",
    "query",
    "token",
    "jwt_signature",
    "jwt_ended",
    "unknown_key",
];

/// Counts a refused credential; within a request, its client's address is told.
pub fn refused(reason: &'static str) {
    metrics::counter!("actifix_auth_failures_total", "reason" => reason).increment(1);
    if let Some(address) = address() {
        tracing::warn!(target: TARGET, reason, %address);
    }
}
