-- name: set_actor
-- $1 actor as JSON text; valid to the end of the transaction
SELECT set_config('binding_ivr.actor', $1, true);

-- name: lock_number
-- one transaction at a time may decide who holds this number ($1)
SELECT pg_advisory_xact_lock(7202, hashtext($1));

-- name: server_version
SELECT current_setting('server_version_num')::int AS version_num, current_setting('server_version') AS version;

-- name: ping
SELECT 1 AS one;
