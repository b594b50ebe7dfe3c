"""All phones of a lab that are in a test's hand: their tones, their ears, and who is told of which event."""

import asyncio
import tempfile
from pathlib import Path

from binding_ivr.lab import behaviours
from binding_ivr.lab.asterisk.ami import Ami
from binding_ivr.lab.asterisk.configure import SOFTPHONE, Plan
from binding_ivr.lab.errors import LabError
from binding_ivr.lab.phones.ears import Ears
from binding_ivr.lab.phones.handset import Handset, until
from binding_ivr.lab.phones.hearing import TONES_HZ
from binding_ivr.lab.phones.phone import Phone
from binding_ivr.lab.phones.relay import Relay
from binding_ivr.lab.phones.softphone import Softphone


class Phones:
    """Gives phones and takes them back. *network* is the lab's connection to its phone network."""

    def __init__(self, plan: Plan, network: Ami) -> None:
        self._plan = plan
        self._network = network
        self._network.on_user_event = self._told
        self._ears: Ears | None = None
        self._phones: dict[str, Phone] = {}
        self._softphone: Softphone | None = None
        self._keys: dict[str, Ami] = {}
        self._listening: list[Ami] = []
        self._keyed: list[tuple[str, str]] = []

    def close(self) -> None:
        """Close what was opened for the phones; they hear nothing any more."""
        self._network.on_user_event = None
        for ami in (*self._keys.values(), *self._listening):
            ami.close()
        self._keys, self._listening, self._phones = {}, [], {}
        if self._ears is not None:
            self._ears.stop()
            self._ears = None

    async def take(self, number: str, key: str, *, answers: bool, ring_ms: int, info: bool) -> Phone:
        """Return the phone of *number*, whose digits are *key*; see `Lab.phone`."""
        known = self._phones.get(key)
        if known is not None and not known.is_idle():
            raise LabError(f"{number} is still in a call: {known.live}")
        script = behaviours.script("person", ring_ms=ring_ms, waits=not answers, info=info)
        ears = self._ears or await self._listen()
        if key not in self._keys:
            # PlayDTMF holds its connection as long as the key is down, so each phone has one of its own.
            self._keys[key] = self._connection(self._plan.carrier, self._plan.carrier_ami_port)
            await self._keys[key].connect()
        phone = Phone(
            number,
            self._tone(key),
            info,
            ears,
            self._network,
            self._keys[key],
            f"{self._plan.pbx}:{self._plan.sip_port}",
        )
        self._phones[key] = phone
        await self._network.put(f"ears/{key}", ears.address)
        await self._network.put(f"script/{key}", script.line())
        return phone

    async def softphone(self, folder: Path, *, answers: bool, ring_ms: int, info: bool) -> Softphone:
        """Start the desk phone that is not Asterisk, its files under *folder*; see `Lab.softphone`."""
        if self._softphone is not None:
            raise LabError(f"the softphone {SOFTPHONE} is running already: put it away first")
        plan = self._plan
        relay = Relay(plan.pbx, plan.desk(int(SOFTPHONE[-1])), plan.softphone, plan.sip_port)
        self._softphone = phone = Softphone(
            SOFTPHONE,
            self._tone(SOFTPHONE),
            relay,
            Path(tempfile.mkdtemp(prefix="softphone-", dir=folder)),
            answers=answers,
            ring_ms=ring_ms,
            info=info,
        )
        try:
            await phone.start()
        except BaseException:
            await self.put_away(phone)
            raise
        return phone

    async def put_away(self, *phones: Handset) -> None:
        """Hang up what *phones* have left and give their numbers back; see `Lab.put_away`."""
        for phone in phones:
            if isinstance(phone, Softphone):
                await phone.stop()
                self._softphone = None if self._softphone is phone else self._softphone
            elif isinstance(phone, Phone):
                await self._put_away(phone)

    async def stop(self) -> None:
        """End the softphone, if one runs."""
        if self._softphone is not None:
            await self.put_away(self._softphone)

    async def _put_away(self, phone: Phone) -> None:
        for call in phone.live:
            await phone.hangup(call)
        await phone.idle()
        if self._phones.get(phone.key) is phone:
            del self._phones[phone.key]
        for what in ("ears", "script"):
            await self._network.delete(f"{what}/{phone.key}")

    def _tone(self, key: str) -> int:
        taken = {phone.tone_hz for other, phone in self._phones.items() if other != key}
        if self._softphone is not None and key != SOFTPHONE:
            taken.add(self._softphone.tone_hz)
        tone_hz = next((hertz for hertz in TONES_HZ if hertz not in taken), 0)
        if not tone_hz:
            raise LabError(f"a lab tells {len(TONES_HZ)} phones apart: put one away with `Lab.put_away`")
        return tone_hz

    async def keyed(self, endpoint: str, digits: str, timeout_s: float) -> None:
        """Wait until the PBX has received *digits* from its *endpoint*; see `Lab.keyed`."""
        prefix = f"PJSIP/{endpoint}-"

        def received() -> str:
            return "".join(digit for channel, digit in self._keyed if channel.startswith(prefix))

        await until(
            lambda: received() == digits, lambda: f"{endpoint} has keyed {received()!r}, not {digits!r}", timeout_s
        )
        self._keyed = [row for row in self._keyed if not row[0].startswith(prefix)]

    async def _listen(self) -> Ears:
        # Connections of their own: without phones nobody wants to read these events.
        pbx = self._connection(self._plan.pbx, self._plan.ami_port, "dtmf")
        pbx.on_digit = lambda channel, digit: self._keyed.append((channel, digit))
        carrier = self._connection(self._plan.carrier, self._plan.carrier_ami_port, "dtmf")
        carrier.on_digit = self._digit_heard
        self._listening = [pbx, carrier]
        await asyncio.gather(pbx.connect(), carrier.connect())
        self._ears = Ears()
        self._ears.start()
        return self._ears

    def _connection(self, host: str, port: int, events: str = "off") -> Ami:
        return Ami(host, port, "lab", self._plan.lab_secret, events)

    def _told(self, event: dict[str, str]) -> None:
        phone = self._phones.get(event.get("Number", ""))
        if event.get("UserEvent") == "LabPhone" and phone is not None:
            phone.take(event)

    def _digit_heard(self, channel: str, digit: str) -> None:
        for phone in self._phones.values():
            for call in phone.live:
                if call.channel == channel:
                    call.digits += digit
