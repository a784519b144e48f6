//! Searches that people keep.

use super::SqliteStore;
use super::projects::collect;
use super::rows::Columns;
use super::writer::Work;
use crate::fault::Result;
use actifix_app::error::{Error, Result as AppResult};
use actifix_app::ports::{SavedView, ViewStore};
use actifix_domain::time::Timestamp;
use async_trait::async_trait;
use rusqlite::{Connection, params};

/// Rows that are read of a person; fewer can be saved.
const VIEWS_READ_MAX: i64 = 100;

#[async_trait]
impl ViewStore for SqliteStore {
    async fn views(&self, user_id: &str) -> AppResult<Vec<SavedView>> {
        let user_id = user_id.to_owned();
        self.read(move |db| of(db, &user_id)).await
    }

    async fn save_view(&self, user_id: &str, view: &SavedView, most: u32, now: Timestamp) -> AppResult<()> {
        let (user_id, view) = (user_id.to_owned(), view.clone());
        self.write(move |work| save(work, &user_id, &view, most, now)).await
    }

    async fn remove_view(&self, user_id: &str, name: &str) -> AppResult<bool> {
        let (user_id, name) = (user_id.to_owned(), name.to_owned());
        self.write(move |work| {
            let sql = "DELETE FROM views WHERE user_id = ?1 AND name = ?2";
            Ok(work.db.prepare_cached(sql)?.execute([user_id, name])? > 0)
        })
        .await
    }
}

fn of(db: &Connection, user_id: &str) -> Result<Vec<SavedView>> {
    let sql = "SELECT name, search FROM views WHERE user_id = ?1 ORDER BY name LIMIT ?2";
    collect(db, sql, params![user_id, VIEWS_READ_MAX], |row| {
        let mut c = Columns::new(row);
        Ok(SavedView { name: c.take()?, search: c.take()? })
    })
}

fn save(work: &mut Work<'_>, user_id: &str, view: &SavedView, most: u32, now: Timestamp) -> Result<()> {
    let db = work.db;
    let others = "SELECT count(*) FROM views WHERE user_id = ?1 AND name <> ?2";
    let others: u32 = db.prepare_cached(others)?.query_row(params![user_id, view.name], |row| row.get(0))?;
    if others >= most {
        let message = format!("you have {most} views, which is the most: remove one first");
        return Err(Error::conflict(message).into());
    }
    db.prepare_cached(
        "INSERT INTO views (user_id, name, search, saved_at) VALUES (?1, ?2, ?3, ?4) \
         ON CONFLICT (user_id, name) DO UPDATE SET search = excluded.search, saved_at = excluded.saved_at",
    )?
    .execute(params![user_id, view.name, view.search, now.micros()])?;
    Ok(())
}
