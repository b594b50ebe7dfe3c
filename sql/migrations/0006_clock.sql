-- The one clock of everything that is decided or told by time: limits, the life of an attempt and of a binding, the audit.
-- A rehearsal may move it forward, so that weeks pass without sleeping. What is a matter of the machine stays on the
-- machine's own time (clock_timestamp()): leases, signs of life of nodes, sessions, deliveries.

CREATE TABLE binding_ivr.clock_offset (
  only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
  ahead    interval NOT NULL DEFAULT '0' CHECK (ahead >= '0')
);
INSERT INTO binding_ivr.clock_offset DEFAULT VALUES;
-- Whoever may ask a look-up reads it; only the owner of the schema can write it.
GRANT SELECT ON binding_ivr.clock_offset TO PUBLIC;

-- STABLE: one statement sees it as one moment, so that an index can be searched by it; the next statement sees a later one.
CREATE FUNCTION binding_ivr.clock() RETURNS timestamptz LANGUAGE plpgsql STABLE AS $$
BEGIN
  RETURN clock_timestamp() + (SELECT o.ahead FROM binding_ivr.clock_offset o);
END
$$;

-- A clock that was moved is audited by the machine's time, and wakes whoever waits for a moment.
CREATE FUNCTION binding_ivr.tell_clock() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO binding_ivr.audit (at, account, user_id, action, who, source, address, detail)
  SELECT clock_timestamp(), '', '', 'clock.moved', coalesce(a ->> 'who', 'system'), coalesce(a ->> 'source', 'system'),
         coalesce(a ->> 'address', ''), jsonb_build_object('ahead_s', extract(epoch FROM NEW.ahead))
  FROM binding_ivr.actor() AS a;
  PERFORM pg_notify('binding_ivr', '{"kind":"clock"}');
  RETURN NULL;
END
$$;
CREATE TRIGGER tell_clock AFTER UPDATE ON binding_ivr.clock_offset
  FOR EACH ROW WHEN (NEW.ahead <> OLD.ahead) EXECUTE FUNCTION binding_ivr.tell_clock();

ALTER TABLE binding_ivr.audit ALTER COLUMN at SET DEFAULT binding_ivr.clock();
ALTER TABLE binding_ivr.suppressions ALTER COLUMN created_at SET DEFAULT binding_ivr.clock();
