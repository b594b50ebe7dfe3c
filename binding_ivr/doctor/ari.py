"""What doctor looks at over ARI: login, version, routes, prompts and the way to the conversation; it calls nobody."""

import asyncio
import contextlib
import errno
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from ipaddress import ip_address, ip_network
from typing import assert_never
from urllib.parse import urlsplit

from binding_ivr.asterisk.ari.http import RefusedError, UnreachableError
from binding_ivr.asterisk.ari.probe import AriProbe, Way
from binding_ivr.call.prompts import Prompt, PromptGroup
from binding_ivr.config import Config, Route
from binding_ivr.doctor import doors as doctor_doors
from binding_ivr.doctor import hotswitch as doctor_hotswitch
from binding_ivr.doctor.checks import Check, fail, ok, warn
from binding_ivr.errors import BindingError
from binding_ivr.model import versions
from binding_ivr.store import Store

CONTEXT = "binding-ivr-call"
LISTEN_S = 2.0


async def examine(config: Config, store: Store | None) -> list[Check]:
    """Check all of it; *store* is None when the accounts' settings cannot be looked at."""
    ari = config.ari
    probe = AriProbe(url=ari.url, user=ari.user, password=ari.password, app=ari.app)
    async with probe:
        try:
            info = await probe.info()
        except RefusedError as error:
            return [fail("ari", str(error))]
        except UnreachableError as error:
            return [
                fail(
                    "ari",
                    f"Asterisk does not answer at {ari.url} ({error}): start it, set enabled=yes in http.conf and "
                    "ari.conf, and check [ari] url; routes, prompts and FastAGI were not checked",
                )
            ]
        try:
            found = [ok("ari", f"user {ari.user} is logged in"), _version(str(info["system"].get("version", "")))]
            if not await probe.may_write():
                return [
                    fail("ari", "the ARI user may only read: remove read_only=yes of [ari] user in ari.conf"),
                    *found[1:],
                ]
            found.append(await _app(config, probe))
            for route in config.routes:
                found += await _route(route, probe)
            found += await _prompts(config, probe, store)
            found += await _way(config, probe)
            found += await doctor_doors.lookups(config, probe)
            found += await doctor_hotswitch.examine(probe, config.routes)
        except (RefusedError, UnreachableError) as error:
            found.append(fail("ari", f"Asterisk stopped answering during the checks: {error}"))
        except BindingError as error:
            found.append(fail("postgresql", str(error)))
        return found


def _version(text: str) -> Check:
    found = versions.judge(text)
    match found.standing:
        case versions.Standing.GOOD:
            return ok("asterisk", found.shown)
        case versions.Standing.TOO_OLD:
            return fail("asterisk", found.detail)
        case versions.Standing.DATED | versions.Standing.UNREAD:
            return warn("asterisk", found.detail)
        case _:
            assert_never(found.standing)


async def _app(config: Config, probe: AriProbe) -> Check:
    if await probe.has_app(config.ari.app):
        return ok("ari app", f"a service is connected as {config.ari.app}")
    return warn("ari app", f"no service is connected as {config.ari.app}; run: binding-ivr serve")


async def _route(route: Route, probe: AriProbe) -> list[Check]:
    """Look for the endpoint of a route; the contexts of Local routes are looked up over AMI."""
    tech, _, rest = route.endpoint.partition("/")
    if tech == "Local":
        return []
    name = rest.rpartition("@")[2].partition("/")[0] if "@" in rest else rest.partition("/")[0]
    check = f"route {route.name}"
    if "{" in name:
        return [warn(check, "which endpoint it uses depends on the number, so it cannot be checked")]
    state = await probe.endpoint_state(tech, name)
    if state is None:
        return [fail(check, f"Asterisk has no endpoint {tech}/{name}: correct the route, or add it to Asterisk")]
    if state == "offline":
        return [warn(check, f"{tech}/{name} is offline: is the trunk registered and its contact reachable?")]
    return [ok(check, f"{tech}/{name} is {state}")]


async def _prompts(config: Config, probe: AriProbe, store: Store | None) -> list[Check]:
    """Ask Asterisk itself, wherever it runs, in which languages it finds each recording."""
    if not await probe.has_module("res_ari_sounds.so"):
        return [warn("prompts", "not checked: load res_ari_sounds.so in Asterisk, or see: binding-ivr prompts list")]
    path = config.prompts.path
    there = await asyncio.gather(*(probe.sound_languages(f"{path}/{prompt}") for prompt in Prompt))
    lacking = {
        language: [prompt for prompt, found in zip(Prompt, there, strict=True) if language not in found]
        for language in config.prompts.languages
    }
    played = {PromptGroup.CALL, PromptGroup.DIGITS} if await _gated(config, store) else {PromptGroup.CALL}
    bad = [_lacking(language, names, path, played) for language, names in lacking.items() if names]
    return bad or [ok("prompts", f"all {len(Prompt)} in {', '.join(config.prompts.languages)}")]


