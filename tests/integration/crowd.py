"""A database as a busy installation has it after a year: a million calls, and the few that are under way."""

import asyncpg

CALLS = 1_000_000
USERS = 20_000
EVERY_S = 25
"""Seconds between two calls: a million of them are 289 days."""
LIVE = 40
"""The newest calls are under way or wait, one each of the users from 1 on."""

HEAVY_USER, HEAVY_NUMBER = "heavy", "+15559990000"
"""Whose calls all go to one number: as many as one number may be called in a year, none of them proven."""
FLOODER, FLOOD = "flood", 20_000
"""Who has asked and canceled before the call left so often since yesterday: none of it counts."""
OFFICE = "192.0.2.1"
"""The address from which a third of all requests comes."""

# Of call n (0 is the newest) the user, the number, when it was asked for, and whether retention has shortened it.
_CALLS = f"""
  SELECT n, now() - n * interval '{EVERY_S} s' AS at,
         CASE WHEN n < {LIVE} THEN 'u' || (n + 1)
              WHEN n % 692 = 100 THEN '{HEAVY_USER}'
              ELSE 'u' || (1 + n * 7919::bigint % {USERS}) END AS user_id,
         CASE WHEN n < {LIVE} THEN '+1555' || 1000000 + n
              WHEN n % 692 = 100 THEN '{HEAVY_NUMBER}'
              -- every tenth is an office's with all its phones in two blocks, the rest are spread over the country
              WHEN n % 10 = 0 THEN '+1555200' || 1000 + n * 7919::bigint % {USERS} % 9000
              ELSE '+1' || 2010000000 + (n * 7919::bigint % {USERS}) * 39119 END AS number,
         n * {EVERY_S} > 30 * 86400 AND n * {EVERY_S} NOT BETWEEN 30 * 86400 AND 31 * 86400 AS is_short,
         -- some never left, some rang in vain, a third was proven
         (ARRAY['verified', 'no_answer', 'hung_up', 'verified', 'canceled', 'busy', 'wrong_code', 'verified',
                'no_input', 'expired'])[1 + n / 3 % 10] AS outcome
  FROM generate_series(0, {CALLS - 1}) AS n
"""
_FILL = f"""
INSERT INTO binding_ivr.attempts (
  attempt_id, account, user_id, number, number_hash, state, digits, outcome, fault, tries, key_id, counted,
  counted_number, counted_line, counted_again, actor_who, actor_source, actor_address, client, reserved_s, billed_s,
  node, lease_until, not_before, shown_until, expires_at, created_at, dialing_at, ringing_at, answered_at, ended_at)
SELECT md5(c.n::text)::uuid, CASE WHEN c.n % 3 = 0 THEN 'acme' ELSE 'default' END, c.user_id,
       CASE WHEN c.is_short THEN '…' || right(c.number, 2) ELSE c.number END, sha256(c.number::bytea),
       CASE WHEN l.ive THEN (ARRAY['queued', 'dialing', 'ringing', 'answered'])[1 + c.n % 4] ELSE 'ended' END, 0,
       CASE WHEN NOT l.ive THEN o.outcome END, CASE WHEN NOT l.ive THEN 'callee' END, 0, '1', o.outcome <> 'expired',
       o.outcome <> 'expired', o.outcome <> 'expired', o.outcome <> 'expired', 'user:' || c.user_id, 'web', '',
       CASE WHEN c.is_short THEN NULL WHEN c.n % 3 = 1 THEN '{OFFICE}' ELSE '198.51.100.' || c.n * 31 % 250 END, 180,
       CASE WHEN c.n >= {LIVE} + 20 THEN c.n % 120 END,
       CASE WHEN l.ive THEN 'node1' END, CASE WHEN l.ive THEN now() + interval '1 minute' END,
       c.at, c.at + interval '5 minutes', c.at + interval '10 minutes', c.at, c.at, c.at,
       CASE WHEN o.outcome IN ('verified', 'hung_up', 'wrong_code', 'no_input') THEN c.at END,
       CASE WHEN NOT l.ive THEN c.at + interval '20 s' END
FROM ({_CALLS}) AS c,
     LATERAL (SELECT CASE WHEN c.user_id = '{HEAVY_USER}' THEN 'no_answer' ELSE c.outcome END AS outcome) AS o,
     LATERAL (SELECT c.n < {LIVE} AS ive) AS l
"""
_KEY = "ALTER TABLE binding_ivr.attempts ADD CONSTRAINT attempts_pkey PRIMARY KEY (attempt_id)"
_FLOOD = f"""
INSERT INTO binding_ivr.attempts (
  attempt_id, account, user_id, number, number_hash, state, outcome, fault, key_id, counted, counted_number,
  counted_line, counted_again, actor_who, actor_source, client, reserved_s, billed_s, not_before, shown_until,
  expires_at, created_at, ended_at)
SELECT md5('flood' || n)::uuid, 'default', '{FLOODER}', '{HEAVY_NUMBER}', sha256('{HEAVY_NUMBER}'::bytea), 'ended',
       'canceled', 'policy', '1', false, false, false, false, 'user:{FLOODER}', 'web', '{OFFICE}', 180, 0, t, t, t, t, t
FROM generate_series(1, {FLOOD}) AS n, LATERAL (SELECT now() - n * interval '1 s' AS t) AS at
"""
_REST = (
    "INSERT INTO binding_ivr.accounts (account) VALUES ('acme')",
    "INSERT INTO binding_ivr.users (account, user_id)"
    f" SELECT a, u FROM unnest(ARRAY['default', 'acme']) AS a, (VALUES ('{HEAVY_USER}'), ('{FLOODER}') UNION ALL"
    f" SELECT 'u' || n FROM generate_series(1, {USERS}) AS n) AS of (u)",
    "INSERT INTO binding_ivr.extensions SELECT account, user_id, user_id FROM binding_ivr.users",
    "INSERT INTO binding_ivr.bindings (account, user_id, status, number, since, verified_at)"
    f" SELECT 'default', 'u' || n, 'verified', '+1555' || 3000000 + n, now(), now()"
    f" FROM generate_series(1, {USERS}) AS n",
    "INSERT INTO binding_ivr.suppressions (number_hash, reason, who)"
    f" SELECT sha256(('s' || n)::bytea), 'reported', 'callee' FROM generate_series(1, {USERS}) AS n",
    "INSERT INTO binding_ivr.number_locks (number_hash)"
    f" SELECT sha256(('l' || n)::bytea) FROM generate_series(1, {USERS}) AS n",
    "INSERT INTO binding_ivr.lockouts (account, user_id, failed, locks)"
    f" SELECT 'default', 'u' || n, 3, 0 FROM generate_series(1, {USERS}) AS n",
    "INSERT INTO binding_ivr.call_seconds SELECT to_timestamp(n * 600), 300"
    " FROM (SELECT floor(extract(epoch FROM now()) / 600)::bigint AS last) AS t,"
    " generate_series(last - 300, last) AS n",
    "INSERT INTO binding_ivr.nodes (node, version, capacity) VALUES ('node1', '1', 100), ('node2', '1', 100)",
)


