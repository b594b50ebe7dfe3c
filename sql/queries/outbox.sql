-- name: note_receivers
-- $1 receivers this node is configured with
INSERT INTO binding_ivr.receivers AS r (receiver) SELECT unnest($1::text[])
ON CONFLICT (receiver) DO UPDATE SET seen_at = clock_timestamp();

-- name: lock_routing
SELECT pg_advisory_xact_lock(7203, 1);

-- name: route_events
-- $1 most events, $2 receivers; per pair of the same place in $3 and $4: a receiver and an event it wants; likewise
-- $5 and $6: a receiver and an account it is limited to; $7 seconds after which to give up
WITH fresh AS MATERIALIZED (
  SELECT event_id, name, account, user_id, sequence, created_at FROM binding_ivr.outbox
  WHERE routed_at IS NULL ORDER BY sequence LIMIT $1
), told AS (
  INSERT INTO binding_ivr.deliveries (event_id, receiver, account, user_id, sequence, give_up_at)
  SELECT f.event_id, r.receiver, f.account, f.user_id, f.sequence, clock_timestamp() + make_interval(secs => $7)
  FROM fresh f
  JOIN unnest($3::text[], $4::text[]) AS w (receiver, name) ON w.name = f.name
  JOIN binding_ivr.receivers r ON r.receiver = w.receiver AND r.receiver = ANY ($2::text[]) AND f.created_at >= r.since
  WHERE NOT EXISTS (SELECT FROM unnest($5::text[], $6::text[]) AS l (receiver, account) WHERE l.receiver = r.receiver)
     OR EXISTS (SELECT FROM unnest($5::text[], $6::text[]) AS l (receiver, account)
                WHERE l.receiver = r.receiver AND l.account = f.account)
  ORDER BY f.sequence
  ON CONFLICT (event_id, receiver) DO NOTHING
)
UPDATE binding_ivr.outbox o SET routed_at = clock_timestamp() FROM fresh f WHERE o.event_id = f.event_id
RETURNING o.event_id;

-- name: claim_deliveries
-- $1 node, $2 receiver, $3 most, $4 lease in seconds, $5 null, or the node of accounts that name none (empty: any). Of
-- each user only the first that still holds the others up, and those that hold nobody up.
WITH due AS MATERIALIZED (
  SELECT d.delivery_id FROM binding_ivr.deliveries d
  WHERE d.state = 'pending' AND d.receiver = $2 AND d.next_try <= clock_timestamp()
    AND (d.lease_until IS NULL OR d.lease_until <= clock_timestamp())
    AND NOT EXISTS (SELECT FROM binding_ivr.deliveries e
                    WHERE e.receiver = d.receiver AND e.account = d.account AND e.user_id = d.user_id
                      AND e.state = 'pending' AND e.holds AND e.sequence < d.sequence)
    AND ($5::text IS NULL
         OR coalesce((SELECT a.settings #>> '{desk_notices,node}' FROM binding_ivr.accounts a
                      WHERE a.account = d.account), $5) IN ('', $1))
  ORDER BY d.next_try, d.sequence
  LIMIT $3
  FOR UPDATE SKIP LOCKED
), mine AS (
  UPDATE binding_ivr.deliveries d
  SET node = $1, tries = tries + 1, lease_until = clock_timestamp() + make_interval(secs => $4)
  FROM due WHERE d.delivery_id = due.delivery_id
  RETURNING d.delivery_id, d.event_id, d.tries
)
SELECT m.delivery_id, m.tries, o.event_id, o.sequence, o.name, o.account, o.user_id, o.payload::text AS payload,
       o.created_at
FROM mine m JOIN binding_ivr.outbox o ON o.event_id = m.event_id
ORDER BY o.sequence;

-- name: delivery_taken
-- $1 delivery_id, $2 tries
UPDATE binding_ivr.deliveries
SET state = 'delivered', ended_at = clock_timestamp(), lease_until = NULL, detail = ''
WHERE delivery_id = $1 AND tries = $2 AND state = 'pending';

-- name: delivery_failed
-- $1 delivery_id, $2 tries, $3 detail, $4 seconds until the next try, $5 dead at once, $6 whether it holds up others
UPDATE binding_ivr.deliveries
SET state = CASE WHEN $5 OR give_up_at <= clock_timestamp() THEN 'dead' ELSE 'pending' END,
    ended_at = CASE WHEN $5 OR give_up_at <= clock_timestamp() THEN clock_timestamp() END,
    next_try = clock_timestamp() + make_interval(secs => $4), lease_until = NULL, detail = $3, holds = $6
WHERE delivery_id = $1 AND tries = $2 AND state = 'pending'
RETURNING state;

-- name: release_deliveries
-- $1 node: what it was busy with when it stopped, or crashed
UPDATE binding_ivr.deliveries SET lease_until = NULL
WHERE state = 'pending' AND node = $1 AND lease_until IS NOT NULL;

