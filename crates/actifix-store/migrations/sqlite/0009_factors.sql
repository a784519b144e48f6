-- What is issued to a person names the epoch of the day; whatever names an earlier one is over.
ALTER TABLE users ADD COLUMN epoch INTEGER NOT NULL DEFAULT 1;
-- Counted in login_counters, with all else that is tried.
ALTER TABLE users DROP COLUMN failures;

-- Secrets of one-time passwords (RFC 6238), sealed; not asked for until `confirmed_at`.
CREATE TABLE second_factors (
  user_id      TEXT PRIMARY KEY REFERENCES users (user_id),
  sealed       BLOB NOT NULL,
  created_at   INTEGER NOT NULL,
  confirmed_at INTEGER,
  -- The last time step whose code was taken: none is good twice.
  last_step    INTEGER NOT NULL DEFAULT 0
) STRICT;

-- Keyed hashes of codes that stand in for a lost device, each good once.
CREATE TABLE recovery_codes (
  user_id TEXT NOT NULL REFERENCES users (user_id),
  hash    BLOB NOT NULL,
  used_at INTEGER,
  PRIMARY KEY (user_id, hash)
) STRICT, WITHOUT ROWID;

-- Attempts to log in: by account, device, network. Ids are keyed hashes.
CREATE TABLE login_counters (
  kind     INTEGER NOT NULL,
  id       BLOB NOT NULL,
  last     INTEGER NOT NULL,
  failures INTEGER NOT NULL,
  attempts BLOB NOT NULL,
  PRIMARY KEY (kind, id)
) STRICT, WITHOUT ROWID;
CREATE INDEX login_counters_by_last ON login_counters (kind, last);

-- When a token was last used, coarsely, and for how few days it has been warned about.
ALTER TABLE tokens ADD COLUMN last_used_at INTEGER;
ALTER TABLE tokens ADD COLUMN warned_days INTEGER;

-- What the configuration said at the last start: whoever changes a file leaves a row in the log at the next one.
CREATE TABLE settings_seen (
  name  TEXT PRIMARY KEY,
  value TEXT NOT NULL
) STRICT, WITHOUT ROWID;
