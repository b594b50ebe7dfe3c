-- name: lock_breakers
-- $1 account. The system's ('') first: the order in which everybody takes them.
INSERT INTO binding_ivr.breakers AS b (account) VALUES (''), ($1)
ON CONFLICT (account) DO UPDATE SET account = EXCLUDED.account
RETURNING account, extract(epoch FROM counts_from)::float8 AS counts_from,
          extract(epoch FROM paused_until)::float8 AS paused_until, pauses, failed_probes, probe,
          extract(epoch FROM binding_ivr.clock())::float8 AS now;

-- name: last_answered
-- $1 account, $2 since when (POSIX), $3 most; $4, $5 the same of the whole system. The call that has just ended is among them.
SELECT
  (SELECT ARRAY[count(*), count(*) FILTER (WHERE c.outcome = 'verified')] FROM (
     SELECT a.outcome FROM binding_ivr.attempts a
     WHERE a.account = $1 AND a.state = 'ended' AND a.answered_at IS NOT NULL AND a.fault <> 'us'
       AND a.ended_at > to_timestamp($2::float8)
     ORDER BY a.ended_at DESC LIMIT $3) c) AS of_account,
  (SELECT ARRAY[count(*), count(*) FILTER (WHERE c.outcome = 'verified')] FROM (
     SELECT a.outcome FROM binding_ivr.attempts a
     WHERE a.state = 'ended' AND a.answered_at IS NOT NULL AND a.fault <> 'us'
       AND timezone('UTC', a.ended_at) > timezone('UTC', to_timestamp($4::float8))
     ORDER BY timezone('UTC', a.ended_at) DESC LIMIT $5) c) AS of_system;

-- name: set_breaker
-- $1 account, $2 counts_from, $3 paused_until or null (both POSIX), $4 pauses, $5 failed_probes, $6 answered, $7 proven
UPDATE binding_ivr.breakers
SET counts_from = to_timestamp($2::float8), paused_until = to_timestamp($3::float8), pauses = $4, failed_probes = $5,
    answered = $6, proven = $7
WHERE account = $1;

-- name: close_breaker
-- $1 account. No row: it is closed.
UPDATE binding_ivr.breakers
SET counts_from = binding_ivr.clock(), paused_until = NULL, pauses = 0, failed_probes = 0, probe = NULL, answered = 0,
    proven = 0
WHERE account = $1 AND paused_until IS NOT NULL
RETURNING account;

-- name: begin_probe
-- $1 accounts, $2 attempt_id
WITH mine AS MATERIALIZED (
  SELECT account FROM binding_ivr.breakers
  WHERE account = ANY ($1::text[]) AND paused_until IS NOT NULL ORDER BY account FOR UPDATE
)
UPDATE binding_ivr.breakers b SET probe = $2 FROM mine WHERE b.account = mine.account;

-- name: expire_paused
-- $1 account, or '' for all: what waits for its call does not leave any more. What a node is just taking leaves.
WITH waiting AS MATERIALIZED (
  SELECT attempt_id FROM binding_ivr.attempts
  WHERE state = 'queued' AND ($1 = '' OR account = $1)
  ORDER BY attempt_id
  FOR UPDATE SKIP LOCKED
)
UPDATE binding_ivr.attempts a
SET state = 'ended', outcome = 'expired', fault = 'policy', ended_at = binding_ivr.clock(), detail = 'calls are paused'
FROM waiting WHERE a.attempt_id = waiting.attempt_id;

