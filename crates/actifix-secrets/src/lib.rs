//! One compiled engine that finds credentials and personal data: the ingest redaction, the scanner, the log
//! layer and every export use it, because two copies would drift.
//!
//! The crate is pure: bytes, strings and JSON values in, findings or redacted text out. It has no I/O, no clock,
//! no randomness and no async code, and every loop in it is linear and bounded.
//!
//! Three tiers of effort decide what goes:
//!
//! 1. *token formats*: vendor tokens, PEM blocks, JWTs, card numbers, passwords in URLs. Always replaced.
//! 2. *sensitive names*: the value of `password`, `api_key` and friends in every common notation. Always replaced.
//! 3. *best effort*: random-looking words next to a sensitive word, secrets inside base64.
//!
//! What was found is replaced by a stable token, so that the text around it stays readable:
//!
//! ```
//! use actifix_secrets::{Engine, Settings};
//!
//! let engine = Engine::builtin();
//! let settings = Settings::default();
//! let (text, findings) = engine.redact_text("password=hunter2 retry=3 from bob@example.com", &settings);
//! assert_eq!(text, "password=[redacted:password] retry=3 from [redacted:email]");
//! assert_eq!(findings.len(), 1);
//! ```
//!
//! An envelope is redacted as a whole, because a value that is secret in one place is secret in all of them:
//!
//! ```
//! use actifix_secrets::{Engine, Settings};
//!
//! let engine = Engine::builtin();
//! let settings = Settings::default();
//! let mut event = serde_json::json!({
//!     "message": "login as bob with tr0ub4dor&3x failed",
//!     "extra": {"password": "tr0ub4dor&3x"},
//! });
//! let mut session = engine.session(&settings);
//! session.value("event", &mut event)?;
//! session.echo_value(&mut event);
//! let report = session.finish();
//! assert_eq!(event["message"], "login as bob with [redacted:password] failed");
//! assert_eq!(report.findings[0].path, "event.extra.password");
//! # Ok::<(), actifix_secrets::BudgetExceeded>(())
//! ```
//!
//! The scanner reports where a secret stands, and leaves out examples, placeholders and references. Rules of your own have
//! the format of the built-in ones; what is wrong with one is said with file and line:
//!
//! ```
//! use actifix_secrets::{Engine, RuleSource, Severity};
//!
//! let text = r#"
//! vendor = "Acme"
//! fix = "Revoke it in the settings of the Acme console."
//! [[rule]]
//! id = "acme_key"
//! description = "Acme deploy key"
//! severity = "critical"
//! keywords = ["acme_"]
//! pattern = 'acme_[a-z0-9]{16}'
//! "#;
//! let own = RuleSource { name: "own.toml".to_owned(), text: text.to_owned() };
//! let engine = Engine::from_rules(&[own])?;
//! let found = engine.scan(b"deploy with acme_k3j4h5g6f7d8s9a0 today");
//! assert_eq!((&*found[0].rule, found[0].severity, found[0].span.clone()), ("acme_key", Severity::Critical, 12..33));
//! # Ok::<(), actifix_secrets::RuleError>(())
//! ```
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing))]
#![warn(missing_docs)]
#![cfg_attr(not(test), warn(clippy::indexing_slicing))]

mod builtin;
mod bytes;
mod detect;
mod engine;
mod finding;
mod identity;
mod redact;
mod rule;
mod scan;
mod settings;
mod table;

pub use engine::Engine;
pub use finding::{Dropped, Finding, Match, Report};
pub use redact::session::Session;
pub use rule::{Rule, RuleError, RuleSource, Severity};
pub use settings::{Budget, BudgetExceeded, HashKey, PersonalData, SensitiveKeys, Settings};
