-- name: accept_facts
-- $1 account, $2 user_id, $3 number (null: of no certain number), $4 number_hash (or null), $5 client (or null); the windows
-- of policy/limits.py as $6 scopes, $7 seconds, $8 most (1 or more); $9 most new numbers.
-- Of each window only the call is looked for that must leave it before one more may come: the $8-th newest.
WITH t AS MATERIALIZED (SELECT binding_ivr.clock() AS now),
windows AS MATERIALIZED (
  SELECT w.scope, t.now - make_interval(secs => w.seconds) AS since, w.most, w.at
  FROM t, unnest($6::text[], $7::float8[], $8::int[]) WITH ORDINALITY AS w (scope, seconds, most, at)
)
SELECT
  t.now,
  EXISTS (SELECT FROM binding_ivr.users u WHERE u.account = $1 AND u.user_id = $2) AS known,
  EXISTS (SELECT FROM binding_ivr.bindings b WHERE b.account = $1 AND b.user_id = $2
            AND b.status = 'suspended' AND b.reason = 'admin') AS suspended,
  EXISTS (SELECT FROM binding_ivr.attempts a WHERE a.account = $1 AND a.user_id = $2
            AND a.state <> 'ended') AS user_busy,
  EXISTS (SELECT FROM binding_ivr.attempts a WHERE a.number = $3 AND a.state <> 'ended')
    OR EXISTS (SELECT FROM binding_ivr.suppressions s WHERE s.number_hash = $4)
    OR EXISTS (SELECT FROM binding_ivr.number_locks n WHERE n.number_hash = $4) AS hidden,
  (SELECT extract(epoch FROM l.locked_until)::float8 FROM binding_ivr.lockouts l
    WHERE l.account = $1 AND l.user_id = $2) AS locked_until,
  EXISTS (SELECT FROM binding_ivr.lockouts l WHERE l.account = $1 AND l.user_id = $2
            AND l.stopped_at IS NOT NULL) AS stopped,
  ARRAY(SELECT extract(epoch FROM CASE w.scope
      WHEN 'number' THEN
        (SELECT a.created_at FROM binding_ivr.attempts a
          WHERE a.number_hash = $4 AND a.created_at > w.since AND a.counted_number
          ORDER BY a.created_at DESC OFFSET w.most - 1 LIMIT 1)
      WHEN 'prefix' THEN
        (SELECT a.created_at FROM binding_ivr.attempts a
          WHERE "left"(a.number, -4) = "left"($3, -4) AND a.created_at > w.since AND a.counted_number AND a.account = $1
          ORDER BY a.created_at DESC OFFSET w.most - 1 LIMIT 1)
      WHEN 'system_prefix' THEN
        (SELECT a.created_at FROM binding_ivr.attempts a
          WHERE "left"(a.number, -4) = "left"($3, -4) AND a.created_at > w.since AND a.counted_number
          ORDER BY a.created_at DESC OFFSET w.most - 1 LIMIT 1)
      WHEN 'user' THEN
        (SELECT a.created_at FROM binding_ivr.attempts a
          WHERE a.account = $1 AND a.user_id = $2 AND a.created_at > w.since AND a.counted
          ORDER BY a.created_at DESC OFFSET w.most - 1 LIMIT 1)
      WHEN 'uncalled' THEN
        (SELECT a.created_at FROM binding_ivr.attempts a
          WHERE a.account = $1 AND a.user_id = $2 AND a.created_at > w.since AND a.uncalled
          ORDER BY a.created_at DESC OFFSET w.most - 1 LIMIT 1)
      WHEN 'address' THEN
        (SELECT a.created_at FROM binding_ivr.attempts a
          WHERE a.client = $5 AND a.created_at > w.since AND a.counted
          ORDER BY a.created_at DESC OFFSET w.most - 1 LIMIT 1)
      WHEN 'account' THEN
        (SELECT a.created_at FROM binding_ivr.attempts a
          WHERE a.account = $1 AND a.created_at > w.since AND a.counted_line
          ORDER BY a.created_at DESC OFFSET w.most - 1 LIMIT 1)
      WHEN 'system' THEN
        (SELECT a.created_at FROM binding_ivr.attempts a
          WHERE a.created_at > w.since AND a.counted_line
          ORDER BY a.created_at DESC OFFSET w.most - 1 LIMIT 1)
    END)::float8 FROM windows w ORDER BY w.at) AS reached,
  ARRAY(SELECT extract(epoch FROM CASE w.scope
      WHEN 'number' THEN
        (SELECT a.created_at FROM binding_ivr.attempts a
          WHERE a.number_hash = $4 AND a.created_at > w.since AND a.counted_number
            AND a.account = $1 AND a.user_id = $2
          ORDER BY a.created_at DESC OFFSET w.most - 1 LIMIT 1)
      WHEN 'prefix' THEN
        (SELECT a.created_at FROM binding_ivr.attempts a
          WHERE "left"(a.number, -4) = "left"($3, -4) AND a.created_at > w.since AND a.counted_number
            AND a.account = $1 AND a.user_id = $2
          ORDER BY a.created_at DESC OFFSET w.most - 1 LIMIT 1)
      WHEN 'system_prefix' THEN
        (SELECT a.created_at FROM binding_ivr.attempts a
          WHERE "left"(a.number, -4) = "left"($3, -4) AND a.created_at > w.since AND a.counted_number
            AND a.account = $1 AND a.user_id = $2
          ORDER BY a.created_at DESC OFFSET w.most - 1 LIMIT 1)
    END)::float8 FROM windows w ORDER BY w.at) AS own,
  c.calls, c.ended_at, c.own_calls, c.own_ended_at,
  ARRAY(SELECT extract(epoch FROM max(a.created_at))::float8 FROM binding_ivr.attempts a
        WHERE a.account = $1 AND a.user_id = $2 AND a.created_at > t.now - interval '1 day' AND a.counted_again
          AND a.number_hash IS DISTINCT FROM $4::bytea
        GROUP BY a.number_hash ORDER BY max(a.created_at) DESC LIMIT $9) AS other_numbers,
  NOT EXISTS (SELECT FROM binding_ivr.attempts a
              WHERE a.account = $1 AND a.user_id = $2 AND a.created_at > t.now - interval '1 day' AND a.counted_again
                AND a.number_hash = $4)
    AND NOT EXISTS (SELECT FROM binding_ivr.bindings b WHERE b.account = $1 AND b.user_id = $2
                      AND b.status = 'verified' AND b.number = $3) AS is_new,
  ARRAY(SELECT extract(epoch FROM s.bucket)::float8 FROM binding_ivr.call_seconds s
        WHERE s.bucket > t.now - interval '1 day 10 minutes' ORDER BY s.bucket) AS buckets,
  ARRAY(SELECT s.seconds::float8 FROM binding_ivr.call_seconds s
        WHERE s.bucket > t.now - interval '1 day 10 minutes' ORDER BY s.bucket) AS seconds,
  (SELECT extract(epoch FROM b.paused_until)::float8 FROM binding_ivr.breakers b WHERE b.account = $1) AS account_paused,
  (SELECT extract(epoch FROM b.paused_until)::float8 FROM binding_ivr.breakers b WHERE b.account = '') AS system_paused,
  (SELECT extract(epoch FROM a.expires_at)::float8 FROM binding_ivr.breakers b
     JOIN binding_ivr.attempts a ON a.attempt_id = b.probe AND a.state <> 'ended' WHERE b.account = $1) AS account_probe,
  (SELECT extract(epoch FROM a.expires_at)::float8 FROM binding_ivr.breakers b
     JOIN binding_ivr.attempts a ON a.attempt_id = b.probe AND a.state <> 'ended' WHERE b.account = '') AS system_probe,
  (SELECT coalesce(sum(a.reserved_s), 0) FROM binding_ivr.attempts a
    WHERE a.billed_s IS NULL AND a.created_at > t.now - interval '1 day')::float8 AS reserved,
  (SELECT count(*) FROM binding_ivr.attempts a WHERE a.state <> 'ended') AS live,
  (SELECT coalesce(sum(n.capacity), 0) FROM binding_ivr.nodes n
    WHERE n.seen_at > clock_timestamp() - interval '30 seconds') AS capacity
