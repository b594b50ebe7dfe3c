-- What the web keeps: API keys, sessions, sign-in links, used-up tokens and replies. Secrets only as SHA-256 digests: all of
-- them are random and at least 256 bits long (or signed tokens), so nothing can be guessed from a digest.

CREATE TABLE binding_ivr.api_keys (
  key_id     text PRIMARY KEY CHECK (key_id ~ '^[0-9a-f]{12}$'),
  name       text NOT NULL UNIQUE CHECK (name ~ '^[A-Za-z0-9._-]{1,64}$'),
  scopes     text[] NOT NULL CHECK (cardinality(scopes) BETWEEN 1 AND 20),
  digest     bytea NOT NULL CHECK (length(digest) = 32),
  created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  used_at    timestamptz
);

-- A signed-in browser: of a user, or of an API key (it ends with its key, and with its user).
CREATE TABLE binding_ivr.web_sessions (
  digest       bytea PRIMARY KEY CHECK (length(digest) = 32),
  account      text NOT NULL DEFAULT '',
  user_id      text NOT NULL DEFAULT '',
  key_id       text REFERENCES binding_ivr.api_keys ON DELETE CASCADE,
  signed_in_at timestamptz NOT NULL,
  expires_at   timestamptz NOT NULL,
  CHECK ((key_id IS NULL) = (user_id <> ''))
);
CREATE INDEX web_sessions_user ON binding_ivr.web_sessions (account, user_id);
CREATE INDEX web_sessions_age ON binding_ivr.web_sessions (expires_at);

CREATE TABLE binding_ivr.signin_links (
  digest     bytea PRIMARY KEY CHECK (length(digest) = 32),
  account    text NOT NULL,
  user_id    text NOT NULL,
  expires_at timestamptz NOT NULL,
  FOREIGN KEY (account, user_id) REFERENCES binding_ivr.users ON DELETE CASCADE
);
CREATE INDEX signin_links_age ON binding_ivr.signin_links (expires_at);

-- User tokens that became a session; kept until they would have expired anyway.
CREATE TABLE binding_ivr.spent_tokens (
  digest     bytea PRIMARY KEY CHECK (length(digest) = 32),
  expires_at timestamptz NOT NULL
);
CREATE INDEX spent_tokens_age ON binding_ivr.spent_tokens (expires_at);

-- Replies by Idempotency-Key. No access code: a reply that showed one is made again from attempt_id.
CREATE TABLE binding_ivr.web_replies (
  caller     text NOT NULL,
  digest     bytea NOT NULL CHECK (length(digest) = 32),
  request    bytea NOT NULL CHECK (length(request) = 32),
  attempt_id uuid NOT NULL,
  status     integer,
  body       bytea NOT NULL DEFAULT '',
  begun_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
  created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  PRIMARY KEY (caller, digest)
);
CREATE INDEX web_replies_age ON binding_ivr.web_replies (created_at);

-- A user who goes takes the sessions along; a row of bindings may outlive the user, a signed-in browser may not.
CREATE FUNCTION binding_ivr.end_sessions() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  DELETE FROM binding_ivr.web_sessions WHERE account = OLD.account AND user_id = OLD.user_id;
  RETURN NULL;
END
$$;
CREATE TRIGGER end_sessions AFTER DELETE ON binding_ivr.users
  FOR EACH ROW EXECUTE FUNCTION binding_ivr.end_sessions();
