-- Hashes over the parts of a row that are shown, so that a byte that flipped on the disk is found, not served: SQLite
-- itself checks the structure of pages, not what is in them. Rows of before have none.
ALTER TABLE tickets ADD COLUMN row_check INTEGER;
ALTER TABLE events ADD COLUMN row_check INTEGER;

-- What the installation did for its own upkeep: backups, their verification, restores, retention, integrity.
CREATE TABLE upkeep_runs (
  run_id      INTEGER PRIMARY KEY,
  kind        TEXT    NOT NULL,
  target      TEXT    NOT NULL,
  started_at  INTEGER NOT NULL,
  finished_at INTEGER NOT NULL,
  result      TEXT    NOT NULL,
  detail      TEXT    NOT NULL
) STRICT;
CREATE INDEX upkeep_runs_kind ON upkeep_runs (kind, run_id);

-- Legal holds: what retention must not delete, whatever its age. A ticket of 0 is the whole project.
CREATE TABLE legal_holds (
  hold_id    INTEGER PRIMARY KEY,
  project_id INTEGER NOT NULL,
  ticket_seq INTEGER NOT NULL,
  reason     TEXT    NOT NULL,
  actor      TEXT    NOT NULL,
  created_at INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX legal_holds_of ON legal_holds (project_id, ticket_seq);