FROM t, LATERAL (
  SELECT count(*) AS calls, extract(epoch FROM max(a.ended_at))::float8 AS ended_at,
         count(*) FILTER (WHERE a.account = $1 AND a.user_id = $2) AS own_calls,
         extract(epoch FROM max(a.ended_at) FILTER (WHERE a.account = $1 AND a.user_id = $2))::float8 AS own_ended_at
  FROM binding_ivr.attempts a
  WHERE a.number_hash = $4 AND a.state = 'ended' AND a.counted_again
    AND a.created_at > greatest(t.now - interval '1 day',
      (SELECT max(p.created_at) FROM binding_ivr.attempts p
        WHERE p.number_hash = $4 AND p.created_at > t.now - interval '1 day' AND p.outcome = 'verified'))
) c;

-- name: note_progress
-- $1 attempt_id, $2 rang, $3 answered: what the call knows and a lost report did not bring
UPDATE binding_ivr.attempts
SET ringing_at = CASE WHEN $2 THEN coalesce(ringing_at, binding_ivr.clock()) ELSE ringing_at END,
    answered_at = CASE WHEN $3 THEN coalesce(answered_at, binding_ivr.clock()) ELSE answered_at END
WHERE attempt_id = $1;

-- name: bill_calls
-- $1 attempt_ids, $2 seconds; and in full what nobody came to bill: its node has died since
WITH done AS MATERIALIZED (
  SELECT a.attempt_id, coalesce(m.seconds, a.reserved_s) AS seconds
  FROM binding_ivr.attempts a
  LEFT JOIN unnest($1::uuid[], $2::int[]) AS m (attempt_id, seconds) ON m.attempt_id = a.attempt_id
  WHERE a.billed_s IS NULL AND a.state = 'ended'
    AND (m.attempt_id IS NOT NULL OR a.ended_at < binding_ivr.clock() - interval '10 minutes')
  ORDER BY a.attempt_id
  FOR UPDATE OF a SKIP LOCKED
), billed AS (
  UPDATE binding_ivr.attempts a SET billed_s = done.seconds FROM done WHERE a.attempt_id = done.attempt_id
)
INSERT INTO binding_ivr.call_seconds AS s (bucket, seconds)
SELECT to_timestamp(floor(extract(epoch FROM binding_ivr.clock()) / 600) * 600), sum(done.seconds)
FROM done HAVING count(*) > 0
ON CONFLICT (bucket) DO UPDATE SET seconds = s.seconds + EXCLUDED.seconds;

