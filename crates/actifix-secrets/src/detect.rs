//! Finding spans in bytes. Every detector returns spans and changes nothing.
pub(crate) mod assign;
pub(crate) mod auth;
pub(crate) mod bare;
pub(crate) mod bound;
pub(crate) mod calls;
pub(crate) mod checks;
pub(crate) mod codelike;
pub(crate) mod command;
pub(crate) mod declared;
pub(crate) mod decode;
pub(crate) mod dumps;
pub(crate) mod echoed;
pub(crate) mod fold;
pub(crate) mod forms;
pub(crate) mod glued;
pub(crate) mod grid;
pub(crate) mod hunt;
pub(crate) mod lines;
pub(crate) mod notation;
pub(crate) mod path;
pub(crate) mod personal;
pub(crate) mod prose;
pub(crate) mod shape;
pub(crate) mod sql;
pub(crate) mod value;
pub(crate) mod words;
#[cfg(test)]
mod work;

/// A part of a text that has to go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    pub start: usize,
    pub end: usize,
    /// Index of the rule in the engine.
    pub rule: u16,
    /// Whether the value is to be replaced elsewhere in the envelope too.
    pub echo: bool,
}
