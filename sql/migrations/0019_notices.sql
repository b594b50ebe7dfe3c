-- Notices go by a channel that only the service knows. PostgreSQL lets every login LISTEN and NOTIFY wherever it likes: the
-- role of the look-ups heard who is called, and could have it ended.
CREATE TABLE binding_ivr.notice_channel (
  one_row boolean PRIMARY KEY DEFAULT true CHECK (one_row),
  name text NOT NULL CHECK (name ~ '^binding_ivr_[0-9a-f]{32}$')
);
COMMENT ON TABLE binding_ivr.notice_channel IS 'One row: where the service listens. Its name is a secret.';
INSERT INTO binding_ivr.notice_channel (name) VALUES ('binding_ivr_' || replace(gen_random_uuid()::text, '-', ''));

CREATE FUNCTION binding_ivr.notice(payload text) RETURNS void LANGUAGE sql AS $$
  SELECT pg_notify(name, payload) FROM binding_ivr.notice_channel
$$;
REVOKE EXECUTE ON FUNCTION binding_ivr.notice(text) FROM PUBLIC;

-- Every function that told the old channel tells this one; nothing else in them changes.
DO $$
DECLARE
  teller record;
BEGIN
  FOR teller IN
    SELECT oid, pg_get_functiondef(oid) AS was FROM pg_proc
    WHERE pronamespace = 'binding_ivr'::regnamespace AND prokind = 'f' AND prosrc LIKE '%pg_notify(''binding_ivr'',%'
  LOOP
    EXECUTE replace(teller.was, 'pg_notify(''binding_ivr'',', 'binding_ivr.notice(');
  END LOOP;
END
$$;
