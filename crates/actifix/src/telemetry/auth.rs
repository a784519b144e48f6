//! The log of refused credentials: `.actifix/logs/auth.log`, one plain line each, with the client's address.
//!
//! Programs that ban addresses (fail2ban) need the address in a line of fixed form; the log for people holds none. The
//! words of a line are ours, so that nobody can write a line about somebody else. Whoever floods it is counted instead.

use super::file::LogFile;
use actifix_app::ports::Clock;
use actifix_domain::time::MINUTE;
use std::collections::HashMap;
use std::fmt;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::layer::{Context, Layer};

/// Target of events that are meant for this log alone.
pub const TARGET: &str = actifix_app::auth_log::TARGET;
/// Lines per minute and address: enough for every ban, too few to fill a disk.
const ADDRESS_LINES_MAX: u32 = 30;
/// Lines per minute of all.
const LINES_MAX: u32 = 600;

pub(super) struct AuthLayer {
    file: Arc<LogFile>,
    clock: Arc<dyn Clock>,
    written: Mutex<Written>,
}

/// Lines of the minute.
#[derive(Default)]
struct Written {
    minute: i64,
    lines: u32,
    by_address: HashMap<IpAddr, u32>,
}

impl AuthLayer {
    pub(super) fn new(file: Arc<LogFile>, clock: Arc<dyn Clock>) -> Self {
        metrics::counter!("actifix_auth_log_suppressed_total").increment(0);
        Self { file, clock, written: Mutex::default() }
    }

    fn admits(&self, address: IpAddr) -> bool {
        let minute = self.clock.monotonic_micros() / MINUTE;
        let mut written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        if written.minute != minute {
            *written = Written { minute, ..Written::default() };
        }
        let lines = written.lines;
        let own = written.by_address.get(&address).copied().unwrap_or(0);
        if lines >= LINES_MAX || own >= ADDRESS_LINES_MAX {
            return false;
        }
        written.lines += 1;
        written.by_address.insert(address, own + 1);
        true
    }
}

impl<S: Subscriber> Layer<S> for AuthLayer {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        if event.metadata().target() != TARGET {
            return;
        }
        let mut facts = Facts::default();
        event.record(&mut facts);
        let Some(address) = facts.address.parse::<IpAddr>().ok().map(|address| address.to_canonical()) else {
            return;
        };
        if !self.admits(address) {
            metrics::counter!("actifix_auth_log_suppressed_total").increment(1);
            return;
        }
        let line = line(&self.clock.now().to_string(), &facts.reason, address);
        self.file.append_or_count(line.as_bytes());
    }
}

/// A line of the log.
fn line(now: &str, reason: &str, address: IpAddr) -> String {
    let reason: String =
        reason.chars().filter(|c| c.is_ascii_lowercase() || matches!(c, '_' | '-')).take(40).collect();
    format!("{now} actifix auth failure reason={reason} address={address}\n")
}

#[derive(Default)]
struct Facts {
    reason: String,
    address: String,
}

impl Visit for Facts {
    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "reason" => value.clone_into(&mut self.reason),
            "address" => value.clone_into(&mut self.address),
            _ => {}
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.record_str(field, &format!("{value:?}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::file::Bounds;
    use actifix_domain::time::Timestamp;

    #[derive(Debug)]
    struct Still;

    impl Clock for Still {
        fn now(&self) -> Timestamp {
            Timestamp::from_micros(1_795_000_000_000_000)
        }

        fn monotonic_micros(&self) -> i64 {
            7
        }
    }

    #[test]
    fn one_address_and_all_together_have_so_many_lines_a_minute() {
        let dir = tempfile::tempdir().unwrap();
        let clock: Arc<dyn Clock> = Arc::new(Still);
        let file = LogFile::new(dir.path(), "auth", Bounds::new(30, 0), Arc::clone(&clock));
        let layer = AuthLayer::new(Arc::new(file), clock);
        let admitted =
            |address: &str, times: u32| (0..times).filter(|_| layer.admits(address.parse().unwrap())).count();
        assert_eq!(admitted("192.0.2.1", 1_000), 30);
        assert_eq!(admitted("192.0.2.2", 1), 1, "others are still told of");
        let many: usize = (0..250).map(|n| admitted(&format!("198.51.100.{n}"), 30)).sum();
        assert_eq!(many, 569);
    }

    #[test]
    fn a_line_holds_words_of_ours_and_an_address() {
        let address = "2001:db8::1".parse().unwrap();
        let line = line("2026-11-30T20:00:00.000000Z", "login\n2026 actifix address=192.0.2.9 ", address);
        assert_eq!(line.matches('\n').count(), 1);
        assert_eq!(line.matches("address=").count(), 1);
        assert!(line.ends_with("address=2001:db8::1\n"), "{line}");
    }
}
