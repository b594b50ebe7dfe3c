-- What the mirrors in AstDB must look at again. A mirror shows two kinds of keys: `ext` (account, extension -> number)
-- and `num` (digits -> account/extension). Each change of what a key may show marks the key with the next change
-- number; a mirror reads the marks above its own position and asks for the present value of just those keys.
--
-- Marks are written under the lock (7201, 3), so their order is the order of commits, as in 0002_rules.sql.

CREATE TABLE binding_ivr.mirror_keys (
  kind       text NOT NULL CHECK (kind IN ('ext', 'num')),
  account    text NOT NULL, -- empty for num
  name       text NOT NULL,
  change_seq bigint NOT NULL,
  changed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  PRIMARY KEY (kind, account, name)
);
CREATE INDEX mirror_keys_changes ON binding_ivr.mirror_keys (change_seq);
CREATE INDEX mirror_keys_age ON binding_ivr.mirror_keys (changed_at);

-- How each node's mirror stands, as the node itself told last.
CREATE TABLE binding_ivr.mirrors (
  node         text PRIMARY KEY,
  seen_at      timestamptz NOT NULL,
  detail       text NOT NULL,      -- empty when all is well
  behind       bigint,             -- changes not yet in AstDB; null: not known
  compare_from timestamptz,        -- when the last whole comparison began
  keys         bigint NOT NULL DEFAULT 0,
  put          bigint NOT NULL DEFAULT 0,
  deleted      bigint NOT NULL DEFAULT 0
);

CREATE FUNCTION binding_ivr.mark_mirror_keys(account text, user_id text, extensions text[], numbers text[], seq bigint)
RETURNS void LANGUAGE sql AS $$
  INSERT INTO binding_ivr.mirror_keys AS m (kind, account, name, change_seq)
  SELECT 'ext', $1, e.extension, $5 FROM binding_ivr.extensions e WHERE e.account = $1 AND e.user_id = $2
  UNION
  SELECT 'ext', $1, x, $5 FROM unnest($3) AS x WHERE x IS NOT NULL
  UNION
  SELECT 'num', '', substr(n, 2), $5 FROM unnest($4) AS n WHERE n IS NOT NULL
  ON CONFLICT (kind, account, name) DO UPDATE SET change_seq = EXCLUDED.change_seq, changed_at = clock_timestamp()
$$;

CREATE FUNCTION binding_ivr.mark_binding() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF TG_OP = 'INSERT' THEN
    PERFORM binding_ivr.mark_mirror_keys(NEW.account, NEW.user_id, '{}', ARRAY[NEW.number], NEW.change_seq);
  ELSIF TG_OP = 'UPDATE' THEN
    PERFORM binding_ivr.mark_mirror_keys(
      NEW.account, NEW.user_id, '{}', ARRAY[OLD.number, NEW.number], NEW.change_seq);
  ELSE -- the service never deletes a row; a person in psql may
    PERFORM pg_advisory_xact_lock(7201, 3);
    PERFORM binding_ivr.mark_mirror_keys(
      OLD.account, OLD.user_id, '{}', ARRAY[OLD.number], nextval('binding_ivr.change_seq'));
    PERFORM pg_notify('binding_ivr', '{"kind":"mirror"}');
  END IF;
  RETURN NULL;
END
$$;
CREATE TRIGGER mark_new_binding AFTER INSERT ON binding_ivr.bindings
  FOR EACH ROW WHEN (NEW.change_seq > 0) EXECUTE FUNCTION binding_ivr.mark_binding();
CREATE TRIGGER mark_binding AFTER UPDATE ON binding_ivr.bindings
  FOR EACH ROW WHEN (NEW.change_seq <> OLD.change_seq) EXECUTE FUNCTION binding_ivr.mark_binding();
CREATE TRIGGER mark_deleted_binding AFTER DELETE ON binding_ivr.bindings
  FOR EACH ROW WHEN (OLD.change_seq > 0) EXECUTE FUNCTION binding_ivr.mark_binding();

-- An extension that comes, goes or changes hands. Deferred to the commit, so that a long import holds the lock only
-- there, after all other locks. The lock is taken before looking whether the user was ever trusted: a proof that is
-- being written at this moment is either seen here, or it sees the new extension. What goes is marked in any case: its
-- user's row may be gone as well.
CREATE FUNCTION binding_ivr.mark_extension() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  s record;
BEGIN
  IF TG_OP = 'UPDATE'
     AND (OLD.account, OLD.extension, OLD.user_id) IS NOT DISTINCT FROM (NEW.account, NEW.extension, NEW.user_id) THEN
    RETURN NULL;
  END IF;
  PERFORM pg_advisory_xact_lock(7201, 3);
  FOR s IN
    SELECT e.account, e.extension, e.user_id, b.number
    FROM (SELECT OLD.account, OLD.extension, OLD.user_id, true AS goes WHERE TG_OP <> 'INSERT'
          UNION ALL
          SELECT NEW.account, NEW.extension, NEW.user_id, false WHERE TG_OP <> 'DELETE') AS e
    LEFT JOIN binding_ivr.bindings b ON b.account = e.account AND b.user_id = e.user_id AND b.change_seq > 0
    WHERE e.goes OR b.user_id IS NOT NULL
  LOOP
    PERFORM binding_ivr.mark_mirror_keys(
      s.account, s.user_id, ARRAY[s.extension], ARRAY[s.number], nextval('binding_ivr.change_seq'));
    PERFORM pg_notify('binding_ivr', '{"kind":"mirror"}');
  END LOOP;
  RETURN NULL;
END
$$;
CREATE CONSTRAINT TRIGGER mark_extension AFTER INSERT OR UPDATE OR DELETE ON binding_ivr.extensions
  DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION binding_ivr.mark_extension();
