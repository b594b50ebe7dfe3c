"""The list of attacks, and how each is run: in a scene of its own, then judged."""

import time
import traceback
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from binding_ivr.lab.behaviours import AREA_CODES
from tests.abuse.attacks_calls import one_victim, race, stolen_session
from tests.abuse.attacks_codes import de_bruijn, recorded_greeting, replayed_codes, wrong_codes
from tests.abuse.attacks_host import insiders
from tests.abuse.attacks_money import costly_numbers
from tests.abuse.attacks_probe import probing
from tests.abuse.report import Result, judge
from tests.abuse.scene import Place, Scene, scene

Act = Callable[[Scene], Awaitable[None]]
Sections = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True)
class Attack:
    """One attack: how many area codes its phones have, and what its nodes are told beside the defaults."""

    name: str
    title: str
    act: Act
    areas: int
    sections: Sections = field(default_factory=dict)


ATTACKS = (
    Attack("race", "200 requests in one moment at two nodes", race, 8, {"web": {"requests_per_second": 1000}}),
    Attack("sweep", "a stolen session calls one number after another", stolen_session, 3),
    Attack("codes", "10,000 wrong codes in three weeks", wrong_codes, 2),
    Attack(
        "no-breaker",
        "the same with the circuit breaker switched off, all without telephony",
        partial(wrong_codes, really=False),
        1,
        {"limits": {"breaker_calls": 0, "system_breaker_calls": 0}},
    ),
    Attack("victim", "one victim is rung by fifty users", one_victim, 1),
    Attack("replay", "codes of other calls are keyed", replayed_codes, 1),
    Attack("greeting", "a voicemail greeting plays the code of the call before", recorded_greeting, 1),
    Attack(
        "hardened",
        "a voicemail greeting plays whatever can be read before the answer, with reveal = on_answer",
        recorded_greeting,
        1,
        {"code": {"reveal": "on_answer"}},
    ),
    Attack("de-bruijn", "a stream that holds every code is keyed", de_bruijn, 1),
    Attack("probe", "who has this number, which one is suppressed?", probing, 2),
    Attack("insiders", "a program, an AMI user, a phone and a database login on the host", insiders, 1),
    Attack("premium", "premium, satellite and faraway numbers", costly_numbers, 1),
)
"""The longest come first, for several run at once."""


def areas_of(index: int) -> tuple[str, ...]:
    """Return the area codes of the *index*-th attack: no two share a phone. The first is the honest users'."""
    begin = 1 + sum(attack.areas for attack in ATTACKS[:index])
    return AREA_CODES[begin : begin + ATTACKS[index].areas]


async def run(at: Place, name: str, act: Act | None = None, more: Sections | None = None) -> Result:
    """Run the attack *name* and judge it; *act* replaces what it does, *more* adds to its nodes' settings."""
    index = next(n for n, attack in enumerate(ATTACKS) if attack.name == name)
    attack = ATTACKS[index]
    sections = {**attack.sections, **(more or {})}
    begun = time.monotonic()
    async with scene(at, name, index, areas_of(index), sections) as made:
        try:
            await (act or attack.act)(made)
        except Exception as error:  # the others go on; this one counts as broken
            traceback.print_exc()
            made.broken.append(f"it could not be carried out: {error}")
        return await judge(made, name, attack.title, time.monotonic() - begun)
