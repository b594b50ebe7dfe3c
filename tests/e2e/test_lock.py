"""The lock in a real Asterisk: only allowed numbers leave, whoever asks, and validation calls pass through it."""

import asyncio
import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from binding_ivr.app.lock import written
from binding_ivr.errors import Refusal
from binding_ivr.lab import Lab
from binding_ivr.model.outcome import Outcome
from binding_ivr.policy.lock import LockRules, Out, Timed
from binding_ivr.policy.numbers import accept
from tests.e2e.installation import Installation, installed
from tests.e2e.rig import no_channels
from tests.e2e.test_calls import CASES, Case, Result, run
from tests.patience import SLOW
from tests.unit.number_profiles import EXCEPTIONS, OWN, rules
from tests.unit.test_number_decisions import decisions

OUT = [Out("binding-ivr-out", "PJSIP/{e164}@trunk", 300)]
FUTURE = 4_000_000_000
PAGE = 45
"""Numbers of one variable: AMI takes lines of 1 kB."""

# Asks the subroutine about many numbers in one call: LAB_1 to LAB_9, numbers joined by &.
ASK = """
[test-allowed]
exten => s,1,Set(LINE=1)
 same => n(line),Set(NUMBERS=${LAB_${LINE}})
 same => n,GotoIf($[${LEN(${NUMBERS})}=0]?tell)
 same => n,Set(SAID=)
 same => n(next),Set(NUMBER=${SHIFT(NUMBERS,&)})
 same => n,GotoIf($[${LEN(${NUMBER})}=0]?lined)
 same => n,Gosub(binding-ivr-allowed,s,1(${NUMBER}))
 same => n,Set(SAID=${SAID}${BINDING_ALLOWED})
 same => n,Goto(next)
 same => n(lined),Set(ALL=${ALL}${SAID}-)
 same => n,Set(LINE=$[${LINE}+1])
 same => n,Goto(line)
 same => n(tell),UserEvent(LabLookup,LabId: ${LAB_ID},Said: ${ALL})
 same => n,Hangup()
exten => far,1,Answer(,i)
 same => n,Wait(60)
"""


async def load(lab: Lab, text: str) -> None:
    """Give the PBX another lock."""
    (lab.folder / "pbx/etc/binding_ivr_out.conf").write_text(text + ASK)
    await lab.pbx.rx("dialplan reload")


@pytest.fixture(scope="module")
async def own_lab() -> AsyncIterator[Lab]:
    """A lab of our own: the lock of others must stay as it is shipped."""
    async with Lab() as lab:
        yield lab


async def asked(lab: Lab, numbers: list[str]) -> list[bool]:
    """What Asterisk's own subroutine says of each number."""
    ami = lab._pbx_ami
    assert ami is not None

    async def ask(lines: list[list[str]]) -> str:
        async def start(identity: str) -> None:
            variables = [f"LAB_{at}={'&'.join(line)}" for at, line in enumerate(lines, 1)]
            await ami.originate(
                {
                    "Channel": "Local/far@test-allowed/n",
                    "Context": "test-allowed",
                    "Exten": "s",
                    "Priority": "1",
                    "Variable": [f"LAB_ID={identity}", *variables],
                }
            )

        return (await ami.asked(start, 60))["Said"]

    pages = [numbers[at : at + PAGE] for at in range(0, len(numbers), PAGE)]
    calls = [pages[at : at + 8] for at in range(0, len(pages), 8)]
    said = "".join(await asyncio.gather(*(ask(call) for call in calls))).replace("-", "")
    assert len(said) == len(numbers)
    return [sign == "1" for sign in said]


def policy(profile: str, digits: str) -> bool:
    try:
        return accept(f"+{digits}", rules(profile), OWN).digits == digits
    except Refusal:
        return False


