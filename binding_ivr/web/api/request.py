"""One request to the API, checked, and the answer to it, as data. It checks nothing."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from uuid import UUID

import msgspec
from aiohttp import hdrs, web
from msgspec import Struct

from binding_ivr.app.bindings import Bindings
from binding_ivr.app.installation import Installation
from binding_ivr.model import forms
from binding_ivr.model.actors import Actor
from binding_ivr.store import Store
from binding_ivr.web.auth.identity import Identity, address_of

JSON = "application/json"


@dataclass(frozen=True, slots=True)
class Call:
    """One request to an operation, checked: who asks, for whom, with what."""

    request: web.Request
    identity: Identity
    installation: Installation
    names: Mapping[str, str]
    query: Any
    body: Any
    attempt_id: UUID
    """The id that an attempt of this request must have."""

    @property
    def bindings(self) -> Bindings:
        """The use cases of bindings."""
        return self.installation.bindings

    @property
    def store(self) -> Store:
        """For what is only read or written."""
        return self.installation.store

    @property
    def account(self) -> str:
        """The account in the path."""
        return self.names["account"]

    @property
    def user(self) -> tuple[str, str]:
        """Account and user id in the path."""
        return self.names["account"], self.names["user_id"]

    @property
    def actor(self) -> Actor:
        """The caller as the audit writes it."""
        names = self.names
        return self.identity.actor(address_of(self.request), names.get("account", ""), names.get("user_id", ""))

    def because(self, reason: str) -> Actor:
        """The caller with the reason that was given."""
        return replace(self.actor, reason=forms.tidy_reason(reason))


@dataclass(frozen=True, slots=True)
class Answer:
    """What is sent. `kept`: what may be kept under an Idempotency-Key instead of the body (no code in it)."""

    status: int
    body: Struct | str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    kept: bool = True

    def encoded(self) -> bytes:
        """The body as bytes."""
        if self.body is None:
            return b""
        return self.body.encode() if isinstance(self.body, str) else msgspec.json.encode(self.body)

    def response(self) -> web.Response:
        """The response; text is plain text, structures are JSON."""
        if self.body is None:
            return web.Response(status=self.status, headers=self.headers)
        kind = "text/plain" if isinstance(self.body, str) else JSON
        headers = {**self.headers, hdrs.CONTENT_TYPE: f"{kind}; charset=utf-8"}
        return web.Response(status=self.status, body=self.encoded(), headers=headers)


Run = Callable[[Call], Awaitable[Answer | web.StreamResponse]]
"""Carries out one call of the API."""
