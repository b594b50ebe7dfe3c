"""What would happen to a number that a user entered, step by step. It calls nobody, and asks and writes nothing."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from binding_ivr.config import Config
from binding_ivr.errors import Refusal
from binding_ivr.policy import ranges
from binding_ivr.policy.masking import short
from binding_ivr.policy.numbers import NumberRules, PhoneNumber, as_people_write_it, described
from binding_ivr.policy.reading import Typed, e164_of
from binding_ivr.policy.routes import serving


class Result(StrEnum):
    """How a step ended."""

    PASSED = "ok"
    REFUSED = "refused"
    NOT_ASKED = "not asked"


@dataclass(frozen=True, slots=True)
class Step:
    """One check, in the order of the policy, and what it found."""

    step: str
    result: Result
    detail: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class NumberCheck:
    """All steps; `number` is E.164 as it was read, empty when it was not. `refusal` is what a user would be told."""

    number: str = field(repr=False)
    steps: Sequence[Step]
    refusal: Refusal | None = None


STEPS = {
    "read as": ("not_a_number", "has_extension"),
    "emergency number": ("emergency_number", "short_number"),
    "service": ("satellite_number", "service_number"),
    "numbering plan": ("not_valid",),
    "own number": ("own_number",),
    "meaning": ("ambiguous_number",),
    "premium rate": ("premium_number",),
    "exception": (),
    "region": ("region_not_allowed",),
    "prefix": ("prefix_denied",),
    "type": ("type_not_allowed",),
    "route": ("no_route",),
    "hours": ("outside_hours",),
    "suppression": (),
    "limits": ("try_later", "limit_reached", "queue_full", "call_in_progress", "suspended"),
    "dialed": (),
}
"""The steps in their order, and the refusals that are made there."""


@dataclass(frozen=True, slots=True)
class Findings:
    """What was found of a number that the policy accepts: `limit` is what stands against a call to it now."""

    number: PhoneNumber
    no_route: Refusal | None = None
    hours: Refusal | None = None
    suppressed: bool = False
    limit: Refusal | None = None


def explained(
    typed: Typed, rules: NumberRules, config: Config, found: Findings | Refusal, *, whose: str = ""
) -> NumberCheck:
    """Return the steps that lead to what was *found*: the policy's own refusal, or what it accepts.

    *whose* limits were asked for; empty: those that hold for everybody.
    """
    number = found.number if isinstance(found, Findings) else _first(typed)
    refused_at, refusal = _refused_at(found)
    details = _details(number, typed, rules, config, whose) if number else {}
    steps: list[Step] = []
    result = Result.PASSED
    for step in STEPS:
        if step == refused_at and refusal is not None:
            steps.append(Step(step, Result.REFUSED, _said(refusal)))
            result = Result.NOT_ASKED
        else:
            steps.append(Step(step, result, details.get(step, "no") if result is Result.PASSED else ""))
    return NumberCheck(number.e164 if number else "", steps, refusal)


def _first(typed: Typed) -> PhoneNumber | None:
    """What a refused number was read as, as far as it is a country's."""
    try:
        return described(typed.meanings[0]) if typed.meanings else None
    except Refusal:
        return None


def _refused_at(found: Findings | Refusal) -> tuple[str, Refusal | None]:
    if isinstance(found, Refusal):
        return _step_of(found), found
    if refusal := found.no_route or found.hours:
        return _step_of(refusal), refusal
    if found.number.denied:
        return "prefix", found.limit
    if found.suppressed:
        return "suppression", found.limit
    return ("limits", found.limit) if found.limit else ("", None)


def _step_of(refusal: Refusal) -> str:
    return next((step for step, codes in STEPS.items() if refusal.code in codes), "limits")


def _said(refusal: Refusal) -> str:
    return f"{refusal.code}: {refusal}" + (f" (limit {refusal.untold})" if refusal.untold else "")


def _details(number: PhoneNumber, typed: Typed, rules: NumberRules, config: Config, whose: str) -> dict[str, str]:
    """What is told of each step that is passed."""
    e164, routes = number.e164, serving(config.routes, number.region)
    excepted = [one for one in rules.exceptions if one.covers(e164)]
    lifted = "lifted by the exception" if excepted else ""
    allow = max((one for one in rules.allow if ranges.covers(one, e164)), key=len, default="")
    others = ", ".join(other for other in map(e164_of, typed.meanings) if other != e164)
    known = f"{number.region}, {number.kind}"
    return {
        "read as": f"{e164} ({as_people_write_it(e164)})",
        "numbering plan": known if number.kind != "UNKNOWN" else f"{number.region}; in no plan, but excepted",
        "meaning": f"not {others}, of a type that is not allowed" if others else "one number",
        "exception": ", ".join(one.prefix + ("" if one.whole else "…") for one in excepted) or "none",
        "region": lifted or f"{number.region} is allowed",
        "prefix": lifted or (f"{allow} is in [number] allow" if allow else "none of [number] deny"),
        "type": lifted or f"{number.kind} is allowed",
        "route": ", then ".join(f"{route.name} ({route.caller_id or 'no caller ID'})" for route in routes),
        "hours": "as configured, or asked for at any hour",
        "limits": f"nothing stands against a call {whose or 'for a user without calls'}",
        "dialed": ", then ".join(_masked(route.endpoint, number) for route in routes),
    }


def _masked(endpoint: str, number: PhoneNumber) -> str:
    """Return the dial string with no more than the number's last digits."""
    end = short(number.e164)
    return endpoint.replace("{e164}", f"+{end}").replace("{digits}", end).replace("{national}", end)
