-- The life of a binding after its proof: it grows stale, it can be changed back for a while, and it ends when its number
-- becomes one of the PBX's own. The trigger functions of 0002_rules.sql are replaced by ones that know of it.

ALTER TABLE binding_ivr.bindings DROP CONSTRAINT bindings_reason_check;
ALTER TABLE binding_ivr.bindings ADD CONSTRAINT bindings_reason_check
  CHECK (reason IN ('reported', 'taken_over', 'aged', 'admin', 'own_number'));
ALTER TABLE binding_ivr.outbox DROP CONSTRAINT outbox_name_check;
ALTER TABLE binding_ivr.outbox ADD CONSTRAINT outbox_name_check
  CHECK (name IN ('binding.verified', 'binding.stale', 'binding.suspended', 'binding.removed', 'attempt.ended'));

-- stale_at: when the user was told that the proof grows old; suspend_at: what was told as the end of the trust (null: never).
-- previous_number: the last proven number before the present one, for as long as the user may go back to it; who
-- changed it, and when.
ALTER TABLE binding_ivr.bindings
  ADD COLUMN stale_at timestamptz,
  ADD COLUMN suspend_at timestamptz,
  ADD COLUMN previous_number text CHECK (previous_number ~ '^\+[1-9][0-9]{5,14}$'),
  ADD COLUMN changed_at timestamptz,
  ADD COLUMN changed_by text,
  ADD CONSTRAINT bindings_stale CHECK (stale_at IS NULL OR status = 'verified'),
  ADD CONSTRAINT bindings_suspend_at CHECK (suspend_at IS NULL OR stale_at IS NOT NULL),
  ADD CONSTRAINT bindings_previous CHECK ((previous_number IS NULL) = (changed_at IS NULL)
                                          AND (previous_number IS NULL) = (changed_by IS NULL));
CREATE INDEX bindings_proven ON binding_ivr.bindings (account, coalesce(verified_at, since))
  WHERE status = 'verified' AND stale_at IS NULL;
CREATE INDEX bindings_stale_since ON binding_ivr.bindings (account, stale_at) WHERE stale_at IS NOT NULL;
CREATE INDEX bindings_changed ON binding_ivr.bindings (account, changed_at) WHERE previous_number IS NOT NULL;
CREATE INDEX bindings_number ON binding_ivr.bindings (number) WHERE number IS NOT NULL;

-- Why somebody did it, in their words.
ALTER TABLE binding_ivr.audit ADD COLUMN reason text NOT NULL DEFAULT '';
CREATE OR REPLACE FUNCTION binding_ivr.write_audit(
  account text, user_id text, action text, attempt_id uuid, detail jsonb)
RETURNS void LANGUAGE sql AS $$
  INSERT INTO binding_ivr.audit (account, user_id, action, who, source, address, attempt_id, detail, reason)
  SELECT $1, $2, $3, coalesce(a ->> 'who', 'system'), coalesce(a ->> 'source', 'system'),
         coalesce(a ->> 'address', ''), coalesce($4, (a ->> 'attempt_id')::uuid), jsonb_strip_nulls($5),
         coalesce(a ->> 'reason', '')
  FROM binding_ivr.actor() AS a
$$;

-- What a change of the number leaves behind. Named so that it comes before number_change.
CREATE FUNCTION binding_ivr.keep_previous() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  actor jsonb;
BEGIN
  IF NEW.status <> 'verified' OR NEW.number IS DISTINCT FROM OLD.number
     OR NEW.verified_at IS DISTINCT FROM OLD.verified_at THEN
    NEW.stale_at := NULL;
    NEW.suspend_at := NULL;
  END IF;
  IF NEW.number IS DISTINCT FROM OLD.number AND OLD.number IS NOT NULL
     AND (OLD.status = 'verified' OR OLD.reason = 'aged') THEN
    actor := binding_ivr.actor();
    NEW.previous_number := OLD.number;
    NEW.changed_at := binding_ivr.clock();
    -- a change that a proof brought is the work of whoever asked for the call
    NEW.changed_by := coalesce(
      (SELECT a.actor_who FROM binding_ivr.attempts a WHERE a.attempt_id = (actor ->> 'attempt_id')::uuid),
      actor ->> 'who', 'system');
  ELSIF NEW.status = 'verified' AND NEW.number = NEW.previous_number THEN
    NEW.previous_number := NULL;
    NEW.changed_at := NULL;
    NEW.changed_by := NULL;
  END IF;
  RETURN NEW;
END
$$;
CREATE TRIGGER keep_previous BEFORE UPDATE ON binding_ivr.bindings
  FOR EACH ROW EXECUTE FUNCTION binding_ivr.keep_previous();

CREATE OR REPLACE FUNCTION binding_ivr.tell_binding() RETURNS trigger LANGUAGE plpgsql AS $$
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
    'pending_number', NEW.pending_number, 'since', NEW.since, 'verified_at', NEW.verified_at,
    'stale_at', NEW.stale_at, 'suspend_at', NEW.suspend_at, 'previous_status', was_status,
    'previous_number', was_number));
  IF NEW.status = 'verified' THEN
    IF TG_OP = 'INSERT' OR (NEW.status, NEW.number, NEW.since) IS DISTINCT FROM (OLD.status, OLD.number, OLD.since) THEN
      event := 'binding.verified';
    ELSIF NEW.stale_at IS NOT NULL AND NEW.stale_at IS DISTINCT FROM OLD.stale_at THEN
      event := 'binding.stale';
    END IF;
  ELSIF NEW.status = 'suspended' AND was_status <> 'suspended' THEN
    event := 'binding.suspended';
  ELSIF (NEW.status = 'none' AND was_status <> 'none') OR was_status = 'verified' THEN
    event := 'binding.removed';
  END IF;
  PERFORM binding_ivr.write_audit(NEW.account, NEW.user_id,
    CASE WHEN event = 'binding.stale' THEN event ELSE 'binding.' || NEW.status END, NULL, facts);
  PERFORM pg_notify('binding_ivr', json_build_object(
    'kind', 'binding', 'account', NEW.account, 'user_id', NEW.user_id, 'status', NEW.status)::text);
  IF event IS NOT NULL THEN
    INSERT INTO binding_ivr.outbox (name, account, user_id, payload) VALUES (event, NEW.account, NEW.user_id, facts);
  END IF;
  RETURN NULL;
END
$$;
DROP TRIGGER tell_binding ON binding_ivr.bindings;
CREATE TRIGGER tell_binding AFTER UPDATE ON binding_ivr.bindings
  FOR EACH ROW WHEN ((NEW.status, NEW.reason, NEW.number, NEW.pending_number, NEW.since, NEW.stale_at)
                     IS DISTINCT FROM
                     (OLD.status, OLD.reason, OLD.number, OLD.pending_number, OLD.since, OLD.stale_at))
  EXECUTE FUNCTION binding_ivr.tell_binding();
