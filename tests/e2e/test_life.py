"""What happens around calls: look-ups at both doors, replacement, take-over, cancel, a crash, a restart of Asterisk."""

import asyncio
import signal
from pathlib import Path

import pytest

from binding_ivr.errors import Refusal
from binding_ivr.lab import Lab
from binding_ivr.model.outcome import AttemptState, Fault, Outcome
from binding_ivr.model.rows import AttemptRow, BindingStatus, SuspendReason
from binding_ivr.node.demo import ask_dialplan
from tests.e2e.installation import TESTER, Installation, installed
from tests.patience import SLOW

FIELDS = ("status", "number", "dial", "account", "extension", "since")


async def prove(installation: Installation, user: str, number: str) -> AttemptRow:
    attempt = await installation.ended(await installation.bind(user, number))
    assert attempt.outcome is Outcome.VERIFIED, attempt
    return attempt


async def both_doors(installation: Installation, user: str) -> dict[str, str]:
    """Ask the command and a real dialplan call; their answers must be the same within the mirror's second."""
    async with asyncio.timeout(30 * SLOW):
        while True:
            command: dict[str, str] = await installation.json_command("lookup", user)
            answer = await installation.lab.trusted_number("default", user)
            dialplan = {name: answer[f"BINDING_{name.upper()}"] for name in FIELDS}
            # AstDB, which the dialplan asks first, does not know since when
            if dialplan in (command, {**command, "since": ""}):
                return command


async def test_lookup_and_dialplan_agree_through_the_life_of_a_number(installation: Installation) -> None:
    user, number = await installation.new_user(), installation.lab.number("right", 100)
    assert (await both_doors(installation, user))["status"] == "NONE"
    await installation.lab.set_script(number, "right", ring_ms=9000)
    async with installation.rings_long():
        shown = await installation.bind(user, number)
        assert (await both_doors(installation, user))["status"] == "NONE"  # pending
        assert (await installation.ended(shown)).outcome is Outcome.VERIFIED
    found = await both_doors(installation, user)
    assert (found["status"], found["number"], found["extension"]) == ("FOUND", number, user)
    assert found["dial"] == f"PJSIP/{number}@trunk"
    caller = await installation.lab.trusted_caller(number)
    assert (caller["BINDING_STATUS"], caller["BINDING_EXTENSION"]) == ("FOUND", user)
    plain = await installation.lab.trusted_caller(number.removeprefix("+"))
    assert {**plain, "BINDING_SINCE": ""} == {**caller, "BINDING_SINCE": ""}
    assert (await installation.json_command("lookup", "--caller", number))["extension"] == user

    assert (await installation.command("suspend", user))[0] == 0
    suspended = await both_doors(installation, user)
    assert (suspended["status"], suspended["number"]) == ("SUSPENDED", "")
    assert (await installation.lab.trusted_caller(number))["BINDING_STATUS"] == "NONE"
    with pytest.raises(Refusal, match="administrator"):
        await installation.bind(user, number)
    assert (await installation.command("resume", user))[0] == 0
    assert (await both_doors(installation, user))["status"] == "FOUND"
    assert (await installation.command("remove", user))[0] == 0
    assert (await both_doors(installation, user))["status"] == "NONE"
    assert (await installation.command("remove", user))[0] == 1


async def test_the_demonstration_shows_since_also_when_astdb_has_the_number(installation: Installation) -> None:
    user, lab = await installation.new_user(), installation.lab
    await prove(installation, user, lab.number("right", 110))
    async with asyncio.timeout(30 * SLOW):
        while (await lab.trusted_number("default", user, "astdb"))["BINDING_STATUS"] != "FOUND":
            pass  # each look-up is a call, which takes its time
    by_default = await lab.trusted_number("default", user)
    assert (by_default["BINDING_STATUS"], by_default["BINDING_SINCE"]) == ("FOUND", "")
    shown = await ask_dialplan(lab, user)
    assert shown["since"]
    assert shown == await installation.json_command("lookup", user)


async def test_hostile_questions_find_nothing(installation: Installation) -> None:
    for extension in ('1001"', "1001&1002", "", "${SHELL(id)}", "../1001", "1 OR 1=1"):
        answer = await installation.lab.trusted_number("default", extension)
        assert answer["BINDING_STATUS"] in ("NONE", "ERROR")
        assert answer["BINDING_NUMBER"] == ""
    assert (await installation.command("lookup", "1' OR '1'='1"))[1].split() == ["status", "NONE"]


async def test_who_proves_a_number_last_holds_it(installation: Installation) -> None:
    first, second = await installation.new_user(), await installation.new_user()
    number = installation.lab.number("right", 101)
    await prove(installation, first, number)
    await prove(installation, second, number)
    taken = await installation.opened.bindings.status("default", first)
    assert (taken.status, taken.reason) == (BindingStatus.SUSPENDED, SuspendReason.TAKEN_OVER)
    assert (await both_doors(installation, first))["status"] == "SUSPENDED"
    assert (await both_doors(installation, second))["number"] == number


