-- The tables. Applied once and never edited: what changes later comes in a later file, additive first.
-- Words of closed sets are text with CHECK, so that a later file can widen them without rewriting the table.

CREATE TABLE binding_ivr.accounts (
  account    text PRIMARY KEY CHECK (account ~ '^[A-Za-z0-9._-]{1,64}$'),
  settings   jsonb NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(settings) = 'object'),
  created_at timestamptz NOT NULL DEFAULT now()
);
INSERT INTO binding_ivr.accounts (account) VALUES ('default');

CREATE TABLE binding_ivr.users (
  account    text NOT NULL REFERENCES binding_ivr.accounts,
  user_id    text NOT NULL CHECK (user_id ~ '^[^[:space:][:cntrl:]/]{1,128}$'),
  language   text NOT NULL DEFAULT '' CHECK (language ~ '^[A-Za-z0-9_-]{0,16}$'),
  email      text NOT NULL DEFAULT '' CHECK (length(email) <= 254),
  created_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (account, user_id)
);

CREATE TABLE binding_ivr.extensions (
  account   text NOT NULL,
  extension text NOT NULL CHECK (extension ~ '^[A-Za-z0-9*#._-]{1,32}$'),
  user_id   text NOT NULL,
  PRIMARY KEY (account, extension),
  FOREIGN KEY (account, user_id) REFERENCES binding_ivr.users ON DELETE CASCADE
);
CREATE INDEX extensions_user ON binding_ivr.extensions (account, user_id);
CREATE INDEX extensions_digits ON binding_ivr.extensions (extension);

CREATE TABLE binding_ivr.own_numbers (
  account text NOT NULL REFERENCES binding_ivr.accounts,
  kind    text NOT NULL CHECK (kind IN ('extension', 'did', 'pattern')),
  value   text NOT NULL CHECK (value ~ '^[^[:space:][:cntrl:]]{1,64}$'),
  PRIMARY KEY (account, kind, value)
);
CREATE INDEX own_numbers_value ON binding_ivr.own_numbers (value);
CREATE INDEX own_numbers_patterns ON binding_ivr.own_numbers (account) WHERE kind = 'pattern';

-- One row per user; it outlives the user (status none), so that a mirror can see that trust ended.
-- since: when the present status began. verified_at: the last proof of the present number.
CREATE SEQUENCE binding_ivr.change_seq;
CREATE TABLE binding_ivr.bindings (
  account        text NOT NULL,
  user_id        text NOT NULL,
  status         text NOT NULL CHECK (status IN ('none', 'pending', 'verified', 'suspended')),
  reason         text CHECK (reason IN ('reported', 'taken_over', 'aged', 'admin')),
  number         text CHECK (number ~ '^\+[1-9][0-9]{5,14}$'),
  pending_number text CHECK (pending_number ~ '^\+[1-9][0-9]{5,14}$'),
  since          timestamptz,
  verified_at    timestamptz,
  change_seq     bigint NOT NULL DEFAULT 0,
  updated_at     timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (account, user_id),
  CONSTRAINT bindings_reason CHECK ((reason IS NOT NULL) = (status = 'suspended')),
  CONSTRAINT bindings_none_has_no_number CHECK (status <> 'none' OR number IS NULL),
  CONSTRAINT bindings_number CHECK (status NOT IN ('pending', 'verified') OR number IS NOT NULL),
  CONSTRAINT bindings_pending CHECK (pending_number IS NULL OR status IN ('verified', 'suspended'))
);
-- R2: at most one verified binding per number in the whole system.
CREATE UNIQUE INDEX bindings_verified_number ON binding_ivr.bindings (number) WHERE status = 'verified';
CREATE INDEX bindings_changes ON binding_ivr.bindings (change_seq);

