-- name: set_actor
-- $1 actor as JSON text; valid to the end of the transaction
SELECT set_config('binding_ivr.actor', $1, true);

-- name: lock_number
-- one transaction at a time may decide who holds this number ($1)
SELECT pg_advisory_xact_lock(7202, hashtext($1));

-- name: server_version
SELECT current_setting('server_version_num')::int AS version_num, current_setting('server_version') AS version;

-- name: log_settings
-- what of our values the server's own log may quote
SELECT name, setting FROM pg_settings
WHERE name IN ('log_error_verbosity', 'auto_explain.log_min_duration', 'auto_explain.log_parameter_max_length');

-- name: ping
SELECT 1 AS one;

-- name: notice_channel
-- where notices are heard
SELECT name FROM binding_ivr.notice_channel;
