-- The repository that a source of GitHub believes; those of before have none, and resolve nothing.
ALTER TABLE hooks ADD COLUMN target TEXT;

-- The oldest ids of one source are looked for without those of the others.
CREATE INDEX hook_messages_of ON hook_messages (hook, at);
