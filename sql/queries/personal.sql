-- All that is held about one user, for whoever has the right to know it: one JSON object per row. $1 account, $2 user_id.
-- What only this installation can use (digests, keyed hashes, leases) is left out.

-- name: export_user
SELECT (to_jsonb(u) || jsonb_build_object('extensions', ARRAY(
  SELECT e.extension FROM binding_ivr.extensions e WHERE e.account = u.account AND e.user_id = u.user_id
  ORDER BY length(e.extension), e.extension)))::text AS item
FROM binding_ivr.users u WHERE u.account = $1 AND u.user_id = $2;

-- name: export_binding
SELECT (to_jsonb(b) - 'change_seq')::text AS item FROM binding_ivr.bindings b WHERE b.account = $1 AND b.user_id = $2;

-- name: export_attempts
SELECT (to_jsonb(a) - ARRAY['number_hash', 'key_id', 'lease_until'])::text AS item FROM binding_ivr.attempts a
WHERE a.account = $1 AND a.user_id = $2 ORDER BY a.created_at;

-- name: export_lockout
SELECT to_jsonb(l)::text AS item FROM binding_ivr.lockouts l WHERE l.account = $1 AND l.user_id = $2;

-- name: export_audit
SELECT to_jsonb(a)::text AS item FROM binding_ivr.audit a WHERE a.account = $1 AND a.user_id = $2 ORDER BY a.id;

-- name: export_events
SELECT (to_jsonb(o) || jsonb_build_object('deliveries', ARRAY(
  SELECT jsonb_build_object('receiver', d.receiver, 'state', d.state, 'tries', d.tries, 'ended_at', d.ended_at)
  FROM binding_ivr.deliveries d WHERE d.event_id = o.event_id ORDER BY d.receiver)))::text AS item
FROM binding_ivr.outbox o WHERE o.account = $1 AND o.user_id = $2 ORDER BY o.sequence;

-- name: export_sessions
SELECT (to_jsonb(s) - ARRAY['digest', 'key_id'])::text AS item FROM binding_ivr.web_sessions s
WHERE s.account = $1 AND s.user_id = $2 ORDER BY s.signed_in_at;

-- name: export_signin_links
SELECT (to_jsonb(l) - 'digest')::text AS item FROM binding_ivr.signin_links l
WHERE l.account = $1 AND l.user_id = $2 ORDER BY l.expires_at;

-- name: export_replies
SELECT jsonb_build_object('status', r.status, 'attempt_id', r.attempt_id, 'created_at', r.created_at)::text AS item
FROM binding_ivr.web_replies r WHERE r.caller = 'user:' || $1 || '/' || $2 ORDER BY r.created_at;

-- name: user_is_known
SELECT EXISTS (SELECT FROM binding_ivr.users WHERE account = $1 AND user_id = $2)
    OR EXISTS (SELECT FROM binding_ivr.bindings WHERE account = $1 AND user_id = $2)
    OR EXISTS (SELECT FROM binding_ivr.attempts WHERE account = $1 AND user_id = $2)
    OR EXISTS (SELECT FROM binding_ivr.moves WHERE account = $1 AND user_id = $2)
    OR EXISTS (SELECT FROM binding_ivr.audit WHERE account = $1 AND user_id = $2) AS known;

-- name: erase_attempts
-- $1 account, $2 user_id, $3 pseudonym, as in all that erase.
-- Of the last hour's calls the number stays until then: the limit on neighbouring numbers looks at its digits.
UPDATE binding_ivr.attempts a
SET user_id = $3,
    number = CASE WHEN created_at < binding_ivr.clock() - interval '1 hour' THEN binding_ivr.short_number(number)
                  ELSE number END,
    actor_who = CASE WHEN actor_who = 'user:' || $2 THEN 'user:' || $3 ELSE actor_who END,
    actor_address = '', client = NULL
WHERE account = $1 AND user_id = $2
RETURNING attempt_id;

-- name: erase_binding
DELETE FROM binding_ivr.bindings WHERE account = $1 AND user_id = $2;

-- name: audit_to_erase
SELECT id, detail::text AS detail FROM binding_ivr.audit WHERE account = $1 AND user_id = $2 ORDER BY id;

-- name: erase_audit
-- $4 ids, $5 what their details become
SELECT binding_ivr.erase_audit($1, $2, $3, $4::bigint[], $5::text[]::jsonb[]) AS changed;

-- name: forget_told_events
-- What every receiver has, or nobody waits for.
DELETE FROM binding_ivr.outbox o
WHERE o.account = $1 AND o.user_id = $2
  AND (o.routed_at IS NOT NULL OR NOT EXISTS (SELECT FROM binding_ivr.receivers))
  AND NOT EXISTS (SELECT FROM binding_ivr.deliveries d WHERE d.event_id = o.event_id AND d.state = 'pending')
RETURNING o.event_id;

-- name: events_of_user
SELECT event_id, payload::text AS payload FROM binding_ivr.outbox WHERE account = $1 AND user_id = $2 ORDER BY event_id;

-- name: forget_replies_of
-- $3 attempts of the user: also what a portal asked for
DELETE FROM binding_ivr.web_replies
WHERE caller = 'user:' || $1 || '/' || $2 OR attempt_id = ANY ($3::uuid[]) RETURNING digest;
