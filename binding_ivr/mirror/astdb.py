"""How AstDB holds the trusted numbers, and what must be written so that it holds them; it does no I/O.

    binding/ext/<account>/<extension>   ->  +15551230001
    binding/num/<digits>                ->  <account>/<extension>
    binding/plan/caller                 ->  1/1/011 (see policy.callers)
    binding/plan/route                  ->  PJSIP/{e164}@trunk, when there is one route for all

The dialplan asks with `${DB(binding/ext/default/1001)}`.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from binding_ivr.asterisk.ami.client import Write
from binding_ivr.config import Config
from binding_ivr.model import forms
from binding_ivr.policy.callers import caller_plan
from binding_ivr.store.mirror import Entry

FAMILY = "binding"
BRANCHES = ("ext", "num")
"""The only parts of AstDB that the mirror reads, writes or deletes, apart from the keys of `plan`."""

_USER = f"{forms.ACCOUNT}/{forms.EXTENSION}"


Plan = Mapping[str, str]
"""Keys of the family that tell the dialplan how to read and how to dial; empty: must not be there."""


def plan(config: Config) -> Plan:
    """Return what the dialplan must know of *config*: with several routes only the operator can choose one."""
    endpoints = {route.endpoint for route in config.routes}
    return {
        "plan/caller": str(caller_plan(config.number.default_region)),
        "plan/route": endpoints.pop() if len(endpoints) == 1 else "",
    }


def key_of(entry: Entry) -> str:
    """Return the key of *entry* within the family."""
    return f"ext/{entry.account}/{entry.name}" if entry.kind == "ext" else f"num/{entry.name}"


def is_sound(key: str, value: str) -> bool:
    """Return whether key and value have the form that the dialplan may rely on."""
    if key.startswith("ext/"):
        return forms.fits(f"ext/{_USER}", key) and forms.fits(forms.E164, value)
    return forms.fits(f"num/{forms.DIGITS}", key) and forms.fits(_USER, value)


def is_ours(key: str) -> bool:
    """Return whether a key of the family lies in one of our branches, exactly as we write them."""
    return key.partition("/")[0] in BRANCHES


@dataclass(slots=True)
class Comparison:
    """What AstDB must hold, against what it is seen to hold, entry by entry."""

    wanted: dict[str, str] = field(default_factory=dict, repr=False)
    """What must be there and was not seen so yet."""
    stale: list[str] = field(default_factory=list, repr=False)
    """Keys that were seen and must not be there."""
    differing: int = 0
    """Keys that were seen with another value."""
    keys: int = 0
    """How many keys must be there in all."""
    unsound: int = 0
    """Entries that are not mirrored because of their form. The database's own rules keep this at zero."""

    def want(self, entries: Iterable[Entry]) -> None:
        """Add entries that must be there."""
        for entry in entries:
            key = key_of(entry)
            if entry.value is None or not is_sound(key, entry.value):
                self.unsound += 1
            else:
                self.wanted[key] = entry.value
        self.keys = len(self.wanted)

    def saw(self, full_key: str, value: str) -> None:
        """Note one key of AstDB, family included; what is not ours is passed over."""
        family, _, key = full_key.partition("/")
        if family != FAMILY or not is_ours(key):
            return
        due = self.wanted.get(key)
        if due is None:
            self.stale.append(key)
        elif due == value:
            del self.wanted[key]
        else:
            self.differing += 1

    @property
    def missing(self) -> int:
        """How many keys must be there and are not."""
        return len(self.wanted) - self.differing

    @property
    def is_equal(self) -> bool:
        """True when nothing must be written."""
        return not self.wanted and not self.stale

    def writes(self) -> Iterator[Write]:
        """Yield what must be done: deletions first, because trust that ended matters most."""
        for key in self.stale:
            yield Write(FAMILY, key, None)
        for key, value in self.wanted.items():
            yield Write(FAMILY, key, value)


def changes(entries: Iterable[Entry]) -> list[Write]:
    """Return the writes for changed entries, deletions first; an unsound value is a deletion."""
    due: dict[str, str | None] = {}
    for entry in entries:
        key = key_of(entry)
        due[key] = entry.value if entry.value is not None and is_sound(key, entry.value) else None
    return [Write(FAMILY, key, value) for key, value in sorted(due.items(), key=lambda item: item[1] is not None)]
