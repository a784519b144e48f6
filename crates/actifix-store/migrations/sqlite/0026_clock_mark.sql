-- The newest wall time that was believed: what is deleted by age is measured against it (actifix_domain::clock).
CREATE TABLE clock_mark (
  id INTEGER PRIMARY KEY CHECK (id = 1),
  at INTEGER NOT NULL
) STRICT;
-- A database that was in use begins with the last thing that was written to it.
INSERT INTO clock_mark (id, at)
SELECT 1, newest FROM (
  SELECT max(at) AS newest FROM (
    SELECT * FROM (SELECT received_at AS at FROM events ORDER BY seq DESC LIMIT 1)
    UNION ALL SELECT * FROM (SELECT at FROM audit ORDER BY seq DESC LIMIT 1)
    UNION ALL SELECT * FROM (SELECT finished_at FROM upkeep_runs ORDER BY run_id DESC LIMIT 1)
  )
) WHERE newest IS NOT NULL;
