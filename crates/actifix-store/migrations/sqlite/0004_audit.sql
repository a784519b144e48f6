-- Who did what. Each row's hash is keyed and covers the row and the hash before it, so that an edit, a gap or another
-- order shows; `seq` has no holes. What retention deletes from the old end is stood for by `audit_base`.
CREATE TABLE audit (
  seq        INTEGER PRIMARY KEY,
  at         INTEGER NOT NULL,
  actor      TEXT NOT NULL,
  action     TEXT NOT NULL,
  target     TEXT NOT NULL,
  project_id INTEGER,
  network    TEXT,
  result     TEXT NOT NULL,
  detail     TEXT NOT NULL,
  hash       BLOB NOT NULL
) STRICT;
CREATE INDEX audit_by_time ON audit (at);
CREATE INDEX audit_by_actor ON audit (actor, seq);
CREATE INDEX audit_by_target ON audit (target, seq);
CREATE INDEX audit_by_action ON audit (action, seq);
CREATE INDEX audit_by_network ON audit (network, seq) WHERE network IS NOT NULL;

-- The last row that was deleted: its number and hash, authenticated.
CREATE TABLE audit_base (
  one  INTEGER PRIMARY KEY CHECK (one = 1),
  seq  INTEGER NOT NULL,
  hash BLOB NOT NULL,
  at   INTEGER NOT NULL,
  mac  BLOB NOT NULL
) STRICT;

-- The chain proves what happened; these keep a mistake of ours from happening.
CREATE TRIGGER audit_is_not_edited BEFORE UPDATE ON audit BEGIN
  SELECT raise(ABORT, 'the audit log is append-only');
END;
CREATE TRIGGER audit_is_not_cut BEFORE DELETE ON audit
WHEN OLD.seq > coalesce((SELECT seq FROM audit_base), 0) BEGIN
  SELECT raise(ABORT, 'the audit log is append-only');
END;
