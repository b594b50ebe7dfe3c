-- Everything that changes trust or power is in the audit, whoever changes it: the service, a command, or a person in psql.
-- A trigger on each table writes the row, so that no query can forget it. tests/integration/test_audit_complete.py goes over
-- every column of the schema and demands that it is audited, or a written reason why not.
--
-- Trigger functions run with the rights of the schema's owner: whoever may change a table needs no right on the audit.

-- Rows that no log line tells yet. Whoever takes one out of here writes its line.
CREATE TABLE binding_ivr.audit_untold (
  id bigint PRIMARY KEY
);
CREATE FUNCTION binding_ivr.queue_audit() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  INSERT INTO binding_ivr.audit_untold (id) VALUES (NEW.id);
  RETURN NULL;
END
$$;
CREATE TRIGGER queue_audit AFTER INSERT ON binding_ivr.audit
  FOR EACH ROW EXECUTE FUNCTION binding_ivr.queue_audit();

-- Whether the change comes from neither the service nor one of its commands.
CREATE FUNCTION binding_ivr.by_hand() RETURNS boolean LANGUAGE sql STABLE AS $$
  SELECT coalesce(current_setting('binding_ivr.actor', true), '') = ''
     AND current_setting('application_name') NOT LIKE 'binding\_ivr%'
$$;

