//! Ctrl-C of commands that go on until interrupted.

use std::io;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// Ctrl-C. What comes while a command is busy is kept until it asks: a listener made anew for each wait would lose it.
pub struct Interrupt(Signal);

impl Interrupt {
    /// Starts to receive; from here on Ctrl-C no longer ends the process by itself.
    pub fn install() -> io::Result<Self> {
        Ok(Self(signal(SignalKind::interrupt())?))
    }

    /// Returns when Ctrl-C came, or had come.
    pub async fn came(&mut self) {
        let _closed = self.0.recv().await;
    }
}
