-- name: binding_facts
-- $1 account, $2 user_id, $3 texts that own numbers are compared with (null: none is asked for). All that a number is
-- judged by, and all that is told of a binding, as of one moment and in one round trip. Every pattern is returned, for
-- the caller to match.
SELECT t.now AS read_at, $1::text AS account, $2::text AS user_id, c.settings::text AS settings,
       u.user_id IS NOT NULL AS known,
       coalesce(b.status, 'none') AS status, b.reason, b.number AS bound_number, b.pending_number, b.since,
       b.verified_at, b.stale_at, b.suspend_at, b.previous_number, b.changed_at, b.changed_by,
       ARRAY(SELECT e.prefix FROM binding_ivr.number_exceptions e
             WHERE e.account IN ('', $1) AND e.expires_at > t.now AND e.whole) AS excepted_numbers,
       ARRAY(SELECT e.prefix FROM binding_ivr.number_exceptions e
             WHERE e.account IN ('', $1) AND e.expires_at > t.now AND NOT e.whole) AS excepted_prefixes,
       CASE WHEN $3::text[] IS NULL THEN '{}' ELSE ARRAY(
         SELECT ARRAY[o.kind, o.value] FROM binding_ivr.own_numbers o WHERE o.kind <> 'pattern' AND o.value = ANY ($3)
         UNION
         SELECT ARRAY[o.kind, o.value] FROM binding_ivr.own_numbers o WHERE o.kind = 'pattern'
         UNION
         SELECT ARRAY['extension', x.extension] FROM binding_ivr.extensions x WHERE x.extension = ANY ($3)) END AS own,
       a.*
FROM (SELECT binding_ivr.clock() AS now OFFSET 0) t
LEFT JOIN binding_ivr.accounts c ON c.account = $1
LEFT JOIN binding_ivr.users u ON u.account = $1 AND u.user_id = $2
LEFT JOIN binding_ivr.bindings b ON b.account = u.account AND b.user_id = u.user_id
LEFT JOIN LATERAL (
  SELECT attempt_id, number, state, digits, outcome, fault, tries, cause, tech_cause, detail, key_id, node, created_at,
         answered_at, ended_at, not_before, shown_until, expires_at
  FROM binding_ivr.attempts WHERE account = $1 AND user_id = $2 ORDER BY timezone('UTC', created_at) DESC LIMIT 1
) a ON true;

-- name: lock_bindings
-- $1 account, $2 user_id, $3 number: the user's own row and whoever holds the number or a proof of it, always locked in
-- the same order
SELECT account, user_id, status, reason, number, pending_number
FROM binding_ivr.bindings
WHERE (account = $1 AND user_id = $2)
   OR (number = $3 AND (status = 'verified' OR (reason = 'admin' AND verified_at IS NOT NULL)))
ORDER BY account, user_id
FOR UPDATE;

-- name: take_over
-- $1 account, $2 user_id of the one who proved it, $3 number
UPDATE binding_ivr.bindings
SET status = 'suspended', reason = 'taken_over', since = binding_ivr.clock()
WHERE number = $3 AND status = 'verified' AND NOT (account = $1 AND user_id = $2);

-- name: withdraw_kept_proofs
-- $1 numbers, $2 account and $3 user_id of the one who keeps it ('' for nobody). A proof that was put by when its user was
-- suspended, for resume_binding, is void as soon as the number is another's: it would come back without a call.
WITH kept AS MATERIALIZED (
  SELECT account, user_id FROM binding_ivr.bindings
  WHERE number = ANY ($1::text[]) AND reason = 'admin' AND verified_at IS NOT NULL
    AND NOT (account = $2 AND user_id = $3)
  ORDER BY account, user_id FOR UPDATE
)
UPDATE binding_ivr.bindings b SET verified_at = NULL
FROM kept WHERE b.account = kept.account AND b.user_id = kept.user_id;

-- name: verify_binding
-- $1 account, $2 user_id, $3 number
UPDATE binding_ivr.bindings
SET status = 'verified', reason = NULL, number = $3, pending_number = NULL, since = binding_ivr.clock(),
    verified_at = binding_ivr.clock()
WHERE account = $1 AND user_id = $2;

-- name: report_binding
-- $1 account, $2 user_id, $3 number. A number that only waited for its proof is dropped; the proven one stays. Who was
-- suspended meanwhile by the administrator stays so, but has no proof any more that could come back.
UPDATE binding_ivr.bindings
SET status = CASE WHEN number = $3 THEN 'suspended' ELSE status END,
    reason = CASE WHEN number = $3 AND reason IS DISTINCT FROM 'admin' THEN 'reported' ELSE reason END,
    since = CASE WHEN number = $3 AND reason IS DISTINCT FROM 'admin' THEN binding_ivr.clock() ELSE since END,
    verified_at = CASE WHEN number = $3 AND status = 'suspended' THEN NULL ELSE verified_at END,
    pending_number = CASE WHEN pending_number = $3 THEN NULL ELSE pending_number END
