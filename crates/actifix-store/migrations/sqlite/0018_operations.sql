-- Where incident response stands: a lockdown, and the steps that are under way. One row, so that two operators meet at its
-- version.
CREATE TABLE incident (
  id         INTEGER PRIMARY KEY CHECK (id = 1),
  version    INTEGER NOT NULL,
  state      TEXT    NOT NULL,
  updated_at INTEGER NOT NULL
) STRICT;

-- Reviews that somebody signed. They are added and never changed.
CREATE TABLE reviews (
  review_id   INTEGER PRIMARY KEY,
  period      TEXT    NOT NULL,
  reviewer    TEXT    NOT NULL,
  recorded_at INTEGER NOT NULL,
  document    TEXT    NOT NULL,
  signature   TEXT    NOT NULL
) STRICT;
CREATE INDEX reviews_period ON reviews (period, review_id);
CREATE TRIGGER reviews_stay BEFORE UPDATE ON reviews BEGIN SELECT RAISE(ABORT, 'reviews are only added'); END;
CREATE TRIGGER reviews_remain BEFORE DELETE ON reviews BEGIN SELECT RAISE(ABORT, 'reviews are only added'); END;
