-- Values that configuration refers to by name, each sealed together with its name.
CREATE TABLE secrets (
  name       TEXT    NOT NULL PRIMARY KEY,
  sealed     BLOB    NOT NULL,
  size       INTEGER NOT NULL,
  created_at INTEGER NOT NULL,
  updated_at INTEGER NOT NULL,
  version    INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Which vault this database was sealed with: one row, written once.
CREATE TABLE vault_mark (
  only_row INTEGER NOT NULL PRIMARY KEY CHECK (only_row = 1),
  mark     BLOB    NOT NULL
) STRICT;