CREATE TABLE binding_ivr.attempts (
  attempt_id       uuid PRIMARY KEY,
  account          text NOT NULL,
  user_id          text NOT NULL,
  number           text NOT NULL,
  number_hash      bytea NOT NULL,
  state            text NOT NULL DEFAULT 'queued'
                   CHECK (state IN ('queued', 'dialing', 'ringing', 'answered', 'ended')),
  digits           integer NOT NULL DEFAULT 0 CHECK (digits BETWEEN 0 AND 32),
  outcome          text CHECK (outcome IN ('verified', 'wrong_code', 'no_input', 'hung_up', 'reported', 'busy',
                     'no_answer', 'declined', 'unreachable', 'congestion', 'canceled', 'expired', 'failed')),
  fault            text CHECK (fault IN ('callee', 'network', 'policy', 'us')),
  tries            integer NOT NULL DEFAULT 0 CHECK (tries >= 0),
  cause            integer,
  tech_cause       integer,
  detail           text NOT NULL DEFAULT '',
  key_id           text NOT NULL,
  counted          boolean NOT NULL DEFAULT true,
  cancel_requested boolean NOT NULL DEFAULT false,
  actor_who        text NOT NULL,
  actor_source     text NOT NULL,
  actor_address    text NOT NULL DEFAULT '',
  node             text,
  lease_until      timestamptz,
  not_before       timestamptz NOT NULL,
  shown_until      timestamptz NOT NULL,
  expires_at       timestamptz NOT NULL,
  created_at       timestamptz NOT NULL,
  dialing_at       timestamptz,
  ringing_at       timestamptz,
  answered_at      timestamptz,
  ended_at         timestamptz,
  -- full numbers of ended attempts are shortened after their time, hence only live rows must be E.164
  CONSTRAINT attempts_number CHECK (state = 'ended' OR number ~ '^\+[1-9][0-9]{5,14}$'),
  CONSTRAINT attempts_verdict CHECK ((state = 'ended') = (outcome IS NOT NULL)
                                     AND (state = 'ended') = (fault IS NOT NULL)
                                     AND (state = 'ended') = (ended_at IS NOT NULL)),
  CONSTRAINT attempts_lease CHECK (state IN ('queued', 'ended') OR (node IS NOT NULL AND lease_until IS NOT NULL))
);
CREATE UNIQUE INDEX attempts_live_user ON binding_ivr.attempts (account, user_id) WHERE state <> 'ended';
CREATE UNIQUE INDEX attempts_live_number ON binding_ivr.attempts (number) WHERE state <> 'ended';
CREATE INDEX attempts_queued ON binding_ivr.attempts (not_before) WHERE state = 'queued';
CREATE INDEX attempts_in_flight ON binding_ivr.attempts (lease_until) WHERE state IN ('dialing', 'ringing', 'answered');
CREATE INDEX attempts_of_number ON binding_ivr.attempts (number, created_at DESC);
CREATE INDEX attempts_of_user ON binding_ivr.attempts (account, user_id, created_at DESC);
CREATE INDEX attempts_recent ON binding_ivr.attempts (created_at DESC);

CREATE TABLE binding_ivr.audit (
  id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  at         timestamptz NOT NULL DEFAULT clock_timestamp(),
  account    text NOT NULL,
  user_id    text NOT NULL,
  action     text NOT NULL,
  who        text NOT NULL,
  source     text NOT NULL,
  address    text NOT NULL DEFAULT '',
  attempt_id uuid,
  detail     jsonb NOT NULL DEFAULT '{}'
);
CREATE INDEX audit_of_user ON binding_ivr.audit (account, user_id, id);

CREATE TABLE binding_ivr.outbox (
  event_id     uuid PRIMARY KEY DEFAULT gen_random_uuid(),
  name         text NOT NULL
               CHECK (name IN ('binding.verified', 'binding.suspended', 'binding.removed', 'attempt.ended')),
  account      text NOT NULL,
  user_id      text NOT NULL,
  payload      jsonb NOT NULL,
  created_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
  next_try     timestamptz NOT NULL DEFAULT clock_timestamp(),
  tries        integer NOT NULL DEFAULT 0,
  delivered_at timestamptz
);
CREATE INDEX outbox_due ON binding_ivr.outbox (next_try) WHERE delivered_at IS NULL;

-- Only a keyed hash: whoever reads this table does not learn who asked not to be called.
CREATE TABLE binding_ivr.suppressions (
  number_hash bytea PRIMARY KEY CHECK (length(number_hash) BETWEEN 16 AND 64),
  reason      text NOT NULL,
  who         text NOT NULL,
  created_at  timestamptz NOT NULL DEFAULT clock_timestamp()
);

CREATE TABLE binding_ivr.nodes (
  node       text PRIMARY KEY,
  started_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  seen_at    timestamptz NOT NULL DEFAULT clock_timestamp(),
  version    text NOT NULL,
  capacity   integer NOT NULL CHECK (capacity >= 0)
);
