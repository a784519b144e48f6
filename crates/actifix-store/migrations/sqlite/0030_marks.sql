-- What a ticket surely has none of, by one number (sqlite/marks.rs): in the indexes of lists it lets a search pass over
-- tickets without reading them. Without its marks known a ticket has all of them.
ALTER TABLE tickets ADD COLUMN marks INTEGER NOT NULL DEFAULT -1;

DROP INDEX tickets_last;
DROP INDEX tickets_first;
DROP INDEX tickets_count;

-- Each bit once: their sum is the number that has all of them.
UPDATE tickets SET marks =
  CASE level WHEN 'debug' THEN 1 WHEN 'info' THEN 2 WHEN 'warning' THEN 4 WHEN 'error' THEN 8 ELSE 16 END
  | CASE WHEN assignee IS NULL THEN 0 ELSE 32 END
  | CASE WHEN unhandled THEN 64 ELSE 0 END
  | CASE WHEN regressions > 0 THEN 128 ELSE 0 END
  | CASE WHEN platform IS NULL THEN 0 ELSE facet_mark('platform', platform) END
  | coalesce((
      SELECT sum(DISTINCT facet_mark(key, value)) FROM ticket_facets f
      WHERE f.project_id = tickets.project_id AND f.ticket_seq = tickets.seq
    ), 0);

CREATE INDEX tickets_last  ON tickets (project_id, status, priority, last_seen, seq, marks);
CREATE INDEX tickets_first ON tickets (project_id, status, priority, first_seen, seq, marks);
CREATE INDEX tickets_count ON tickets (project_id, status, priority, event_count, seq, marks);
