"""What doctor looks at of Call Hot-switch: its options in Asterisk, above all who may pull calls; it moves nothing."""

import re
from collections.abc import Sequence

from binding_ivr.asterisk.ari.probe import AriProbe
from binding_ivr.config import Route
from binding_ivr.doctor.checks import Check, fail, ok, warn

CHECK = "hot-switch"
PROOFS = ("stir", "verstat", "pin", "callback", "none")
"""The words of HOTSWITCH_PROOF (dialplan/README.md)."""
_NUMBERS = ("RING", "USER_MAX", "MAX", "MAX_SECONDS", "CALL_BACK_S")
_OPTIONS = ("ACCOUNT", "ROUTE", "CALLER_ID", "PROOF", *_NUMBERS)
_ONE_WAY = "the audio may go only one way after a move; name the trunk instead, as in PJSIP/{e164}@TRUNK"
_PLACEHOLDER = re.compile(r"\{(e164|digits)\}")


async def examine(probe: AriProbe, routes: Sequence[Route]) -> list[Check]:
    """Check the options; nothing when none is set: then hot-switch is not used, or with its defaults.

    Without a HOTSWITCH_ROUTE cell phones are called by *routes*, as the look-up dials them.
    """
    if not any([await probe.variable(f"HOTSWITCH_{name}") for name in _OPTIONS]):
        return []
    found = [
        *await _proof(probe),
        *await _route(probe, routes),
        *await _caller_id(probe),
        *[check for name in _NUMBERS for check in await _number(probe, f"HOTSWITCH_{name}")],
    ]
    return found or [ok(CHECK, "its options are right; whether features.conf has the code cannot be checked from here")]


async def _proof(probe: AriProbe) -> list[Check]:
    text = await probe.variable("HOTSWITCH_PROOF")
    words = text.split("-") if text else []
    unknown = [word for word in words if word not in PROOFS]
    if unknown:
        return [
            fail(CHECK, f"HOTSWITCH_PROOF has {unknown[0]!r:.24}, so nobody can pull calls: use {', '.join(PROOFS)}")
        ]
    found = []
    if "none" in words:
        found.append(
            warn(
                CHECK,
                "HOTSWITCH_PROOF has none: whoever forges a user's caller ID takes over that user's calls; "
                "use pin-callback",
            )
        )
    if "stir" in words and not await probe.has_module("res_stir_shaken.so"):
        found.append(warn(CHECK, "HOTSWITCH_PROOF has stir, but the module res_stir_shaken.so is not running: load it"))
    return found


async def _route(probe: AriProbe, routes: Sequence[Route]) -> list[Check]:
    route = await probe.variable("HOTSWITCH_ROUTE")
    if not route:
        through = [one.name for one in routes if one.endpoint.startswith("Local/")]
        if not through:
            return []
        return [warn(CHECK, f"HOTSWITCH_ROUTE is not set, and route {through[0]} is a Local channel: {_ONE_WAY}")]
    if not _PLACEHOLDER.search(route):
        return [fail(CHECK, "HOTSWITCH_ROUTE has no {e164} or {digits}, so it reaches nobody's cell phone")]
    tech, _, rest = route.partition("/")
    name = rest.rpartition("@")[2].partition("/")[0]
    if tech == "Local":
        return [warn(CHECK, f"HOTSWITCH_ROUTE is a Local channel: {_ONE_WAY}")]
    if "{" in name or await probe.endpoint_state(tech, name) is not None:
        return []
    return [fail(CHECK, f"HOTSWITCH_ROUTE goes through {tech}/{name}, which Asterisk does not have: correct it")]


async def _caller_id(probe: AriProbe) -> list[Check]:
    text = await probe.variable("HOTSWITCH_CALLER_ID")
    if re.fullmatch(r"\+?[0-9]{3,15}|party", text):
        return []
    return [
        warn(
            CHECK,
            "HOTSWITCH_CALLER_ID is not a number (or the word party): calls to cell phones show no caller ID, and many "
            "trunks refuse that",
        )
    ]


async def _number(probe: AriProbe, name: str) -> list[Check]:
    text = await probe.variable(name)
    if not text or (text.isascii() and text.isdigit() and int(text) > 0):
        return []
    return [warn(CHECK, f"{name} is not a whole number above 0, so its default is used: correct it in [globals]")]
