-- Numbers, or prefixes of numbers, that an administrator allowed for a time although regions, types or denied prefixes
-- refuse them. account is empty when every account may use the exception. An expired one stays until it is removed, so that
-- a list shows what was allowed.

CREATE TABLE binding_ivr.number_exceptions (
  account    text NOT NULL DEFAULT '',
  prefix     text NOT NULL CHECK (prefix ~ '^\+[1-9][0-9]{1,14}$'),
  whole      boolean NOT NULL,
  reason     text NOT NULL CHECK (length(reason) BETWEEN 3 AND 200),
  who        text NOT NULL,
  created_at timestamptz NOT NULL DEFAULT binding_ivr.clock(),
  expires_at timestamptz NOT NULL,
  PRIMARY KEY (account, prefix, whole)
);

CREATE FUNCTION binding_ivr.tell_exception() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  row binding_ivr.number_exceptions := CASE WHEN TG_OP = 'DELETE' THEN OLD ELSE NEW END;
BEGIN
  PERFORM binding_ivr.write_audit(row.account, '',
    CASE WHEN TG_OP = 'DELETE' THEN 'exception.removed' ELSE 'exception.added' END, NULL,
    jsonb_build_object('prefix', row.prefix, 'whole', row.whole, 'reason', row.reason, 'expires_at', row.expires_at));
  RETURN NULL;
END
$$;
CREATE TRIGGER tell_exception AFTER INSERT OR UPDATE OR DELETE ON binding_ivr.number_exceptions
  FOR EACH ROW EXECUTE FUNCTION binding_ivr.tell_exception();
