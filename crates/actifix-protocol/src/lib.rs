//! actifix-protocol

pub mod logs;
pub mod otlp;
pub mod stacktext;