async def test_a_new_number_ends_the_old_one_at_once(installation: Installation) -> None:
    user = await installation.new_user()
    await prove(installation, user, installation.lab.number("right", 102))
    busy = installation.lab.number("busy", 10)
    attempt = await installation.ended(await installation.bind(user, busy))
    assert attempt.outcome is Outcome.BUSY
    assert (await both_doors(installation, user))["status"] == "NONE"


async def test_the_old_number_stays_until_the_new_one_is_proven(lab: Lab, tmp_path: Path) -> None:
    sections = {"binding": {"replace": "when_verified"}}
    async with installed(lab, tmp_path, node="swap", app="swap", sections=sections) as one:
        await one.serve()
        user, old = await one.new_user(), lab.number("right", 103)
        await prove(one, user, old)
        await one.ended(await one.bind(user, lab.number("busy", 11)))
        assert (await one.json_command("lookup", user))["number"] == old
        new = lab.number("right", 104)
        await prove(one, user, new)
        assert (await one.json_command("lookup", user))["number"] == new


async def test_a_second_bind_while_a_call_runs(installation: Installation) -> None:
    user, number = await installation.new_user(), installation.lab.number("no_answer", 10)
    async with installation.rings_long():
        shown = await installation.bind(user, number)
        status, _, told = await installation.command("bind", user, installation.lab.number("right", 105))
        assert (status, told) == (1, "binding-ivr: a call is in progress; wait until it ends, or cancel it\n")
        await installation.state(shown.attempt.attempt_id, AttemptState.RINGING)
        assert (await installation.command("cancel", user))[0] == 0
        attempt = await installation.ended(shown)
    assert (attempt.outcome, attempt.tries) == (Outcome.CANCELED, 0)
    await installation.no_channels()


async def test_cancel_in_the_conversation(installation: Installation) -> None:
    user, number = await installation.new_user(), installation.lab.number("silent", 10)
    shown = await installation.bind(user, number)
    await installation.state(shown.attempt.attempt_id, AttemptState.ANSWERED)
    await installation.opened.bindings.cancel("default", user, TESTER)
    assert (await installation.ended(shown)).outcome is Outcome.CANCELED
    await installation.no_channels()


@pytest.mark.parametrize("behaviour", ["silent", "no_answer"])
async def test_after_a_crash_in_the_call(lab: Lab, tmp_path: Path, behaviour: str) -> None:
    """kill -9 in the prompt, or while it rings: the attempt gets an outcome, the channel goes, nothing is verified."""
    async with installed(lab, tmp_path, node="crash", app="crash") as one:
        await one.serve()
        user, number = await one.new_user(), lab.number(behaviour, 12)
        shown = await one.bind(user, number)
        reached = AttemptState.ANSWERED if behaviour == "silent" else AttemptState.RINGING
        await one.state(shown.attempt.attempt_id, reached)
        await one.kill()
        await one.serve()
        attempt = await one.ended(shown)
        assert (attempt.outcome, attempt.fault) == (Outcome.FAILED, Fault.US)
        await one.no_channels()
        binding = await one.opened.bindings.status("default", user)
        assert binding.status is BindingStatus.PENDING
        assert (await one.json_command("lookup", user))["status"] == "NONE"
        await lab.set_script(number, "right")
        again = await one.ended(await one.revalidate(user))
        assert again.outcome is Outcome.VERIFIED
        await lab.clear_script(number)


async def test_stop_lets_a_call_end_and_the_second_signal_hangs_up(lab: Lab, tmp_path: Path) -> None:
    async with installed(lab, tmp_path, node="stop", app="stop") as one:
        process = await one.serve()
        user, number = await one.new_user(), lab.number("right", 106)
        await lab.set_script(number, "right", after_ms=2500)
        shown = await one.bind(user, number)
        await one.state(shown.attempt.attempt_id, AttemptState.ANSWERED)
        process.send_signal(signal.SIGTERM)
        assert (await one.ended(shown)).outcome is Outcome.VERIFIED
        async with asyncio.timeout(20 * SLOW):
            assert await process.wait() == 0
        process = await one.serve()
        silent = await one.bind(await one.new_user(), lab.number("silent", 13))
        await one.state(silent.attempt.attempt_id, AttemptState.ANSWERED)
        process.send_signal(signal.SIGTERM)
        await one.logged('"service.stopping"')
        process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(20 * SLOW):
            assert await process.wait() == 0
        attempt = await one.opened.store.attempts.attempt(silent.attempt.attempt_id)
        assert (attempt.outcome, attempt.fault) == (Outcome.FAILED, Fault.US)
        await one.no_channels()


async def test_a_restart_of_asterisk_in_the_call(tmp_path: Path) -> None:
    """Asterisk dies with a call: the attempt ends as ours, the service waits and goes on when Asterisk is back."""
    async with Lab() as lab, installed(lab, tmp_path, node="reborn", app="reborn") as one:
        await one.serve()
        user = await one.new_user()
        shown = await one.bind(user, lab.number("silent", 14))
        await one.state(shown.attempt.attempt_id, AttemptState.ANSWERED)
        await lab.pbx.crash()
        attempt = await one.ended(shown)
        assert (attempt.outcome, attempt.fault) == (Outcome.FAILED, Fault.US)
        lab.pbx.start(leashed=True)
        await lab.pbx.booted()
        await prove(one, user, lab.number("right", 107))
