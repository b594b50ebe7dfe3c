-- Caller IDs are found in every writing that trunks send: with marks between the digits, behind 00 and 011, and as they
-- were before their country renumbered them.

-- What an old writing of E.164 digits is today, null when it is none. Made from binding_ivr/policy/renumbered.py, which a
-- test compares; a change there is a new migration with this function.
CREATE FUNCTION binding_ivr.current_number(digits text) RETURNS text LANGUAGE sql IMMUTABLE AS $$
  SELECT CASE
    WHEN digits ~ '^521[2-9][0-9][0-9][0-9][0-9][0-9][0-9][0-9][0-9][0-9]$' THEN '52' || substr(digits, 4)
    WHEN digits ~ '^5204[45][2-9][0-9][0-9][0-9][0-9][0-9][0-9][0-9][0-9][0-9]$' THEN '52' || substr(digits, 6)
    WHEN digits ~ '^5201[2-9][0-9][0-9][0-9][0-9][0-9][0-9][0-9][0-9][0-9]$' THEN '52' || substr(digits, 5)
    WHEN digits ~ '^54[1-3][0-9][0-9][0-9][0-9][0-9][0-9][0-9][0-9][0-9]$' THEN '549' || substr(digits, 3)
    WHEN digits ~ '^541115[0-9][0-9][0-9][0-9][0-9][0-9][0-9][0-9]$' THEN '549' || substr(digits, 3, 2) || substr(digits, 7)
    WHEN digits ~ '^54[23][0-9][0-9]15[0-9][0-9][0-9][0-9][0-9][0-9][0-9]$' THEN '549' || substr(digits, 3, 3) || substr(digits, 8)
    WHEN digits ~ '^54[23][0-9][0-9][0-9]15[0-9][0-9][0-9][0-9][0-9][0-9]$' THEN '549' || substr(digits, 3, 4) || substr(digits, 9)
    WHEN digits ~ '^55[1-9][1-9][689][0-9][0-9][0-9][0-9][0-9][0-9][0-9]$' THEN '55' || substr(digits, 3, 2) || '9' || substr(digits, 5)
    WHEN digits ~ '^55[1-9][0-9][1-9][1-9]9[0-9][0-9][0-9][0-9][0-9][0-9][0-9][0-9]$' THEN '55' || substr(digits, 5)
    WHEN digits ~ '^55[1-9][0-9][1-9][1-9][6-9][0-9][0-9][0-9][0-9][0-9][0-9][0-9]$' THEN '55' || substr(digits, 5, 2) || '9' || substr(digits, 7)
    WHEN digits ~ '^3750[2-4][0-9][0-9][0-9][0-9][0-9][0-9][0-9][0-9]$' THEN '375' || substr(digits, 5)
    WHEN digits ~ '^38080[3-9][0-9][0-9][0-9][0-9][0-9][0-9][0-9][0-9]$' THEN '380' || substr(digits, 6)
    WHEN digits ~ '^37086[0-9][0-9][0-9][0-9][0-9][0-9][0-9]$' THEN '370' || substr(digits, 5)
    WHEN digits ~ '^5733[0-9][0-9][0-9][0-9][0-9][0-9][0-9][0-9][0-9]$' THEN '57' || substr(digits, 4)
    WHEN digits ~ '^229[2-9][0-9][0-9][0-9][0-9][0-9][0-9][0-9]$' THEN '22901' || substr(digits, 4)
    WHEN digits ~ '^2250[1-3][0-9][0-9][0-9][0-9][0-9][0-9]$' THEN '22501' || substr(digits, 4)
    WHEN digits ~ '^225[4-9][0-3][0-9][0-9][0-9][0-9][0-9][0-9]$' THEN '22501' || substr(digits, 4)
    WHEN digits ~ '^225[04-9][4-6][0-9][0-9][0-9][0-9][0-9][0-9]$' THEN '22505' || substr(digits, 4)
    WHEN digits ~ '^225[04-9][7-9][0-9][0-9][0-9][0-9][0-9][0-9]$' THEN '22507' || substr(digits, 4)
    WHEN digits ~ '^2410[256][0-9][0-9][0-9][0-9][0-9][0-9]$' THEN '2416' || substr(digits, 5)
    WHEN digits ~ '^2410[47][0-9][0-9][0-9][0-9][0-9][0-9]$' THEN '2417' || substr(digits, 5)
    WHEN digits ~ '^241[256][0-9][0-9][0-9][0-9][0-9][0-9]$' THEN '2416' || substr(digits, 4)
    WHEN digits ~ '^241[47][0-9][0-9][0-9][0-9][0-9][0-9]$' THEN '2417' || substr(digits, 4)
    WHEN digits ~ '^2413[0-9][0-9][0-9][0-9][0-9][0-9]$' THEN '2410' || substr(digits, 4)
    WHEN digits ~ '^84120[0-9][0-9][0-9][0-9][0-9][0-9][0-9]$' THEN '8470' || substr(digits, 6)
    WHEN digits ~ '^84121[0-9][0-9][0-9][0-9][0-9][0-9][0-9]$' THEN '8479' || substr(digits, 6)
    WHEN digits ~ '^84122[0-9][0-9][0-9][0-9][0-9][0-9][0-9]$' THEN '8477' || substr(digits, 6)
    WHEN digits ~ '^84126[0-9][0-9][0-9][0-9][0-9][0-9][0-9]$' THEN '8476' || substr(digits, 6)
    WHEN digits ~ '^84128[0-9][0-9][0-9][0-9][0-9][0-9][0-9]$' THEN '8478' || substr(digits, 6)
    WHEN digits ~ '^84123[0-9][0-9][0-9][0-9][0-9][0-9][0-9]$' THEN '8483' || substr(digits, 6)
    WHEN digits ~ '^84124[0-9][0-9][0-9][0-9][0-9][0-9][0-9]$' THEN '8484' || substr(digits, 6)
    WHEN digits ~ '^84125[0-9][0-9][0-9][0-9][0-9][0-9][0-9]$' THEN '8485' || substr(digits, 6)
    WHEN digits ~ '^84127[0-9][0-9][0-9][0-9][0-9][0-9][0-9]$' THEN '8481' || substr(digits, 6)
    WHEN digits ~ '^84129[0-9][0-9][0-9][0-9][0-9][0-9][0-9]$' THEN '8482' || substr(digits, 6)
    WHEN digits ~ '^84186[0-9][0-9][0-9][0-9][0-9][0-9][0-9]$' THEN '8456' || substr(digits, 6)
    WHEN digits ~ '^84188[0-9][0-9][0-9][0-9][0-9][0-9][0-9]$' THEN '8458' || substr(digits, 6)
    WHEN digits ~ '^84199[0-9][0-9][0-9][0-9][0-9][0-9][0-9]$' THEN '8459' || substr(digits, 6)
    WHEN digits ~ '^8416[2-9][0-9][0-9][0-9][0-9][0-9][0-9][0-9]$' THEN '843' || substr(digits, 5)
    WHEN digits ~ '^5609[4-9][0-9][0-9][0-9][0-9][0-9][0-9][0-9]$' THEN '56' || substr(digits, 4)
    WHEN digits ~ '^56[4-9][0-9][0-9][0-9][0-9][0-9][0-9][0-9]$' THEN '569' || substr(digits, 3)
    WHEN digits ~ '^237[5679][0-9][0-9][0-9][0-9][0-9][0-9][0-9]$' THEN '2376' || substr(digits, 4)
    WHEN digits ~ '^230[79][0-9][0-9][0-9][0-9][0-9][0-9]$' THEN '2305' || substr(digits, 4)
    WHEN digits ~ '^593[89][0-9][0-9][0-9][0-9][0-9][0-9][0-9]$' THEN '5939' || substr(digits, 4)
    WHEN digits ~ '^2010[0-9][0-9][0-9][0-9][0-9][0-9][0-9]$' THEN '20100' || substr(digits, 5)
    WHEN digits ~ '^2011[0-9][0-9][0-9][0-9][0-9][0-9][0-9]$' THEN '20111' || substr(digits, 5)
    WHEN digits ~ '^2012[0-9][0-9][0-9][0-9][0-9][0-9][0-9]$' THEN '20122' || substr(digits, 5)
    WHEN digits ~ '^2014[0-9][0-9][0-9][0-9][0-9][0-9][0-9]$' THEN '20114' || substr(digits, 5)
    WHEN digits ~ '^2016[0-9][0-9][0-9][0-9][0-9][0-9][0-9]$' THEN '20106' || substr(digits, 5)
    WHEN digits ~ '^2017[0-9][0-9][0-9][0-9][0-9][0-9][0-9]$' THEN '20127' || substr(digits, 5)
    WHEN digits ~ '^2018[0-9][0-9][0-9][0-9][0-9][0-9][0-9]$' THEN '20128' || substr(digits, 5)
    WHEN digits ~ '^2019[0-9][0-9][0-9][0-9][0-9][0-9][0-9]$' THEN '20109' || substr(digits, 5)
    WHEN digits ~ '^995[579][0-9][0-9][0-9][0-9][0-9][0-9][0-9]$' THEN '9955' || substr(digits, 4)
    WHEN digits ~ '^974[3567][0-9][0-9][0-9][0-9][0-9][0-9]$' THEN '974' || substr(digits, 4, 1) || substr(digits, 4)
  END
