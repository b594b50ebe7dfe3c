"""One user's desk phone and cell phone and somebody else, through moves of all kinds; and what the phones saw of each.

What the phones saw is compared with the history, and both with what Asterisk wrote down of the same time.
"""

import asyncio
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from binding_ivr.lab import Lab, Phone
from tests.e2e.hotswitch.scene import ACCESS, noticed, notices, until
from tests.e2e.rig import Take, pair

PIN = "4711"


@dataclass(frozen=True, slots=True)
class Seen:
    """A move or pull as the phones know it."""

    kind: str
    outcome: str


@dataclass
class Lane:
    """A call of one extension. Phones answer by hand, so that nobody may answer as well."""

    lab: Lab
    extension: str
    desk: Phone
    cell: Phone
    customer: Phone
    seen: list[Seen] = field(default_factory=list)

    @classmethod
    async def of(cls, take: Take, extension: str, number: str, customer: str) -> "Lane":
        """Take the phones in hand."""
        phones = await take(extension, answers=False), await take(number, answers=False), await take(customer)
        return cls(take.lab, extension, *phones)

    # --- the call

    async def received(self) -> None:
        """The customer calls the desk."""
        await self.customer.call(self.extension)
        await self.desk.answer()
        await pair(self.desk, self.customer)

    async def at_desk(self) -> None:
        """Have a call at the desk, whatever there was."""
        if self.desk.is_up() and self.customer.is_up():
            return
        if self.cell.is_up() and self.customer.is_up():
            await self.desk_pull()
            return
        await self.over()
        await self.received()

    async def at_cell(self) -> None:
        """Have a call at the cell phone, whatever there was."""
        if not (self.cell.is_up() and self.customer.is_up()):
            await self.at_desk()
            await self.to_cell()

    async def over(self) -> None:
        """Everybody hangs up."""
        for phone in (self.customer, self.desk, self.cell):
            while phone.live:
                await phone.hangup()

    def _saw(self, kind: str, outcome: str) -> None:
        self.seen.append(Seen(kind, outcome))

    # --- by the code

    async def to_cell(self) -> None:
        """The desk presses the code, and the cell phone takes the call."""
        await self.at_desk()
        await self.desk.press("*77")
        await self.cell.answer()
        await self.cell.press("1")
        await pair(self.cell, self.customer)
        await self.desk.idle()
        self._saw("to_cell", "moved")

    async def to_desk(self) -> None:
        """The cell phone presses the code, and the desk takes the call."""
        await self.at_cell()
        await self.cell.press("*77")
        await self.desk.answer()
        await pair(self.desk, self.customer)
        await self.cell.idle()
        self._saw("to_desk", "moved")

    async def not_taken(self) -> None:
        """The cell phone answers and presses another key."""
        await self.at_desk()
        await self.desk.press("*77")
        await self.cell.answer()
        await self.cell.press("5")
        await self._still_at_desk("to_cell", "not_taken")

    async def no_answer(self) -> None:
        """The cell phone rings, and nobody answers."""
        await self.at_desk()
        await self.desk.press("*77")
        await self._rings(self.cell)
        await self._still_at_desk("to_cell", "not_taken")

    async def busy(self) -> None:
        """The cell phone declines."""
        await self.at_desk()
        await self.desk.press("*77")
        await self._rings(self.cell)
        await self.cell.decline(17)
        await self._still_at_desk("to_cell", "busy")

    async def desk_busy(self) -> None:
        """The desk declines what the cell phone sends back."""
        await self.at_cell()
        await self.cell.press("*77")
        await self._rings(self.desk)
        await self.desk.decline(17)
        await self.desk.idle()
        await pair(self.cell, self.customer)
        self._saw("to_desk", "busy")

    async def gone(self) -> None:
        """The other party hangs up while the cell phone rings, or asks for the key."""
        await self.at_desk()
        await self.desk.press("*77")
        await self._rings(self.cell)
        if len(self.seen) % 2:
            await self.cell.answer()
        await self.customer.hangup()
        await asyncio.gather(self.desk.idle(), self.cell.idle())
        self._saw("to_cell", "gone")

    async def at_the_last_moment(self) -> None:
        """The other party hangs up in the moment in which the cell phone takes the call: it got it, or it did not.

        Asterisk's own records say which, see `agree`.
        """
        await self.at_desk()
        await self.desk.press("*77")
        await self.cell.answer()
        await asyncio.gather(self.cell.press("1"), self._hangs_up_soon())
        await asyncio.gather(self.desk.idle(), self.cell.idle(30))
        self._saw("to_cell", "moved or gone")

    async def turned_away(self, outcome: str, prompt: str = "hs_failed") -> None:
        """The code is pressed, and *prompt* says why nothing comes of it. One lane at a time: any prompt counts."""
        await self.at_desk()
        before = notices(self.lab, prompt)
        await self.desk.press("*77")
        await noticed(self.lab, prompt, before)
        await self._still_at_desk("to_cell", outcome)

    async def _hangs_up_soon(self) -> None:
        # The key takes 100 ms, and Asterisk up to 60 ms more until it believes in it.
        await asyncio.sleep(0.09 + 0.01 * (len(self.seen) % 9))
        await self.customer.hangup()

    async def _still_at_desk(self, kind: str, outcome: str) -> None:
        await self.cell.idle(30)
        await pair(self.desk, self.customer)
        self._saw(kind, outcome)

    async def _rings(self, phone: Phone) -> None:
        async def ringing() -> bool:
            return any(call.state == "ringing" for call in phone.live)

        await until(ringing, f"{phone.name} does not ring")

    # --- from the desk

    async def desk_pull(self) -> None:
        """The desk dials its code and takes the call from the cell phone."""
        await self.at_cell()
        await self.desk.call("*78")
        await pair(self.desk, self.customer)
        await self.cell.idle()
        self._saw("desk_pull", "moved")

    async def desk_pull_of_nothing(self) -> None:
        """The desk dials its code, and there is no call."""
        await self.over()
        await (await self.desk.call("*78")).over(30)
        self._saw("desk_pull", "no_call")

    # --- by the access number

    async def has_pin(self) -> None:
        """The user chooses a PIN at the desk phone."""
        call = await self.desk.call("*79")
        await call.answered()
        for _ in range(2):
            await self.desk.press(f"{PIN}#")
        await call.over(30)

    async def pull(self) -> None:
        """The cell phone calls the access number, keys the PIN and has the call."""
        await self.at_desk()
        await (await self.cell.call(ACCESS)).answered()
        await self.cell.press(f"{PIN}#")
        await pair(self.cell, self.customer)
        await self.desk.idle()
        self._saw("pull", "moved")

    async def pull_of_nothing(self) -> None:
        """The right PIN, and there is no call."""
        await self.over()
        call = await self.cell.call(ACCESS)
        await call.answered()
        await self.cell.press(f"{PIN}#")
        await call.over(30)
        self._saw("pull", "no_call")

    async def wrong_pin(self) -> None:
        """Somebody with the cell phone's caller ID keys a wrong PIN, and the right one comes next time."""
        await self.at_desk()
        call = await self.cell.call(ACCESS)
        await call.answered()
        await self.cell.press("99#")
        await asyncio.sleep(0.3)  # until Asterisk has heard the last key: what a caller does not wait for is no entry
        await self.cell.hangup()
        await self._still_at_desk("pull", "wrong_pin")
        await self.pull()

    async def no_pin(self) -> None:
        """The caller hears that a PIN is wanted, and hangs up."""
        await self.at_desk()
        await (await self.cell.call(ACCESS)).answered()
        await self.cell.hangup()
        await self._still_at_desk("pull", "hung_up")
        await self.pull()

    async def refused_pull(self, outcome: str) -> None:
        """Whatever HOTSWITCH_PROOF asks for, this caller does not show it."""
        await self.at_desk()
        await (await self.cell.call(ACCESS)).over(30)
        await self._still_at_desk("pull", outcome)

    async def called_back(self) -> None:
        """The cell phone hangs up, is called back, and takes the call."""
        await self.at_desk()
        await (await self.cell.call(ACCESS)).answered()
        await self.cell.hangup()
        await self.cell.answer()
        await self.cell.press("1")
        await pair(self.cell, self.customer)
        await self.desk.idle()
        self._saw("pull", "moved")

    async def called_back_for_nothing(self) -> None:
        """The cell phone is called back and presses another key; the next call comes too soon."""
        await self.at_desk()
        await (await self.cell.call(ACCESS)).answered()
        await self.cell.hangup()
        await self.cell.answer()
        await self.cell.press("5")
        await self._still_at_desk("pull", "not_taken")
        await (await self.cell.call(ACCESS)).over(30)
        await self._still_at_desk("pull", "too_soon")
        await self.lab.pbx.rx(f"database del hotswitch_called default/{self.extension}")


