//! Searches that people keep.

use crate::error::Result;
use actifix_domain::time::Timestamp;
use async_trait::async_trait;

/// A search under a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SavedView {
    /// Name, one of its own per person.
    pub name: String,
    /// The search text.
    pub search: String,
}

/// Searches that people keep, each for themselves.
#[async_trait]
pub trait ViewStore {
    /// The views of a person, by name.
    async fn views(&self, user_id: &str) -> Result<Vec<SavedView>>;
    /// Keeps one; of the same name it is replaced. `Conflict` where the person has `most` already.
    async fn save_view(&self, user_id: &str, view: &SavedView, most: u32, now: Timestamp) -> Result<()>;
    /// Forgets one; false when there is none.
    async fn remove_view(&self, user_id: &str, name: &str) -> Result<bool>;
}
