//! Source maps: bundles, the places of their maps, the texts of their sources.

use super::body::{self, Body};
use super::projects::collect;
use super::rows::{self, Columns, Place, page_size, quantity};
use super::writer::Work;
use super::{SqliteStore, audit, upkeep, uploads};
use crate::fault::{Fault, Result};
use actifix_app::error::{Error, Result as AppResult};
use actifix_app::ports::{
    BundleKey, BundleView, Checksum, ChunkRoom, ChunkUsage, Cursor, MapKey, MapUsage, NewSourceMap, Page,
    SealedChunk, SourceMapStore,
};
use actifix_domain::audit::AuditRecord;
use actifix_domain::debug_id::DebugId;
use actifix_domain::id::ProjectId;
use actifix_domain::time::{HOUR, Timestamp};
use async_trait::async_trait;
use rusqlite::{Connection, OptionalExtension, Row, params};

/// States of a bundle.
const WRITING: i64 = 0;
const THERE: i64 = 1;
const GONE: i64 = 2;
/// Rows that one step of a deletion takes: texts of sources, each some KiB.
const STEP: i64 = 200;
/// Uses of a bundle are noted to this.
const USE_MICROS: i64 = HOUR;

/// A text or map, compressed where the caller is.
struct Pressed {
    map: Body,
    sources: Vec<(u32, Body)>,
}

#[async_trait]
impl SourceMapStore for SqliteStore {
    async fn put_chunks(
        &self,
        owner: Option<ProjectId>,
        chunks: Vec<SealedChunk>,
        room: ChunkRoom,
        now: Timestamp,
    ) -> AppResult<()> {
        self.write(move |work| uploads::put(work, owner, &chunks, room, now)).await
    }

    async fn missing_chunks(
        &self,
        owner: Option<ProjectId>,
        wanted: Vec<Checksum>,
    ) -> AppResult<Vec<Checksum>> {
        self.read(move |db| uploads::missing(db, owner, wanted)).await
    }

    async fn chunk(&self, owner: Option<ProjectId>, checksum: Checksum) -> AppResult<Option<Vec<u8>>> {
        self.read(move |db| uploads::get(db, owner, checksum)).await
    }

    async fn chunk_usage(&self, owner: Option<ProjectId>) -> AppResult<ChunkUsage> {
        self.read(move |db| uploads::usage(db, owner)).await
    }

    async fn drop_chunks(&self, owner: Option<ProjectId>, checksums: Vec<Checksum>) -> AppResult<()> {
        self.write(move |work| uploads::drop_chunks(work, owner, &checksums)).await
    }

    async fn has_bundle(&self, key: &BundleKey) -> AppResult<bool> {
        let key = key.clone();
        self.read(move |db| Ok(find_bundle(db, &key)?.is_some())).await
    }

    async fn begin_bundle(&self, key: &BundleKey, now: Timestamp) -> AppResult<u64> {
        let key = key.clone();
        self.write(move |work| begin(work, &key, now)).await
    }

    async fn add_source_map(&self, bundle: u64, map: NewSourceMap) -> AppResult<u64> {
        let pressed = press(&map).map_err(Fault::into_error)?;
        self.write(move |work| add(work, bundle, &map, &pressed)).await
    }

    async fn finish_bundle(&self, bundle: u64, audit: &AuditRecord) -> AppResult<()> {
        self.audited(audit, move |work| finish(work, bundle)).await
    }

    async fn remove_bundle(
        &self,
        project: ProjectId,
        bundle: u64,
        audit: Option<&AuditRecord>,
    ) -> AppResult<bool> {
        let record = audit.cloned();
        self.write(move |work| {
            // What nobody asked for is an upload that failed.
            if record.is_some() && upkeep::is_held(work.db, project, 0)? {
                return Err(Error::conflict("its project is under a legal hold: release that first").into());
            }
            let sql = "UPDATE map_bundles SET state = ?3 WHERE seq = ?1 AND project_id = ?2 AND state <> ?3";
            let gone = work.db.prepare_cached(sql)?.execute(params![quantity(bundle), project.0, GONE])? > 0;
            if let (true, Some(record)) = (gone, &record) {
                audit::append(work, record)?;
            }
            Ok(gone)
        })
        .await
    }

    async fn sweep_bundles(&self, begun_before: Timestamp) -> AppResult<()> {
        sweep(self, begun_before).await
    }

