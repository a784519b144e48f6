-- Times are microseconds since 1970-01-01 UTC, ids are text, keys lead with project_id. `seq` numbers tickets and
-- events in the order in which they came, so that what belongs to new tickets is written side by side.

CREATE TABLE projects (
  project_id INTEGER PRIMARY KEY,
  name       TEXT    NOT NULL UNIQUE,
  settings   TEXT    NOT NULL,
  created_at INTEGER NOT NULL,
  version    INTEGER NOT NULL
) STRICT;

CREATE TABLE project_keys (
  project_id      INTEGER NOT NULL REFERENCES projects (project_id),
  public_key      TEXT    NOT NULL,
  label           TEXT    NOT NULL,
  kind            TEXT    NOT NULL,
  enabled         INTEGER NOT NULL,
  allowed_origins TEXT    NOT NULL,
  rate_per_minute INTEGER,
  created_at      INTEGER NOT NULL,
  PRIMARY KEY (project_id, public_key)
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX project_keys_public ON project_keys (public_key);

CREATE TABLE unlisted_origins (
  project_id INTEGER NOT NULL,
  public_key TEXT    NOT NULL,
  origin     TEXT    NOT NULL,
  last_seen  INTEGER NOT NULL,
  PRIMARY KEY (project_id, public_key, origin)
) STRICT, WITHOUT ROWID;

CREATE TABLE tokens (
  token_id   TEXT    NOT NULL PRIMARY KEY,
  hash       BLOB    NOT NULL UNIQUE,
  name       TEXT    NOT NULL,
  scopes     TEXT    NOT NULL,
  project_id INTEGER,
  created_at INTEGER NOT NULL,
  expires_at INTEGER NOT NULL,
  revoked_at INTEGER
) STRICT;

CREATE TABLE tickets (
  seq              INTEGER PRIMARY KEY,
  project_id       INTEGER NOT NULL,
  ticket_id        TEXT    NOT NULL,
  fingerprint      TEXT    NOT NULL,
  near_key         TEXT,
  title            TEXT    NOT NULL,
  culprit          TEXT    NOT NULL,
  level            TEXT    NOT NULL,
  status           TEXT    NOT NULL,
  priority         INTEGER NOT NULL,
  priority_reason  TEXT    NOT NULL,
  event_count      INTEGER NOT NULL,
  user_count       INTEGER NOT NULL,
  first_seen       INTEGER NOT NULL,
  last_seen        INTEGER NOT NULL,
  first_release    TEXT,
  last_release     TEXT,
  platform         TEXT,
  unhandled        INTEGER NOT NULL,
  resolved_at      INTEGER,
  resolved_in      TEXT,
  regressions      INTEGER NOT NULL,
  raised           INTEGER NOT NULL,
  assignee         TEXT,
  created_at       INTEGER NOT NULL,
  version          INTEGER NOT NULL,
  -- latest stored event, and whether it is stored only because it is the latest
  latest_event_seq INTEGER,
  latest_transient INTEGER NOT NULL,
  -- clock hour (hours since the epoch) of the counter beside it, for sampling and spikes
  hour             INTEGER NOT NULL,
  hour_count       INTEGER NOT NULL,
  -- the same for the day; both reach their tables when they end, so that an event writes one row, not three
  day              INTEGER NOT NULL,
  day_count        INTEGER NOT NULL,
  -- clock hour in which the words of the ticket were last indexed
  indexed_hour     INTEGER NOT NULL,
  lease_id         TEXT,
  lease_fence      INTEGER,
  lease_holder     TEXT,
  lease_since      INTEGER,
  lease_expires_at INTEGER,
  last_fence       INTEGER NOT NULL,
  approved         INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX tickets_id ON tickets (ticket_id);
CREATE INDEX tickets_last     ON tickets (project_id, status, priority, last_seen, seq);
CREATE INDEX tickets_first    ON tickets (project_id, status, priority, first_seen, seq);
CREATE INDEX tickets_count    ON tickets (project_id, status, priority, event_count, seq);
CREATE INDEX tickets_near     ON tickets (project_id, near_key, seq) WHERE near_key IS NOT NULL;
CREATE INDEX tickets_resolved ON tickets (resolved_at, seq) WHERE status = 'resolved';

-- Words of tickets; the content stays in `tickets`.
CREATE VIRTUAL TABLE ticket_words USING fts5 (
  title, culprit, text, content = '', contentless_delete = 1, detail = 'full',
  tokenize = "unicode61 remove_diacritics 2"
);

-- Which ticket events with a fingerprint go to; merged and split keys point elsewhere than where they began.
CREATE TABLE ticket_keys (
  project_id  INTEGER NOT NULL,
  fingerprint TEXT    NOT NULL,
  ticket_seq  INTEGER NOT NULL,
  explanation TEXT    NOT NULL,
  PRIMARY KEY (project_id, fingerprint)
) STRICT, WITHOUT ROWID;
CREATE INDEX ticket_keys_ticket ON ticket_keys (project_id, ticket_seq);

-- Ids of tickets that were merged away; they keep resolving.
CREATE TABLE ticket_aliases (
  project_id INTEGER NOT NULL,
  ticket_id  TEXT    NOT NULL,
  ticket_seq INTEGER NOT NULL,
  PRIMARY KEY (project_id, ticket_id)
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX ticket_aliases_id ON ticket_aliases (ticket_id);
CREATE INDEX ticket_aliases_ticket ON ticket_aliases (project_id, ticket_seq);

-- Ended hours and days.
CREATE TABLE ticket_hours (
  project_id INTEGER NOT NULL,
  ticket_seq INTEGER NOT NULL,
  hour       INTEGER NOT NULL,
  quantity   INTEGER NOT NULL,
  PRIMARY KEY (project_id, ticket_seq, hour)
) STRICT, WITHOUT ROWID;

CREATE TABLE ticket_days (
  project_id INTEGER NOT NULL,
  ticket_seq INTEGER NOT NULL,
  day        INTEGER NOT NULL,
  quantity   INTEGER NOT NULL,
  PRIMARY KEY (project_id, ticket_seq, day)
) STRICT, WITHOUT ROWID;

CREATE TABLE ticket_facets (
  project_id INTEGER NOT NULL,
  ticket_seq INTEGER NOT NULL,
  key        TEXT    NOT NULL,
  value      TEXT    NOT NULL,
  quantity   INTEGER NOT NULL,
  first_seen INTEGER NOT NULL,
  last_seen  INTEGER NOT NULL,
  PRIMARY KEY (project_id, ticket_seq, key, value)
) STRICT, WITHOUT ROWID;
CREATE INDEX ticket_facets_value ON ticket_facets (key, value, project_id, ticket_seq);

CREATE TABLE ticket_users (
  project_id INTEGER NOT NULL,
  ticket_seq INTEGER NOT NULL,
  user_hash  INTEGER NOT NULL,
  PRIMARY KEY (project_id, ticket_seq, user_hash)
) STRICT, WITHOUT ROWID;

CREATE TABLE ticket_redactions (
  project_id INTEGER NOT NULL,
  ticket_seq INTEGER NOT NULL,
  rule       TEXT    NOT NULL,
  quantity   INTEGER NOT NULL,
  PRIMARY KEY (project_id, ticket_seq, rule)
) STRICT, WITHOUT ROWID;

CREATE TABLE ticket_activity (
  project_id INTEGER NOT NULL,
  ticket_seq INTEGER NOT NULL,
  number     INTEGER NOT NULL,
  at         INTEGER NOT NULL,
  actor      TEXT    NOT NULL,
  kind       TEXT    NOT NULL,
  data       TEXT    NOT NULL,
  PRIMARY KEY (project_id, ticket_seq, number)
) STRICT, WITHOUT ROWID;

CREATE TABLE events (
  seq         INTEGER PRIMARY KEY,
  project_id  INTEGER NOT NULL,
  ticket_seq  INTEGER NOT NULL,
  event_id    TEXT    NOT NULL,
  fingerprint TEXT    NOT NULL,
  timestamp   INTEGER NOT NULL,
  received_at INTEGER NOT NULL,
  outcome     TEXT    NOT NULL,
  title       TEXT    NOT NULL,
  release     TEXT,
  environment TEXT,
  body_bytes  INTEGER NOT NULL
) STRICT;
CREATE INDEX events_ticket ON events (project_id, ticket_seq, seq);

-- Bodies by the number of their event, apart from it, so that lists never read them.
CREATE TABLE event_bodies (
  event_seq INTEGER PRIMARY KEY,
  dict      INTEGER NOT NULL,
  data      BLOB    NOT NULL
) STRICT;

-- Ids that were seen. Those of stored events have no end; the others are forgotten when it has come.
CREATE TABLE event_ids (
  project_id INTEGER NOT NULL,
  event_id   TEXT    NOT NULL,
  ticket_seq INTEGER,
  event_seq  INTEGER,
  expires_at INTEGER,
  PRIMARY KEY (project_id, event_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX event_ids_end ON event_ids (expires_at) WHERE expires_at IS NOT NULL;

CREATE TABLE attachments (
  project_id      INTEGER NOT NULL,
  event_seq       INTEGER NOT NULL,
  number          INTEGER NOT NULL,
  name            TEXT    NOT NULL,
  content_type    TEXT    NOT NULL,
  attachment_type TEXT    NOT NULL,
  size            INTEGER NOT NULL,
  digest          TEXT    NOT NULL,
  dict            INTEGER NOT NULL,
  data            BLOB,
  PRIMARY KEY (project_id, event_seq, number)
) STRICT;

CREATE TABLE project_hours (
  project_id INTEGER NOT NULL,
  hour       INTEGER NOT NULL,
  outcome    TEXT    NOT NULL,
  reason     TEXT    NOT NULL,
  category   TEXT    NOT NULL,
  quantity   INTEGER NOT NULL,
  PRIMARY KEY (project_id, hour, outcome, reason, category)
) STRICT, WITHOUT ROWID;

-- Sums that must not be counted anew: tickets by status and priority, events, bytes, quarantine.
CREATE TABLE counters (
  project_id INTEGER NOT NULL,
  name       TEXT    NOT NULL,
  quantity   INTEGER NOT NULL,
  PRIMARY KEY (project_id, name)
) STRICT, WITHOUT ROWID;

CREATE TABLE releases (
  project_id INTEGER NOT NULL,
  release    TEXT    NOT NULL,
  first_seen INTEGER NOT NULL,
  PRIMARY KEY (project_id, release)
) STRICT, WITHOUT ROWID;

CREATE TABLE release_days (
  project_id  INTEGER NOT NULL,
  day         INTEGER NOT NULL,
  release     TEXT    NOT NULL,
  environment TEXT    NOT NULL,
  sessions    INTEGER NOT NULL,
  errored     INTEGER NOT NULL,
  crashed     INTEGER NOT NULL,
  PRIMARY KEY (project_id, day, release, environment)
) STRICT, WITHOUT ROWID;

CREATE TABLE monitors (
  project_id  INTEGER NOT NULL,
  slug        TEXT    NOT NULL,
  environment TEXT    NOT NULL,
  state       TEXT    NOT NULL,
  deadline    INTEGER,
  PRIMARY KEY (project_id, slug, environment)
) STRICT, WITHOUT ROWID;
CREATE INDEX monitors_deadline ON monitors (deadline) WHERE deadline IS NOT NULL;

CREATE TABLE throttles (
  project_id INTEGER PRIMARY KEY,
  state      TEXT NOT NULL
) STRICT;

CREATE TABLE throttle_records (
  project_id INTEGER NOT NULL,
  at         INTEGER NOT NULL,
  decision   TEXT    NOT NULL,
  priority   INTEGER NOT NULL,
  reason     TEXT    NOT NULL,
  quantity   INTEGER NOT NULL,
  PRIMARY KEY (project_id, at, decision, priority, reason)
) STRICT, WITHOUT ROWID;
CREATE INDEX throttle_records_at ON throttle_records (at);

CREATE TABLE findings (
  seq        INTEGER PRIMARY KEY,
  project_id INTEGER NOT NULL,
  finding_id TEXT    NOT NULL,
  rule       TEXT    NOT NULL,
  severity   TEXT    NOT NULL,
  masked     TEXT    NOT NULL,
  quantity   INTEGER NOT NULL,
  first_seen INTEGER NOT NULL,
  last_seen  INTEGER NOT NULL,
  state      TEXT    NOT NULL,
  note       TEXT    NOT NULL,
  places     TEXT    NOT NULL
) STRICT;
CREATE UNIQUE INDEX findings_key ON findings (project_id, finding_id);
CREATE UNIQUE INDEX findings_id ON findings (finding_id);
CREATE INDEX findings_last ON findings (last_seen, seq);
CREATE INDEX findings_p_last ON findings (project_id, last_seen, seq);

CREATE TABLE quarantine (
  seq         INTEGER PRIMARY KEY,
  project_id  INTEGER NOT NULL,
  input_id    TEXT    NOT NULL,
  received_at INTEGER NOT NULL,
  reason      TEXT    NOT NULL,
  kind        TEXT    NOT NULL,
  size        INTEGER NOT NULL,
  sealed      BLOB    NOT NULL
) STRICT;
CREATE UNIQUE INDEX quarantine_id ON quarantine (input_id);
CREATE INDEX quarantine_time ON quarantine (received_at, seq);