-- name: hasten_deliveries
-- $1 receiver: it is back, what waits for it need not wait longer
UPDATE binding_ivr.deliveries SET next_try = clock_timestamp()
WHERE state = 'pending' AND holds AND receiver = $1 AND next_try > clock_timestamp();

-- name: bury_deliveries
-- $1 receivers: what waits for any other one, and has for too long, is dead
UPDATE binding_ivr.deliveries
SET state = 'dead', ended_at = clock_timestamp(), detail = 'no node is configured with this receiver any more'
WHERE state = 'pending' AND give_up_at <= clock_timestamp() AND NOT receiver = ANY ($1::text[])
  AND NOT EXISTS (SELECT FROM binding_ivr.receivers r WHERE r.receiver = deliveries.receiver
                  AND r.seen_at > clock_timestamp() - interval '1 day');

-- name: forget_receivers
-- $1 seconds without any node that is configured with it
DELETE FROM binding_ivr.receivers WHERE seen_at < clock_timestamp() - make_interval(secs => $1);

-- name: forget_dead
-- $1 seconds
DELETE FROM binding_ivr.deliveries
WHERE state = 'dead' AND ended_at < clock_timestamp() - make_interval(secs => $1);

-- name: forget_events
-- $1 seconds, $2 most. What was not routed stays as long as there are receivers.
DELETE FROM binding_ivr.outbox o
USING (SELECT p.event_id FROM binding_ivr.outbox p
       WHERE p.created_at < clock_timestamp() - make_interval(secs => $1)
         AND (p.routed_at IS NOT NULL OR NOT EXISTS (SELECT FROM binding_ivr.receivers))
         AND NOT EXISTS (SELECT FROM binding_ivr.deliveries d WHERE d.event_id = p.event_id
                         AND (d.state IN ('pending', 'dead')
                              OR d.ended_at > clock_timestamp() - make_interval(secs => $1)))
       ORDER BY p.created_at LIMIT $2 FOR UPDATE SKIP LOCKED) AS old
WHERE o.event_id = old.event_id
RETURNING o.event_id;

-- name: outbox_counts
SELECT (SELECT count(*) FROM binding_ivr.deliveries WHERE state = 'pending') AS pending,
       (SELECT count(*) FROM binding_ivr.deliveries WHERE state = 'dead') AS dead,
       (SELECT coalesce(extract(epoch FROM clock_timestamp() - min(created_at)), 0)::float8
        FROM binding_ivr.deliveries WHERE state = 'pending') AS oldest_s;

-- name: deliveries
-- $1 state, $2 most
SELECT d.delivery_id, d.event_id, d.receiver, o.name, d.account, d.user_id, d.state, d.tries, d.detail, o.created_at,
       d.next_try, d.ended_at
FROM binding_ivr.deliveries d JOIN binding_ivr.outbox o ON o.event_id = d.event_id
WHERE d.state = $1 ORDER BY d.sequence, d.receiver LIMIT $2;

-- name: retry_delivery
-- $1 delivery_id, $2 seconds after which to give up
UPDATE binding_ivr.deliveries
SET state = 'pending', ended_at = NULL, next_try = clock_timestamp(), holds = true,
    give_up_at = clock_timestamp() + make_interval(secs => $2)
WHERE delivery_id = $1 AND state IN ('pending', 'dead')
RETURNING delivery_id;

-- name: retry_dead
-- $1 seconds after which to give up
UPDATE binding_ivr.deliveries
SET state = 'pending', ended_at = NULL, next_try = clock_timestamp(), holds = true,
    give_up_at = clock_timestamp() + make_interval(secs => $1)
WHERE state = 'dead'
RETURNING delivery_id;

-- name: drop_delivery
-- $1 delivery_id
UPDATE binding_ivr.deliveries SET state = 'dropped', ended_at = clock_timestamp(), lease_until = NULL
WHERE delivery_id = $1 AND state IN ('pending', 'dead')
RETURNING delivery_id;

-- name: tell_outbox
-- wakes the nodes: somebody wants deliveries tried now
SELECT binding_ivr.notice('{"kind":"outbox"}');

-- name: recent_events
-- $1 seconds, $2 most; the newest of them, oldest first, each with the user's extensions
SELECT * FROM (
  SELECT o.event_id, o.sequence, o.name, o.account, o.user_id, o.payload::text AS payload, o.created_at,
         ARRAY(SELECT e.extension FROM binding_ivr.extensions e WHERE e.account = o.account AND e.user_id = o.user_id
               ORDER BY length(e.extension), e.extension) AS extensions
  FROM binding_ivr.outbox o
  WHERE o.created_at > clock_timestamp() - make_interval(secs => $1)
  ORDER BY o.created_at DESC, o.sequence DESC LIMIT $2
) AS newest ORDER BY sequence;
