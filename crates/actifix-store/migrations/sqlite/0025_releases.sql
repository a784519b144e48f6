-- What is known of a release beside its name. Events move the counts of one row; times of its first event order it.
ALTER TABLE releases ADD COLUMN last_seen   INTEGER;
ALTER TABLE releases ADD COLUMN recorded_at INTEGER NOT NULL DEFAULT 0;
ALTER TABLE releases ADD COLUMN released_at INTEGER;
ALTER TABLE releases ADD COLUMN url         TEXT;
ALTER TABLE releases ADD COLUMN events      INTEGER NOT NULL DEFAULT 0;
ALTER TABLE releases ADD COLUMN new_tickets INTEGER NOT NULL DEFAULT 0;
ALTER TABLE releases ADD COLUMN regressions INTEGER NOT NULL DEFAULT 0;
ALTER TABLE releases ADD COLUMN deploys     INTEGER NOT NULL DEFAULT 0;
ALTER TABLE releases ADD COLUMN commits     INTEGER NOT NULL DEFAULT 0;
ALTER TABLE releases ADD COLUMN commits_at  INTEGER;
-- Whether a trusted sender or a build told of it, and not only whoever holds a browser key.
ALTER TABLE releases ADD COLUMN trusted     INTEGER NOT NULL DEFAULT 0;

CREATE INDEX releases_by_time ON releases (first_seen, project_id, release);
CREATE INDEX releases_of_project ON releases (project_id, first_seen, release);
CREATE INDEX release_days_of ON release_days (project_id, release);

-- Tickets that began in a release, came back with it, or were resolved by it; so many of each as are listed.
CREATE TABLE release_tickets (
  project_id INTEGER NOT NULL,
  release    TEXT    NOT NULL,
  part       TEXT    NOT NULL,
  ticket_seq INTEGER NOT NULL,
  PRIMARY KEY (project_id, release, part, ticket_seq)
) STRICT, WITHOUT ROWID;
CREATE INDEX release_tickets_of ON release_tickets (ticket_seq);

CREATE TABLE release_deploys (
  id          INTEGER PRIMARY KEY,
  project_id  INTEGER NOT NULL,
  release     TEXT    NOT NULL,
  environment TEXT    NOT NULL,
  name        TEXT,
  url         TEXT,
  started_at  INTEGER,
  finished_at INTEGER NOT NULL
) STRICT;
CREATE INDEX release_deploys_of ON release_deploys (project_id, release, id);

-- The newest first; paths are a list of JSON.
CREATE TABLE release_commits (
  project_id     INTEGER NOT NULL,
  release        TEXT    NOT NULL,
  place          INTEGER NOT NULL,
  commit_id      TEXT    NOT NULL,
  author         TEXT,
  author_email   TEXT,
  message        TEXT    NOT NULL,
  at             INTEGER,
  paths          TEXT    NOT NULL,
  paths_left_out INTEGER NOT NULL,
  PRIMARY KEY (project_id, release, place)
) STRICT, WITHOUT ROWID;

-- Resolved in the next release: the latest one that was known then.
ALTER TABLE tickets ADD COLUMN resolved_after TEXT;
CREATE INDEX tickets_that_wait ON tickets (project_id, seq) WHERE resolved_after IS NOT NULL;

-- What events of before told. When the rows were made nobody noted; they are not younger than their first event.
UPDATE releases SET recorded_at = first_seen, trusted = 1;
UPDATE releases SET events = f.many, last_seen = f.latest FROM (
  SELECT project_id, value, sum(quantity) AS many, max(last_seen) AS latest FROM ticket_facets
  WHERE key = 'release' GROUP BY project_id, value
) AS f WHERE f.project_id = releases.project_id AND f.value = releases.release;
UPDATE releases SET new_tickets = t.many FROM (
  SELECT project_id, first_release, count(*) AS many FROM tickets WHERE first_release IS NOT NULL
  GROUP BY project_id, first_release
) AS t WHERE t.project_id = releases.project_id AND t.first_release = releases.release;
INSERT INTO release_tickets (project_id, release, part, ticket_seq)
  SELECT project_id, first_release, 'new', seq FROM (
    SELECT project_id, first_release, seq,
      row_number() OVER (PARTITION BY project_id, first_release ORDER BY seq) AS place
    FROM tickets WHERE first_release IS NOT NULL
  ) WHERE place <= 1000;
INSERT INTO release_tickets (project_id, release, part, ticket_seq)
  SELECT project_id, resolved_in, 'resolved', seq FROM (
    SELECT project_id, resolved_in, seq,
      row_number() OVER (PARTITION BY project_id, resolved_in ORDER BY seq) AS place
    FROM tickets WHERE resolved_in IS NOT NULL AND status = 'resolved'
  ) WHERE place <= 1000;
