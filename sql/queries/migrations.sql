-- name: migration_lock
SELECT pg_advisory_lock(7201, 2);

-- name: migration_unlock
SELECT pg_advisory_unlock(7201, 2);

-- name: migrations_table_exists
SELECT to_regclass('binding_ivr.migrations') IS NOT NULL AS there;

-- name: create_schema
CREATE SCHEMA IF NOT EXISTS binding_ivr;

-- name: create_migrations_table
CREATE TABLE IF NOT EXISTS binding_ivr.migrations (
  name       text PRIMARY KEY,
  sha256     text NOT NULL,
  applied_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- name: applied_migrations
SELECT name, sha256 FROM binding_ivr.migrations ORDER BY name;

-- name: note_migration
INSERT INTO binding_ivr.migrations (name, sha256) VALUES ($1, $2);
