-- The few calls of erased users that still have their number, for an hour.
CREATE INDEX attempts_erased ON binding_ivr.attempts (created_at) WHERE user_id LIKE 'erased/%' AND number LIKE '+%';
