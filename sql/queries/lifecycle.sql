-- name: renew_stale
-- $1 account, $2 stale_days, $3 suspend_days, $4 most. What an administrator changed since the user was told: a proof that is
-- not old any more, and an end that comes later or never. It never comes earlier than it was told.
WITH moment AS MATERIALIZED (SELECT binding_ivr.clock() AS now), due AS MATERIALIZED (
  SELECT b.account, b.user_id,
         $2 = 0 OR coalesce(b.verified_at, b.since) > binding_ivr.clock() - make_interval(days => $2) AS fresh
  FROM binding_ivr.bindings b
  WHERE b.account = $1 AND b.stale_at IS NOT NULL
    AND ($2 = 0 OR coalesce(b.verified_at, b.since) > binding_ivr.clock() - make_interval(days => $2)
         OR ($3 = 0 AND b.suspend_at IS NOT NULL) OR ($3 > 0 AND b.suspend_at IS NULL)
         OR b.suspend_at < b.stale_at + make_interval(days => $3))
  ORDER BY b.account, b.user_id LIMIT $4
  FOR UPDATE SKIP LOCKED
)
UPDATE binding_ivr.bindings b
SET stale_at = CASE WHEN due.fresh THEN NULL
                    WHEN b.suspend_at IS NULL AND $3 > 0 THEN moment.now
                    ELSE b.stale_at END,
    suspend_at = CASE WHEN due.fresh OR $3 = 0 THEN NULL
                      WHEN b.suspend_at IS NULL THEN moment.now + make_interval(days => $3)
                      ELSE b.stale_at + make_interval(days => $3) END
FROM due, moment WHERE b.account = due.account AND b.user_id = due.user_id
RETURNING b.user_id;

-- name: mark_stale
-- $1 account, $2 stale_days (1 or more), $3 suspend_days, $4 most
WITH moment AS MATERIALIZED (SELECT binding_ivr.clock() AS now), due AS MATERIALIZED (
  SELECT b.account, b.user_id FROM binding_ivr.bindings b
  WHERE b.account = $1 AND b.status = 'verified' AND b.stale_at IS NULL
    AND coalesce(b.verified_at, b.since) <= binding_ivr.clock() - make_interval(days => $2)
  ORDER BY b.account, b.user_id LIMIT $4
  FOR UPDATE SKIP LOCKED
)
UPDATE binding_ivr.bindings b
SET stale_at = moment.now, suspend_at = CASE WHEN $3 > 0 THEN moment.now + make_interval(days => $3) END
FROM due, moment WHERE b.account = due.account AND b.user_id = due.user_id
RETURNING b.user_id;

-- name: suspend_aged
-- $1 account, $2 most. Not while the user's phone is being called: the proof may come at any moment.
WITH due AS MATERIALIZED (
  SELECT b.account, b.user_id FROM binding_ivr.bindings b
  WHERE b.account = $1 AND b.stale_at IS NOT NULL AND b.status = 'verified' AND b.suspend_at <= binding_ivr.clock()
    AND NOT EXISTS (SELECT FROM binding_ivr.attempts a
                    WHERE a.account = b.account AND a.user_id = b.user_id AND a.state <> 'ended')
  ORDER BY b.account, b.user_id LIMIT $2
  FOR UPDATE SKIP LOCKED
)
UPDATE binding_ivr.bindings b
SET status = 'suspended', reason = 'aged', since = binding_ivr.clock()
FROM due WHERE b.account = due.account AND b.user_id = due.user_id
RETURNING b.user_id;

-- name: forget_previous
-- $1 account, $2 undo_h, $3 most
WITH due AS MATERIALIZED (
  SELECT b.account, b.user_id FROM binding_ivr.bindings b
  WHERE b.account = $1 AND b.previous_number IS NOT NULL
    AND b.changed_at <= binding_ivr.clock() - make_interval(hours => $2)
  ORDER BY b.account, b.user_id LIMIT $3
  FOR UPDATE SKIP LOCKED
)
UPDATE binding_ivr.bindings b SET previous_number = NULL, changed_at = NULL, changed_by = NULL
FROM due WHERE b.account = due.account AND b.user_id = due.user_id
RETURNING b.user_id;

-- name: lock_own_numbers
-- Whoever adds own numbers; before any attempt or binding is locked.
SELECT pg_advisory_xact_lock(7201, 4);

-- name: share_own_numbers
-- Whoever gives a number to a user: no own number may come in between.
SELECT pg_advisory_xact_lock_shared(7201, 4);

-- name: numbers_in_use
-- $1 only these, or null for all; $2 after which to go on, $3 most
SELECT number FROM (
  SELECT b.number FROM binding_ivr.bindings b
  WHERE (b.status IN ('pending', 'verified') OR (b.reason = 'admin' AND b.verified_at IS NOT NULL))
    AND b.number > $2 AND ($1::text[] IS NULL OR b.number = ANY ($1))
  UNION
  SELECT b.pending_number FROM binding_ivr.bindings b
  WHERE b.pending_number > $2 AND ($1::text[] IS NULL OR b.pending_number = ANY ($1))
  UNION
  SELECT a.number FROM binding_ivr.attempts a
  WHERE a.state <> 'ended' AND a.number > $2 AND ($1::text[] IS NULL OR a.number = ANY ($1))
) AS used (number)
ORDER BY number LIMIT $3;

-- name: live_attempts_of
-- the calls of the users $1 (accounts) and $2 (user ids), and those to the numbers $3
SELECT attempt_id, state FROM binding_ivr.attempts
WHERE state <> 'ended'
  AND (number = ANY ($3::text[]) OR (account, user_id) IN (SELECT * FROM unnest($1::text[], $2::text[])))
ORDER BY attempt_id FOR UPDATE;

-- name: lock_bindings_of
-- likewise their bindings
SELECT account, user_id FROM binding_ivr.bindings
WHERE (number = ANY ($3::text[]) AND (status IN ('pending', 'verified') OR reason = 'admin'))
   OR pending_number = ANY ($3::text[])
   OR (account, user_id) IN (SELECT * FROM unnest($1::text[], $2::text[]))
ORDER BY account, user_id FOR UPDATE;

-- name: suspend_own
-- $1 numbers that are the PBX's own now
UPDATE binding_ivr.bindings
SET status = CASE WHEN number = ANY ($1::text[]) AND status IN ('pending', 'verified') THEN 'suspended' ELSE status END,
    reason = CASE WHEN number = ANY ($1::text[]) AND status IN ('pending', 'verified') THEN 'own_number' ELSE reason END,
    since = CASE WHEN number = ANY ($1::text[]) AND status IN ('pending', 'verified') THEN binding_ivr.clock()
                 ELSE since END,
    verified_at = CASE WHEN number = ANY ($1::text[]) THEN NULL ELSE verified_at END,
    pending_number = CASE WHEN pending_number = ANY ($1::text[]) THEN NULL ELSE pending_number END
WHERE (number = ANY ($1::text[]) AND status IN ('pending', 'verified')) OR pending_number = ANY ($1::text[])
RETURNING account, user_id;

-- name: binding_counts
SELECT status, count(*) AS bindings, count(stale_at) AS stale FROM binding_ivr.bindings GROUP BY status;

-- name: every_own_number
-- an extension that is too short to be a number is left out
SELECT kind, value FROM binding_ivr.own_numbers WHERE kind <> 'extension' OR value ~ '^[0-9]{6,}$'
UNION
SELECT 'extension', extension FROM binding_ivr.extensions WHERE extension ~ '^[0-9]{6,}$';
