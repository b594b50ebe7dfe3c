"""Who asks for something: as a type, and as the text that the audit keeps."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Self


class ActorKind(StrEnum):
    """What somebody who asks is. The value is how the text of the audit begins."""

    USER = "user"
    """A person, for the own binding. For another's it is an administrator, however they signed in."""
    ADMIN = "admin"
    """A person who acts for others; named `ACCOUNT/USER`, for they may be of another account."""
    KEY = "key"
    """An API key, or a browser that signed in with one."""
    CLI = "cli"
    """Whoever ran a command."""
    SQL = "sql"
    """Whoever wrote to the database past the service."""
    SYSTEM = "system"
    """The service itself. It has no name."""


class Source(StrEnum):
    """By which way somebody asked."""

    WEB = "web"
    CLI = "cli"
    DESK = "desk"
    CALL = "call"
    SYSTEM = "system"
    SQL = "sql"


_KINDS = {kind.value: kind for kind in ActorKind if kind is not ActorKind.SYSTEM}
_SOURCES = {source.value: source for source in Source}


def read_source(text: str) -> Source:
    """Read a source as the database keeps it; a word that is not ours was set by somebody who spoke SQL."""
    return _SOURCES.get(text, Source.SQL)


@dataclass(frozen=True, slots=True)
class Who:
    """Kind and name of somebody who asked, written `user:1001`, `key:portal`, `cli:root` or `system`."""

    kind: ActorKind
    name: str = ""

    def __str__(self) -> str:
        """Write it as the database keeps it."""
        return self.kind.value if self.kind is ActorKind.SYSTEM else f"{self.kind}:{self.name}"

    @classmethod
    def read(cls, text: str) -> Self:
        """Read what `str` wrote. Text of no kind that we write was set by somebody who spoke SQL; no text is ours."""
        if text in ("", ActorKind.SYSTEM):
            return cls(ActorKind.SYSTEM)
        word, _, name = text.partition(":")
        kind = _KINDS.get(word)
        return cls(ActorKind.SQL, text) if kind is None or not name else cls(kind, name)

    def is_user(self, user_id: str) -> bool:
        """Return whether this is the user *user_id* themself, in a row that is about that user."""
        return self.kind is ActorKind.USER and self.name == user_id


@dataclass(frozen=True, slots=True)
class Actor:
    """Who asks, by which way, and (`reason`) why in their words.

    `address` is a network address, at a desk phone the name of its channel. `by` is how somebody signs in, else empty.
    """

    kind: ActorKind
    name: str
    source: Source
    address: str = ""
    reason: str = ""
    by: str = ""

    @property
    def who(self) -> str:
        """Kind and name as the database keeps them."""
        return str(Who(self.kind, self.name))

    @property
    def is_person_on_the_web(self) -> bool:
        """True for a person in a browser, or whose token an application sends; not for an API key."""
        return self.source is Source.WEB and self.kind in (ActorKind.USER, ActorKind.ADMIN)


def system(source: Source = Source.SYSTEM, reason: str = "", address: str = "") -> Actor:
    """Return the service itself as the one who asks."""
    return Actor(ActorKind.SYSTEM, "", source, address, reason)
