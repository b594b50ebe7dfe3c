-- What is kept for how long, and how a person is forgotten. The audit stays append-only: its rows may be changed in exactly
-- one way (numbers shortened, a user's name replaced by a pseudonym) and deleted only when they are more than a year
-- old, and only by the three functions below, each of which leaves a row of its own. They run with the rights of the
-- schema's owner, so that the service needs none to change the audit (docs/lifecycle.md: two database roles).

CREATE FUNCTION binding_ivr.is_number(value text) RETURNS boolean LANGUAGE sql IMMUTABLE AS $$
  SELECT coalesce(value ~ '^\+[1-9][0-9]{5,14}$', false)
$$;

-- A number as it is kept after its time: its last two digits.
CREATE FUNCTION binding_ivr.short_number(value text) RETURNS text LANGUAGE sql IMMUTABLE AS $$
  SELECT CASE WHEN binding_ivr.is_number(value) THEN '…' || right(value, 2) ELSE value END
$$;

-- Whether *is_now* is *was* with nothing done to it but that numbers were shortened, each with its keyed hash beside it.
CREATE FUNCTION binding_ivr.only_shortens(was jsonb, is_now jsonb) RETURNS boolean LANGUAGE sql IMMUTABLE AS $$
  SELECT jsonb_typeof(is_now) = 'object'
    AND NOT EXISTS (SELECT FROM jsonb_object_keys(was) AS k WHERE NOT is_now ? k)
    AND NOT EXISTS (
      SELECT FROM jsonb_each(is_now) AS n
      WHERE (was -> n.key) IS DISTINCT FROM n.value
        AND NOT coalesce(
          binding_ivr.is_number(was ->> n.key) AND n.value = to_jsonb(binding_ivr.short_number(was ->> n.key))
            AND (is_now ->> (n.key || '_hash')) ~ '^[0-9a-f]{64}$',
          false)
        AND NOT coalesce(
          NOT was ? n.key AND n.key LIKE '%\_hash' AND (n.value #>> '{}') ~ '^[0-9a-f]{64}$'
            AND binding_ivr.is_number(was ->> left(n.key, -5)),
          false))
$$;

CREATE FUNCTION binding_ivr.audit_may_become(was binding_ivr.audit, is_now binding_ivr.audit)
RETURNS boolean LANGUAGE sql IMMUTABLE AS $$
  SELECT (was.id, was.at, was.account, was.action, was.source, was.attempt_id, was.reason)
           IS NOT DISTINCT FROM
         (is_now.id, is_now.at, is_now.account, is_now.action, is_now.source, is_now.attempt_id, is_now.reason)
    AND CASE
      WHEN is_now.user_id = was.user_id THEN
        (is_now.who, is_now.address) = (was.who, was.address) AND binding_ivr.only_shortens(was.detail, is_now.detail)
      ELSE
        is_now.user_id ~ '^erased/[0-9a-f]{32}$'
        AND is_now.who = CASE WHEN was.who = 'user:' || was.user_id THEN 'user:' || is_now.user_id ELSE was.who END
        AND is_now.address = CASE WHEN was.who = 'user:' || was.user_id THEN '' ELSE was.address END
        AND binding_ivr.only_shortens(
          CASE WHEN was.detail ? 'user_id' THEN was.detail || jsonb_build_object('user_id', is_now.user_id)
               ELSE was.detail END, is_now.detail)
    END
$$;

CREATE OR REPLACE FUNCTION binding_ivr.audit_is_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF current_setting('binding_ivr.audit_upkeep', true) = pg_current_xact_id()::text THEN
    IF TG_OP = 'UPDATE' THEN
      IF binding_ivr.audit_may_become(OLD, NEW) THEN
        RETURN NEW;
      END IF;
    ELSIF TG_OP = 'DELETE' THEN
      IF OLD.at < binding_ivr.clock() - interval '365 days' THEN
        RETURN OLD;
      END IF;
    END IF;
  END IF;
  RAISE EXCEPTION 'binding_ivr.audit is append-only: % refused', TG_OP USING ERRCODE = 'insufficient_privilege';
END
$$;

-- Shortens the numbers in the details of rows *ids*; returns how many. *details* are what they become.
CREATE FUNCTION binding_ivr.mask_audit(ids bigint[], details jsonb[]) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  changed bigint;
BEGIN
  PERFORM set_config('binding_ivr.audit_upkeep', pg_current_xact_id()::text, true);
  UPDATE binding_ivr.audit a SET detail = m.detail
  FROM unnest(ids, details) AS m (id, detail) WHERE a.id = m.id AND a.detail <> m.detail;
  GET DIAGNOSTICS changed = ROW_COUNT;
  PERFORM set_config('binding_ivr.audit_upkeep', '', true);
  IF changed > 0 THEN
    PERFORM binding_ivr.write_audit('', '', 'audit.masked', NULL, jsonb_build_object('rows', changed));
  END IF;
  RETURN changed;
END
$$;

-- Replaces a user by *pseudonym* in all audit rows of the account, and shortens the numbers of rows *ids*, which must be all
-- of the user's. Returns how many rows. The row that it leaves says who erased and why, not whom.
CREATE FUNCTION binding_ivr.erase_audit(
  account_name text, user_name text, pseudonym text, ids bigint[], details jsonb[]) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  changed bigint;
BEGIN
  PERFORM set_config('binding_ivr.audit_upkeep', pg_current_xact_id()::text, true);
  UPDATE binding_ivr.audit a
  SET user_id = pseudonym,
      who = CASE WHEN a.who = 'user:' || a.user_id THEN 'user:' || pseudonym ELSE a.who END,
      address = CASE WHEN a.who = 'user:' || a.user_id THEN '' ELSE a.address END,
      detail = m.detail
  FROM unnest(ids, details) AS m (id, detail)
  WHERE a.id = m.id AND a.account = account_name AND a.user_id = user_name;
  GET DIAGNOSTICS changed = ROW_COUNT;
  PERFORM set_config('binding_ivr.audit_upkeep', '', true);
  PERFORM binding_ivr.write_audit(account_name, pseudonym, 'user.erased', NULL, jsonb_build_object('rows', changed));
  RETURN changed;
END
$$;

-- Deletes up to *most* rows that are older than *days* (365 or more); returns how many.
CREATE FUNCTION binding_ivr.forget_audit(days integer, most integer) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  deleted bigint;
BEGIN
  IF days < 365 THEN
    RAISE EXCEPTION 'the audit is kept for at least 365 days' USING ERRCODE = 'check_violation';
  END IF;
  PERFORM set_config('binding_ivr.audit_upkeep', pg_current_xact_id()::text, true);
  DELETE FROM binding_ivr.audit a
  USING (SELECT o.id FROM binding_ivr.audit o WHERE o.at < binding_ivr.clock() - make_interval(days => days)
         ORDER BY o.id LIMIT most) AS old
  WHERE a.id = old.id;
  GET DIAGNOSTICS deleted = ROW_COUNT;
  PERFORM set_config('binding_ivr.audit_upkeep', '', true);
  IF deleted > 0 THEN
    PERFORM binding_ivr.write_audit('', '', 'audit.forgotten', NULL, jsonb_build_object('rows', deleted, 'days', days));
  END IF;
  RETURN deleted;
END
$$;
REVOKE EXECUTE ON FUNCTION binding_ivr.mask_audit(bigint[], jsonb[]) FROM PUBLIC;
REVOKE EXECUTE ON FUNCTION binding_ivr.erase_audit(text, text, text, bigint[], jsonb[]) FROM PUBLIC;
REVOKE EXECUTE ON FUNCTION binding_ivr.forget_audit(integer, integer) FROM PUBLIC;

CREATE INDEX attempts_full_numbers ON binding_ivr.attempts (ended_at) WHERE state = 'ended' AND number LIKE '+%';
CREATE INDEX audit_age ON binding_ivr.audit (at);

-- Why a number is suppressed, in words; and who allowed one again is known as well.
ALTER TABLE binding_ivr.suppressions ADD COLUMN note text NOT NULL DEFAULT '';
CREATE FUNCTION binding_ivr.tell_suppression() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF TG_OP = 'INSERT' THEN
    PERFORM binding_ivr.write_audit('', '', 'suppression.added', NULL, jsonb_build_object(
      'number_hash', encode(NEW.number_hash, 'hex'), 'reason', NEW.reason));
  ELSE
    PERFORM binding_ivr.write_audit('', '', 'suppression.removed', NULL, jsonb_build_object(
      'number_hash', encode(OLD.number_hash, 'hex'), 'reason', OLD.reason));
  END IF;
  RETURN NULL;
END
$$;
CREATE TRIGGER tell_suppression AFTER INSERT OR DELETE ON binding_ivr.suppressions
  FOR EACH ROW EXECUTE FUNCTION binding_ivr.tell_suppression();
