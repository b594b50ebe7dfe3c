-- Calls that were given back in full (asked for and canceled before they left) cost nobody anything, so nothing bounds how
-- many there are. The counts of accept_facts look at those that count for something, and so do their indexes now: else
-- whoever asks and cancels all day makes every request of everybody slow. Each of its conditions (counted,
-- counted_number, …) implies that of these indexes.
--
-- Lists and upkeep look at all calls, by another expression of the time: there is no index by which PostgreSQL could count
-- among all calls, whatever it believes of how many count.

DROP INDEX binding_ivr.attempts_of_hash, binding_ivr.attempts_of_client, binding_ivr.attempts_of_prefix,
  binding_ivr.attempts_of_user, binding_ivr.attempts_of_account, binding_ivr.attempts_recent;

CREATE INDEX attempts_counted ON binding_ivr.attempts (created_at DESC)
  WHERE counted OR counted_number OR counted_line OR counted_again;
CREATE INDEX attempts_counted_of_account ON binding_ivr.attempts (account, created_at DESC)
  WHERE counted OR counted_number OR counted_line OR counted_again;
CREATE INDEX attempts_counted_of_user ON binding_ivr.attempts (account, user_id, created_at DESC)
  WHERE counted OR counted_number OR counted_line OR counted_again;
CREATE INDEX attempts_counted_of_number ON binding_ivr.attempts (number_hash, created_at DESC)
  WHERE counted OR counted_number OR counted_line OR counted_again;
CREATE INDEX attempts_counted_of_prefix ON binding_ivr.attempts ("left"(number, -4), created_at DESC)
  WHERE counted OR counted_number OR counted_line OR counted_again;
CREATE INDEX attempts_counted_of_client ON binding_ivr.attempts (client, created_at DESC)
  WHERE client IS NOT NULL AND (counted OR counted_number OR counted_line OR counted_again);
-- Of a number's calls the last proof alone is looked for among all.
CREATE INDEX attempts_proven ON binding_ivr.attempts (number_hash, created_at DESC) WHERE outcome = 'verified';

CREATE INDEX attempts_recent ON binding_ivr.attempts (timezone('UTC', created_at) DESC);
CREATE INDEX attempts_of_account ON binding_ivr.attempts (account, timezone('UTC', created_at) DESC);
CREATE INDEX attempts_of_user ON binding_ivr.attempts (account, user_id, timezone('UTC', created_at) DESC);
