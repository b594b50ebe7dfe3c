-- name: lock_accept
SELECT pg_advisory_xact_lock(7201, 1);

-- name: begin_accept
-- $1 actor as JSON text, valid to the end of the transaction; $2 queue_s
SELECT binding_ivr.begin_accept($1, $2);

-- name: accept_attempt
-- $1 account, $2 user_id, $3 number, $4 replace, $5 now; $6 id, $7 number_hash, $8 key_id, $9 delay_s, $10 shown_s,
-- $11 attempt_s, $12 who, $13 source, $14 address, $15 client, $16 seconds to hold of the minute budget.
-- The binding as it is now, and its new attempt. No row: suspended by the administrator meanwhile.
-- A verified binding stays as it is when its own number is validated again, or when the new one must be proven first.
WITH b AS (
  INSERT INTO binding_ivr.bindings AS b (account, user_id, status, number, since)
  VALUES ($1, $2, 'pending', $3, $5)
  ON CONFLICT (account, user_id) DO UPDATE SET
    status = CASE WHEN b.status = 'verified' AND (b.number = $3 OR $4 = 'when_verified')
                  THEN 'verified' ELSE 'pending' END,
    number = CASE WHEN b.status = 'verified' AND $4 = 'when_verified' THEN b.number ELSE $3 END,
    pending_number = CASE WHEN b.status = 'verified' AND b.number <> $3 AND $4 = 'when_verified' THEN $3 END,
    reason = NULL,
    since = CASE WHEN b.status = 'verified' AND (b.number = $3 OR $4 = 'when_verified') THEN b.since
                 WHEN b.status = 'pending' AND b.number = $3 THEN b.since
                 ELSE $5 END,
    verified_at = CASE WHEN b.status = 'verified' AND (b.number = $3 OR $4 = 'when_verified') THEN b.verified_at END
  WHERE NOT (b.status = 'suspended' AND b.reason = 'admin')
  RETURNING b.*
), a AS (
  INSERT INTO binding_ivr.attempts (attempt_id, account, user_id, number, number_hash, key_id, created_at, not_before,
                                    shown_until, expires_at, actor_who, actor_source, actor_address, client,
                                    reserved_s)
  SELECT $6, b.account, b.user_id, $3, $7, $8, $5, $5::timestamptz + make_interval(secs => $9),
         $5::timestamptz + make_interval(secs => $10), $5::timestamptz + make_interval(secs => $11), $12, $13, $14,
         $15, $16
  FROM b
  RETURNING *
)
SELECT b.status, b.reason, b.number AS bound_number, b.pending_number, b.since, b.verified_at, b.stale_at, b.suspend_at,
       b.previous_number, b.changed_at, b.changed_by,
       a.attempt_id, a.account, a.user_id, a.number, a.state, a.digits, a.outcome, a.fault, a.tries, a.cause,
       a.tech_cause, a.detail, a.key_id, a.node, a.created_at, a.answered_at, a.ended_at, a.not_before, a.shown_until,
       a.expires_at, binding_ivr.clock() AS read_at
FROM b, a;

-- name: expire_queued
-- $1 queue_s: how long an attempt may wait after its time has come
SELECT binding_ivr.expire_queued($1);

-- name: claim_attempts
-- $1 node, $2 most, $3 lease in seconds
WITH due AS MATERIALIZED (
  SELECT attempt_id FROM binding_ivr.attempts
  WHERE state = 'queued' AND not_before <= binding_ivr.clock()
  ORDER BY not_before
  LIMIT $2
  FOR UPDATE SKIP LOCKED
), mine AS (
  UPDATE binding_ivr.attempts a
  SET state = 'dialing', node = $1, dialing_at = binding_ivr.clock(),
      lease_until = clock_timestamp() + make_interval(secs => $3)
  FROM due WHERE a.attempt_id = due.attempt_id
  RETURNING a.attempt_id, a.account, a.user_id, a.number, a.key_id, a.expires_at, a.not_before, a.actor_source
)
SELECT m.attempt_id, m.account, m.user_id, m.number, coalesce(u.language, '') AS language, m.key_id, m.expires_at,
       coalesce(c.settings, '{}')::text AS settings, coalesce(l.failed, 0) AS failed_tries, m.actor_source
FROM mine m
LEFT JOIN binding_ivr.users u ON u.account = m.account AND u.user_id = m.user_id
LEFT JOIN binding_ivr.accounts c ON c.account = m.account
LEFT JOIN binding_ivr.lockouts l ON l.account = m.account AND l.user_id = m.user_id
ORDER BY m.not_before;

-- name: next_due
-- No row when nothing is queued (greatest() would make 0 of nothing).
SELECT greatest(extract(epoch FROM not_before - binding_ivr.clock()), 0)::float8 AS seconds
FROM binding_ivr.attempts WHERE state = 'queued' ORDER BY not_before LIMIT 1;

-- name: renew_leases
-- $1 node, $2 attempt ids, $3 lease in seconds
UPDATE binding_ivr.attempts
SET lease_until = clock_timestamp() + make_interval(secs => $3)
WHERE attempt_id = ANY ($2::uuid[]) AND node = $1 AND state IN ('dialing', 'ringing', 'answered')
RETURNING attempt_id;

-- name: report_progress
-- $1 attempt_id, $2 state, $3 digits. Never backwards; an unknown rank (ended) changes nothing.
UPDATE binding_ivr.attempts
SET state = $2, digits = $3,
    ringing_at = coalesce(ringing_at, CASE WHEN $2 = 'ringing' THEN binding_ivr.clock() END),
    answered_at = coalesce(answered_at, CASE WHEN $2 = 'answered' THEN binding_ivr.clock() END)
