-- The history of Call Hot-switch: how each move and each pull of a call ended. Written by the dialplan into AstDB, read from
-- there by the service beside that Asterisk (binding_ivr/mirror/moves.py). There is no number in it.
--
-- move_id: the dialplan's own, so that no move is kept twice whoever reads it how often. user_id: who had the extension when
-- it was stored; empty when nobody had. call_id: the other party's linkedid, leg_id: the new leg's uniqueid, as in CDR and CEL.
CREATE TABLE binding_ivr.moves (
  move_id    text PRIMARY KEY CHECK (move_id ~ '^[0-9]{1,40}-[0-9]{1,10}$'),
  account    text NOT NULL CHECK (account ~ '^[A-Za-z0-9._-]{1,64}$'),
  user_id    text NOT NULL,
  extension  text NOT NULL CHECK (extension ~ '^[A-Za-z0-9*#._-]{1,32}$'),
  kind       text NOT NULL CHECK (kind IN ('to_cell', 'to_desk', 'pull', 'desk_pull')),
  outcome    text NOT NULL CHECK (outcome IN ('moved', 'not_taken', 'busy', 'unreachable', 'gone', 'no_number', 'suspended',
               'limit', 'failed', 'no_call', 'not_proven', 'wrong_pin', 'locked', 'too_soon', 'hung_up')),
  proof      text NOT NULL CHECK (proof IN ('', 'stir', 'verstat', 'pin', 'callback', 'none')),
  call_id    text NOT NULL CHECK (call_id ~ '^[A-Za-z0-9._-]{0,150}$'),
  leg_id     text NOT NULL CHECK (leg_id ~ '^[A-Za-z0-9._-]{0,150}$'),
  node       text NOT NULL,
  started_at timestamptz NOT NULL,
  ended_at   timestamptz NOT NULL CHECK (ended_at >= started_at),
  stored_at  timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX moves_recent ON binding_ivr.moves (ended_at DESC);
CREATE INDEX moves_of_account ON binding_ivr.moves (account, ended_at DESC);
CREATE INDEX moves_of_user ON binding_ivr.moves (account, user_id, ended_at DESC);
CREATE INDEX moves_of_extension ON binding_ivr.moves (account, extension, ended_at DESC);

-- How each node's list stands, as it told last. lost: entries that were never stored, by why: no place in the list (full),
-- not readable (bad), more of one user in an hour than are kept (flood). listed: how far the dialplan had counted those
-- without a place, so that each counts once.
CREATE TABLE binding_ivr.move_lists (
  node    text PRIMARY KEY,
  read_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  waiting bigint NOT NULL DEFAULT 0,
  listed  bigint NOT NULL DEFAULT 0,
  lost_full  bigint NOT NULL DEFAULT 0,
  lost_bad   bigint NOT NULL DEFAULT 0,
  lost_flood bigint NOT NULL DEFAULT 0
);

ALTER TABLE binding_ivr.outbox DROP CONSTRAINT outbox_name_check;
ALTER TABLE binding_ivr.outbox ADD CONSTRAINT outbox_name_check
  CHECK (name IN ('binding.verified', 'binding.stale', 'binding.suspended', 'binding.removed', 'attempt.ended',
                  'account.paused', 'account.resumed', 'system.paused', 'system.resumed', 'limit.alert', 'move.ended'));

-- number: the last two digits of the cell phone's, for the notice.
CREATE FUNCTION binding_ivr.tell_move() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO binding_ivr.outbox (name, account, user_id, payload)
  SELECT 'move.ended', NEW.account, NEW.user_id, jsonb_strip_nulls(jsonb_build_object(
    'account', NEW.account, 'user_id', NEW.user_id, 'move_id', NEW.move_id, 'extension', NEW.extension, 'kind', NEW.kind,
    'outcome', NEW.outcome, 'proof', nullif(NEW.proof, ''), 'call_id', nullif(NEW.call_id, ''),
    'leg_id', nullif(NEW.leg_id, ''), 'node', NEW.node, 'started_at', NEW.started_at, 'ended_at', NEW.ended_at,
    'number', (SELECT binding_ivr.short_number(b.number) FROM binding_ivr.bindings b
               WHERE b.account = NEW.account AND b.user_id = NEW.user_id AND b.status = 'verified')));
  PERFORM binding_ivr.notice('{"kind":"move"}');
  RETURN NULL;
END
$$;
CREATE TRIGGER tell_move AFTER INSERT ON binding_ivr.moves FOR EACH ROW EXECUTE FUNCTION binding_ivr.tell_move();

-- What a person in psql does to the history is in the audit, like what is done to attempts.
CREATE TRIGGER tell_hand AFTER INSERT OR UPDATE OR DELETE ON binding_ivr.moves
  FOR EACH ROW WHEN (binding_ivr.by_hand()) EXECUTE FUNCTION binding_ivr.tell_hand('', '');
CREATE TRIGGER tell_emptied AFTER TRUNCATE ON binding_ivr.moves
  FOR EACH STATEMENT EXECUTE FUNCTION binding_ivr.tell_emptied();
