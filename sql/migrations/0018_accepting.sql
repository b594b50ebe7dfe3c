-- What every request for a call does first, in one round trip: each statement sees what those before it have done, and all
-- that follow in the transaction see what whoever had the turn before has committed.

-- Ends what waited too long; what somebody is just taking is left to them.
CREATE FUNCTION binding_ivr.expire_queued(queue_s double precision) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  WITH old AS MATERIALIZED (
    SELECT attempt_id FROM binding_ivr.attempts
    WHERE state = 'queued'
      AND (expires_at <= binding_ivr.clock() OR shown_until <= binding_ivr.clock()
           OR not_before <= binding_ivr.clock() - make_interval(secs => queue_s))
    ORDER BY attempt_id
    FOR UPDATE SKIP LOCKED
  )
  UPDATE binding_ivr.attempts a
  SET state = 'ended', outcome = 'expired', fault = 'policy', ended_at = binding_ivr.clock(),
      detail = 'no line became free in time'
  FROM old WHERE a.attempt_id = old.attempt_id;
END
$$;

-- actor: as binding_ivr.actor() reads it. queue_s: how long an attempt may wait after its time has come.
CREATE FUNCTION binding_ivr.begin_accept(actor text, queue_s double precision) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  PERFORM set_config('binding_ivr.actor', actor, true);
  PERFORM pg_advisory_xact_lock(7201, 1);
  PERFORM binding_ivr.expire_queued(queue_s);
END
$$;
