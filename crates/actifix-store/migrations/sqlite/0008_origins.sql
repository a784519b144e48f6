-- Where a ticket's events came from, for deciding whether agents may have it: how many a trusted sender reported, and
-- keyed hashes, eight bytes each, of at most eight addresses of others. Of earlier events it is not known: their tickets
-- wait for new ones, or for a person.
ALTER TABLE tickets ADD COLUMN trusted_count INTEGER NOT NULL DEFAULT 0;
ALTER TABLE tickets ADD COLUMN peers BLOB NOT NULL DEFAULT x'';
