//! Searches that people keep under a name, each for themselves.

use crate::app::App;
use crate::error::{Error, Result};
use crate::ports::SavedView;
use actifix_domain::access::{Actor, Scope};
use actifix_domain::search::Search;

/// Views of one person; the line above the list holds them and ours.
pub const VIEWS_MAX: u32 = 20;
/// Longest name, characters.
pub const VIEW_NAME_CHARS_MAX: usize = 40;

impl App {
    /// The person's own views, by name.
    pub async fn saved_views(&self, actor: &Actor) -> Result<Vec<SavedView>> {
        match actor {
            Actor::User { id, .. } => self.store.views(id).await,
            _ => Ok(Vec::new()),
        }
    }

    /// Keeps a search under a name; one of the same name is replaced.
    pub async fn save_view(&self, actor: &Actor, name: &str, search: &str) -> Result<()> {
        Self::require(actor, Scope::TicketsRead, None)?;
        let owner = person(actor)?;
        let name: String = name.split_whitespace().collect::<Vec<_>>().join(" ");
        if !(1..=VIEW_NAME_CHARS_MAX).contains(&name.chars().count()) || name.chars().any(char::is_control) {
            return Err(Error::invalid("name", format!("1 to {VIEW_NAME_CHARS_MAX} characters")));
        }
        let search = search.trim();
        Search::parse(search, self.now()).map_err(|error| Error::invalid("search", error.to_string()))?;
        let view = SavedView { name, search: search.to_owned() };
        self.store.save_view(owner, &view, VIEWS_MAX, self.now()).await
    }

    /// Forgets a view of the person's own.
    pub async fn remove_view(&self, actor: &Actor, name: &str) -> Result<()> {
        if self.store.remove_view(person(actor)?, name).await? {
            Ok(())
        } else {
            Err(Error::NotFound { what: "view" })
        }
    }
}

fn person(actor: &Actor) -> Result<&str> {
    match actor {
        Actor::User { id, .. } => Ok(id),
        _ => Err(Error::Forbidden { needs: "a person who logged in" }),
    }
}
