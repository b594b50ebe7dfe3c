-- The circuit breaker of each account ('' is the whole system), the alerts of limits, and what an administrator is told of both.
-- Order of locks: breakers come last of all, the system's before the account's.

ALTER TABLE binding_ivr.outbox DROP CONSTRAINT outbox_name_check;
ALTER TABLE binding_ivr.outbox ADD CONSTRAINT outbox_name_check
  CHECK (name IN ('binding.verified', 'binding.stale', 'binding.suspended', 'binding.removed', 'attempt.ended',
                  'account.paused', 'account.resumed', 'system.paused', 'system.resumed', 'limit.alert'));

-- What the columns mean is in policy/breaker.py. probe: the last call that left as one; answered, proven: what it was
-- judged by last.
CREATE TABLE binding_ivr.breakers (
  account       text PRIMARY KEY,
  counts_from   timestamptz NOT NULL DEFAULT '-infinity',
  paused_until  timestamptz,
  pauses        integer NOT NULL DEFAULT 0 CHECK (pauses >= 0),
  failed_probes integer NOT NULL DEFAULT 0 CHECK (failed_probes >= 0),
  probe         uuid,
  answered      integer NOT NULL DEFAULT 0 CHECK (answered >= 0),
  proven        integer NOT NULL DEFAULT 0 CHECK (proven BETWEEN 0 AND answered),
  CONSTRAINT breakers_pause CHECK ((paused_until IS NULL) = (pauses = 0))
);

-- By another expression of the time, so that PostgreSQL does not take the first one for an account that has few calls.
CREATE INDEX attempts_answered ON binding_ivr.attempts (timezone('UTC', ended_at) DESC)
  WHERE state = 'ended' AND answered_at IS NOT NULL AND fault <> 'us';
CREATE INDEX attempts_answered_of_account ON binding_ivr.attempts (account, ended_at DESC)
  WHERE state = 'ended' AND answered_at IS NOT NULL AND fault <> 'us';

CREATE FUNCTION binding_ivr.tell_breaker() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  event text := CASE WHEN NEW.account = '' THEN 'system.' ELSE 'account.' END
                || CASE WHEN NEW.paused_until IS NULL THEN 'resumed' ELSE 'paused' END;
  facts jsonb := jsonb_strip_nulls(jsonb_build_object(
    'account', nullif(NEW.account, ''), 'paused_until', NEW.paused_until, 'pauses', nullif(NEW.pauses, 0),
    'answered', NEW.answered, 'proven', NEW.proven));
BEGIN
  PERFORM binding_ivr.write_audit(NEW.account, '', event, NULL, facts);
  INSERT INTO binding_ivr.outbox (name, account, user_id, payload) VALUES (event, NEW.account, '', facts);
  PERFORM pg_notify('binding_ivr', json_build_object('kind', 'limits', 'account', NEW.account)::text);
  RETURN NULL;
END
$$;
CREATE TRIGGER tell_breaker AFTER UPDATE ON binding_ivr.breakers
  FOR EACH ROW WHEN (NEW.paused_until IS DISTINCT FROM OLD.paused_until)
  EXECUTE FUNCTION binding_ivr.tell_breaker();

-- When an administrator was told last that a limit was reached which nobody reaches by accident; account '' is the system.
CREATE TABLE binding_ivr.limit_alerts (
  account text NOT NULL,
  name    text NOT NULL,
  told_at timestamptz NOT NULL,
  PRIMARY KEY (account, name)
);