    async fn bundles(
        &self,
        project: ProjectId,
        cursor: Option<Cursor>,
        limit: u32,
    ) -> AppResult<Page<BundleView>> {
        self.read(move |db| list(db, project, cursor.as_ref(), limit)).await
    }

    async fn map_usage(&self, project: ProjectId) -> AppResult<MapUsage> {
        self.read(move |db| usage(db, project)).await
    }

    async fn find_source_map(&self, project: ProjectId, key: &MapKey) -> AppResult<Option<u64>> {
        let key = key.clone();
        self.read(move |db| find_map(db, project, &key)).await
    }

    async fn source_map(&self, map: u64) -> AppResult<Option<Vec<u8>>> {
        let sql = "SELECT dict, map FROM source_maps WHERE seq = ?1";
        self.read(move |db| pressed(db, sql, params![quantity(map)])).await
    }

    async fn map_source(&self, map: u64, number: u32) -> AppResult<Option<String>> {
        let sql = "SELECT dict, source FROM map_sources WHERE map_seq = ?1 AND number = ?2";
        let text = self.read(move |db| pressed(db, sql, params![quantity(map), number])).await?;
        Ok(text.and_then(|text| String::from_utf8(text).ok()))
    }

    async fn note_map_uses(&self, uses: Vec<(u64, Timestamp)>) -> AppResult<()> {
        self.write(move |work| {
            let sql = "UPDATE map_bundles SET used_at = ?2 WHERE seq = (SELECT bundle_seq FROM source_maps \
                 WHERE seq = ?1) AND (used_at IS NULL OR used_at <= ?3)";
            let mut statement = work.db.prepare_cached(sql)?;
            for (map, at) in uses {
                statement.execute(params![quantity(map), at.micros(), at.plus(-USE_MICROS).micros()])?;
            }
            Ok(())
        })
        .await
    }
}

fn find_bundle(db: &Connection, key: &BundleKey) -> Result<Option<i64>> {
    let sql = "SELECT seq FROM map_bundles WHERE project_id = ?1 AND state = ?5 AND checksum = ?2 AND release = ?3 \
         AND dist = ?4 ORDER BY seq DESC LIMIT 1";
    let values = params![key.project.0, key.checksum, key.release, key.dist, THERE];
    Ok(db.prepare_cached(sql)?.query_row(values, |row| row.get(0)).optional()?)
}

fn begin(work: &mut Work<'_>, key: &BundleKey, now: Timestamp) -> Result<u64> {
    if usage(work.db, key.project)?.bundles >= MapUsage::BUNDLES_MAX {
        let message = format!(
            "the project has {} uploads of source maps, which is the most: remove some with `actifix sourcemaps remove`",
            MapUsage::BUNDLES_MAX
        );
        return Err(Error::conflict(message).into());
    }
    let sql = "INSERT INTO map_bundles (project_id, checksum, release, dist, state, maps, sources, bytes, uploaded_at) \
         VALUES (?1, ?2, ?3, ?4, ?5, 0, 0, 0, ?6) RETURNING seq";
    let values = params![key.project.0, key.checksum, key.release, key.dist, WRITING, now.micros()];
    let seq: i64 = work.db.prepare_cached(sql)?.query_row(values, |row| row.get(0))?;
    Ok(u64::try_from(seq).unwrap_or(0))
}

fn press(map: &NewSourceMap) -> Result<Pressed> {
    let sources = map
        .sources
        .iter()
        .map(|(number, text)| Ok((*number, body::compress(text.as_bytes())?)))
        .collect::<Result<_>>();
    Ok(Pressed { map: body::compress(&map.index)?, sources: sources? })
}

