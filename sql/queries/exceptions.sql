-- name: put_exception
-- $1 account or empty, $2 prefix, $3 whole, $4 reason, $5 who, $6 expires_at; added: false when it replaced one
INSERT INTO binding_ivr.number_exceptions (account, prefix, whole, reason, who, expires_at)
VALUES ($1, $2, $3, $4, $5, $6)
ON CONFLICT (account, prefix, whole) DO UPDATE SET
  reason = $4, who = $5, expires_at = $6, created_at = binding_ivr.clock()
RETURNING (xmax = 0) AS added;

-- name: remove_exception
-- $1 account or empty, $2 prefix, $3 whole
DELETE FROM binding_ivr.number_exceptions WHERE account = $1 AND prefix = $2 AND whole = $3 RETURNING prefix;

-- name: exceptions
-- Those that still count first, then by what they allow.
SELECT account, prefix, whole, reason, who, created_at, expires_at, expires_at <= binding_ivr.clock() AS expired
FROM binding_ivr.number_exceptions ORDER BY expired, prefix, whole, account;
