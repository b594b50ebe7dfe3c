"""What the phones of the scripted phone network do, and which numbers do it. It starts nothing.

The doing itself is the dialplan in `etc/carrier/extensions.conf`: a context `phone-<name>` for each row.
"""

import re
from dataclasses import dataclass, fields, replace
from typing import Any

AREA_CODES = (
    "202",
    "206",
    "212",
    "213",
    "214",
    "303",
    "305",
    "312",
    "404",
    "415",
    "512",
    "602",
    "617",
    "702",
    "713",
    "718",
    "801",
    "816",
    "901",
    "503",
    "504",
    "615",
    "314",
    "216",
)
"""Area codes in which `555-01xx`, the range set aside for fiction, passes as a valid number."""

_LOAD = range(50, 100)
_DIGITS = re.compile(r"[0-9*#A-Da-dw]{0,64}")


@dataclass(frozen=True, slots=True)
class Script:
    """How a phone behaves; the units are those of the names, in milliseconds."""

    name: str
    ring_ms: int = 100
    """How long it rings before it answers."""
    after_ms: int | None = None
    """From the answer to the first key (or to the hang-up); None: 300 to 800, at random."""
    gap_ms: int | None = 60
    """Between two tones; None: 30 to 40, at random."""
    duration_ms: int | None = 60
    """Of a tone; None: 40 to 60, at random."""
    pace_ms: int = 1500
    """Between two tries; for `slow` between two digits; for `voicemail` the longest message."""
    record: bool = False
    """Keep what the phone hears as a WAV file; `Lab.heard` names it under `recording`."""
    digits: str = ""
    """Keyed instead of the code, a `w` being half a second without a key; a voicemail greeting plays them as tones."""
    waits: bool = False
    """For `person`: ring until the test says otherwise."""
    info: bool = False
    """For `person`: key by SIP INFO instead of RFC 4733."""

    def with_params(self, params: dict[str, Any]) -> "Script":
        """Return a copy with *params* set.

        Raises ValueError for a name that is no parameter, or a value that is out of range.
        """
        known = {field.name for field in fields(self)} - {"name"}
        if unknown := sorted(set(params) - known):
            raise ValueError(f"unknown parameter {unknown[0]}: choose from {', '.join(sorted(known))}")
        script = replace(self, **params)
        if not _DIGITS.fullmatch(script.digits):
            raise ValueError("digits may be 0-9, *, #, A-D and w (half a second), 64 at most")
        for name in ("ring_ms", "after_ms", "gap_ms", "duration_ms", "pace_ms"):
            value = getattr(script, name)
            if value is not None and not 0 <= value <= 600_000:
                raise ValueError(f"{name} must be 0 to 600000 milliseconds")
        return script

    def line(self) -> str:
        """Return the script as the phone network's dialplan reads it."""

        def seconds(value: int | None) -> str:
            return "" if value is None else f"{value / 1000:.3f}"

        def number(value: int | None) -> str:
            return "" if value is None else str(value)

        return ",".join(
            (
                self.name,
                seconds(self.ring_ms),
                seconds(self.after_ms),
                number(self.gap_ms),
                number(self.duration_ms),
                seconds(self.pace_ms),
                "1" if self.record else "",
                self.digits,
                "1" if self.waits else "",
                "1" if self.info else "",
            )
        )


@dataclass(frozen=True, slots=True)
class Behaviour:
    """One kind of phone, and the last two digits of the numbers that have it."""

    name: str
    suffix: int
    does: str
    script: Script


def _row(name: str, suffix: int, does: str, **params: Any) -> Behaviour:
    return Behaviour(name, suffix, does, Script(name).with_params(params))


TABLE = (
    _row("right", 50, "answers and keys the right code"),
    _row("wrong", 1, "keys three codes that are wrong, then nothing"),
    _row("wrong_then_right", 2, "keys a wrong code, then the right one"),
    _row("short", 3, "keys all digits but the last, then nothing"),
    _row("slow", 4, "keys the right code with 7 s between the digits", pace_ms=7000),
    _row("hash", 5, "keys the right code and #"),
    _row("short_hash", 6, "keys four digits and #, then the right code"),
    _row("repeated", 7, "keys the code fast; meant for codes such as 777777", gap_ms=None, duration_ms=None),
    _row("fast", 8, "keys with 30-40 ms gaps and 40-60 ms tones, uneven", gap_ms=None, duration_ms=None),
    _row("info", 9, "keys the right code by SIP INFO"),
    _row("busy", 10, "is busy (486)"),
    _row("declined", 11, "rings briefly and declines (603)"),
    _row("rejected", 12, "rejects the call (403)"),
    _row("no_answer", 13, "rings forever"),
    _row("unallocated", 14, "is not a number in service (404)"),
    _row("gone", 15, "has a new number (410)"),
    _row("congestion", 16, "has no free line (503)"),
    _row("early_media", 17, "plays a ring tone before the answer (183), then keys the right code"),
    _row("early_busy", 18, "plays a busy tone before the answer (183), then is busy (486)"),
    _row("voicemail", 19, "answers with a greeting and a beep, records up to 10 s, hangs up", pace_ms=10_000),
    _row("screening", 20, "answers with a beep, hangs up unless it hears speech in 3 s, else keys the code"),
    _row("hangup_at", 21, "hangs up 1.5 s after the answer", after_ms=1500),
    _row("hangup_digits", 22, "keys three digits and hangs up"),
    _row("star", 23, "keys *"),
    _row("star_mid", 24, "keys two digits and *"),
    _row("silent", 25, "answers and keys nothing"),
    _row("letters", 26, "keys A to D between the digits of the right code"),
    _row("burst_early", 27, "keys the right code at once, 0.1 s after the answer", gap_ms=40, duration_ms=60),
    _row("person", 29, "does what a test says, by `Lab.phone`"),
    _row("barge", 28, "keys the right code 1 s after the answer, into the prompt", after_ms=1000),
)
BY_NAME = {row.name: row for row in TABLE}
DESK = Script("silent", ring_ms=500)
"""What the lab's desk phones 1001 to 1004 do unless told otherwise: they answer and stay."""


def script(name: str, **params: Any) -> Script:
    """Return the script of the behaviour *name* with *params* set; ValueError if there is none."""
    if name not in BY_NAME:
        raise ValueError(f"unknown behaviour {name}: choose from {', '.join(BY_NAME)}")
    return BY_NAME[name].script.with_params(params)


def number(behaviour: str, index: int = 0) -> str:
    """Return the *index*-th fictional E.164 number whose phone behaves as *behaviour*.

    There are as many as area codes, for `right` fifty times as many. Raises ValueError beyond that.
    """
    suffixes = list(_LOAD) if behaviour == "right" else [BY_NAME[script(behaviour).name].suffix]
    turn, area = divmod(index, len(AREA_CODES))
    if not 0 <= turn < len(suffixes):
        raise ValueError(f"there are only {len(AREA_CODES) * len(suffixes)} numbers for {behaviour}")
    return f"+1{AREA_CODES[area]}55501{suffixes[turn]:02}"


def dialplan_globals() -> str:
    """Return the table as global variables for the phone network; every other ending is `right`."""
    lines = {suffix: BY_NAME["right"].script.line() for suffix in range(100)}
    lines.update({row.suffix: row.script.line() for row in TABLE})
    rows = [f"BEHAVIOUR_{suffix:02} = {line}" for suffix, line in lines.items()]
    return "\n".join([*rows, f"BEHAVIOUR_DESK = {DESK.line()}"])
