-- What must follow from every change, whoever makes it (a query of the service, or a person in psql): the change number,
-- the audit row, the outbox event and the notice. Kept in triggers so that no query can forget one of them.
--
-- Advisory locks: (7201, 1) accepting an attempt, (7201, 2) migrating, (7201, 3) numbering a change,
-- (7202, hash) one phone number. Order of taking: accepting, attempt row, phone number, binding rows by (account,
-- user_id), numbering a change. Keep it: it is what makes deadlocks impossible.

-- Who changes something now: set per transaction by the service, else the database role.
CREATE FUNCTION binding_ivr.actor() RETURNS jsonb LANGUAGE sql STABLE AS $$
  SELECT CASE
    WHEN coalesce(current_setting('binding_ivr.actor', true), '') <> ''
      THEN current_setting('binding_ivr.actor', true)::jsonb
    WHEN current_setting('application_name') LIKE 'binding\_ivr%'
      THEN jsonb_build_object('who', 'system', 'source', 'system')
    ELSE jsonb_build_object('who', 'sql:' || session_user, 'source', 'sql')
  END
$$;

CREATE FUNCTION binding_ivr.write_audit(account text, user_id text, action text, attempt_id uuid, detail jsonb)
RETURNS void LANGUAGE sql AS $$
  INSERT INTO binding_ivr.audit (account, user_id, action, who, source, address, attempt_id, detail)
  SELECT $1, $2, $3, coalesce(a ->> 'who', 'system'), coalesce(a ->> 'source', 'system'),
         coalesce(a ->> 'address', ''), coalesce($4, (a ->> 'attempt_id')::uuid), jsonb_strip_nulls($5)
  FROM binding_ivr.actor() AS a
$$;

CREATE FUNCTION binding_ivr.audit_is_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'binding_ivr.audit is append-only: % refused', TG_OP USING ERRCODE = 'insufficient_privilege';
END
$$;
CREATE TRIGGER audit_is_append_only BEFORE UPDATE OR DELETE ON binding_ivr.audit
  FOR EACH ROW EXECUTE FUNCTION binding_ivr.audit_is_append_only();
CREATE TRIGGER audit_is_not_truncated BEFORE TRUNCATE ON binding_ivr.audit
  FOR EACH STATEMENT EXECUTE FUNCTION binding_ivr.audit_is_append_only();

-- A change that a look-up can see gets the next number. The lock makes the order of numbers the order of commits:
-- who has read up to n has missed nothing below n.
CREATE FUNCTION binding_ivr.number_change() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  seen boolean := NEW.status IN ('verified', 'suspended');
BEGIN
  IF TG_OP = 'UPDATE' THEN
    seen := (seen OR OLD.status IN ('verified', 'suspended'))
            AND (NEW.status, NEW.number, NEW.since) IS DISTINCT FROM (OLD.status, OLD.number, OLD.since);
  END IF;
  IF seen THEN
    PERFORM pg_advisory_xact_lock(7201, 3);
    NEW.change_seq := nextval('binding_ivr.change_seq');
  END IF;
  NEW.updated_at := clock_timestamp();
  RETURN NEW;
END
$$;
CREATE TRIGGER number_change BEFORE INSERT OR UPDATE ON binding_ivr.bindings
  FOR EACH ROW EXECUTE FUNCTION binding_ivr.number_change();

CREATE FUNCTION binding_ivr.tell_binding() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  was_status text := 'none';
  was_number text;
  event text;
  facts jsonb;