fn add(work: &mut Work<'_>, bundle: u64, map: &NewSourceMap, pressed: &Pressed) -> Result<u64> {
    let db = work.db;
    let bundle = quantity(bundle);
    let sql = "SELECT project_id, release, dist FROM map_bundles WHERE seq = ?1 AND state = ?2";
    let row = db.prepare_cached(sql)?.query_row(params![bundle, WRITING], |row| {
        Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?, row.get::<_, String>(2)?))
    });
    let Some((project, release, dist)) = row.optional()? else {
        return Err(Error::conflict("the upload was removed while it was written: repeat it").into());
    };
    let sql = "INSERT INTO source_maps (bundle_seq, project_id, debug_id, url, dict, map) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6) RETURNING seq";
    let debug_id = map.debug_id.map(|id| id.0);
    let values = params![bundle, project, debug_id, map.url, pressed.map.dict, pressed.map.data];
    let seq: i64 = db.prepare_cached(sql)?.query_row(values, |row| row.get(0))?;
    let sql = "INSERT INTO map_sources (map_seq, number, dict, source) VALUES (?1, ?2, ?3, ?4)";
    let mut insert = db.prepare_cached(sql)?;
    let mut bytes = pressed.map.data.len();
    for (number, text) in &pressed.sources {
        insert.execute(params![seq, number, text.dict, text.data])?;
        bytes += text.data.len();
    }
    if !release.is_empty() {
        let sql = "INSERT INTO map_scripts (project_id, release, url, dist, map_seq) VALUES (?1, ?2, ?3, ?4, ?5) \
             ON CONFLICT DO NOTHING";
        let mut insert = db.prepare_cached(sql)?;
        for url in &map.scripts {
            insert.execute(params![project, release, url, dist, seq])?;
        }
    }
    let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
    let sources = i64::try_from(pressed.sources.len()).unwrap_or(i64::MAX);
    let sql =
        "UPDATE map_bundles SET maps = maps + 1, sources = sources + ?2, bytes = bytes + ?3 WHERE seq = ?1";
    db.prepare_cached(sql)?.execute(params![bundle, sources, quantity(bytes)])?;
    Ok(bytes)
}

fn finish(work: &mut Work<'_>, bundle: u64) -> Result<()> {
    let db = work.db;
    let bundle = quantity(bundle);
    let sql = "UPDATE map_bundles SET state = ?3 WHERE state = ?2 AND seq <> ?1 AND (project_id, checksum, release, dist) = \
         (SELECT project_id, checksum, release, dist FROM map_bundles WHERE seq = ?1)";
    db.prepare_cached(sql)?.execute(params![bundle, THERE, GONE])?;
    let sql = "UPDATE map_bundles SET state = ?3 WHERE seq = ?1 AND state = ?2";
    if db.prepare_cached(sql)?.execute(params![bundle, WRITING, THERE])? == 0 {
        return Err(Error::conflict("the upload was removed while it was written: repeat it").into());
    }
    Ok(())
}

fn usage(db: &Connection, project: ProjectId) -> Result<MapUsage> {
    // What is being written counts: many uploads at once must not pass a bound that each of them keeps.
    let sql = "SELECT count(*), coalesce(sum(maps), 0), coalesce(sum(bytes), 0) FROM map_bundles \
         WHERE project_id = ?1 AND state IN (?2, ?3)";
    let found = collect(db, sql, params![project.0, WRITING, THERE], |row| {
        let mut c = Columns::new(row);
        Ok(MapUsage { bundles: c.count()?, maps: c.count()?, bytes: c.count()? })
    })?;
    Ok(found.first().copied().unwrap_or_default())
}

fn list(
    db: &Connection,
    project: ProjectId,
    cursor: Option<&Cursor>,
    limit: u32,
) -> Result<Page<BundleView>> {
    let (limit, place) = (page_size(limit), Place::parse(cursor, "source_maps")?);
    let sql = "SELECT seq, release, dist, maps, sources, bytes, uploaded_at, used_at FROM map_bundles \
         WHERE project_id = ?1 AND state = ?2 AND (uploaded_at, seq) < (?3, ?4) \
         ORDER BY uploaded_at DESC, seq DESC LIMIT ?5";
    let values = params![project.0, THERE, place.0, place.1, rows::one_more(limit)];
    let mut found = collect(db, sql, values, view)?;
    for view in &mut found {
        let sql = "SELECT DISTINCT debug_id FROM source_maps WHERE bundle_seq = ?1 AND debug_id IS NOT NULL \
             ORDER BY debug_id LIMIT ?2";
        let values = params![quantity(view.id), BundleView::DEBUG_IDS_MAX];
        view.debug_ids = collect(db, sql, values, |row| Ok(DebugId(row.get(0)?)))?;
    }
    let found = found.into_iter().map(|view| ((), view)).collect();
    let place = |(_, view): &((), BundleView)| Place(view.uploaded_at.micros(), quantity(view.id));
    Ok(rows::page(found, limit, None, "source_maps", place))
}