-- name: forget_seconds
DELETE FROM binding_ivr.call_seconds WHERE bucket < binding_ivr.clock() - interval '2 days';

-- name: count_failed_tries
-- $1 account, $2 user_id, $3 failed tries of one call, $4 most (0: no lock), $5 seconds of the first lock, $6 of every further
-- one, $7 failures of the call, $8 failures in a row after which no call leaves any more (0: never)
INSERT INTO binding_ivr.lockouts AS l (account, user_id, failed, locks, locked_until, failures, stopped_at)
VALUES ($1, $2, CASE WHEN $3 < $4::int THEN $3::int ELSE 0 END, ($4 > 0 AND $3 >= $4)::int,
        CASE WHEN $4 > 0 AND $3 >= $4 THEN binding_ivr.clock() + make_interval(secs => $5) END,
        $7::int, CASE WHEN $8::int > 0 AND $7 >= $8 THEN binding_ivr.clock() END)
ON CONFLICT (account, user_id) DO UPDATE SET
  failed = CASE WHEN l.failed + $3 < $4 THEN l.failed + $3 ELSE 0 END,
  locks = l.locks + ($4 > 0 AND l.failed + $3 >= $4)::int,
  locked_until = CASE WHEN $4 > 0 AND l.failed + $3 >= $4
                      THEN binding_ivr.clock() + make_interval(secs => CASE WHEN l.locks = 0 THEN $5 ELSE $6 END)
                      ELSE l.locked_until END,
  failures = l.failures + $7,
  stopped_at = coalesce(l.stopped_at, CASE WHEN $8 > 0 AND l.failures + $7 >= $8 THEN binding_ivr.clock() END)
RETURNING $3 > 0 AND $4 > 0 AND failed = 0 AS locked, locked_until,
          stopped_at IS NOT NULL AND failures - $7 < $8 AS stopped, failures;

-- name: forgive_failed_tries
DELETE FROM binding_ivr.lockouts WHERE account = $1 AND user_id = $2 RETURNING user_id;

-- name: lock_unproven_number
-- $1 number_hash, $2 days, $3 most: answered calls in so many days, since the last proof, that proved nothing
INSERT INTO binding_ivr.number_locks (number_hash)
SELECT $1
WHERE (SELECT count(*) FROM (
         SELECT FROM binding_ivr.attempts a
         WHERE a.number_hash = $1 AND a.counted_number AND a.state = 'ended' AND a.answered_at IS NOT NULL
           AND a.outcome <> 'verified' AND a.fault <> 'us'
           AND a.created_at > greatest(binding_ivr.clock() - make_interval(days => $2),
             (SELECT max(p.created_at) FROM binding_ivr.attempts p WHERE p.number_hash = $1 AND p.outcome = 'verified'
                AND p.created_at > binding_ivr.clock() - make_interval(days => $2)))
         LIMIT $3) AS unproven) >= $3
ON CONFLICT (number_hash) DO NOTHING
RETURNING number_hash;
