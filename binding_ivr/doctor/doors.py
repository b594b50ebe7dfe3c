"""What doctor looks at of the look-ups' doors: the SQL functions and their role, and what the dialplan is to ask."""

from binding_ivr.asterisk.ari.probe import AriProbe
from binding_ivr.config import Config
from binding_ivr.doctor.checks import Check, fail, ok, warn
from binding_ivr.errors import BindingError
from binding_ivr.mirror.astdb import plan
from binding_ivr.policy.callers import CallerPlan, caller_plan
from binding_ivr.store import SqlDoor, Store

SQL = "sql door"
LOOKUPS = "look-ups"
DOORS = ("astdb", "agi", "sql", "http")
"""The words of BINDING_LOOKUP (dialplan/binding_ivr.conf)."""
_MODULES = {"sql": "func_odbc.so", "http": "func_curl.so"}
_OPEN = "closed; to open it for look-ups, run in psql as a user who may create roles: "


async def sql_door(config: Config, store: Store) -> Check:
    """Check functions and role in the migrated *store*."""
    try:
        door = await store.bindings.sql_door()
    except BindingError as error:
        return fail(SQL, f"its functions do not answer ({error}); run: binding-ivr migrate")
    return _sql_door(door, caller_plan(config.number.default_region))


def _sql_door(door: SqlDoor, due: CallerPlan) -> Check:
    if not door.answers:
        return fail(SQL, "its functions give wrong answers: restore the schema binding_ivr from a backup")
    if not door.role or not door.granted:
        role = "" if door.role else "CREATE ROLE binding_ivr_lookup NOLOGIN; "
        return ok(SQL, f"{_OPEN}{role}SELECT binding_ivr.open_sql_door();")
    if door.plan.country and door.plan != due:
        told = f"reads caller IDs as {door.plan}, but [number] default_region says {due}"
        return warn(SQL, f"{told}: restart the service; several nodes must have the same default_region")
    who = f"{door.members} database user{'' if door.members == 1 else 's'} may use it"
    return ok(SQL, f"answers; {who if door.members else 'GRANT binding_ivr_lookup TO your-user lets somebody use it'}")


async def lookups(config: Config, probe: AriProbe) -> list[Check]:
    """Check what the subroutines of binding_ivr.conf are to ask, and whether Asterisk can."""
    words = (await probe.variable("BINDING_LOOKUP")).replace(" ", "")
    doors = words.split(",") if words else ["astdb", "agi"]
    found = []
    if unknown := [door for door in doors if door not in DOORS]:
        found.append(
            fail(LOOKUPS, f"BINDING_LOOKUP has {unknown[0]!r:.24}, which is no door: the doors are {', '.join(DOORS)}")
        )
    for door in doors:
        module = _MODULES.get(door, "")
        if module and not await probe.has_module(module):
            found.append(fail(LOOKUPS, f"BINDING_LOOKUP has {door}, but the module {module} is not running: load it"))
    if "http" in doors and not await probe.variable("BINDING_HTTP"):
        found.append(
            fail(LOOKUPS, "BINDING_LOOKUP has http, but BINDING_HTTP is not set; set it to http://lookup:KEY@host:port")
        )
    if "astdb" in doors and not config.ami.user:
        found.append(_without_mirror(doors))
    found += await _route(config, probe, doors)
    return found or [ok(LOOKUPS, f"the dialplan asks {', then '.join(doors)}")]


def _without_mirror(doors: list[str]) -> Check:
    if doors == ["astdb"]:
        return fail(
            LOOKUPS, "BINDING_LOOKUP is astdb alone, but nothing is written to AstDB: set [ami] user and secret"
        )
    return warn(
        LOOKUPS, "AstDB is asked, but nothing is written to it: set [ami] user, or take astdb out of BINDING_LOOKUP"
    )


async def _route(config: Config, probe: AriProbe, doors: list[str]) -> list[Check]:
    """AstDB and SQL know no routes by themselves: how a number is dialled must be told."""
    endpoints = [route.endpoint for route in config.routes]
    route = await probe.variable("BINDING_ROUTE")
    if route and "{" not in route:
        return [fail(LOOKUPS, "BINDING_ROUTE has no {e164}, {digits} or {national}, so it reaches nobody's phone")]
    if "," in route:
        return [fail(LOOKUPS, "BINDING_ROUTE has a comma: only the part before it would be dialled")]
    if route or not {"astdb", "sql"} & set(doors) or (plan(config)["plan/route"] and config.ami.user):
        return []
    why = "there are several [[routes]]" if len(endpoints) > 1 else "without [ami] the dialplan knows no route"
    advice = f"{why}: set BINDING_ROUTE in [globals], as {endpoints[0]}" if endpoints else "set [[routes]]"
    return [warn(LOOKUPS, f"AstDB and SQL leave BINDING_DIAL empty: {advice}")]
