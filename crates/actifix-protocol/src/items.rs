//! Payloads of the envelope items that are not events (`ingest.md` §8).
//!
//! All read redacted JSON and give small structs; what such an item says beyond them is dropped.

mod check_in;
mod feedback;
mod log;
mod report;

pub use self::check_in::{
    CheckIn, CheckInStatus, IntervalUnit, MonitorConfig, SLUG_BYTES_MAX, Schedule, check_in,
    check_in_from_query,
};
pub use self::feedback::{Feedback, feedback, user_report};
pub use self::log::{LOG_RECORDS_MAX, LogList, LogRecord, log_list, log_record, log_to_event, otel_log};
pub use self::report::{
    ClientReport, Discarded, QUANTITY_MAX, REPORT_ENTRIES_MAX, SessionCounters, client_report, session,
    sessions,
};

#[cfg(test)]
mod tests;
