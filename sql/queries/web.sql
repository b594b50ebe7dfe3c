-- name: api_key
SELECT key_id, name, scopes, digest, created_at, used_at, expires_at,
       coalesce(expires_at <= clock_timestamp(), false) AS has_ended,
       used_at IS NULL OR used_at < clock_timestamp() - interval '1 minute' AS use_is_due
FROM binding_ivr.api_keys WHERE key_id = $1;

-- name: api_keys
SELECT key_id, name, scopes, digest, created_at, used_at, expires_at,
       coalesce(expires_at <= clock_timestamp(), false) AS has_ended,
       used_at IS NULL OR used_at < clock_timestamp() - interval '1 minute' AS use_is_due
FROM binding_ivr.api_keys ORDER BY name;

-- name: add_api_key
-- $1 key_id, $2 name, $3 scopes, $4 digest, $5 days until its end or null; no row: the name is taken
INSERT INTO binding_ivr.api_keys (key_id, name, scopes, digest, expires_at)
VALUES ($1, $2, $3, $4, clock_timestamp() + make_interval(days => $5))
ON CONFLICT DO NOTHING RETURNING key_id;

-- name: add_first_api_key
-- the same, only while there is no key at all; two nodes that start together make one
INSERT INTO binding_ivr.api_keys (key_id, name, scopes, digest, expires_at)
SELECT $1, $2, $3, $4, clock_timestamp() + make_interval(days => $5)
WHERE NOT EXISTS (SELECT FROM binding_ivr.api_keys)
ON CONFLICT DO NOTHING RETURNING key_id;

-- name: remove_api_key
DELETE FROM binding_ivr.api_keys WHERE name = $1 RETURNING key_id;

-- name: any_api_key
SELECT EXISTS (SELECT FROM binding_ivr.api_keys) AS there;

-- name: note_api_key_use
-- at most once a minute, so that a busy key writes little; `use_is_due` spares most of the asking, not the race of two
UPDATE binding_ivr.api_keys SET used_at = clock_timestamp()
WHERE key_id = $1 AND (used_at IS NULL OR used_at < clock_timestamp() - interval '1 minute');

-- name: web_session
SELECT s.account, s.user_id, coalesce(k.name, '') AS key_name, coalesce(k.scopes, '{}') AS scopes,
       s.signed_in_at, least(s.expires_at, k.expires_at) AS expires_at
FROM binding_ivr.web_sessions s LEFT JOIN binding_ivr.api_keys k ON k.key_id = s.key_id
WHERE s.digest = $1 AND s.expires_at > clock_timestamp() AND coalesce(k.expires_at > clock_timestamp(), true);

-- name: add_web_session
-- $1 digest, $2 account, $3 user_id, $4 key_id or null, $5 signed_in_at, $6 expires_at
INSERT INTO binding_ivr.web_sessions (digest, account, user_id, key_id, signed_in_at, expires_at)
VALUES ($1, $2, $3, $4, $5, $6);

-- name: remove_web_session
DELETE FROM binding_ivr.web_sessions WHERE digest = $1;

-- name: remove_web_sessions_of
DELETE FROM binding_ivr.web_sessions WHERE account = $1 AND user_id = $2 RETURNING digest;

-- name: add_signin_link
-- $1 digest, $2 account, $3 user_id, $4 seconds; no row: the user is not known
INSERT INTO binding_ivr.signin_links (digest, account, user_id, expires_at)
SELECT $1, u.account, u.user_id, clock_timestamp() + make_interval(secs => $4)
FROM binding_ivr.users u WHERE u.account = $2 AND u.user_id = $3 RETURNING expires_at;

-- name: signin_link
SELECT account, user_id FROM binding_ivr.signin_links WHERE digest = $1;

-- name: use_signin_link
DELETE FROM binding_ivr.signin_links WHERE digest = $1
RETURNING account, user_id, expires_at > clock_timestamp() AS alive;

-- name: spend_token
-- no row: it was used up before
INSERT INTO binding_ivr.spent_tokens (digest, expires_at) VALUES ($1, $2)
ON CONFLICT DO NOTHING RETURNING digest;

-- name: token_is_spent
SELECT EXISTS (SELECT FROM binding_ivr.spent_tokens WHERE digest = $1) AS there;