async def _gated(config: Config, store: Store | None) -> bool:
    """Return whether calls of the installation or of one of its accounts begin with the gate."""
    accounts = await store.directory.accounts() if store is not None else []
    return config.call.gate or any(config.for_account_or_default(account.settings).call.gate for account in accounts)


def _lacking(language: str, names: list[Prompt], path: str, played: set[PromptGroup]) -> Check:
    """One line for what a language lacks; calls go on without what is not of the groups that they have *played*."""
    of_calls = any(name.group in played for name in names)
    return (fail if of_calls else warn)(
        f"prompts {language}",
        f"Asterisk does not find {_few(names)} under sounds/{language}/{path}: "
        "run: binding-ivr prompts build --output SOUNDS",
    )


def _few(names: list[Prompt]) -> str:
    if len(names) == len(Prompt):
        return "any prompt"
    whole = [
        group
        for group in PromptGroup
        if len(names) > 3 and {name for name in Prompt if name.group is group} <= set(names)
    ]
    named = [f"any prompt of {group}" for group in whole] + [name for name in names if name.group not in whole]
    return ", ".join(named[:3]) + (f" and {len(named) - 3} more" if len(named) > 3 else "")


# --- FastAGI -------------------------------------------------------------------------------------------------


def advertised(config: Config) -> tuple[str, int]:
    """Return the address at which Asterisk should find our FastAGI."""
    if config.agi.advertise:
        host, _, port = config.agi.advertise.rpartition(":")
        return host, int(port)
    host = config.agi.bind if config.agi.bind not in ("", "0.0.0.0", "::") else "127.0.0.1"  # noqa: S104 - compared
    return host, config.agi.port


async def _way(config: Config, probe: AriProbe) -> list[Check]:
    """Let a channel go the whole way: the context, AGI(), and our listener or a stand-in for it."""
    host, port = advertised(config)
    address = f"{host}:{port}"
    if not port:
        return [warn("agi", "[agi] port is 0: a port that is chosen at each start cannot be checked; set a port")]
    async with _listening(config) as service:
        if service is None:
            return [
                fail(
                    "agi", f"[agi] {config.agi.bind}:{config.agi.port} cannot be reached, and nothing can listen on it"
                )
            ]
        way = await probe.way(CONTEXT, {"BINDING_AGI": address, "BINDING_ATTEMPT": "doctor"})
    found = [_judge(config, way, address, service)]
    told = await probe.variable("BINDING_AGI")
    if way.context and (told or "127.0.0.1:4573") != address:
        found.append(
            warn(
                "dialplan",
                f"the global BINDING_AGI is {told or 'not set (127.0.0.1:4573)'}, but the service is at {address}: "
                "set it in extensions.conf; otherwise look-ups by FastAGI fail",
            )
        )
    return found


def _judge(config: Config, way: Way, address: str, service: bool) -> Check:
    if not way.context:
        return fail(
            "dialplan",
            f'Asterisk has no context {CONTEXT}: add #include "binding_ivr.conf" at the end of extensions.conf, '
            "then: asterisk -rx 'dialplan reload'",
        )
    if way.stuck:
        return fail("agi", f"what listens at {address} is not our FastAGI server; free the port")
    if not way.agi:
        return fail(
            "agi",
            f"Asterisk cannot reach {address}: check [agi] bind and advertise, any firewall between them, and that "
            "res_agi.so is loaded",
        )
    if not service:
        return warn("agi", f"Asterisk reaches {address}, where nothing is listening now; start: binding-ivr serve")
    if not _is_allowed(config):
        return warn("agi", f"Asterisk reaches {address}, but its address is not in [agi] allow, so it is turned away")
    return ok("agi", f"Asterisk reaches {address} through the context {CONTEXT}")


def _is_allowed(config: Config) -> bool:
    """Return whether Asterisk's address, as far as [ari] url shows it, is on the allow-list."""
    try:
        found = ip_address((urlsplit(config.ari.url).hostname or "").strip("[]"))
        return any(found in ip_network(text, strict=False) for text in config.agi.allow)
    except ValueError:
        return True  # a name: which address Asterisk connects from is not known


@asynccontextmanager
async def _listening(config: Config) -> AsyncIterator[bool | None]:
    """See to it that somebody listens: True when it is the service, False for a stand-in, None when neither can be."""
    host, port = advertised(config)
    with contextlib.suppress(OSError, TimeoutError):
        async with asyncio.timeout(LISTEN_S):
            _, writer = await asyncio.open_connection(host, port)
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()
        yield True
        return
    try:
        server = await asyncio.start_server(_turn_away, config.agi.bind, config.agi.port)
    except (OSError, OverflowError) as error:
        # Somebody has the port, though not where it is advertised: perhaps only Asterisk can reach it there.
        yield True if getattr(error, "errno", None) == errno.EADDRINUSE else None
        return
    async with server:
        yield False


async def _turn_away(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.close()
