-- Numbers of tickets are given once: ids of events name the number of their ticket long after it was merged away or
-- deleted, and must never mean a stranger.
CREATE TABLE sequences (
  name TEXT    NOT NULL PRIMARY KEY,
  next INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO sequences (name, next) VALUES ('tickets', 1 + max(
  (SELECT coalesce(max(seq), 0) FROM tickets),
  (SELECT coalesce(max(ticket_seq), 0) FROM event_ids)
));

-- The number that a merged ticket had, so that ids of its events lead to the ticket that took it over.
ALTER TABLE ticket_aliases ADD COLUMN old_seq INTEGER;
CREATE UNIQUE INDEX ticket_aliases_old ON ticket_aliases (old_seq) WHERE old_seq IS NOT NULL;

-- Versions of what people decide about findings and keys, so that two of them do not undo each other.
ALTER TABLE findings ADD COLUMN version INTEGER NOT NULL DEFAULT 1;
ALTER TABLE project_keys ADD COLUMN version INTEGER NOT NULL DEFAULT 1;

-- What a split needs to know of a key and of an event: where its ticket looks alike, and who met it.
ALTER TABLE ticket_keys ADD COLUMN near_key TEXT;
UPDATE ticket_keys SET near_key = (
  SELECT t.near_key FROM tickets t WHERE t.seq = ticket_keys.ticket_seq AND t.fingerprint = ticket_keys.fingerprint
);
ALTER TABLE events ADD COLUMN user_hash INTEGER;
