"""The hot-switch PINs in AstDB, which the dialplan keeps: a PIN ends with the number that it was chosen for.

    hotswitch_pin/<account>/<extension>   ->  <salt>-<digest of the PIN>-<digest of the number>

The dialplan takes a PIN only with its number. What is dead is removed here, so that no later owner of the extension,
and nobody who gets the number back, finds it again; with it go the counts of wrong entries and of calls back.
"""

import hashlib
import hmac
from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

from binding_ivr.asterisk.ami.client import Write
from binding_ivr.model import forms
from binding_ivr.store import PgMirror

PINS = "hotswitch_pin"
FAMILIES = (PINS, "hotswitch_wrong", "hotswitch_called")
_USER = f"{forms.ACCOUNT}/{forms.EXTENSION}"


class AstDb(Protocol):
    """What is needed of AMI (`asterisk.ami.AmiClient`)."""

    async def apply(self, writes: Iterable[Write]) -> None:
        """Carry out writes in order."""

    async def get_all(self, family: str, keys: Sequence[str]) -> list[str | None]:
        """Return the values of *keys*, None for what is not there."""


def is_pin_for(value: str, number: str) -> bool:
    """Return whether the PIN was chosen for *number* (E.164)."""
    salt, *rest = value.split("-")
    digest = hashlib.sha1(f"{salt}:{number}".encode(), usedforsecurity=False).hexdigest()
    return len(rest) == 2 and hmac.compare_digest(digest.encode(), rest[1].encode())


async def forget_dead(ami: AstDb, store: PgMirror, users: Sequence[str]) -> None:
    """Remove the PINs of these *users* (`account/extension`) that are not their number's. Raises BindingError."""
    held = dict(zip(users, await ami.get_all(PINS, users), strict=True))
    there: Mapping[str, str] = {user: value for user, value in held.items() if value is not None}
    if not there:
        return
    numbers = await store.numbers_of(list(there))
    dead = [user for user, value in there.items() if not is_pin_for(value, numbers.get(user, ""))]
    await ami.apply([Write(family, user, None) for user in dead for family in FAMILIES])


async def held(ami: AstDb, users: Sequence[str]) -> list[str]:
    """Return those of *users* (`account/extension`) who have a PIN. Raises BindingError."""
    return [user for user, value in zip(users, await ami.get_all(PINS, users), strict=True) if value is not None]


def user_of(key: str) -> str | None:
    """Return `account/extension` of a PIN's key, family included; None when it is not of that form."""
    family, _, user = key.partition("/")
    return user if family == PINS and forms.fits(_USER, user) else None
