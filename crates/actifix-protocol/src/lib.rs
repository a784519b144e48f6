//! actifix-protocol

pub mod otlp;
pub mod stacktext;
