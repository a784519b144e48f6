//! Parts of uploads that wait, sealed, for the others. Bounded in number, bytes and age, by owner and in all: what
//! somebody uploads and never finishes is forgotten, and does not shut the others out.

use super::projects::collect;
use super::writer::Work;
use crate::fault::Result;
use actifix_app::error::Error;
use actifix_app::ports::{Checksum, ChunkRoom, ChunkUsage, SealedChunk};
use actifix_domain::id::ProjectId;
use actifix_domain::time::Timestamp;
use rusqlite::{Connection, OptionalExtension, params};

/// Owner of what a credential uploads that is bound to no project.
const NO_PROJECT: i64 = 0;

fn number(owner: Option<ProjectId>) -> i64 {
    owner.map_or(NO_PROJECT, |project| project.0)
}

pub(crate) fn put(
    work: &mut Work<'_>,
    owner: Option<ProjectId>,
    chunks: &[SealedChunk],
    room: ChunkRoom,
    now: Timestamp,
) -> Result<()> {
    let owner = number(owner);
    forget_old(work.db, room.since)?;
    for chunk in chunks {
        work.db
            .prepare_cached(
                "INSERT INTO upload_chunks (owner, checksum, received_at, sealed) VALUES (?1, ?2, ?3, ?4) \
                 ON CONFLICT (owner, checksum) DO UPDATE SET received_at = excluded.received_at",
            )?
            .execute(params![owner, chunk.checksum, now.micros(), chunk.sealed])?;
    }
    // The transaction is rolled back where there are too many: what was there before stays.
    let (mine, all) = (total(work.db, Some(owner))?, total(work.db, None)?);
    if mine.chunks > room.chunks_max || mine.bytes > room.bytes_max {
        let whose = if owner == NO_PROJECT { "tokens of no project" } else { "this project" };
        return Err(too_many(whose, room.chunks_max, room.bytes_max).into());
    }
    if all.chunks > room.all_chunks_max || all.bytes > room.all_bytes_max {
        return Err(too_many("all projects", room.all_chunks_max, room.all_bytes_max).into());
    }
    Ok(())
}

fn too_many(whose: &str, chunks_max: u64, bytes_max: u64) -> Error {
    Error::conflict(format!(
        "{chunks_max} parts or {} MiB of uploads of {whose} wait for the rest of theirs, which is the most: finish those \
         uploads, or try again in an hour, when what was never finished is forgotten",
        bytes_max >> 20
    ))
}

pub(crate) fn usage(db: &Connection, owner: Option<ProjectId>) -> Result<ChunkUsage> {
    total(db, Some(number(owner)))
}

/// Chunks and their bytes.
fn total(db: &Connection, owner: Option<i64>) -> Result<ChunkUsage> {
    let sql =
        "SELECT count(*), coalesce(sum(length(sealed)), 0) FROM upload_chunks WHERE ?1 IS NULL OR owner = ?1";
    let (many, bytes): (i64, i64) =
        db.prepare_cached(sql)?.query_row([owner], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(ChunkUsage { chunks: u64::try_from(many).unwrap_or(0), bytes: u64::try_from(bytes).unwrap_or(0) })
}

pub(crate) fn forget_old(db: &Connection, since: Timestamp) -> Result<()> {
    db.prepare_cached("DELETE FROM upload_chunks WHERE received_at < ?1")?.execute([since.micros()])?;
    Ok(())
}

/// Whether any chunk waits since before a time.
pub(crate) fn has_old(db: &Connection, since: Timestamp) -> Result<bool> {
    let sql = "SELECT 1 FROM upload_chunks WHERE received_at < ?1 LIMIT 1";
    Ok(!collect(db, sql, [since.micros()], |row| Ok(row.get::<_, i64>(0)?))?.is_empty())
}

pub(crate) fn missing(
    db: &Connection,
    owner: Option<ProjectId>,
    wanted: Vec<Checksum>,
) -> Result<Vec<Checksum>> {
    let mut statement =
        db.prepare_cached("SELECT 1 FROM upload_chunks WHERE owner = ?1 AND checksum = ?2")?;
    let mut missing = Vec::new();
    for checksum in wanted {
        if !statement.exists(params![number(owner), checksum])? {
            missing.push(checksum);
        }
    }
    Ok(missing)
}

pub(crate) fn get(db: &Connection, owner: Option<ProjectId>, checksum: Checksum) -> Result<Option<Vec<u8>>> {
    let mut statement =
        db.prepare_cached("SELECT sealed FROM upload_chunks WHERE owner = ?1 AND checksum = ?2")?;
    Ok(statement.query_row(params![number(owner), checksum], |row| row.get(0)).optional()?)
}

pub(crate) fn drop_chunks(
    work: &mut Work<'_>,
    owner: Option<ProjectId>,
    checksums: &[Checksum],
) -> Result<()> {
    let mut statement =
        work.db.prepare_cached("DELETE FROM upload_chunks WHERE owner = ?1 AND checksum = ?2")?;
    for checksum in checksums {
        statement.execute(params![number(owner), checksum])?;
    }
    Ok(())
}
