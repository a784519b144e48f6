-- People. Of a password only a peppered Argon2id verifier is kept; of a session only a hash.
CREATE TABLE users (
  user_id     TEXT PRIMARY KEY,
  name        TEXT NOT NULL UNIQUE,
  role        TEXT NOT NULL,
  verifier    TEXT NOT NULL,
  created_at  INTEGER NOT NULL,
  password_at INTEGER NOT NULL,
  disabled_at INTEGER,
  failures    INTEGER NOT NULL DEFAULT 0,
  version     INTEGER NOT NULL DEFAULT 1
) STRICT;

CREATE TABLE sessions (
  hash             BLOB PRIMARY KEY,
  session_id       TEXT NOT NULL UNIQUE,
  user_id          TEXT NOT NULL REFERENCES users (user_id),
  created_at       INTEGER NOT NULL,
  seen_at          INTEGER NOT NULL,
  authenticated_at INTEGER NOT NULL,
  expires_at       INTEGER NOT NULL,
  network          TEXT
) STRICT;
CREATE INDEX sessions_by_user ON sessions (user_id);
CREATE INDEX sessions_by_end ON sessions (expires_at);

ALTER TABLE tokens ADD COLUMN replaced_by TEXT;
