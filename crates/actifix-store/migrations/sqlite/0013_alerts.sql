-- Channels: addresses and secrets lie in `sealed`, under the vault.
CREATE TABLE endpoints (
  endpoint_id      TEXT    NOT NULL PRIMARY KEY,
  name             TEXT    NOT NULL UNIQUE,
  kind             TEXT    NOT NULL,
  project_id       INTEGER,
  place            TEXT    NOT NULL,
  production       INTEGER NOT NULL,
  enabled          INTEGER NOT NULL,
  from_environment INTEGER NOT NULL,
  disabled_reason  TEXT,
  streak           INTEGER NOT NULL,
  last_failure     TEXT,
  last_failure_at  INTEGER,
  last_success_at  INTEGER,
  next_attempt_at  INTEGER,
  created_at       INTEGER NOT NULL,
  updated_at       INTEGER NOT NULL,
  version          INTEGER NOT NULL,
  sealed           BLOB    NOT NULL
) STRICT;

CREATE TABLE alert_rules (
  name       TEXT    NOT NULL PRIMARY KEY,
  definition TEXT    NOT NULL,
  created_at INTEGER NOT NULL,
  version    INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- What rules remember: cooldowns, bursts, digests.
CREATE TABLE alert_states (
  name  TEXT NOT NULL PRIMARY KEY,
  state TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE ticket_mutes (
  ticket_seq INTEGER PRIMARY KEY,
  mute       TEXT NOT NULL
) STRICT;

-- The outbox, first half: what changed, written with the change.
CREATE TABLE signals (
  seq        INTEGER PRIMARY KEY AUTOINCREMENT,
  ticket_seq INTEGER,
  data       TEXT NOT NULL
) STRICT;

-- The outbox, second half: who is told. A delivery keeps its id over all attempts.
CREATE TABLE deliveries (
  seq          INTEGER PRIMARY KEY AUTOINCREMENT,
  delivery_id  TEXT    NOT NULL UNIQUE,
  endpoint_id  TEXT    NOT NULL,
  "trigger"    TEXT,
  ticket_id    TEXT,
  notice       TEXT    NOT NULL,
  test         INTEGER NOT NULL,
  state        TEXT    NOT NULL,
  attempts     INTEGER NOT NULL,
  leased_until INTEGER,
  last_failure TEXT,
  last_status  INTEGER,
  created_at   INTEGER NOT NULL,
  attempted_at INTEGER,
  expires_at   INTEGER NOT NULL
) STRICT;
CREATE INDEX deliveries_pending ON deliveries (endpoint_id, seq) WHERE state = 'pending';
CREATE INDEX deliveries_log ON deliveries (endpoint_id, seq);

-- Issues elsewhere that stand for tickets.
CREATE TABLE issue_links (
  endpoint_id TEXT    NOT NULL,
  ticket_id   TEXT    NOT NULL,
  issue       INTEGER NOT NULL,
  PRIMARY KEY (endpoint_id, ticket_id)
) STRICT, WITHOUT ROWID;
