-- Batches of attempts have their size written out (store/retention.py knows it as BATCH): a plan that is kept for all values
-- would else expect a tenth of the table, and read all of it.

-- name: mask_attempts
-- $1 days
WITH due AS MATERIALIZED (
  SELECT attempt_id FROM binding_ivr.attempts
  WHERE state = 'ended' AND number LIKE '+%' AND ended_at < binding_ivr.clock() - make_interval(days => $1)
  ORDER BY ended_at LIMIT 500
  FOR UPDATE SKIP LOCKED
)
UPDATE binding_ivr.attempts a
SET number = binding_ivr.short_number(a.number), actor_address = '', client = NULL
FROM due WHERE a.attempt_id = due.attempt_id
RETURNING a.attempt_id;

-- name: mask_erased
-- Of somebody who was erased the number goes as soon as no limit looks at its digits any more.
WITH due AS MATERIALIZED (
  SELECT attempt_id FROM binding_ivr.attempts
  WHERE user_id LIKE 'erased/%' AND number LIKE '+%' AND created_at < binding_ivr.clock() - interval '1 hour'
  ORDER BY created_at LIMIT 500
  FOR UPDATE SKIP LOCKED
)
UPDATE binding_ivr.attempts a SET number = binding_ivr.short_number(a.number)
FROM due WHERE a.attempt_id = due.attempt_id
RETURNING a.attempt_id;

-- name: forget_attempts
-- $1 days
WITH due AS MATERIALIZED (
  SELECT attempt_id FROM binding_ivr.attempts
  WHERE state = 'ended'
    AND timezone('UTC', created_at) < timezone('UTC', binding_ivr.clock() - make_interval(days => $1))
  ORDER BY timezone('UTC', created_at) LIMIT 500
  FOR UPDATE SKIP LOCKED
)
DELETE FROM binding_ivr.attempts a USING due WHERE a.attempt_id = due.attempt_id RETURNING a.attempt_id;

-- name: audit_to_mask
-- $1 id after which to go on, $2 days, $3 most. Ids of rows this old have all been committed, so nothing is skipped.
SELECT id, detail::text AS detail, address <> '' AND binding_ivr.is_sign_in(action) AS has_address FROM binding_ivr.audit
WHERE id > $1 AND at < binding_ivr.clock() - make_interval(days => $2) ORDER BY id LIMIT $3;

-- name: mask_audit
SELECT binding_ivr.mask_audit($1::bigint[], $2::text[]::jsonb[]) AS changed;

-- name: forget_audit
SELECT binding_ivr.forget_audit($1, $2) AS deleted;

-- name: events_to_mask
-- $1 days, $2 most. What still waits for its receiver keeps its numbers: it is given up within days.
SELECT o.event_id, o.payload::text AS payload FROM binding_ivr.outbox o
WHERE o.created_at < binding_ivr.clock() - make_interval(days => $1) AND o.payload::text ~ '"\+[1-9][0-9]{5,14}"'
  AND NOT EXISTS (SELECT FROM binding_ivr.deliveries d WHERE d.event_id = o.event_id AND d.state = 'pending')
ORDER BY o.created_at LIMIT $2
FOR UPDATE SKIP LOCKED;

-- name: mask_events
-- $1 event ids, $2 what their facts become
UPDATE binding_ivr.outbox o SET payload = m.payload::jsonb
FROM unnest($1::uuid[], $2::text[]) AS m (event_id, payload) WHERE o.event_id = m.event_id;

-- name: forget_gone_bindings
-- $1 days, $2 most: rows of users who are no more. The mirrors have long seen that the trust ended.
WITH due AS MATERIALIZED (
  SELECT b.account, b.user_id FROM binding_ivr.bindings b
  WHERE b.status = 'none' AND b.updated_at < binding_ivr.clock() - make_interval(days => $1)
    AND NOT EXISTS (SELECT FROM binding_ivr.users u WHERE u.account = b.account AND u.user_id = b.user_id)
  ORDER BY b.account, b.user_id LIMIT $2
  FOR UPDATE SKIP LOCKED
)
DELETE FROM binding_ivr.bindings b USING due WHERE b.account = due.account AND b.user_id = due.user_id
RETURNING b.user_id;

-- name: forget_exceptions
-- $1 days since their end, $2 most
WITH due AS MATERIALIZED (
  SELECT account, prefix, whole FROM binding_ivr.number_exceptions
  WHERE expires_at < binding_ivr.clock() - make_interval(days => $1)
  ORDER BY account, prefix, whole LIMIT $2
  FOR UPDATE SKIP LOCKED
)
DELETE FROM binding_ivr.number_exceptions e USING due
WHERE e.account = due.account AND e.prefix = due.prefix AND e.whole = due.whole RETURNING e.prefix;