-- name: ended_credentials
-- $1 digests of sessions, $2 ids of API keys, $3 digests of tokens, $4 accounts and $5 ids of users.
-- Which of them (by place, from 1) no longer let anybody in.
SELECT 'session' AS kind, asked.at::integer
FROM unnest($1::bytea[]) WITH ORDINALITY AS asked (digest, at)
WHERE NOT EXISTS (SELECT FROM binding_ivr.web_sessions s LEFT JOIN binding_ivr.api_keys k ON k.key_id = s.key_id
                  WHERE s.digest = asked.digest AND s.expires_at > clock_timestamp()
                    AND coalesce(k.expires_at > clock_timestamp(), true))
UNION ALL
SELECT 'key', asked.at::integer
FROM unnest($2::text[]) WITH ORDINALITY AS asked (key_id, at)
WHERE NOT EXISTS (SELECT FROM binding_ivr.api_keys k
                  WHERE k.key_id = asked.key_id AND coalesce(k.expires_at > clock_timestamp(), true))
UNION ALL
SELECT 'token', asked.at::integer
FROM unnest($3::bytea[]) WITH ORDINALITY AS asked (digest, at)
WHERE EXISTS (SELECT FROM binding_ivr.spent_tokens t WHERE t.digest = asked.digest)
UNION ALL
SELECT 'user', asked.at::integer
FROM unnest($4::text[], $5::text[]) WITH ORDINALITY AS asked (account, user_id, at)
WHERE NOT EXISTS (SELECT FROM binding_ivr.users u WHERE u.account = asked.account AND u.user_id = asked.user_id);

-- name: begin_reply
-- $1 caller, $2 digest of the key, $3 digest of the request, $4 attempt_id for a new one. A request that got no reply
-- within a minute has died; who sends it again takes it over, with the attempt it may have begun. An old one makes room.
INSERT INTO binding_ivr.web_replies AS r (caller, digest, request, attempt_id) VALUES ($1, $2, $3, $4)
ON CONFLICT (caller, digest) DO UPDATE SET
  request = EXCLUDED.request, begun_at = clock_timestamp(), status = NULL, body = '',
  attempt_id = CASE WHEN r.created_at < clock_timestamp() - interval '24 hours' THEN EXCLUDED.attempt_id
                    ELSE r.attempt_id END,
  created_at = CASE WHEN r.created_at < clock_timestamp() - interval '24 hours' THEN clock_timestamp()
                    ELSE r.created_at END
WHERE r.created_at < clock_timestamp() - interval '24 hours'
   OR (r.status IS NULL AND r.request = EXCLUDED.request AND r.begun_at < clock_timestamp() - interval '1 minute')
RETURNING request, attempt_id, status, body;

-- name: kept_reply
SELECT request, attempt_id, status, body FROM binding_ivr.web_replies WHERE caller = $1 AND digest = $2;

-- name: finish_reply
-- $1 caller, $2 digest, $3 status, $4 body
UPDATE binding_ivr.web_replies SET status = $3, body = $4 WHERE caller = $1 AND digest = $2;

-- name: forget_reply
DELETE FROM binding_ivr.web_replies WHERE caller = $1 AND digest = $2 AND status IS NULL;

-- name: purge_web
WITH sessions AS (DELETE FROM binding_ivr.web_sessions WHERE expires_at < clock_timestamp()),
     links AS (DELETE FROM binding_ivr.signin_links WHERE expires_at < clock_timestamp()),
     tokens AS (DELETE FROM binding_ivr.spent_tokens WHERE expires_at < clock_timestamp())
DELETE FROM binding_ivr.web_replies WHERE created_at < clock_timestamp() - interval '24 hours';

-- name: search_users
-- $1 account or null, $2 what to look for (empty: all), $3 user id after which to go on, $4 most
SELECT u.account, u.user_id, u.language, u.email,
       ARRAY(SELECT e.extension FROM binding_ivr.extensions e WHERE e.account = u.account AND e.user_id = u.user_id
             ORDER BY length(e.extension), e.extension) AS extensions,
       coalesce(b.status, 'none') AS status, b.number, b.since
FROM binding_ivr.users u
LEFT JOIN binding_ivr.bindings b ON b.account = u.account AND b.user_id = u.user_id
WHERE ($1::text IS NULL OR u.account = $1) AND u.user_id > $3
  AND ($2 = '' OR strpos(lower(u.user_id), lower($2)) > 0 OR strpos(lower(u.email), lower($2)) > 0
       OR EXISTS (SELECT FROM binding_ivr.extensions e
                  WHERE e.account = u.account AND e.user_id = u.user_id AND strpos(e.extension, $2) > 0))
ORDER BY u.user_id, u.account LIMIT $4;
