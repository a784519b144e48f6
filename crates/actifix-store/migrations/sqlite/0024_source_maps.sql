-- Parts of uploads that wait for the others, sealed. The owner is the project that the credential is bound to, 0 for none.
CREATE TABLE upload_chunks (
  owner       INTEGER NOT NULL,
  checksum    BLOB    NOT NULL,
  received_at INTEGER NOT NULL,
  sealed      BLOB    NOT NULL,
  PRIMARY KEY (owner, checksum)
) STRICT;
CREATE INDEX upload_chunks_by_age ON upload_chunks (received_at);

-- One upload of one build. State: 0 is being written, 1 can be used, 2 was let go of.
CREATE TABLE map_bundles (
  seq         INTEGER PRIMARY KEY AUTOINCREMENT,
  project_id  INTEGER NOT NULL REFERENCES projects (project_id) ON DELETE CASCADE,
  checksum    BLOB    NOT NULL,
  release     TEXT    NOT NULL,
  dist        TEXT    NOT NULL,
  state       INTEGER NOT NULL,
  maps        INTEGER NOT NULL,
  sources     INTEGER NOT NULL,
  bytes       INTEGER NOT NULL,
  uploaded_at INTEGER NOT NULL,
  used_at     INTEGER
) STRICT;
CREATE INDEX map_bundles_by_project ON map_bundles (project_id, state, seq);
CREATE INDEX map_bundles_by_age ON map_bundles (state, uploaded_at);

-- The places of one source map, without a text. Redacted before they came here.
CREATE TABLE source_maps (
  seq         INTEGER PRIMARY KEY AUTOINCREMENT,
  bundle_seq  INTEGER NOT NULL REFERENCES map_bundles (seq) ON DELETE CASCADE,
  project_id  INTEGER NOT NULL,
  debug_id    BLOB,
  url         TEXT    NOT NULL,
  dict        INTEGER NOT NULL,
  map         BLOB    NOT NULL
) STRICT;
CREATE INDEX source_maps_by_bundle ON source_maps (bundle_seq);
CREATE INDEX source_maps_by_debug_id ON source_maps (project_id, debug_id) WHERE debug_id IS NOT NULL;

-- Where scripts are served that a map belongs to.
CREATE TABLE map_scripts (
  project_id  INTEGER NOT NULL,
  release     TEXT    NOT NULL,
  url         TEXT    NOT NULL,
  dist        TEXT    NOT NULL,
  map_seq     INTEGER NOT NULL REFERENCES source_maps (seq) ON DELETE CASCADE,
  PRIMARY KEY (project_id, release, url, dist, map_seq)
) STRICT, WITHOUT ROWID;
CREATE INDEX map_scripts_by_map ON map_scripts (map_seq);

-- Texts of sources, redacted before they came here.
CREATE TABLE map_sources (
  map_seq     INTEGER NOT NULL REFERENCES source_maps (seq) ON DELETE CASCADE,
  number      INTEGER NOT NULL,
  dict        INTEGER NOT NULL,
  source      BLOB    NOT NULL,
  PRIMARY KEY (map_seq, number)
) STRICT;
