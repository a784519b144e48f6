-- Searches that people keep under a name, each for themselves.
CREATE TABLE views (
  user_id  TEXT    NOT NULL REFERENCES users (user_id) ON DELETE CASCADE,
  name     TEXT    NOT NULL,
  search   TEXT    NOT NULL,
  saved_at INTEGER NOT NULL,
  PRIMARY KEY (user_id, name)
) STRICT, WITHOUT ROWID;
