-- name: accounts
SELECT account, settings::text AS settings FROM binding_ivr.accounts ORDER BY account;

-- name: account
SELECT account, settings::text AS settings FROM binding_ivr.accounts WHERE account = $1;

-- name: add_account
INSERT INTO binding_ivr.accounts (account, settings) VALUES ($1, $2::text::jsonb)
ON CONFLICT (account) DO NOTHING RETURNING account;

-- name: set_settings
UPDATE binding_ivr.accounts SET settings = $2::text::jsonb WHERE account = $1 RETURNING account;

-- name: users
-- $1 account or null
SELECT u.account, u.user_id, u.language, u.email,
       ARRAY(SELECT e.extension FROM binding_ivr.extensions e WHERE e.account = u.account AND e.user_id = u.user_id
             ORDER BY length(e.extension), e.extension) AS extensions
FROM binding_ivr.users u
WHERE $1::text IS NULL OR u.account = $1
ORDER BY u.account, u.user_id;

-- name: user
SELECT u.account, u.user_id, u.language, u.email,
       ARRAY(SELECT e.extension FROM binding_ivr.extensions e WHERE e.account = u.account AND e.user_id = u.user_id
             ORDER BY length(e.extension), e.extension) AS extensions
FROM binding_ivr.users u WHERE u.account = $1 AND u.user_id = $2;

-- name: user_of_extension
-- $1 account, $2 extension
SELECT user_id FROM binding_ivr.extensions WHERE account = $1 AND extension = $2;

-- name: put_user
-- $1 account, $2 user_id, $3 language, $4 email; added: false when it was there before
INSERT INTO binding_ivr.users AS u (account, user_id, language, email) VALUES ($1, $2, $3, $4)
ON CONFLICT (account, user_id) DO UPDATE SET language = $3, email = $4
RETURNING (xmax = 0) AS added;

-- name: drop_other_extensions
-- $1 account, $2 user_id, $3 the extensions that stay
DELETE FROM binding_ivr.extensions WHERE account = $1 AND user_id = $2 AND NOT extension = ANY ($3::text[])
RETURNING extension;

-- name: add_extension
-- $1 account, $2 extension, $3 user_id; no row: another user has it. added: false when it was there before
INSERT INTO binding_ivr.extensions AS e (account, extension, user_id) VALUES ($1, $2, $3)
ON CONFLICT (account, extension) DO UPDATE SET user_id = e.user_id WHERE e.user_id = $3
RETURNING user_id, (xmax = 0) AS added;

-- name: remove_user
DELETE FROM binding_ivr.users WHERE account = $1 AND user_id = $2 RETURNING user_id;

-- name: own_numbers
-- $1 account or null
SELECT account, kind, value FROM binding_ivr.own_numbers
WHERE $1::text IS NULL OR account = $1 ORDER BY account, kind, value;

-- name: add_own_number
INSERT INTO binding_ivr.own_numbers (account, kind, value) VALUES ($1, $2, $3)
ON CONFLICT (account, kind, value) DO NOTHING RETURNING value;

-- name: remove_own_number
DELETE FROM binding_ivr.own_numbers WHERE account = $1 AND kind = $2 AND value = $3 RETURNING value;

-- name: own_numbers_for_check
-- $1 texts to compare exactly; every pattern is returned, for the caller to match
SELECT account, kind, value FROM binding_ivr.own_numbers WHERE kind <> 'pattern' AND value = ANY ($1::text[])
UNION ALL
SELECT account, kind, value FROM binding_ivr.own_numbers WHERE kind = 'pattern'
UNION
SELECT account, 'extension', extension FROM binding_ivr.extensions WHERE extension = ANY ($1::text[])
ORDER BY account, kind, value;

-- name: suppress
-- $1 number_hash, $2 reason, $3 who
INSERT INTO binding_ivr.suppressions (number_hash, reason, who) VALUES ($1, $2, $3)
ON CONFLICT (number_hash) DO NOTHING RETURNING number_hash;

-- name: suppress_noted
-- $1 number_hash, $2 reason, $3 who, $4 note
INSERT INTO binding_ivr.suppressions (number_hash, reason, who, note) VALUES ($1, $2, $3, $4)
ON CONFLICT (number_hash) DO NOTHING RETURNING number_hash;

-- name: unsuppress
DELETE FROM binding_ivr.suppressions WHERE number_hash = $1 RETURNING number_hash;

-- name: suppressions
SELECT number_hash, reason, who, created_at, note FROM binding_ivr.suppressions ORDER BY created_at DESC;

-- name: is_suppressed
SELECT EXISTS (SELECT FROM binding_ivr.suppressions WHERE number_hash = $1) AS there;

-- name: key_check
SELECT digest FROM binding_ivr.key_checks WHERE name = 'number';

-- name: note_key
-- $1 digest. It may still change while nothing was hashed.
INSERT INTO binding_ivr.key_checks AS k (name, digest) VALUES ('number', $1)
ON CONFLICT (name) DO UPDATE SET digest = CASE
  WHEN EXISTS (SELECT FROM binding_ivr.suppressions)
    OR (SELECT a.created_at FROM binding_ivr.attempts a
        ORDER BY timezone('UTC', a.created_at) DESC LIMIT 1) IS NOT NULL THEN k.digest
  ELSE EXCLUDED.digest END
RETURNING digest;
