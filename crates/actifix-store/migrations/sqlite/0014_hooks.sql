-- Sources of signed requests; the secret lies in `sealed`, under the vault.
CREATE TABLE hooks (
  name         TEXT    NOT NULL PRIMARY KEY,
  kind         TEXT    NOT NULL,
  project_id   INTEGER NOT NULL,
  created_at   INTEGER NOT NULL,
  last_used_at INTEGER,
  sealed       BLOB    NOT NULL
) STRICT, WITHOUT ROWID;

-- Ids of requests that were taken, so that none is taken twice.
CREATE TABLE hook_messages (
  hook    TEXT    NOT NULL,
  message TEXT    NOT NULL,
  at      INTEGER NOT NULL,
  PRIMARY KEY (hook, message)
) STRICT, WITHOUT ROWID;
CREATE INDEX hook_messages_age ON hook_messages (at);