BEGIN
  IF TG_OP = 'UPDATE' THEN
    was_status := OLD.status;
    was_number := OLD.number;
  END IF;
  facts := jsonb_strip_nulls(jsonb_build_object(
    'account', NEW.account, 'user_id', NEW.user_id, 'status', NEW.status, 'reason', NEW.reason, 'number', NEW.number,
    'pending_number', NEW.pending_number, 'since', NEW.since, 'previous_status', was_status,
    'previous_number', was_number));
  PERFORM binding_ivr.write_audit(NEW.account, NEW.user_id, 'binding.' || NEW.status, NULL, facts);
  PERFORM pg_notify('binding_ivr', json_build_object(
    'kind', 'binding', 'account', NEW.account, 'user_id', NEW.user_id, 'status', NEW.status)::text);
  IF NEW.status = 'verified' THEN
    IF TG_OP = 'INSERT' OR (NEW.status, NEW.number, NEW.since) IS DISTINCT FROM (OLD.status, OLD.number, OLD.since) THEN
      event := 'binding.verified';
    END IF;
  ELSIF NEW.status = 'suspended' AND was_status <> 'suspended' THEN
    event := 'binding.suspended';
  ELSIF (NEW.status = 'none' AND was_status <> 'none') OR was_status = 'verified' THEN
    event := 'binding.removed';
  END IF;
  IF event IS NOT NULL THEN
    INSERT INTO binding_ivr.outbox (name, account, user_id, payload) VALUES (event, NEW.account, NEW.user_id, facts);
  END IF;
  RETURN NULL;
END
$$;
CREATE TRIGGER tell_new_binding AFTER INSERT ON binding_ivr.bindings
  FOR EACH ROW WHEN (NEW.status <> 'none') EXECUTE FUNCTION binding_ivr.tell_binding();
CREATE TRIGGER tell_binding AFTER UPDATE ON binding_ivr.bindings
  FOR EACH ROW WHEN ((NEW.status, NEW.reason, NEW.number, NEW.pending_number, NEW.since)
                     IS DISTINCT FROM (OLD.status, OLD.reason, OLD.number, OLD.pending_number, OLD.since))
  EXECUTE FUNCTION binding_ivr.tell_binding();

CREATE FUNCTION binding_ivr.tell_attempt() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  kind text := 'attempt';
  facts jsonb;
BEGIN
  IF TG_OP = 'INSERT' THEN
    kind := 'queued';
  ELSIF (NEW.state, NEW.digits) IS NOT DISTINCT FROM (OLD.state, OLD.digits) THEN
    kind := 'cancel';
  END IF;
  PERFORM pg_notify('binding_ivr', json_build_object(
    'kind', kind, 'account', NEW.account, 'user_id', NEW.user_id, 'attempt_id', NEW.attempt_id, 'state', NEW.state,
    'digits', NEW.digits, 'outcome', coalesce(NEW.outcome, ''), 'fault', coalesce(NEW.fault, ''))::text);
  IF kind = 'attempt' AND NEW.state <> 'ended' THEN
    RETURN NULL; -- progress is told, not audited
  END IF;
  facts := jsonb_strip_nulls(jsonb_build_object(
    'account', NEW.account, 'user_id', NEW.user_id, 'attempt_id', NEW.attempt_id, 'number', NEW.number,
    'outcome', NEW.outcome, 'fault', NEW.fault, 'tries', NEW.tries, 'cause', NEW.cause,
    'tech_cause', NEW.tech_cause, 'node', NEW.node, 'created_at', NEW.created_at,
    'answered_at', NEW.answered_at, 'ended_at', NEW.ended_at));
  PERFORM binding_ivr.write_audit(NEW.account, NEW.user_id,
    CASE WHEN NEW.state = 'ended' THEN 'attempt.ended' WHEN kind = 'cancel' THEN 'attempt.cancel'
         ELSE 'attempt.queued' END, NEW.attempt_id, facts);
  IF NEW.state = 'ended' THEN
    INSERT INTO binding_ivr.outbox (name, account, user_id, payload)
    VALUES ('attempt.ended', NEW.account, NEW.user_id, facts);
  END IF;
  RETURN NULL;
END
$$;
CREATE TRIGGER tell_new_attempt AFTER INSERT ON binding_ivr.attempts
  FOR EACH ROW EXECUTE FUNCTION binding_ivr.tell_attempt();
CREATE TRIGGER tell_attempt AFTER UPDATE ON binding_ivr.attempts
  FOR EACH ROW WHEN (NEW.state <> OLD.state OR NEW.digits <> OLD.digits
                     OR (NEW.cancel_requested AND NOT OLD.cancel_requested))
  EXECUTE FUNCTION binding_ivr.tell_attempt();
