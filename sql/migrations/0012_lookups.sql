-- The SQL door: what a dialplan, a portal or a report may ask without reading any table. Both functions return exactly
-- one row: status (FOUND, NONE or SUSPENDED), and for FOUND number, account, extension, since; for SUSPENDED since.
-- They never return ERROR: that is what the asker makes of an exception, or of a connection that is not there.
--
-- They run with the rights of the schema's owner, so search_path is fixed, and PUBLIC may not call them.

-- How caller IDs are written where this PBX stands; the service writes it from [number] default_region at its start.
CREATE TABLE binding_ivr.caller_plan (
  only_row      boolean PRIMARY KEY DEFAULT true CHECK (only_row),
  country       text NOT NULL DEFAULT '' CHECK (country ~ '^([1-9][0-9]{0,2})?$'),
  national      text NOT NULL DEFAULT '' CHECK (national ~ '^[0-9]{0,4}$'),
  international text NOT NULL DEFAULT '' CHECK (international ~ '^[0-9]{0,5}$')
);
INSERT INTO binding_ivr.caller_plan DEFAULT VALUES;

-- What a caller ID may mean, as E.164. With + it is that number. Without, it may be E.164 without the +, or the national
-- or international writing of the region whose country code and prefixes are given ('' when there is none).
CREATE FUNCTION binding_ivr.caller_writings(number text, country text, national_prefix text, international_prefix text)
RETURNS text[] LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
  other text;
BEGIN
  IF number IS NULL OR number !~ '^\+?[0-9]{3,20}$' THEN
    RETURN '{}';
  ELSIF starts_with(number, '+') THEN
    RETURN ARRAY[number];
  ELSIF country = '' THEN
    RETURN ARRAY['+' || number];
  ELSIF international_prefix <> '' AND starts_with(number, international_prefix) THEN
    other := substr(number, length(international_prefix) + 1);
  ELSIF national_prefix <> '' AND starts_with(number, national_prefix) THEN
    other := country || substr(number, length(national_prefix) + 1);
  ELSE
    other := country || number;
  END IF;
  RETURN CASE WHEN other = number THEN ARRAY['+' || number] ELSE ARRAY['+' || number, '+' || other] END;
END
$$;

-- The user whose verified number this caller ID is, with the lowest extension. What could be two users is nobody.
CREATE FUNCTION binding_ivr.find_caller(caller text, country text, national_prefix text, international_prefix text)
RETURNS TABLE (account text, extension text, user_id text, status text, number text, since timestamptz)
LANGUAGE sql STABLE AS $$
  SELECT f.account, f.extension, f.user_id, f.status, f.number, f.since
  FROM (SELECT b.account, e.extension, b.user_id, b.status, b.number, b.since, count(*) OVER () AS users
        FROM binding_ivr.bindings b
        CROSS JOIN LATERAL (
          SELECT x.extension FROM binding_ivr.extensions x
          WHERE x.account = b.account AND x.user_id = b.user_id
          ORDER BY length(x.extension), x.extension LIMIT 1) AS e
        WHERE b.number = ANY (binding_ivr.caller_writings($1, $2, $3, $4)) AND b.status = 'verified') AS f
  WHERE f.users = 1
$$;

CREATE FUNCTION binding_ivr.trusted_number(asked_account text, asked_extension text)
RETURNS TABLE (status text, number text, account text, extension text, since timestamptz)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  found record;
BEGIN
  SELECT b.status, b.number, b.since INTO found
  FROM binding_ivr.extensions e
  JOIN binding_ivr.bindings b ON b.account = e.account AND b.user_id = e.user_id
  WHERE e.account = asked_account AND e.extension = asked_extension AND b.status IN ('verified', 'suspended')
    -- an older version took such names; no door does
    AND NOT starts_with(e.account, '.') AND NOT starts_with(e.extension, '.');
  status := 'NONE';
  IF found.status = 'verified' THEN
    status := 'FOUND';
    number := found.number;
    account := asked_account;
    extension := asked_extension;
  ELSIF found.status = 'suspended' THEN
    status := 'SUSPENDED';
  END IF;
  since := found.since;
  RETURN NEXT;
END
$$;

CREATE FUNCTION binding_ivr.trusted_caller(asked_number text)
RETURNS TABLE (status text, number text, account text, extension text, since timestamptz)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  found record;
BEGIN
  SELECT f.number, f.account, f.extension, f.since INTO found
  FROM binding_ivr.caller_plan p, binding_ivr.find_caller(asked_number, p.country, p.national, p.international) AS f;
  status := CASE WHEN found.number IS NULL THEN 'NONE' ELSE 'FOUND' END;
  number := found.number;
  account := found.account;
  extension := found.extension;
  since := found.since;
  RETURN NEXT;
END
$$;

REVOKE ALL ON FUNCTION binding_ivr.trusted_number(text, text), binding_ivr.trusted_caller(text) FROM PUBLIC;

-- What the role of the door may do. Whoever may create roles does the rest by hand (`binding-ivr doctor` says it) when the
-- migration may not: CREATE ROLE binding_ivr_lookup NOLOGIN; SELECT binding_ivr.open_sql_door();
CREATE FUNCTION binding_ivr.open_sql_door() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  GRANT USAGE ON SCHEMA binding_ivr TO binding_ivr_lookup;
  GRANT EXECUTE ON FUNCTION binding_ivr.trusted_number(text, text), binding_ivr.trusted_caller(text)
    TO binding_ivr_lookup;
END
$$;

DO $$
BEGIN
  IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'binding_ivr_lookup') THEN
    BEGIN
      CREATE ROLE binding_ivr_lookup NOLOGIN;
    EXCEPTION
      WHEN duplicate_object OR unique_violation THEN NULL; -- another database of this server was a moment faster
      WHEN insufficient_privilege THEN RETURN;
    END;
  END IF;
  PERFORM binding_ivr.open_sql_door();
END
$$;
