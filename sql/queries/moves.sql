-- name: keep_move
-- $1 move_id, $2 account, $3 extension, $4 kind, $5 outcome, $6 proof, $7 call_id, $8 leg_id, $9 node, $10 started_at,
-- $11 ended_at, $12 most of an extension in an hour. A user who was added after the call is somebody else.
WITH kept AS (
  INSERT INTO binding_ivr.moves (move_id, account, user_id, extension, kind, outcome, proof, call_id, leg_id, node,
                                 started_at, ended_at)
  SELECT $1, $2, coalesce((SELECT u.user_id FROM binding_ivr.extensions e JOIN binding_ivr.users u USING (account, user_id)
                           WHERE e.account = $2 AND e.extension = $3
                             AND u.created_at < $11::timestamptz + interval '1 minute'), ''),
         $3, $4, $5, $6, $7, $8, $9, $10, $11
  WHERE (SELECT count(*) FROM (
           SELECT FROM binding_ivr.moves m
           WHERE m.account = $2 AND m.extension = $3 AND (m.outcome = 'moved') = ($5::text = 'moved')
             AND m.ended_at > $11::timestamptz - interval '1 hour' AND m.ended_at <= $11::timestamptz
           LIMIT $12) AS same) < $12
  ON CONFLICT (move_id) DO NOTHING
  RETURNING move_id
)
SELECT CASE WHEN EXISTS (SELECT FROM kept) THEN 'kept'
            WHEN EXISTS (SELECT FROM binding_ivr.moves WHERE move_id = $1) THEN 'known'
            ELSE 'flood' END AS result;

-- name: moves
-- $1 account or null, $2 user_id or null, $3 extension or null, $4 since or null, $5 most; newest first
SELECT move_id, account, user_id, extension, kind, outcome, proof, call_id, leg_id, node, started_at, ended_at
FROM binding_ivr.moves
WHERE ($1::text IS NULL OR account = $1) AND ($2::text IS NULL OR user_id = $2)
  AND ($3::text IS NULL OR extension = $3) AND ($4::timestamptz IS NULL OR ended_at >= $4)
ORDER BY ended_at DESC, move_id DESC LIMIT $5;

-- name: tell_move_list
-- $1 node, $2 waiting, $3 how far the dialplan has counted what found no place (null: not read), $4 bad, $5 flood.
-- A count that is lower than before began anew.
INSERT INTO binding_ivr.move_lists AS l (node, waiting, listed, lost_full, lost_bad, lost_flood)
VALUES ($1, $2, coalesce($3::bigint, 0), coalesce($3::bigint, 0), $4, $5)
ON CONFLICT (node) DO UPDATE
SET read_at = clock_timestamp(), waiting = $2,
    lost_full = l.lost_full + CASE WHEN $3::bigint IS NULL THEN 0 WHEN $3 >= l.listed THEN $3 - l.listed ELSE $3 END,
    listed = coalesce($3::bigint, l.listed), lost_bad = l.lost_bad + $4, lost_flood = l.lost_flood + $5
RETURNING lost_full, lost_bad, lost_flood;

-- name: move_lists
-- $1 seconds within which a list counts as read
SELECT node, read_at > clock_timestamp() - make_interval(secs => $1) AS alive, read_at, waiting, lost_full, lost_bad,
       lost_flood
FROM binding_ivr.move_lists ORDER BY node;

-- name: forget_moves
-- $1 days, $2 most
WITH due AS MATERIALIZED (
  SELECT move_id FROM binding_ivr.moves WHERE ended_at < binding_ivr.clock() - make_interval(days => $1)
  ORDER BY ended_at LIMIT $2
  FOR UPDATE SKIP LOCKED
)
DELETE FROM binding_ivr.moves m USING due WHERE m.move_id = due.move_id RETURNING m.move_id;

-- name: export_moves
SELECT to_jsonb(m)::text AS item FROM binding_ivr.moves m WHERE m.account = $1 AND m.user_id = $2 ORDER BY m.ended_at;

-- name: erase_moves
DELETE FROM binding_ivr.moves WHERE account = $1 AND user_id = $2 RETURNING move_id;
