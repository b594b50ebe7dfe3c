-- Who must still be told of what. An event of the outbox is routed once: it gets one delivery per receiver (webhook) that
-- wants it, and from then on each delivery has its own life, so that a receiver that took an event is not told again
-- because of another one that did not. `next_try`, `tries` and `delivered_at` of the outbox are of no use any more.
--
-- Order: `sequence` is the order in which events were written; for one binding that is the order of commits, since its row is
-- locked by then. Routing takes the advisory lock (7203, 1), alone and first, so that no later event of a binding
-- is routed while an earlier one is skipped. No notice of its own: every event comes with the notice of its change.

ALTER TABLE binding_ivr.outbox ADD COLUMN sequence bigint GENERATED ALWAYS AS IDENTITY;
ALTER TABLE binding_ivr.outbox ADD COLUMN routed_at timestamptz;
DROP INDEX binding_ivr.outbox_due;
CREATE INDEX outbox_unrouted ON binding_ivr.outbox (sequence) WHERE routed_at IS NULL;
CREATE INDEX outbox_age ON binding_ivr.outbox (created_at);

-- The receivers that nodes are configured with: events from before the first sight of one are not for it.
CREATE TABLE binding_ivr.receivers (
  receiver text PRIMARY KEY,
  since    timestamptz NOT NULL DEFAULT clock_timestamp(),
  seen_at  timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- tries: counted when a try begins, so it also tells a late result of an earlier try from that of the present one.
-- holds: later events of the same user wait for this one at this receiver.
CREATE TABLE binding_ivr.deliveries (
  delivery_id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
  event_id    uuid NOT NULL REFERENCES binding_ivr.outbox ON DELETE CASCADE,
  receiver    text NOT NULL,
  account     text NOT NULL,
  user_id     text NOT NULL,
  sequence    bigint NOT NULL,
  state       text NOT NULL DEFAULT 'pending' CHECK (state IN ('pending', 'delivered', 'dead', 'dropped')),
  holds       boolean NOT NULL DEFAULT true,
  tries       integer NOT NULL DEFAULT 0 CHECK (tries >= 0),
  created_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
  next_try    timestamptz NOT NULL DEFAULT clock_timestamp(),
  give_up_at  timestamptz NOT NULL,
  node        text,
  lease_until timestamptz,
  detail      text NOT NULL DEFAULT '',
  ended_at    timestamptz,
  UNIQUE (event_id, receiver),
  CONSTRAINT deliveries_end CHECK ((state = 'pending') = (ended_at IS NULL))
);
CREATE INDEX deliveries_due ON binding_ivr.deliveries (receiver, next_try) WHERE state = 'pending';
CREATE INDEX deliveries_stream ON binding_ivr.deliveries (receiver, account, user_id, sequence)
  WHERE state = 'pending' AND holds;
CREATE INDEX deliveries_dead ON binding_ivr.deliveries (ended_at) WHERE state = 'dead';