$$;

-- What a caller ID may mean, as E.164. With + it is that number. Without, it may be E.164 without the +, a number abroad
-- behind 00 or 011, or the national or international writing of the region whose country code and prefixes are given
-- ('' when there is none). Each of them may be an old writing.
CREATE OR REPLACE FUNCTION binding_ivr.caller_writings(
  number text, country text, national_prefix text, international_prefix text)
RETURNS text[] LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
  plain text;
  found text[];
BEGIN
  IF number IS NULL OR number !~ '^[()]?[+]?[()]?[0-9]([-. ()]{0,2}[0-9]){2,19}[()]?$' THEN
    RETURN '{}';
  END IF;
  plain := regexp_replace(number, '[^0-9]', '', 'g');
  found := ARRAY[plain];
  IF strpos(number, '+') = 0 THEN
    IF starts_with(plain, '00') THEN
      found := found || substr(plain, 3);
    ELSIF starts_with(plain, '011') THEN
      found := found || substr(plain, 4);
    END IF;
    IF country = '' THEN
      NULL;
    ELSIF international_prefix <> '' AND starts_with(plain, international_prefix) THEN
      found := found || substr(plain, length(international_prefix) + 1);
    ELSIF national_prefix <> '' AND starts_with(plain, national_prefix) THEN
      found := found || (country || substr(plain, length(national_prefix) + 1));
    ELSE
      found := found || (country || plain);
    END IF;
  END IF;
  RETURN ARRAY(
    SELECT DISTINCT '+' || meant FROM (
      SELECT one AS meant FROM unnest(found) AS one
      UNION ALL
      SELECT binding_ivr.current_number(one) FROM unnest(found) AS one) AS every
    WHERE meant <> '');
END
$$;