fn view(row: &Row<'_>) -> Result<BundleView> {
    let mut c = Columns::new(row);
    Ok(BundleView {
        id: c.count()?,
        release: c.take()?,
        dist: c.take()?,
        maps: c.count()?,
        sources: c.count()?,
        bytes: c.count()?,
        uploaded_at: c.time()?,
        used_at: c.time_optional()?,
        debug_ids: Vec::new(),
    })
}

/// A text or map that was compressed.
fn pressed(db: &Connection, sql: &str, values: impl rusqlite::Params) -> Result<Option<Vec<u8>>> {
    let mut statement = db.prepare_cached(sql)?;
    let row = statement.query_row(values, |row| Ok((row.get::<_, u32>(0)?, row.get::<_, Vec<u8>>(1)?)));
    row.optional()?.map(|(dict, data)| body::decompress(dict, &data)).transpose()
}

fn find_map(db: &Connection, project: ProjectId, key: &MapKey) -> Result<Option<u64>> {
    let number = |found: Option<i64>| found.and_then(|seq| u64::try_from(seq).ok());
    match key {
        MapKey::DebugId(id) => {
            let sql = "SELECT m.seq FROM source_maps m JOIN map_bundles b ON b.seq = m.bundle_seq \
                 WHERE m.project_id = ?1 AND m.debug_id = ?2 AND b.state = ?3 ORDER BY m.seq DESC LIMIT 1";
            let values = params![project.0, id.0, THERE];
            Ok(number(db.prepare_cached(sql)?.query_row(values, |row| row.get(0)).optional()?))
        }
        MapKey::Script { release, dist, urls } => {
            // Of one without a distribution there may be several: those of the very same are surer.
            let sql = "SELECT m.seq FROM map_scripts s JOIN source_maps m ON m.seq = s.map_seq \
                 JOIN map_bundles b ON b.seq = m.bundle_seq WHERE s.project_id = ?1 AND s.release = ?2 AND s.url = ?3 \
                 AND s.dist IN (?4, '') AND b.state = ?5 ORDER BY s.dist = ?4 DESC, m.seq DESC LIMIT 1";
            for url in urls {
                let values = params![project.0, release, url, dist, THERE];
                let found = db.prepare_cached(sql)?.query_row(values, |row| row.get(0)).optional()?;
                if found.is_some() {
                    return Ok(number(found));
                }
            }
            Ok(None)
        }
    }
}

/// Deletes what was let go of, a few rows at a time.
async fn sweep(store: &SqliteStore, begun_before: Timestamp) -> Result<(), Error> {
    if store.read(move |db| uploads::has_old(db, begun_before)).await? {
        store.write(move |work| uploads::forget_old(work.db, begun_before)).await?;
    }
    loop {
        let sql = "SELECT seq FROM map_bundles WHERE state = ?1 OR (state = ?2 AND uploaded_at < ?3) ORDER BY seq LIMIT 1";
        let values = (GONE, WRITING, begun_before.micros());
        let found = store.read(move |db| collect(db, sql, values, |row| Ok(row.get::<_, i64>(0)?))).await?;
        let Some(bundle) = found.first().copied() else { return Ok(()) };
        // Ends: each step deletes a row, and the last one of a bundle deletes that.
        while !store.write(move |work| sweep_step(work.db, bundle)).await? {}
    }
}

/// One step; true when the bundle is gone.
fn sweep_step(db: &Connection, bundle: i64) -> Result<bool> {
    db.prepare_cached("UPDATE map_bundles SET state = ?2 WHERE seq = ?1")?.execute([bundle, GONE])?;
    let sql = "DELETE FROM map_sources WHERE rowid IN (SELECT s.rowid FROM map_sources s JOIN source_maps m \
         ON m.seq = s.map_seq WHERE m.bundle_seq = ?1 LIMIT ?2)";
    if db.prepare_cached(sql)?.execute([bundle, STEP])? > 0 {
        return Ok(false);
    }
    let sql =
        "DELETE FROM source_maps WHERE seq IN (SELECT seq FROM source_maps WHERE bundle_seq = ?1 LIMIT ?2)";
    if db.prepare_cached(sql)?.execute([bundle, STEP / 10])? > 0 {
        return Ok(false);
    }
    db.prepare_cached("DELETE FROM map_bundles WHERE seq = ?1")?.execute([bundle])?;
    Ok(true)
}
