-- name: clock
SELECT binding_ivr.clock() AS now, extract(epoch FROM o.ahead)::float8 AS ahead_s FROM binding_ivr.clock_offset o;

-- name: move_clock
-- $1 seconds forward; only the owner of the schema may do it
UPDATE binding_ivr.clock_offset SET ahead = ahead + make_interval(secs => $1) RETURNING clock_timestamp() + ahead AS now;
