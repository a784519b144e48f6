-- Keys that sign short-lived access tokens. The private half is sealed under the vault, together with its id.
CREATE TABLE signing_keys (
  key_id     TEXT    NOT NULL PRIMARY KEY,
  public     BLOB    NOT NULL,
  sealed     BLOB    NOT NULL,
  created_at INTEGER NOT NULL,
  -- From then on it verifies nothing any more; null for the one that signs.
  retires_at INTEGER
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX signing_keys_signs ON signing_keys (retires_at IS NULL) WHERE retires_at IS NULL;

-- Access tokens that were given out and have not ended. The token itself is only an envelope: what it may do is here
-- and in the row of its holder, one of the two.
CREATE TABLE access_tokens (
  access_id  TEXT    NOT NULL PRIMARY KEY,
  key_id     TEXT    NOT NULL,
  token_id   TEXT,
  session_id TEXT,
  scopes     TEXT    NOT NULL,
  project_id INTEGER,
  epoch      INTEGER NOT NULL,
  created_at INTEGER NOT NULL,
  expires_at INTEGER NOT NULL,
  CHECK ((token_id IS NULL) <> (session_id IS NULL))
) STRICT, WITHOUT ROWID;
CREATE INDEX access_tokens_by_end ON access_tokens (expires_at);
CREATE INDEX access_tokens_by_token ON access_tokens (token_id) WHERE token_id IS NOT NULL;
CREATE INDEX access_tokens_by_session ON access_tokens (session_id) WHERE session_id IS NOT NULL;

-- People as a sign-in provider names them.
CREATE TABLE identities (
  issuer     TEXT    NOT NULL,
  subject    TEXT    NOT NULL,
  user_id    TEXT    NOT NULL REFERENCES users (user_id),
  created_at INTEGER NOT NULL,
  PRIMARY KEY (issuer, subject)
) STRICT, WITHOUT ROWID;
CREATE INDEX identities_by_user ON identities (user_id);

-- Sign-ins that came back from the provider: each one once, until nobody could bring it again.
CREATE TABLE spent_sign_ins (
  hash       BLOB    NOT NULL PRIMARY KEY,
  expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX spent_sign_ins_by_end ON spent_sign_ins (expires_at);
