-- Rows of the audit that no trigger writes, because nothing changes, or one act changes many rows. What triggers write is in
-- sql/migrations.

-- name: write_audit
-- $1 account, $2 user_id, $3 action, $4 attempt_id or null, $5 detail as JSON text; who and why are the transaction's actor
SELECT binding_ivr.write_audit($1, $2, $3, $4, $5::text::jsonb);

-- name: write_audits
-- $1 rows as JSON text, each with an actor of its own. Of users who are not there, or not any more, nothing is written.
INSERT INTO binding_ivr.audit (account, user_id, action, who, source, address, detail)
SELECT r.account, r.user_id, r.action, r.who, r.source, r.address, r.detail
FROM jsonb_to_recordset($1::text::jsonb)
  AS r (account text, user_id text, action text, who text, source text, address text, detail jsonb)
WHERE r.user_id = '' OR EXISTS (SELECT FROM binding_ivr.users u WHERE u.account = r.account AND u.user_id = r.user_id);

-- name: write_reading
-- $1 account, $2 who, $3 source, $4 address, $5 list, $6 detail as JSON text: once an hour
INSERT INTO binding_ivr.audit (account, user_id, action, who, source, address, detail)
SELECT $1, '', 'list.read', $2, $3, $4, $6::text::jsonb
WHERE NOT EXISTS (
  SELECT FROM binding_ivr.audit a
  WHERE a.at > binding_ivr.clock() - interval '1 hour' AND a.action = 'list.read' AND a.account = $1 AND a.who = $2
    AND a.detail ->> 'list' = $5);

-- name: take_untold
-- $1 most: rows that no log line tells yet, oldest first. Whoever takes them tells them; what somebody else is just taking
-- is left to them.
WITH mine AS MATERIALIZED (
  SELECT u.id FROM binding_ivr.audit_untold u ORDER BY u.id LIMIT $1 FOR UPDATE SKIP LOCKED
), taken AS (
  DELETE FROM binding_ivr.audit_untold u USING mine WHERE u.id = mine.id RETURNING u.id
)
SELECT a.id, a.at, a.account, a.user_id, a.action, a.who, a.source, a.attempt_id,
       binding_ivr.without_numbers(to_jsonb(a.address)) #>> '{}' AS address, -- a channel's name may have one in it
       binding_ivr.without_numbers(a.detail)::text AS detail,
       binding_ivr.without_numbers(to_jsonb(a.reason)) #>> '{}' AS reason
FROM taken JOIN binding_ivr.audit a ON a.id = taken.id ORDER BY a.id;

-- name: triggers_switched_off
-- tables on which somebody has disabled a trigger of ours
SELECT DISTINCT c.relname AS name FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid
WHERE c.relnamespace = 'binding_ivr'::regnamespace AND NOT t.tgisinternal AND t.tgenabled NOT IN ('O', 'A') ORDER BY 1;

-- name: audit
-- $1 account or null, $2 user_id or null, $3 since or null, $4 most, $5 action or its first word or null; newest first
SELECT id, at, account, user_id, action, who, source, address, attempt_id, detail::text AS detail, reason
FROM binding_ivr.audit
WHERE ($1::text IS NULL OR account = $1) AND ($2::text IS NULL OR user_id = $2)
  AND ($3::timestamptz IS NULL OR at >= $3)
  AND ($5::text IS NULL OR action = $5 OR split_part(action, '.', 1) = $5)
ORDER BY id DESC LIMIT $4;
