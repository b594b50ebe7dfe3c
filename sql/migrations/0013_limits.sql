-- What the limits are counted by. An attempt counts from the moment it is accepted, for whoever may have to be protected
-- from it; when it ends, what it turned out not to be is given back (docs/limits.md has the table):
--   counted         the asker's limits: user_hour, user_day, address_hour
--   counted_number  the callee's: number_hour, number_day, prefix_hour, system_prefix_hour, number_unproven
--   counted_line    the line's: account_hour, account_day, system_hour, system_day
--   counted_again   number_wait_s and user_new_numbers_day
-- An administrator's reset takes the first two and the last away from attempts that had them.

ALTER TABLE binding_ivr.attempts
  ADD COLUMN counted_number boolean NOT NULL DEFAULT true,
  ADD COLUMN counted_line   boolean NOT NULL DEFAULT true,
  ADD COLUMN counted_again  boolean NOT NULL DEFAULT true,
  -- whose requests are limited together: the client's address, of IPv6 its /64; null when that limit is not for the asker
  ADD COLUMN client         text,
  -- the longest that the call can stand once it is answered; so much of the minute budget is held until it is billed
  ADD COLUMN reserved_s     integer NOT NULL DEFAULT 0 CHECK (reserved_s >= 0),
  -- how long it stood; null until that is known. Calls of before this file cost nothing.
  ADD COLUMN billed_s       integer DEFAULT 0 CHECK (billed_s >= 0);
ALTER TABLE binding_ivr.attempts ALTER COLUMN billed_s SET DEFAULT NULL;
UPDATE binding_ivr.attempts SET counted_number = false, counted_line = false, counted_again = false WHERE NOT counted;

CREATE INDEX attempts_of_hash ON binding_ivr.attempts (number_hash, created_at DESC);
CREATE INDEX attempts_of_account ON binding_ivr.attempts (account, created_at DESC);
CREATE INDEX attempts_of_client ON binding_ivr.attempts (client, created_at DESC) WHERE client IS NOT NULL;
CREATE INDEX attempts_of_prefix ON binding_ivr.attempts ("left"(number, -4), created_at DESC);
CREATE INDEX attempts_unbilled ON binding_ivr.attempts (created_at) WHERE billed_s IS NULL;

CREATE FUNCTION binding_ivr.give_back() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  has_left boolean := OLD.state <> 'queued';
  disturbed boolean;  -- somebody's phone rang
  costs boolean;
BEGIN
  IF has_left AND NEW.outcome IN ('verified', 'wrong_code', 'no_input', 'hung_up', 'reported') THEN
    NEW.answered_at := coalesce(NEW.answered_at, NEW.ended_at);  -- the report of the answer was lost
  END IF;
  disturbed := NEW.ringing_at IS NOT NULL OR NEW.answered_at IS NOT NULL;
  costs := has_left AND (disturbed OR NEW.fault <> 'us');
  NEW.counted := NEW.counted AND has_left AND NEW.fault <> 'us' AND NEW.outcome <> 'congestion';
  NEW.counted_number := NEW.counted_number AND costs AND (disturbed OR NEW.outcome <> 'congestion');
  NEW.counted_line := NEW.counted_line AND costs;
  NEW.counted_again := NEW.counted_again AND costs;
  IF NEW.answered_at IS NULL THEN
    NEW.billed_s := 0;
  END IF;
  RETURN NEW;
END
$$;
CREATE TRIGGER give_back BEFORE UPDATE ON binding_ivr.attempts
  FOR EACH ROW WHEN (NEW.state = 'ended' AND OLD.state <> 'ended') EXECUTE FUNCTION binding_ivr.give_back();

-- Seconds of answered calls by the ten minutes in which they ended, so that a day is 145 rows to add up.
CREATE TABLE binding_ivr.call_seconds (
  bucket  timestamptz PRIMARY KEY,
  seconds bigint NOT NULL CHECK (seconds >= 0)
);

-- Consecutive failed tries of a user (failed), and how often that locked them out (locks). A proof removes the row.
CREATE TABLE binding_ivr.lockouts (
  account      text NOT NULL,
  user_id      text NOT NULL,
  failed       integer NOT NULL CHECK (failed >= 0),
  locks        integer NOT NULL CHECK (locks >= 0),
  locked_until timestamptz,
  PRIMARY KEY (account, user_id)
);

-- Numbers that were answered too often and not proven: only an administrator's reset removes the row.
CREATE TABLE binding_ivr.number_locks (
  number_hash bytea PRIMARY KEY CHECK (length(number_hash) BETWEEN 16 AND 64),
  locked_at   timestamptz NOT NULL DEFAULT binding_ivr.clock()
);