def agree(lab: Lab, lanes: Sequence[Lane], rows: Sequence[dict[str, str]]) -> list[str]:
    """Return in what the history *rows* differ from what the phones saw, and from what Asterisk wrote down."""
    wrong: list[str] = []
    cel = lab.cel()
    bridged = {
        row["uniqueid"]
        for row in cel
        if row["event"] == "BRIDGE_ENTER" and (row["app"], row["context"]) == ("Bridge", "hotswitch-take")
    }
    # A leg takes the call: it is in the history as moved, and none other is.
    moved = Counter(row["leg_id"] for row in rows if row["outcome"] == "moved")
    wrong += [f"Asterisk joined {leg}, {moved[leg]} rows say so" for leg in bridged if moved[leg] != 1]
    wrong += [f"moved, but Asterisk never joined {leg}" for leg in moved if leg not in bridged]
    # What began a move has one row: the mover by its name, a caller by its channel.
    begun = Counter(
        (kind, name)
        for row in cel
        if row["event"] == "CHAN_START"
        for kind, name in _begun(row, {lane.cell.number.removeprefix("+") for lane in lanes})
    )
    noted = Counter(
        ("by code" if row["kind"].startswith("to_") else row["kind"], row["move_id"].split("-")[0]) for row in rows
    )
    wrong += [f"{key}: Asterisk began {begun[key]}, the history has {noted[key]}" for key in begun | noted
              if begun[key] != noted[key]]  # fmt: skip
    for lane in lanes:
        mine = sorted((row for row in rows if row["extension"] == lane.extension), key=lambda row: row["started_at"])
        told = [Seen(row["kind"], row["outcome"]) for row in mine]
        if len(told) != len(lane.seen):
            wrong.append(f"{lane.extension}: the phones saw {len(lane.seen)}, the history has {len(told)}")
        for place, (saw, has) in enumerate(zip(lane.seen, told, strict=False)):
            if saw.kind != has.kind or has.outcome not in saw.outcome.split(" or "):
                wrong.append(f"{lane.extension}, move {place}: the phones saw {saw}, the history has {has}")
    return wrong


def _begun(row: dict[str, str], cells: set[str]) -> list[tuple[str, str]]:
    if mover := re.fullmatch(r"Local/([0-9]+)@hotswitch-move-[0-9a-f]+;2", row["channel"]):
        return [("by code", mover[1])]
    own = re.sub(r"[^0-9]", "", row["uniqueid"])
    if row["exten"] == ACCESS and row["caller"].removeprefix("+") in cells and row["channel"].startswith("PJSIP/trunk"):
        return [("pull", own)]
    return [("desk_pull", own)] if row["exten"] == "*78" else []