-- A text as the audit and the log may show it: seven or more digits in a row are a number, and only its last two stay.
CREATE FUNCTION binding_ivr.without_numbers(value jsonb) RETURNS jsonb LANGUAGE sql IMMUTABLE AS $$
  SELECT CASE jsonb_typeof(value)
    WHEN 'string' THEN to_jsonb(regexp_replace(value #>> '{}', '\+?[0-9]{5,}([0-9]{2})', '…\1', 'g'))
    WHEN 'object' THEN (SELECT coalesce(jsonb_object_agg(e.key, binding_ivr.without_numbers(e.value)), '{}')
                        FROM jsonb_each(value) AS e)
    WHEN 'array' THEN (SELECT coalesce(jsonb_agg(binding_ivr.without_numbers(e.value) ORDER BY e.at), '[]')
                       FROM jsonb_array_elements(value) WITH ORDINALITY AS e (value, at))
    ELSE value END
$$;

-- What is told of one column's value.
CREATE FUNCTION binding_ivr.told_value(name text, value jsonb, secret boolean) RETURNS jsonb LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
  IF value IS NULL OR value = 'null' THEN
    RETURN NULL;
  ELSIF secret THEN
    RETURN '"…"';
  ELSIF name = 'email' THEN
    RETURN to_jsonb(regexp_replace(value #>> '{}', '^(.)[^@]*', '\1…'));
  ELSIF name = 'key_id' OR value::text !~ '[0-9]{7}' THEN -- key ids are hexadecimal digits that everybody may see
    RETURN value;
  END IF;
  RETURN binding_ivr.without_numbers(value);
END
$$;

-- What is told of a row that came (was: null), went (is_now: null) or changed. Of a change: the columns that are not what
-- they were, each as [before, after]. Of what is empty nothing is told. *secret* columns are named without their value.
CREATE FUNCTION binding_ivr.told_row(was jsonb, is_now jsonb, secret text[], untold text[])
RETURNS jsonb LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
  told jsonb := '{}';
  name text;
  before jsonb;
  after jsonb;
BEGIN
  FOR name IN SELECT jsonb_object_keys(coalesce(is_now, was)) LOOP
    before := was -> name;
    after := is_now -> name;
    CONTINUE WHEN name = ANY (untold) OR before IS NOT DISTINCT FROM after;
    IF was IS NOT NULL AND is_now IS NOT NULL THEN
      told := told || jsonb_build_object(name, jsonb_build_array(
        binding_ivr.told_value(name, before, name = ANY (secret)),
        binding_ivr.told_value(name, after, name = ANY (secret))));
    ELSIF coalesce(after, before) NOT IN ('null', '""', '{}', '[]', 'false') THEN
      told := told || jsonb_build_object(
        name, binding_ivr.told_value(name, coalesce(after, before), name = ANY (secret)));
    END IF;
  END LOOP;
  RETURN told;
END
$$;

-- Arguments: the word of the table; its secret columns; columns of which nothing is told (both with commas between). What
-- goes from one user to another is told as removed there and added here.
CREATE FUNCTION binding_ivr.tell_change() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  was jsonb := CASE WHEN TG_OP <> 'INSERT' THEN to_jsonb(OLD) END;
  is_now jsonb := CASE WHEN TG_OP <> 'DELETE' THEN to_jsonb(NEW) END;
  secret text[] := string_to_array(TG_ARGV[1], ',');
  untold text[] := string_to_array(TG_ARGV[2], ',') || '{account,user_id,created_at}'::text[];
  moved boolean := (was ->> 'account', was ->> 'user_id') IS DISTINCT FROM (is_now ->> 'account', is_now ->> 'user_id');
  facts jsonb;
BEGIN
  IF TG_OP = 'UPDATE' AND NOT moved THEN
    facts := binding_ivr.told_row(was, is_now, secret, untold);
    IF facts <> '{}' THEN
      PERFORM binding_ivr.write_audit(coalesce(is_now ->> 'account', ''), coalesce(is_now ->> 'user_id', ''),
                                      TG_ARGV[0] || '.changed', NULL, facts);
    END IF;
    RETURN NULL;
  END IF;
  IF was IS NOT NULL THEN
    PERFORM binding_ivr.write_audit(coalesce(was ->> 'account', ''), coalesce(was ->> 'user_id', ''),
                                    TG_ARGV[0] || '.removed', NULL, binding_ivr.told_row(was, NULL, secret, untold));
  END IF;
  IF is_now IS NOT NULL THEN
    PERFORM binding_ivr.write_audit(coalesce(is_now ->> 'account', ''), coalesce(is_now ->> 'user_id', ''),
                                    TG_ARGV[0] || '.added', NULL, binding_ivr.told_row(NULL, is_now, secret, untold));
  END IF;
  RETURN NULL;
END
$$;

-- Tables that the service itself writes all day, with audit rows of its own for what matters in them. What a person in psql
-- changes there is told by table and columns. Arguments: secret columns, columns of which nothing is told.
CREATE FUNCTION binding_ivr.tell_hand() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  was jsonb := CASE WHEN TG_OP <> 'INSERT' THEN to_jsonb(OLD) END;
  is_now jsonb := CASE WHEN TG_OP <> 'DELETE' THEN to_jsonb(NEW) END;
  facts jsonb := binding_ivr.told_row(was, is_now, string_to_array(TG_ARGV[0], ','),
                                      string_to_array(TG_ARGV[1], ','));
  about jsonb := coalesce(was, is_now);
BEGIN
  IF TG_OP <> 'UPDATE' THEN
    facts := facts - '{account,user_id}'::text[];
  ELSIF facts = '{}' THEN
    RETURN NULL;
  END IF;
  PERFORM binding_ivr.write_audit(coalesce(about ->> 'account', ''), coalesce(about ->> 'user_id', ''),
    'database.changed', (about ->> 'attempt_id')::uuid,
    jsonb_build_object('table', TG_TABLE_NAME, 'how', lower(TG_OP)) || facts);
  RETURN NULL;
END
$$;

CREATE FUNCTION binding_ivr.tell_emptied() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  PERFORM binding_ivr.write_audit('', '', 'database.emptied', NULL, jsonb_build_object('table', TG_TABLE_NAME));
  RETURN NULL;
END
$$;

-- Settings key by key, each as [before, after]. Of settings that are too long to repeat, only which keys.
CREATE FUNCTION binding_ivr.tell_account() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  was jsonb := CASE WHEN TG_OP <> 'INSERT' THEN OLD.settings ELSE '{}' END;
  is_now jsonb := CASE WHEN TG_OP <> 'DELETE' THEN NEW.settings ELSE '{}' END;
  name text := CASE WHEN TG_OP = 'DELETE' THEN OLD.account ELSE NEW.account END;
  facts jsonb;
BEGIN
  WITH flat AS (
    SELECT s.which, CASE WHEN jsonb_typeof(s.value) = 'object' THEN s.key || '.' || k.key ELSE s.key END AS path,
           CASE WHEN jsonb_typeof(s.value) = 'object' THEN k.value ELSE s.value END AS value
    FROM (SELECT 0 AS which, * FROM jsonb_each(was) UNION ALL SELECT 1, * FROM jsonb_each(is_now)) AS s (which, key, value)
    LEFT JOIN LATERAL jsonb_each(CASE WHEN jsonb_typeof(s.value) = 'object' THEN s.value ELSE '{"":null}' END) AS k ON true
  ), both_sides AS (
    SELECT path, jsonb_agg(value) FILTER (WHERE which = 0) -> 0 AS before, jsonb_agg(value) FILTER (WHERE which = 1) -> 0 AS after
    FROM flat GROUP BY path
  )
  SELECT jsonb_object_agg(path, jsonb_build_array(binding_ivr.without_numbers(before), binding_ivr.without_numbers(after)))
  INTO facts FROM both_sides WHERE before IS DISTINCT FROM after;
  IF length(facts::text) > 2000 THEN
    facts := jsonb_build_object('keys', (SELECT jsonb_agg(k) FROM jsonb_object_keys(facts) AS k));
  END IF;
  IF TG_OP = 'UPDATE' AND OLD.account <> NEW.account THEN
    PERFORM binding_ivr.write_audit(OLD.account, '', 'account.removed', NULL, '{}');
    facts := coalesce(facts, '{}');
  END IF;
  PERFORM binding_ivr.write_audit(name, '',
    CASE WHEN TG_OP = 'DELETE' THEN 'account.removed'
         WHEN TG_OP = 'INSERT' OR OLD.account <> NEW.account THEN 'account.added' ELSE 'account.changed' END,
    NULL, coalesce(facts, '{}'));
  RETURN NULL;
END
$$;
CREATE TRIGGER tell_account AFTER INSERT OR DELETE ON binding_ivr.accounts
  FOR EACH ROW EXECUTE FUNCTION binding_ivr.tell_account();
CREATE TRIGGER tell_account_change AFTER UPDATE ON binding_ivr.accounts
  FOR EACH ROW WHEN ((OLD.account, OLD.settings) IS DISTINCT FROM (NEW.account, NEW.settings))
  EXECUTE FUNCTION binding_ivr.tell_account();

CREATE TRIGGER tell_user AFTER INSERT OR UPDATE OR DELETE ON binding_ivr.users
  FOR EACH ROW EXECUTE FUNCTION binding_ivr.tell_change('user', '', '');
CREATE TRIGGER tell_extension AFTER INSERT OR UPDATE OR DELETE ON binding_ivr.extensions
  FOR EACH ROW EXECUTE FUNCTION binding_ivr.tell_change('extension', '', '');
CREATE TRIGGER tell_own_number AFTER INSERT OR UPDATE OR DELETE ON binding_ivr.own_numbers
  FOR EACH ROW EXECUTE FUNCTION binding_ivr.tell_change('own_number', '', '');
-- used_at changes with every minute of use
CREATE TRIGGER tell_key AFTER INSERT OR UPDATE OR DELETE ON binding_ivr.api_keys
  FOR EACH ROW EXECUTE FUNCTION binding_ivr.tell_change('key', 'digest', 'used_at');

-- Sign-in links and sessions. What expires is not told: its end stood in the row of its beginning. A link that goes with
-- its user is not used up, but ended.
CREATE FUNCTION binding_ivr.tell_sign_in() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  was jsonb := CASE WHEN TG_OP <> 'INSERT' THEN to_jsonb(OLD) END;
  is_now jsonb := CASE WHEN TG_OP <> 'DELETE' THEN to_jsonb(NEW) END;
  about jsonb := coalesce(is_now, was);
  is_link boolean := TG_TABLE_NAME = 'signin_links';
  action text := CASE
    WHEN TG_OP = 'UPDATE' THEN CASE WHEN is_link THEN 'link.changed' ELSE 'session.changed' END
    WHEN TG_OP = 'INSERT' THEN CASE WHEN is_link THEN 'link.made' ELSE 'session.began' END
    WHEN is_link AND binding_ivr.actor() ->> 'by' = 'link' THEN 'link.used'
    ELSE CASE WHEN is_link THEN 'link.ended' ELSE 'session.ended' END END;
  facts jsonb := binding_ivr.told_row(was, is_now, '{digest}', '{account,user_id,key_id}');
BEGIN
  IF TG_OP = 'UPDATE' THEN
    facts := binding_ivr.told_row(was, is_now, '{digest}', '{}');
    IF facts = '{}' THEN
      RETURN NULL;
    END IF;
    IF facts ? 'user_id' THEN -- whose it was is told by the row of its beginning
      facts := facts || '{"user_id": "…"}';
    END IF;
  ELSE
    facts := facts - 'digest' - 'signed_in_at' - CASE WHEN TG_OP = 'DELETE' THEN 'expires_at' ELSE '' END;
  END IF;
  facts := facts || jsonb_strip_nulls(jsonb_build_object(
    'by', CASE WHEN NOT is_link THEN binding_ivr.actor() ->> 'by' END, 'key', (SELECT name FROM binding_ivr.api_keys WHERE key_id = about ->> 'key_id')));
  PERFORM binding_ivr.write_audit(about ->> 'account', about ->> 'user_id', action, NULL, facts);
  RETURN NULL;
END
$$;
CREATE TRIGGER tell_link AFTER INSERT OR UPDATE ON binding_ivr.signin_links
  FOR EACH ROW EXECUTE FUNCTION binding_ivr.tell_sign_in();
CREATE TRIGGER tell_link_end AFTER DELETE ON binding_ivr.signin_links
  FOR EACH ROW WHEN (OLD.expires_at > clock_timestamp()) EXECUTE FUNCTION binding_ivr.tell_sign_in();
CREATE TRIGGER tell_session AFTER INSERT OR UPDATE ON binding_ivr.web_sessions
  FOR EACH ROW EXECUTE FUNCTION binding_ivr.tell_sign_in();
CREATE TRIGGER tell_session_end AFTER DELETE ON binding_ivr.web_sessions
  FOR EACH ROW WHEN (OLD.expires_at > clock_timestamp()) EXECUTE FUNCTION binding_ivr.tell_sign_in();

-- What the older triggers did not see: other changes of a suppression, breakers that come paused or go while they are.
CREATE OR REPLACE FUNCTION binding_ivr.tell_suppression() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  facts jsonb := '{}';
BEGIN
  IF TG_OP <> 'INSERT' THEN
    facts := jsonb_build_object('number_hash', encode(OLD.number_hash, 'hex'), 'reason', OLD.reason);
    IF TG_OP = 'UPDATE' AND NEW.number_hash = OLD.number_hash THEN
      PERFORM binding_ivr.write_audit('', '', 'suppression.changed', NULL,
        facts || binding_ivr.told_row(to_jsonb(OLD), to_jsonb(NEW), '{}', '{}'));
      RETURN NULL;
    END IF;
    PERFORM binding_ivr.write_audit('', '', 'suppression.removed', NULL, facts);
  END IF;
  IF TG_OP <> 'DELETE' THEN
    PERFORM binding_ivr.write_audit('', '', 'suppression.added', NULL, jsonb_build_object(
      'number_hash', encode(NEW.number_hash, 'hex'), 'reason', NEW.reason));
  END IF;
  RETURN NULL;
END
$$;
CREATE TRIGGER tell_suppression_change AFTER UPDATE ON binding_ivr.suppressions
  FOR EACH ROW WHEN (OLD.* IS DISTINCT FROM NEW.*) EXECUTE FUNCTION binding_ivr.tell_suppression();

ALTER FUNCTION binding_ivr.tell_exception() SECURITY DEFINER SET search_path = pg_catalog, pg_temp;

CREATE TRIGGER tell_hand AFTER INSERT OR DELETE ON binding_ivr.breakers
  FOR EACH ROW WHEN (binding_ivr.by_hand()) EXECUTE FUNCTION binding_ivr.tell_hand('', '');
CREATE TRIGGER tell_hand_change AFTER UPDATE ON binding_ivr.breakers
  FOR EACH ROW WHEN (OLD.paused_until IS NOT DISTINCT FROM NEW.paused_until AND binding_ivr.by_hand())
  EXECUTE FUNCTION binding_ivr.tell_hand('', '');

-- A binding's proof may be withdrawn, or its end put off, while the status stays.
CREATE TRIGGER tell_proof AFTER UPDATE ON binding_ivr.bindings
  FOR EACH ROW WHEN ((NEW.account, NEW.user_id, NEW.status, NEW.reason, NEW.number, NEW.pending_number, NEW.since, NEW.stale_at)
                     IS NOT DISTINCT FROM
                     (OLD.account, OLD.user_id, OLD.status, OLD.reason, OLD.number, OLD.pending_number, OLD.since, OLD.stale_at)
                     AND (NEW.verified_at, NEW.suspend_at) IS DISTINCT FROM (OLD.verified_at, OLD.suspend_at))
  EXECUTE FUNCTION binding_ivr.tell_change('binding', '', 'updated_at,change_seq');
CREATE TRIGGER tell_hand_change AFTER UPDATE ON binding_ivr.bindings
  FOR EACH ROW WHEN ((NEW.status, NEW.reason, NEW.number, NEW.pending_number, NEW.since, NEW.stale_at, NEW.verified_at,
                      NEW.suspend_at) IS NOT DISTINCT FROM
                     (OLD.status, OLD.reason, OLD.number, OLD.pending_number, OLD.since, OLD.stale_at, OLD.verified_at,
                      OLD.suspend_at) AND binding_ivr.by_hand())
  EXECUTE FUNCTION binding_ivr.tell_hand('', 'updated_at');
CREATE TRIGGER tell_deleted AFTER DELETE ON binding_ivr.bindings
  FOR EACH ROW WHEN (OLD.status <> 'none') EXECUTE FUNCTION binding_ivr.tell_change('binding', '', 'updated_at,change_seq');

-- What the limits count by, and other things that only the service should write.
CREATE TRIGGER tell_hand AFTER INSERT OR UPDATE OR DELETE ON binding_ivr.attempts
  FOR EACH ROW WHEN (binding_ivr.by_hand()) EXECUTE FUNCTION binding_ivr.tell_hand('number_hash', '');
CREATE TRIGGER tell_hand AFTER INSERT OR UPDATE OR DELETE ON binding_ivr.lockouts
  FOR EACH ROW WHEN (binding_ivr.by_hand()) EXECUTE FUNCTION binding_ivr.tell_hand('', '');
CREATE TRIGGER tell_hand AFTER INSERT OR UPDATE OR DELETE ON binding_ivr.number_locks
  FOR EACH ROW WHEN (binding_ivr.by_hand()) EXECUTE FUNCTION binding_ivr.tell_hand('number_hash', '');
CREATE TRIGGER tell_hand AFTER INSERT OR UPDATE OR DELETE ON binding_ivr.call_seconds
  FOR EACH ROW WHEN (binding_ivr.by_hand()) EXECUTE FUNCTION binding_ivr.tell_hand('', '');
CREATE TRIGGER tell_hand AFTER INSERT OR UPDATE OR DELETE ON binding_ivr.spent_tokens
  FOR EACH ROW WHEN (binding_ivr.by_hand()) EXECUTE FUNCTION binding_ivr.tell_hand('digest', '');
CREATE TRIGGER tell_hand AFTER INSERT OR UPDATE OR DELETE ON binding_ivr.key_checks
  FOR EACH ROW WHEN (binding_ivr.by_hand()) EXECUTE FUNCTION binding_ivr.tell_hand('digest', '');
CREATE TRIGGER tell_hand AFTER INSERT OR UPDATE OR DELETE ON binding_ivr.caller_plan
  FOR EACH ROW WHEN (binding_ivr.by_hand()) EXECUTE FUNCTION binding_ivr.tell_hand('', '');
CREATE TRIGGER tell_hand AFTER INSERT OR UPDATE OR DELETE ON binding_ivr.notice_channel
  FOR EACH ROW WHEN (binding_ivr.by_hand()) EXECUTE FUNCTION binding_ivr.tell_hand('name', '');
CREATE TRIGGER tell_hand AFTER INSERT OR DELETE ON binding_ivr.clock_offset
  FOR EACH ROW WHEN (binding_ivr.by_hand()) EXECUTE FUNCTION binding_ivr.tell_hand('', '');

-- Whoever gives a delivery up keeps somebody from being told.
CREATE FUNCTION binding_ivr.tell_dropped() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  PERFORM binding_ivr.write_audit(NEW.account, NEW.user_id, 'delivery.dropped', NULL, jsonb_build_object(
    'receiver', NEW.receiver, 'event', (SELECT o.name FROM binding_ivr.outbox o WHERE o.event_id = NEW.event_id)));
  RETURN NULL;
END
$$;
CREATE TRIGGER tell_dropped AFTER UPDATE ON binding_ivr.deliveries
  FOR EACH ROW WHEN (NEW.state = 'dropped' AND OLD.state <> 'dropped') EXECUTE FUNCTION binding_ivr.tell_dropped();

DO $$
DECLARE
  told text;
BEGIN
  FOREACH told IN ARRAY '{accounts,users,extensions,own_numbers,number_exceptions,suppressions,api_keys,signin_links,
    web_sessions,spent_tokens,bindings,attempts,lockouts,number_locks,breakers,call_seconds,key_checks,caller_plan,
    notice_channel,clock_offset}'::text[] LOOP
    EXECUTE format('CREATE TRIGGER tell_emptied AFTER TRUNCATE ON binding_ivr.%I
                    FOR EACH STATEMENT EXECUTE FUNCTION binding_ivr.tell_emptied()', told);
  END LOOP;
END
$$;

-- One request is one row when it comes to nothing: what waits for its call is told when it leaves, in the name of whoever
-- asked, and when it ends. And no row says twice whose it is.
CREATE OR REPLACE FUNCTION binding_ivr.tell_attempt() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  kind text := 'attempt';
  facts jsonb;
BEGIN
  IF TG_OP = 'INSERT' THEN
    kind := 'queued';
  ELSIF (NEW.state, NEW.digits) IS NOT DISTINCT FROM (OLD.state, OLD.digits) THEN
    kind := 'cancel';
  END IF;
  PERFORM binding_ivr.notice(json_build_object(
    'kind', kind, 'account', NEW.account, 'user_id', NEW.user_id, 'attempt_id', NEW.attempt_id, 'state', NEW.state,
    'digits', NEW.digits, 'outcome', coalesce(NEW.outcome, ''), 'fault', coalesce(NEW.fault, ''))::text);
  IF kind = 'queued' THEN
    RETURN NULL;
  ELSIF kind = 'attempt' AND OLD.state = 'queued' AND NEW.state NOT IN ('queued', 'ended') THEN
    INSERT INTO binding_ivr.audit (account, user_id, action, who, source, address, attempt_id, detail)
    VALUES (NEW.account, NEW.user_id, 'attempt.dialing', NEW.actor_who, NEW.actor_source, NEW.actor_address,
            NEW.attempt_id, jsonb_build_object('number', NEW.number, 'node', NEW.node));
    RETURN NULL;
  ELSIF kind = 'attempt' AND NEW.state <> 'ended' THEN
    RETURN NULL; -- progress is told, not audited
  END IF;
  facts := jsonb_strip_nulls(jsonb_build_object(
    'account', NEW.account, 'user_id', NEW.user_id, 'attempt_id', NEW.attempt_id, 'number', NEW.number,
    'outcome', NEW.outcome, 'fault', NEW.fault, 'tries', NEW.tries, 'cause', NEW.cause,
    'tech_cause', NEW.tech_cause, 'node', NEW.node, 'created_at', NEW.created_at,
    'answered_at', NEW.answered_at, 'ended_at', NEW.ended_at));
  PERFORM binding_ivr.write_audit(NEW.account, NEW.user_id,
    CASE WHEN NEW.state = 'ended' THEN 'attempt.ended' ELSE 'attempt.cancel' END, NEW.attempt_id,
    facts - '{account,user_id,attempt_id,created_at,ended_at}'::text[]);
  IF NEW.state = 'ended' THEN
    INSERT INTO binding_ivr.outbox (name, account, user_id, payload)
    VALUES ('attempt.ended', NEW.account, NEW.user_id, facts);
  END IF;
  RETURN NULL;
END
$$;

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
    CASE WHEN event = 'binding.stale' THEN event ELSE 'binding.' || NEW.status END, NULL,
    facts - '{account,user_id,since}'::text[]);
  PERFORM binding_ivr.notice(json_build_object(
    'kind', 'binding', 'account', NEW.account, 'user_id', NEW.user_id, 'status', NEW.status)::text);
  IF event IS NOT NULL THEN
    INSERT INTO binding_ivr.outbox (name, account, user_id, payload) VALUES (event, NEW.account, NEW.user_id, facts);
  END IF;
  RETURN NULL;
END
$$;

CREATE FUNCTION binding_ivr.is_sign_in(action text) RETURNS boolean LANGUAGE sql IMMUTABLE AS $$
  SELECT action ~ '^(session|signin|link)\.'
$$;

-- The two ways in which a row may become another: its numbers are shortened and, of sign-ins, the address goes; or its user
-- is replaced by a pseudonym, and what names a person goes.
CREATE OR REPLACE FUNCTION binding_ivr.audit_may_become(was binding_ivr.audit, is_now binding_ivr.audit)
RETURNS boolean LANGUAGE sql IMMUTABLE AS $$
  SELECT (was.id, was.at, was.account, was.action, was.source, was.attempt_id, was.reason)
           IS NOT DISTINCT FROM
         (is_now.id, is_now.at, is_now.account, is_now.action, is_now.source, is_now.attempt_id, is_now.reason)
    AND CASE
      WHEN is_now.user_id = was.user_id THEN
        is_now.who = was.who
        AND (is_now.address = was.address OR (is_now.address = '' AND binding_ivr.is_sign_in(was.action)))
        AND binding_ivr.only_shortens(was.detail, is_now.detail)
      ELSE
        is_now.user_id ~ '^erased/[0-9a-f]{32}$'
        AND is_now.who = CASE WHEN was.who = 'user:' || was.user_id THEN 'user:' || is_now.user_id ELSE was.who END
        AND is_now.address = CASE WHEN was.who = 'user:' || was.user_id THEN '' ELSE was.address END
        AND binding_ivr.only_shortens(
          CASE WHEN was.detail ? 'user_id' THEN was.detail || jsonb_build_object('user_id', is_now.user_id)
               ELSE was.detail END - '{email,extension,actor_who,actor_address,client,changed_by}'::text[], is_now.detail)
    END
$$;

CREATE OR REPLACE FUNCTION binding_ivr.mask_audit(ids bigint[], details jsonb[]) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  changed bigint;
BEGIN
  PERFORM set_config('binding_ivr.audit_upkeep', pg_current_xact_id()::text, true);
  UPDATE binding_ivr.audit a
  SET detail = m.detail, address = CASE WHEN binding_ivr.is_sign_in(a.action) THEN '' ELSE a.address END
  FROM unnest(ids, details) AS m (id, detail)
  WHERE a.id = m.id AND (a.detail <> m.detail OR (a.address <> '' AND binding_ivr.is_sign_in(a.action)));
  GET DIAGNOSTICS changed = ROW_COUNT;
  PERFORM set_config('binding_ivr.audit_upkeep', '', true);
  IF changed > 0 THEN
    PERFORM binding_ivr.write_audit('', '', 'audit.masked', NULL, jsonb_build_object('rows', changed));
  END IF;
  RETURN changed;
END
$$;

-- The final stop: failures in a row since the last proof, and since when no call leaves for this user until an
-- administrator resets it.
ALTER TABLE binding_ivr.lockouts
  ADD COLUMN failures   integer NOT NULL DEFAULT 0 CHECK (failures >= 0),
  ADD COLUMN stopped_at timestamptz;