@pytest.mark.parametrize("profile", ["us", "world", "all", "allow", "excepted"])
async def test_asterisk_and_the_policy_agree_on_every_written_number(own_lab: Lab, profile: str) -> None:
    timed = [Timed(excepted, FUTURE) for excepted in EXCEPTIONS.get(profile, ())]
    await load(own_lab, written(LockRules([rules(profile)], OWN, OUT, 14_400, timed)))
    numbers = {row.expected[1:] for row in decisions() if row.expected.startswith("+")}
    numbers |= {re.sub("[^0-9]", "", row.typed) for row in decisions() if row.typed.startswith("+")}
    numbers |= {f"{number[:-1]}{(int(number[-1]) + 1) % 10}" for number in numbers if number}
    digits = sorted(number for number in numbers if number)
    found = await asked(own_lab, digits)
    assert [number for number, allowed in zip(digits, found, strict=True) if allowed != policy(profile, number)] == []
    assert sum(found) >= {"us": 2, "excepted": 5}.get(profile, 400)


HOSTILE = [
    *("19005551234", "12129761234", "870773111632", "8816123456789", "88216123456789", "80012345678", "979123456789"),
    *("447400123456", "14165550123", "18092345678", "525512345678", "+12025550123", "0012025550123", "011447400123456"),
    *("911", "112", "0911", "1911", "411", "123456", "15550100", "1001", "12025551212"),
    *("120255501231", "1202555012", "12025550123#", "*12025550123", "12025550123*", "#31#12025550123", "12025550123w1"),
    *(
        "12025550123&PJSIP/19005551234@trunk",
        "19005551234)",
        "12025550123,1",
        '12025550123"',
        "12025550123]",
        "${EXTEN}",
    ),
    *("s", "h", "T", "i", "binding_trunk", "12025550123;2", "1202 555 0123", "12025550123^", "１２０２５５５０１２３"),
    "1" * 80,
]


async def processed(lab: Lab) -> int:
    """Calls that the phone network has seen."""
    found = re.search(r"(\d+) calls? processed", await lab.carrier.rx("core show calls"))
    assert found
    return int(found[1])


async def test_nothing_hostile_leaves_although_the_daemon_is_not_asked(lab: Lab, installation: Installation) -> None:
    """Straight into the context by AMI, as a bug or an intruder could."""
    await installation.no_channels()
    ami = lab._pbx_ami
    assert ami is not None
    shipped = (lab.folder / "pbx/etc/binding_ivr_out.conf").read_text()
    assert "binding-ivr-plan" in shipped
    before = await processed(lab)

    async def call(digits: str) -> None:
        await ami.originate(
            {"Channel": f"Local/{digits}@binding-ivr-out/n", "Application": "Wait", "Data": "5", "Timeout": "8000"}
        )

    await asyncio.gather(*(call(digits) for digits in HOSTILE))
    await installation.no_channels()
    assert await processed(lab) == before
    log = await asyncio.to_thread(lab.pbx.log_path.read_text)
    for reason in ("form", "own_number", "denied", "not_allowed"):
        assert f"binding-ivr-out refused a call: {reason}" in log
    refusals = [line.partition("] Ext. ")[2] for line in log.splitlines() if "refused a call" in line]
    assert {line.split(":")[0] for line in refusals} == {"log"}  # the line tells the reason, never the number

    allowed = lab.number("hangup_at", 20)
    await call(allowed[1:])
    async with asyncio.timeout(20 * SLOW):
        while await processed(lab) == before:
            await asyncio.sleep(0.05)
    await installation.no_channels()
    assert (await lab.heard(allowed))["calls"] == "1"


THROUGH = [
    case
    for case in CASES
    if case.behaviour
    in {
        *("right", "hash", "repeated", "fast", "info", "busy", "declined", "rejected"),
        *("no_answer", "unallocated", "gone", "congestion", "early_media", "early_busy", "screening", "hangup_at"),
        *("star", "letters", "burst_early", "barge"),
    }
]