async def fill(dsn: str) -> None:
    """Write the crowd into a migrated, empty database. Indexes are made afterwards, which takes a fifth of the time."""
    link = await asyncpg.connect(dsn, command_timeout=300)
    try:
        await link.execute("SET maintenance_work_mem = '256MB'; SET max_parallel_maintenance_workers = 2")
        await link.execute("ALTER TABLE binding_ivr.attempts SET UNLOGGED")
        indexes = await link.fetch(
            "SELECT i.indexrelid::regclass::text AS name, pg_get_indexdef(i.indexrelid) AS made FROM pg_index i"
            " WHERE i.indrelid = 'binding_ivr.attempts'::regclass AND NOT i.indisprimary"
        )
        for table in ("attempts", "bindings", "suppressions"):
            await link.execute(f"ALTER TABLE binding_ivr.{table} DISABLE TRIGGER USER")
        await link.execute("ALTER TABLE binding_ivr.attempts DROP CONSTRAINT attempts_pkey")
        for index in indexes:
            await link.execute(f"DROP INDEX {index['name']}")
        for statement in (*_REST, _FILL, _FLOOD, _KEY, *(index["made"] for index in indexes)):
            await link.execute(statement)
        for table in ("attempts", "bindings", "suppressions"):
            await link.execute(f"ALTER TABLE binding_ivr.{table} ENABLE TRIGGER USER")
        await link.execute("VACUUM ANALYZE")
    finally:
        await link.close()
