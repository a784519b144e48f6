-- Keyed hash of the value, 32 hex: one value is told again under another rule or in another project. Findings of before get
-- it when they are seen again.
ALTER TABLE findings ADD COLUMN hash TEXT;