WHERE account = $1 AND user_id = $2 AND (number = $3 OR pending_number = $3);

-- name: suspend_suppressed
-- $1 number that is never called again. Only who has proven it is told; and `resume` gives no trust back to it.
WITH held AS MATERIALIZED (
  SELECT account, user_id FROM binding_ivr.bindings
  WHERE number = $1 AND (status = 'verified' OR (reason = 'admin' AND verified_at IS NOT NULL))
  ORDER BY account, user_id FOR UPDATE
)
UPDATE binding_ivr.bindings b
SET status = 'suspended',
    reason = CASE WHEN b.status = 'verified' THEN 'suppressed' ELSE b.reason END,
    since = CASE WHEN b.status = 'verified' THEN binding_ivr.clock() ELSE b.since END,
    verified_at = NULL
FROM held WHERE b.account = held.account AND b.user_id = held.user_id;

-- name: ensure_binding
INSERT INTO binding_ivr.bindings (account, user_id, status)
SELECT account, user_id, 'none' FROM binding_ivr.users WHERE account = $1 AND user_id = $2
ON CONFLICT (account, user_id) DO NOTHING;

-- name: lock_binding
SELECT status, reason, number, verified_at FROM binding_ivr.bindings
WHERE account = $1 AND user_id = $2 FOR UPDATE;

-- name: forget_binding
UPDATE binding_ivr.bindings
SET status = 'none', reason = NULL, number = NULL, pending_number = NULL, since = NULL, verified_at = NULL
WHERE account = $1 AND user_id = $2 AND status <> 'none'
RETURNING user_id;

-- name: suspend_binding
-- $1 account, $2 user_id, $3 reason. Only a proof that was trusted until now is kept, for resume_binding.
UPDATE binding_ivr.bindings
SET status = 'suspended', reason = $3, pending_number = NULL, since = binding_ivr.clock(),
    verified_at = CASE WHEN status = 'verified' THEN verified_at END
WHERE account = $1 AND user_id = $2 AND NOT (status = 'suspended' AND reason = $3);

-- name: number_of_binding
SELECT number FROM binding_ivr.bindings WHERE account = $1 AND user_id = $2;

-- name: resume_binding
-- $1 account, $2 user_id. Trust comes back only to what the administrator took it from, if nobody else holds it now.
UPDATE binding_ivr.bindings b
SET status = CASE WHEN b.number IS NULL THEN 'none'
                  WHEN b.reason = 'admin' AND b.verified_at IS NOT NULL
                       AND NOT EXISTS (SELECT FROM binding_ivr.bindings o
                                       WHERE o.number = b.number AND o.status = 'verified') THEN 'verified'
                  ELSE 'pending' END,
    reason = NULL, pending_number = NULL,
    since = CASE WHEN b.number IS NOT NULL THEN binding_ivr.clock() END
WHERE b.account = $1 AND b.user_id = $2 AND b.status = 'suspended';

-- name: trusted_number
-- $1 account, $2 extension
SELECT e.account, e.extension, e.user_id, b.status,
       CASE WHEN b.status = 'verified' THEN b.number END AS number, b.since, a.settings::text AS settings
FROM binding_ivr.extensions e
JOIN binding_ivr.bindings b ON b.account = e.account AND b.user_id = e.user_id
JOIN binding_ivr.accounts a ON a.account = e.account
WHERE e.account = $1 AND e.extension = $2 AND b.status IN ('verified', 'suspended');

-- name: trusted_caller
-- $1 caller ID, $2 country code, $3 national prefix, $4 international prefix
SELECT f.account, f.extension, f.user_id, f.status, f.number, f.since, a.settings::text AS settings
FROM binding_ivr.find_caller($1, $2, $3, $4) f
JOIN binding_ivr.accounts a ON a.account = f.account;

-- name: set_caller_plan
-- $1 country code, $2 national prefix, $3 international prefix: how the SQL door reads caller IDs
UPDATE binding_ivr.caller_plan SET country = $1, national = $2, international = $3
WHERE (country, national, international) IS DISTINCT FROM ($1, $2, $3);

-- name: sql_door
-- what `doctor` looks at: the role, its rights, and the plan by which caller IDs are read
SELECT r.rolname IS NOT NULL AS role,
       coalesce(has_schema_privilege(r.oid, 'binding_ivr', 'USAGE')
                AND has_function_privilege(r.oid, 'binding_ivr.trusted_number(text, text)', 'EXECUTE')
                AND has_function_privilege(r.oid, 'binding_ivr.trusted_caller(text)', 'EXECUTE'), false) AS granted,
       (SELECT count(*) FROM pg_auth_members m WHERE m.roleid = r.oid) AS members,
       p.country, p.national, p.international
FROM binding_ivr.caller_plan p LEFT JOIN pg_roles r ON r.rolname = 'binding_ivr_lookup';

-- name: try_sql_door
-- both functions, as their owner: a status each
SELECT (SELECT status FROM binding_ivr.trusted_number('default', '')) AS number,
       (SELECT status FROM binding_ivr.trusted_caller('')) AS caller;
