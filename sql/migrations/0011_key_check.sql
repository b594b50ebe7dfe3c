-- What the key that numbers are hashed with makes of a known text: so that a service with another key is told, instead of
-- calling numbers that are suppressed under the right one.
CREATE TABLE binding_ivr.key_checks (
  name   text PRIMARY KEY,
  digest bytea NOT NULL CHECK (length(digest) = 32)
);