-- name: alert_limit
-- $1 account ('' for a limit of the whole system), $2 limit, $3 account and $4 user_id of whose request reached it. Told at
-- most once an hour; no row: it was.
WITH told AS (
  INSERT INTO binding_ivr.limit_alerts AS l (account, name, told_at) VALUES ($1, $2, binding_ivr.clock())
  ON CONFLICT (account, name) DO UPDATE SET told_at = EXCLUDED.told_at
  WHERE l.told_at <= EXCLUDED.told_at - interval '1 hour'
  RETURNING name, jsonb_build_object('account', $3::text, 'user_id', $4::text, 'limit', name) AS facts
), event AS (
  INSERT INTO binding_ivr.outbox (name, account, user_id, payload)
  SELECT 'limit.alert', $3, $4, told.facts FROM told
)
SELECT told.name, binding_ivr.write_audit($3, $4, 'limit.alert', NULL, told.facts) AS audited,
       binding_ivr.notice(jsonb_build_object('kind', 'limits', 'account', $3::text)::text) AS noticed
FROM told;

-- name: breakers
SELECT b.account, b.paused_until AS until, b.pauses, b.failed_probes, b.answered, b.proven,
       b.paused_until <= binding_ivr.clock() AS trial
FROM binding_ivr.breakers b WHERE b.paused_until IS NOT NULL ORDER BY b.account;

-- name: lockouts
-- $1 account or null: users who are locked out now, or on their way there
SELECT l.account, l.user_id, l.failed, l.locks, l.locked_until AS until,
       coalesce(l.locked_until > binding_ivr.clock(), false) AS locked, l.failures, l.stopped_at IS NOT NULL AS stopped
FROM binding_ivr.lockouts l
WHERE ($1::text IS NULL OR l.account = $1)
  AND (l.failed > 0 OR l.locked_until > binding_ivr.clock() OR l.stopped_at IS NOT NULL)
ORDER BY l.stopped_at NULLS LAST, l.locked_until DESC NULLS LAST, l.account, l.user_id
LIMIT $2;

-- name: usage
-- What the line was used for in the last day
SELECT
  (SELECT count(*) FROM binding_ivr.attempts a
    WHERE a.created_at > t.now - interval '1 hour' AND a.counted_line) AS calls_hour,
  (SELECT count(*) FROM binding_ivr.attempts a
    WHERE a.created_at > t.now - interval '1 day' AND a.counted_line) AS calls_day,
  (SELECT coalesce(sum(s.seconds), 0) FROM binding_ivr.call_seconds s
    WHERE s.bucket > t.now - interval '1 day 10 minutes')::float8 / 60 AS minutes_day,
  (SELECT count(*) FROM binding_ivr.number_locks) AS locked_numbers,
  (SELECT count(*) FROM binding_ivr.lockouts l
    WHERE l.locked_until > t.now OR l.stopped_at IS NOT NULL) AS locked_users
FROM (SELECT binding_ivr.clock() AS now OFFSET 0) t;

-- name: reset_user_limits
-- $1 account, $2 user_id: what the user asked for in the last day counts no more, nor do the failed tries
WITH calls AS (
  UPDATE binding_ivr.attempts SET counted = false, counted_again = false, uncalled = false
  WHERE account = $1 AND user_id = $2 AND created_at > binding_ivr.clock() - interval '1 day'
    AND (counted OR counted_again OR uncalled)
  RETURNING attempt_id
), tries AS (
  DELETE FROM binding_ivr.lockouts WHERE account = $1 AND user_id = $2 RETURNING failed + locks AS failed
)
SELECT (SELECT count(*) FROM calls) AS calls, (SELECT count(*) FROM tries) AS locks;

-- name: reset_number_limits
-- $1 number_hash: the calls to the number count no more for it (nor for its neighbours), and its lock is lifted
WITH calls AS (
  UPDATE binding_ivr.attempts SET counted_number = false, counted_again = false
  WHERE number_hash = $1 AND (counted_number OR counted_again)
    AND created_at > binding_ivr.clock() - interval '366 days'
  RETURNING attempt_id
), locks AS (
  DELETE FROM binding_ivr.number_locks WHERE number_hash = $1 RETURNING number_hash
)
SELECT (SELECT count(*) FROM calls) AS calls, (SELECT count(*) FROM locks) AS locks;
