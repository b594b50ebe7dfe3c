-- Requests that came to no call (canceled or expired before it left, failed on our side before a phone rang) count for no
-- limit on calls. They write rows all the same, so they have a limit of their own: user_uncalled_hour, user_uncalled_day.
-- What was given back before this file does not count.

ALTER TABLE binding_ivr.attempts ADD COLUMN uncalled boolean NOT NULL DEFAULT false;
CREATE INDEX attempts_uncalled ON binding_ivr.attempts (account, user_id, created_at DESC) WHERE uncalled;

CREATE OR REPLACE FUNCTION binding_ivr.give_back() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  has_left boolean := OLD.state <> 'queued';
  disturbed boolean;  -- somebody's phone rang
  costs boolean;
BEGIN
  IF has_left AND NEW.outcome IN ('verified', 'wrong_code', 'no_input', 'hung_up', 'reported') THEN
    NEW.answered_at := coalesce(NEW.answered_at, NEW.ended_at);  -- the report of the answer was lost
  END IF;
  disturbed := NEW.ringing_at IS NOT NULL OR NEW.answered_at IS NOT NULL;
  costs := has_left AND (disturbed OR NEW.fault <> 'us');
  NEW.counted := NEW.counted AND has_left AND NEW.fault <> 'us' AND NEW.outcome <> 'congestion';
  NEW.counted_number := NEW.counted_number AND costs AND (disturbed OR NEW.outcome <> 'congestion');
  NEW.counted_line := NEW.counted_line AND costs;
  NEW.counted_again := NEW.counted_again AND costs;
  NEW.uncalled := NOT costs;
  IF NEW.answered_at IS NULL THEN
    NEW.billed_s := 0;
  END IF;
  RETURN NEW;
END
$$;
