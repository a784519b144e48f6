//! Commits of releases.

use super::get;
use crate::fault::Result;
use crate::sqlite::projects::collect;
use crate::sqlite::rows::{Columns, quantity};
use actifix_domain::commit::{COMMITS_MAX, Commit, PATHS_IN_ALL_MAX};
use actifix_domain::id::ProjectId;
use actifix_domain::release::Release;
use actifix_domain::time::Timestamp;
use rusqlite::{Connection, params};

/// Releases of a project whose commits are kept; those that were set longest ago go first.
const WITH_COMMITS_MAX: i64 = 200;
/// Releases that are looked back through for commits between two that ran.
const LOOK_BACK_MAX: i64 = 20;

pub(super) fn of(db: &Connection, project: ProjectId, version: &str) -> Result<Vec<Commit>> {
    newest(db, project, version, COMMITS_MAX)
}

fn newest(db: &Connection, project: ProjectId, version: &str, most: usize) -> Result<Vec<Commit>> {
    let sql = "SELECT commit_id, author, author_email, message, at, paths, paths_left_out FROM release_commits \
         WHERE project_id = ?1 AND release = ?2 ORDER BY place LIMIT ?3";
    let most = i64::try_from(most).unwrap_or(i64::MAX);
    collect(db, sql, params![project.0, version, most], |row| {
        let mut c = Columns::new(row);
        Ok(Commit {
            id: c.take()?,
            author: c.take()?,
            author_email: c.take()?,
            message: c.take()?,
            at: c.time_optional()?,
            paths: c.json()?,
            paths_left_out: c.take()?,
        })
    })
}

/// Whether commits of a release are known.
pub(super) fn any(db: &Connection, project: ProjectId, version: &str) -> Result<bool> {
    let sql = "SELECT EXISTS (SELECT 1 FROM release_commits WHERE project_id = ?1 AND release = ?2)";
    Ok(db.prepare_cached(sql)?.query_row(params![project.0, version], |row| row.get(0))?)
}

/// Sets the commits of a release, in the place of those before.
pub(super) fn set(
    db: &Connection,
    project: ProjectId,
    version: &str,
    commits: &[Commit],
    now: Timestamp,
) -> Result<()> {
    clear(db, project, version)?;
    let mut statement = db.prepare_cached(
        "INSERT INTO release_commits (project_id, release, place, commit_id, author, author_email, message, at, paths, \
         paths_left_out) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
    )?;
    let kept = commits.iter().take(COMMITS_MAX);
    for (place, commit) in (0_i64..).zip(kept.clone()) {
        statement.execute(params![
            project.0,
            version,
            place,
            commit.id,
            commit.author,
            commit.author_email,
            commit.message,
            commit.at.map(Timestamp::micros),
            serde_json::to_string(&commit.paths)?,
            commit.paths_left_out,
        ])?;
    }
    db.prepare_cached(
        "UPDATE releases SET commits = ?3, commits_at = ?4 WHERE project_id = ?1 AND release = ?2",
    )?
    .execute(params![project.0, version, quantity(kept.len() as u64), now.micros()])?;
    let sql = "SELECT release FROM releases WHERE project_id = ?1 AND commits > 0 \
         ORDER BY commits_at DESC, recorded_at DESC LIMIT -1 OFFSET ?2";
    let old: Vec<String> = collect(db, sql, params![project.0, WITH_COMMITS_MAX], |row| Ok(row.get(0)?))?;
    for release in old {
        clear(db, project, &release)?;
        db.prepare_cached("UPDATE releases SET commits = 0 WHERE project_id = ?1 AND release = ?2")?
            .execute(params![project.0, release])?;
    }
    Ok(())
}

fn clear(db: &Connection, project: ProjectId, version: &str) -> Result<()> {
    db.prepare_cached("DELETE FROM release_commits WHERE project_id = ?1 AND release = ?2")?
        .execute(params![project.0, version])?;
    Ok(())
}

/// The release before `version` that has commits, with the id of its newest. One that nobody knows yet comes after all.
pub(super) fn previous(
    db: &Connection,
    project: ProjectId,
    version: &str,
) -> Result<Option<(Release, String)>> {
    let sql = "SELECT r.release, c.commit_id FROM releases r JOIN release_commits c ON c.project_id = r.project_id \
         AND c.release = r.release AND c.place = 0 WHERE r.project_id = ?1 AND r.release <> ?2 AND r.commits > 0 \
         AND r.recorded_at <= coalesce((SELECT recorded_at FROM releases WHERE project_id = ?1 AND release = ?2), \
         9223372036854775807) ORDER BY r.commits_at DESC LIMIT 1";
    let found: Vec<(String, String)> = collect(db, sql, params![project.0, version], |row| {
        let mut c = Columns::new(row);
        Ok((c.take()?, c.take()?))
    })?;
    let Some((release, commit)) = found.into_iter().next() else { return Ok(None) };
    Ok(get(db, project, &release)?.map(|release| (release, commit)))
}

/// Commits that came with a release: its own, else those of releases that were made since the last one that ran, the
/// latest first; together no more than one release may have.
pub(super) fn leading_to(
    db: &Connection,
    project: ProjectId,
    version: &str,
) -> Result<Vec<(String, Vec<Commit>)>> {
    let own = of(db, project, version)?;
    if !own.is_empty() {
        return Ok(vec![(version.to_owned(), own)]);
    }
    let sql = "SELECT release, events, commits FROM releases WHERE project_id = ?1 AND (first_seen, release) < \
         (SELECT first_seen, release FROM releases WHERE project_id = ?1 AND release = ?2) \
         ORDER BY first_seen DESC, release DESC LIMIT ?3";
    let before: Vec<(String, u64, u64)> =
        collect(db, sql, params![project.0, version, LOOK_BACK_MAX], |row| {
            let mut c = Columns::new(row);
            Ok((c.take()?, c.count()?, c.count()?))
        })?;
    let between = before.into_iter().take_while(|(_, events, _)| *events == 0);
    let with_commits = between.filter(|(.., commits)| *commits > 0);
    let (mut commits_left, mut paths_left) = (COMMITS_MAX, PATHS_IN_ALL_MAX);
    let mut found = Vec::new();
    for (release, ..) in with_commits {
        let mut commits = newest(db, project, &release, commits_left)?;
        let read = commits.len();
        let fitting = commits.iter().take_while(|commit| {
            let room = paths_left.checked_sub(commit.paths.len());
            paths_left = room.unwrap_or(paths_left);
            room.is_some()
        });
        let fitting = fitting.count();
        commits.truncate(fitting);
        commits_left -= fitting;
        if fitting > 0 {
            found.push((release, commits));
        }
        if fitting < read || commits_left == 0 {
            break;
        }
    }
    Ok(found)
}
