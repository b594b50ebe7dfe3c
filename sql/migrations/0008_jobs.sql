-- Work that any one node does for all: when it was done last, by whom, and who is at it now. A lease instead of a session's
-- lock, so that a node that dies in the middle holds nobody up for long.
CREATE TABLE binding_ivr.jobs (
  job         text PRIMARY KEY CHECK (job ~ '^[a-z_]{1,40}$'),
  node        text NOT NULL,
  lease_until timestamptz,           -- the machine's time; null: nobody is at it
  began_at    timestamptz NOT NULL,
  ended_at    timestamptz,           -- of the last run that came to its end
  position    bigint NOT NULL DEFAULT 0,
  detail      jsonb NOT NULL DEFAULT '{}'
);

CREATE INDEX bindings_pending_number ON binding_ivr.bindings (pending_number) WHERE pending_number IS NOT NULL;

-- A user who goes takes everything along that the user could see, whoever deletes the row: also the way back to a number
-- that was changed, which the next user of this name must not find.
CREATE FUNCTION binding_ivr.end_binding() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  UPDATE binding_ivr.attempts SET cancel_requested = true
  WHERE account = OLD.account AND user_id = OLD.user_id AND state <> 'ended' AND NOT cancel_requested;
  UPDATE binding_ivr.bindings
  SET status = 'none', reason = NULL, number = NULL, pending_number = NULL, since = NULL, verified_at = NULL
  WHERE account = OLD.account AND user_id = OLD.user_id AND status <> 'none';
  UPDATE binding_ivr.bindings SET previous_number = NULL, changed_at = NULL, changed_by = NULL
  WHERE account = OLD.account AND user_id = OLD.user_id AND previous_number IS NOT NULL;
  RETURN NULL;
END
$$;
CREATE TRIGGER end_binding AFTER DELETE ON binding_ivr.users
  FOR EACH ROW EXECUTE FUNCTION binding_ivr.end_binding();
