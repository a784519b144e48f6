-- What was used of the API's limits, so that a restart gives nobody a second hour or day. A principal is a keyed hash;
-- counts are little-endian numbers of 32 bits, by slot, oldest first.
CREATE TABLE api_counters (
  principal BLOB    NOT NULL PRIMARY KEY,
  saved_at  INTEGER NOT NULL,
  counts    BLOB    NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX api_counters_age ON api_counters (saved_at);
