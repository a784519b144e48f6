//! Replacing what was found.
pub(crate) mod clean;
pub(crate) mod echo;
pub(crate) mod keys;
pub(crate) mod level;
mod located;
pub(crate) mod memory;
mod named;
pub(crate) mod node;
mod params;
pub(crate) mod session;
pub(crate) mod text;
pub(crate) mod walk;
