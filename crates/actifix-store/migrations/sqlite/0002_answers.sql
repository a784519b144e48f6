-- Answers to requests that carried an Idempotency-Key, sealed, until they expire.
CREATE TABLE answers (
  key        BLOB    NOT NULL PRIMARY KEY,
  request    BLOB    NOT NULL,
  sealed     BLOB    NOT NULL,
  expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX answers_end ON answers (expires_at);