WHERE attempt_id = $1 AND state IN ('dialing', 'ringing', 'answered')
  AND array_position(ARRAY['dialing', 'ringing', 'answered'], state)
      <= array_position(ARRAY['dialing', 'ringing', 'answered'], $2);

-- name: lock_attempt
SELECT a.attempt_id, a.account, a.user_id, a.number, a.number_hash, a.state, a.ringing_at, a.answered_at,
       (SELECT c.settings::text FROM binding_ivr.accounts c WHERE c.account = a.account) AS settings,
       EXISTS (SELECT FROM binding_ivr.lockouts l WHERE l.account = a.account AND l.user_id = a.user_id) AS has_failed
FROM binding_ivr.attempts a WHERE a.attempt_id = $1 FOR UPDATE;

-- name: end_attempt
-- $1 attempt_id, $2 outcome, $3 fault, $4 tries, $5 cause, $6 tech_cause, $7 detail
-- What it gives back of the limits follows in the trigger give_back.
UPDATE binding_ivr.attempts
SET state = 'ended', outcome = $2, fault = $3, tries = $4, cause = $5, tech_cause = $6, detail = $7,
    ended_at = binding_ivr.clock(), lease_until = NULL
WHERE attempt_id = $1 AND state <> 'ended'
RETURNING attempt_id, answered_at;

-- name: live_attempt_of
-- $1 account, $2 user_id
SELECT attempt_id, state FROM binding_ivr.attempts
WHERE account = $1 AND user_id = $2 AND state <> 'ended' FOR UPDATE;

-- name: request_cancel
UPDATE binding_ivr.attempts SET cancel_requested = true
WHERE attempt_id = $1 AND state <> 'ended' AND NOT cancel_requested;

-- name: cancel_requests
-- $1 node: calls in flight there that shall be hung up (for a node that missed the notice)
SELECT attempt_id FROM binding_ivr.attempts
WHERE state IN ('dialing', 'ringing', 'answered') AND node = $1 AND cancel_requested;

-- name: abandoned_attempts
-- $1 node
SELECT attempt_id FROM binding_ivr.attempts
WHERE state IN ('dialing', 'ringing', 'answered') AND (node = $1 OR lease_until < clock_timestamp());

-- name: note_node
-- $1 node, $2 version, $3 capacity
INSERT INTO binding_ivr.nodes AS n (node, version, capacity) VALUES ($1, $2, $3)
ON CONFLICT (node) DO UPDATE SET
  version = $2, capacity = $3, seen_at = clock_timestamp(),
  started_at = CASE WHEN n.seen_at < clock_timestamp() - interval '30 seconds'
                    THEN clock_timestamp() ELSE n.started_at END;

-- name: nodes
SELECT node, started_at, seen_at, version, capacity FROM binding_ivr.nodes ORDER BY node;

-- name: attempt
SELECT attempt_id, account, user_id, number, state, digits, outcome, fault, tries, cause, tech_cause, detail,
       key_id, node, created_at, answered_at, ended_at, not_before, shown_until, expires_at,
       binding_ivr.clock() AS read_at
FROM binding_ivr.attempts WHERE attempt_id = $1;

-- name: recent_attempts
-- $1 since or null, $2 most. One query for each way of asking: in a plan that is kept for all values, what may be null
-- finds no index. The indexes on all calls have this expression of the time (see 0017_given_back.sql).
SELECT attempt_id, account, user_id, number, state, digits, outcome, fault, tries, cause, tech_cause, detail,
       key_id, node, created_at, answered_at, ended_at, not_before, shown_until, expires_at,
       binding_ivr.clock() AS read_at
FROM binding_ivr.attempts
WHERE timezone('UTC', created_at) >= timezone('UTC', coalesce($1, '-infinity'::timestamptz))
ORDER BY timezone('UTC', created_at) DESC LIMIT $2;

-- name: recent_attempts_of_account
-- $1 account, $2 since or null, $3 most. As a range, so that the order is that of attempts_of_account and of no other
-- index: by attempts_recent a rare account would be sought among all.
SELECT attempt_id, account, user_id, number, state, digits, outcome, fault, tries, cause, tech_cause, detail,
       key_id, node, created_at, answered_at, ended_at, not_before, shown_until, expires_at,
       binding_ivr.clock() AS read_at
FROM binding_ivr.attempts
WHERE account >= $1 AND account <= $1
  AND timezone('UTC', created_at) >= timezone('UTC', coalesce($2, '-infinity'::timestamptz))
ORDER BY account, timezone('UTC', created_at) DESC LIMIT $3;

-- name: recent_attempts_of_user
-- $1 accounts, $2 user_id, $3 since or null, $4 most
SELECT a.* FROM unnest($1::text[]) AS c (account), LATERAL (
  SELECT attempt_id, account, user_id, number, state, digits, outcome, fault, tries, cause, tech_cause, detail,
         key_id, node, created_at, answered_at, ended_at, not_before, shown_until, expires_at,
         binding_ivr.clock() AS read_at
  FROM binding_ivr.attempts WHERE account = c.account AND user_id = $2
    AND timezone('UTC', created_at) >= timezone('UTC', coalesce($3, '-infinity'::timestamptz))
  ORDER BY timezone('UTC', created_at) DESC LIMIT $4
) AS a
ORDER BY a.created_at DESC LIMIT $4;

-- name: nodes_alive
SELECT count(*) AS nodes FROM binding_ivr.nodes WHERE seen_at > clock_timestamp() - interval '30 seconds';
