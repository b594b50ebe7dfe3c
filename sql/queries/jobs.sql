-- name: claim_job
-- $1 job, $2 node, $3 lease in seconds, $4 seconds since the last run's end after which it is due. No row: not now.
INSERT INTO binding_ivr.jobs AS j (job, node, lease_until, began_at)
VALUES ($1, $2, clock_timestamp() + make_interval(secs => $3), binding_ivr.clock())
ON CONFLICT (job) DO UPDATE
SET node = EXCLUDED.node, lease_until = EXCLUDED.lease_until, began_at = EXCLUDED.began_at
WHERE (j.lease_until IS NULL OR j.lease_until < clock_timestamp())
  AND (j.ended_at IS NULL OR j.ended_at <= binding_ivr.clock() - make_interval(secs => $4))
RETURNING position;

-- name: renew_job
-- $1 job, $2 node, $3 lease in seconds, $4 position. No row: another node took it over.
UPDATE binding_ivr.jobs SET lease_until = clock_timestamp() + make_interval(secs => $3), position = $4
WHERE job = $1 AND node = $2 AND lease_until IS NOT NULL RETURNING job;

-- name: end_job
-- $1 job, $2 node, $3 what it did
UPDATE binding_ivr.jobs SET lease_until = NULL, ended_at = binding_ivr.clock(), detail = $3::text::jsonb
WHERE job = $1 AND node = $2;

-- name: leave_job
-- $1 job, $2 node: it failed; it is due as before
UPDATE binding_ivr.jobs SET lease_until = NULL WHERE job = $1 AND node = $2;

-- name: jobs
SELECT job, node, ended_at, detail::text AS detail, lease_until > clock_timestamp() AS running,
       extract(epoch FROM binding_ivr.clock() - ended_at)::float8 AS age_s
FROM binding_ivr.jobs ORDER BY job;
