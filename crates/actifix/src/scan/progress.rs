//! What a person waiting sees: a line on a terminal, nothing in a pipe.

use indicatif::{ProgressBar, ProgressStyle};
use std::time::Duration;

/// Redraws per second are bounded by this.
const TICK: Duration = Duration::from_millis(120);

/// A line of progress on standard error.
#[derive(Debug)]
pub struct Progress {
    bar: ProgressBar,
}

impl Progress {
    /// Nothing is shown.
    pub fn hidden() -> Self {
        Self { bar: ProgressBar::hidden() }
    }

    /// Shown if standard error is a terminal.
    pub fn on_terminal() -> Self {
        if !console::Term::stderr().is_term() {
            return Self::hidden();
        }
        let bar = ProgressBar::new_spinner();
        bar.enable_steady_tick(TICK);
        Self { bar }
    }

    /// Something of known size begins.
    pub fn begin(&self, what: &'static str, total: Option<u64>) {
        self.bar.set_position(0);
        self.bar.set_message(what);
        let template = match total {
            Some(total) => {
                self.bar.set_length(total);
                "{spinner} {msg} [{bar:30}] {human_pos}/{human_len} {eta}"
            }
            None => "{spinner} {msg} {human_pos}",
        };
        if let Ok(style) = ProgressStyle::with_template(template) {
            self.bar.set_style(style);
        }
    }

    /// So many more are done.
    pub fn add(&self, count: u64) {
        self.bar.inc(count);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
