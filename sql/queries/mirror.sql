-- name: mirror_position
-- the highest mark, and the server's time
SELECT coalesce(max(change_seq), 0) AS change_seq, clock_timestamp() AS now FROM binding_ivr.mirror_keys;

-- name: mirror_changes
-- $1 position, $2 most (and the rest of the last change). The present value of every key marked above the position; null: the key must not be there.
SELECT m.change_seq, m.kind, m.account, m.name,
       CASE m.kind
         WHEN 'ext' THEN (SELECT b.number FROM binding_ivr.extensions e
                          JOIN binding_ivr.bindings b ON b.account = e.account AND b.user_id = e.user_id
                          WHERE e.account = m.account AND e.extension = m.name AND b.status = 'verified')
         ELSE (SELECT e.account || '/' || e.extension FROM binding_ivr.bindings b
               JOIN binding_ivr.extensions e ON e.account = b.account AND e.user_id = b.user_id
               WHERE b.number = '+' || m.name AND b.status = 'verified'
               ORDER BY length(e.extension), e.extension LIMIT 1)
       END AS value
FROM binding_ivr.mirror_keys m
WHERE m.change_seq > $1
ORDER BY m.change_seq
FETCH FIRST $2 ROWS WITH TIES;

-- name: mirror_behind
-- $1 position
SELECT count(*) AS behind FROM binding_ivr.mirror_keys WHERE change_seq > $1;

-- name: mirror_page
-- $1 account and $2 user_id after which to go on, $3 most; one row per verified binding with its extensions in order
SELECT b.account, b.user_id, b.number,
       ARRAY(SELECT e.extension FROM binding_ivr.extensions e WHERE e.account = b.account AND e.user_id = b.user_id
             ORDER BY length(e.extension), e.extension) AS extensions
FROM binding_ivr.bindings b
WHERE b.status = 'verified' AND (b.account, b.user_id) > ($1, $2)
ORDER BY b.account, b.user_id
LIMIT $3;

-- name: mirror_numbers_of
-- $1 accounts, $2 extensions. The numbers of their users that a PIN may stand by: proven, or only aged.
SELECT e.account, e.extension, b.number
FROM unnest($1::text[], $2::text[]) AS asked(account, extension)
JOIN binding_ivr.extensions e ON e.account = asked.account AND e.extension = asked.extension
JOIN binding_ivr.bindings b ON b.account = e.account AND b.user_id = e.user_id
WHERE b.number IS NOT NULL AND (b.status = 'verified' OR (b.status = 'suspended' AND b.reason = 'aged'));

-- name: forget_mirror_marks
-- $1 seconds. Marks this old are of no use: a mirror that has not read them for so long compares everything.
-- SKIP LOCKED: never in the way of a change that marks its keys.
DELETE FROM binding_ivr.mirror_keys m
USING (SELECT kind, account, name FROM binding_ivr.mirror_keys
       WHERE changed_at < clock_timestamp() - make_interval(secs => $1) FOR UPDATE SKIP LOCKED) AS old
WHERE m.kind = old.kind AND m.account = old.account AND m.name = old.name;

-- name: tell_mirror
-- $1 node, $2 detail, $3 behind
INSERT INTO binding_ivr.mirrors AS m (node, seen_at, detail, behind) VALUES ($1, clock_timestamp(), $2, $3)
ON CONFLICT (node) DO UPDATE SET seen_at = EXCLUDED.seen_at, detail = EXCLUDED.detail, behind = EXCLUDED.behind;

-- name: tell_compared
-- $1 node, $2 when it began, $3 keys, $4 put, $5 deleted
INSERT INTO binding_ivr.mirrors AS m (node, seen_at, detail, behind, compare_from, keys, put, deleted)
VALUES ($1, clock_timestamp(), '', 0, $2, $3, $4, $5)
ON CONFLICT (node) DO UPDATE SET seen_at = EXCLUDED.seen_at, detail = '', behind = 0,
  compare_from = EXCLUDED.compare_from, keys = EXCLUDED.keys, put = EXCLUDED.put, deleted = EXCLUDED.deleted;

-- name: mirror_gone
DELETE FROM binding_ivr.mirrors WHERE node = $1;

-- name: mirrors
-- $1 seconds within which a node must have told something
SELECT node, detail, behind, compare_from, keys, put, deleted,
       seen_at > clock_timestamp() - make_interval(secs => $1) AS alive
FROM binding_ivr.mirrors ORDER BY node;

-- name: ask_to_compare
SELECT clock_timestamp() AS asked_at, binding_ivr.notice('{"kind":"compare"}');
