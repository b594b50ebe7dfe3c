"""Who asks: what a request's credentials proved. It checks no credential and grants nothing (see access)."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from aiohttp import web

from binding_ivr.model.actors import Actor, ActorKind, Source
from binding_ivr.model.rows import NO_CREDENTIAL, Credential
from binding_ivr.web.problems import Problem

Kind = Literal["user", "key", "proxy", "first_run"]
"""`user`: a session or a token; `proxy`: a user named by a trusted proxy; `key`: an API key; `first_run`: the first."""


@dataclass(frozen=True, slots=True)
class Identity:
    """One caller. `account` and `user_id` are set for `user` and `proxy`, `scopes` and `name` for keys.

    `signed_in_at` is None when nobody can tell when the person proved who they are. `expires_at`: no answer after it.
    `ambient`: a browser sends this credential by itself, so requests that change something must prove their origin.
    """

    kind: Kind
    account: str = ""
    user_id: str = ""
    scopes: frozenset[str] = frozenset()
    name: str = ""
    signed_in_at: datetime | None = None
    expires_at: datetime | None = None
    ambient: bool = False
    credential: Credential = NO_CREDENTIAL
    """What must stay good while something is shown that lasts."""
    csrf: str = field(default="", repr=False)
    """The token that forms of this session must send back; empty without a session."""

    @property
    def is_user(self) -> bool:
        """True for a person; one who is no administrator may only see and change the own binding."""
        return self.kind in ("user", "proxy")

    @property
    def is_admin(self) -> bool:
        """True for a caller who may do everything."""
        return "admin" in self.scopes

    @property
    def caller(self) -> str:
        """A stable name for limits and idempotency; distinct callers have distinct names."""
        return f"user:{self.account}/{self.user_id}" if self.is_user else f"key:{self.name}"

    def actor(self, address: str, account: str = "", user_id: str = "") -> Actor:
        """This caller at *address* as the one who asks for something about the user *user_id* of *account*, if any.

        A person is that user, or else an administrator: whose binding it is decides, not how they signed in.
        """
        if not self.is_user:
            return Actor(ActorKind.KEY, self.name, Source.WEB, address)
        if (account, user_id) == (self.account, self.user_id):
            return Actor(ActorKind.USER, self.user_id, Source.WEB, address)
        return Actor(ActorKind.ADMIN, f"{self.account}/{self.user_id}", Source.WEB, address)


NOT_SIGNED_IN = "not_signed_in"
"""The code of the problem for whoever shows no credential at all, which is no refused sign-in."""
IDENTITY = web.RequestKey("binding_ivr.identity", Identity)
ADDRESS = web.RequestKey("binding_ivr.address", str)
Authenticate = Callable[[web.Request], Awaitable[Identity | None]]
AUTHENTICATE: web.AppKey[Authenticate] = web.AppKey("binding_ivr.authenticate")


def identity_or_none(request: web.Request) -> Identity | None:
    """Return who asks, None for nobody. Set for every request but health, metrics and static files."""
    return request.get(IDENTITY)


def identity_of(request: web.Request) -> Identity:
    """Return who asks. Raises Problem 401."""
    identity: Identity | None = request.get(IDENTITY)
    if identity is None:
        raise Problem(401, NOT_SIGNED_IN, "sign in first: send an API key or a user token, or open a sign-in link")
    return identity


def address_of(request: web.Request) -> str:
    """Return the client's address: the peer's, or what a trusted proxy says it is."""
    return request.get(ADDRESS) or request.remote or ""