@pytest.fixture(scope="module")
async def results(own_lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[dict[str, Result]]:
    """Validation calls through the lock."""
    folder: Path = tmp_path_factory.mktemp("locked")
    await load(own_lab, written(LockRules([rules("us")], OWN, OUT, 14_400)))
    route = {
        "name": "locked",
        "endpoint": "Local/{digits}@binding-ivr-out/n",
        "trunk": "PJSIP/{e164}@trunk",
        "caller_id": "+12025550199",
        "max_channels": 300,
    }
    async with installed(own_lab, folder, node="locked", app="locked", routes=[route]) as made:
        await made.serve()
        indices: dict[str, int] = {}
        runs = []
        for case in THROUGH:
            indices[case.behaviour] = indices.get(case.behaviour, 0) + 1
            runs.append(run(made, case, indices[case.behaviour]))
        ended = await asyncio.gather(*runs)
        await made.no_channels()
        yield {str(case): result for case, result in zip(THROUGH, ended, strict=True)}


@pytest.mark.parametrize("case", THROUGH, ids=str)
async def test_a_call_through_the_lock_ends_as_without_it(results: dict[str, Result], case: Case) -> None:
    attempt, _ = results[str(case)]
    assert (attempt.outcome, attempt.fault, attempt.tries) == (case.outcome, case.fault, case.tries), attempt.detail


async def test_a_trunk_that_cannot_be_used_is_not_a_number_out_of_service(
    own_lab: Lab, tmp_path: Path, results: dict[str, Result]
) -> None:
    """And the next route is tried."""
    ways = [Out("missing", "PJSIP/{e164}@nothing", 300), *OUT]
    await load(own_lab, written(LockRules([rules("us")], OWN, ways, 14_400)))
    routes = [
        {"name": "first", "endpoint": "Local/{digits}@missing/n", "trunk": "PJSIP/{e164}@nothing"},
        {"name": "second", "endpoint": "Local/{digits}@binding-ivr-out/n", "trunk": "PJSIP/{e164}@trunk"},
    ]
    async with installed(own_lab, tmp_path, node="two", app="two", routes=routes) as made:
        await made.serve()
        attempt, _ = await run(made, Case("right", Outcome.VERIFIED, 1), 30)
        assert (attempt.outcome, attempt.tries) == (Outcome.VERIFIED, 1), attempt.detail
        await made.no_channels()


async def test_no_more_calls_at_once_than_the_lock_has_channels(own_lab: Lab, results: dict[str, Result]) -> None:
    await load(own_lab, written(LockRules([rules("us")], OWN, [Out("binding-ivr-out", "PJSIP/{e164}@trunk", 3)], 3)))
    ami = own_lab._pbx_ami
    assert ami is not None
    before = await processed(own_lab)
    numbers = [own_lab.number("no_answer", at)[1:] for at in range(2, 10)]
    for digits in numbers:
        await ami.originate(
            {"Channel": f"Local/{digits}@binding-ivr-out/n", "Application": "Wait", "Data": "60", "Timeout": "60000"}
        )

    def refused() -> int:
        return own_lab.pbx.log_path.read_text().count("binding-ivr-out refused a call: all 3 channels are in use")

    # AMI says yes before it calls
    async with asyncio.timeout(20 * SLOW):
        while await asyncio.to_thread(refused) < 5:
            await asyncio.sleep(0.05)
    # they ring for ever; the lock's own limit of 3 s ends them
    await no_channels(own_lab, 20)
    assert await processed(own_lab) == before + 3
    assert await asyncio.to_thread(refused) == 5


async def test_the_callee_sees_our_number_and_no_channel_is_left(results: dict[str, Result], own_lab: Lab) -> None:
    assert len(results) == len(THROUGH)
    heard = await own_lab.heard(own_lab.number("right", 1))
    assert heard["caller"] == "+12025550199"
    await no_channels(own_lab)
