"""One call of the API as data: route, who may, what comes in and out. The same table routes, checks and documents."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeVar
from uuid import uuid4

import msgspec
from aiohttp import hdrs, web
from msgspec import Struct

from binding_ivr.errors import NotFoundError
from binding_ivr.model import forms
from binding_ivr.web.api import idempotency
from binding_ivr.web.api.request import JSON, Answer, Call, Run
from binding_ivr.web.api.schema import NoQuery
from binding_ivr.web.auth.access import Access, authorize, not_here
from binding_ivr.web.auth.guard import fields_of
from binding_ivr.web.auth.identity import identity_of
from binding_ivr.web.problems import Problem
from binding_ivr.web.settings import INSTALLATION

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Operation:
    """One call of the API. `answers` maps a status to what its body is (None: empty)."""

    name: str
    method: str
    path: str
    summary: str
    access: Access
    run: Run
    answers: Mapping[int, type[Struct] | str | None]
    body: type[Struct] | None = None
    query: type[Struct] = NoQuery
    problems: tuple[int, ...] = ()
    headers: tuple[str, ...] = ()
    replay: Run | None = None
    """Makes the reply again when it must not be kept, from `attempt_id`."""
    text_too: bool = False
    body_optional: bool = False
    """Without a body, its defaults count."""
    lenient_names: bool = False
    """Names of any form are answered (a look-up's answer to nonsense is NONE)."""
    form: bool = False
    """The body is a form, as a dialplan's CURL() sends it; it changes nothing."""

    @property
    def keyed(self) -> bool:
        """True when the call takes an Idempotency-Key."""
        return self.method in (hdrs.METH_PUT, hdrs.METH_POST) and not self.form

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Check a request and run it. Raises Problem and BindingError."""
        names = dict(request.match_info)
        identity = identity_of(request)
        authorize(identity, self.access, names.get("account"), names.get("user_id"))
        if not self.lenient_names and not all(forms.fits(forms.PATH_NAMES[name], text) for name, text in names.items()):
            raise not_here()
        query = read_query(request, self.query)
        raw = await request.read()
        if self.form and self.body is not None:
            body: Struct | None = read_form(raw, self.body)
        elif self.body_optional and self.body is not None and raw.strip() in (b"", b"{}"):
            body = self.body()
        else:
            body = read_body(request, raw, self.body)
        call = Call(request, identity, request.app[INSTALLATION], names, query, body, uuid4())
        if not self.keyed or idempotency.HEADER not in request.headers:
            answer = await self.run(call)
        else:
            answer = await idempotency.once(self.name, call, raw, self.run, self.replay)
        return answer.response() if isinstance(answer, Answer) else answer


def read_query(request: web.Request, kind: type[T]) -> T:
    """Return the query as *kind*. Raises Problem 400."""
    if len(set(request.query)) != len(request.query):
        raise Problem(400, "bad_query", "a parameter is given twice")
    try:
        # Not `strict=False`: it takes the text null for nothing, and an account may be called so.
        return msgspec.convert({name: _count(name, text) for name, text in request.query.items()}, kind)
    except msgspec.ValidationError as error:
        raise Problem(400, "bad_query", _told(str(error), "query")) from None


def _count(name: str, text: str) -> str | int:
    return int(text) if name == "limit" and text.isascii() and text.isdigit() and len(text) < 10 else text


def read_body(request: web.Request, raw: bytes, kind: type[Struct] | None) -> Struct | None:
    """Return the body as *kind*. Raises Problem 400 (not JSON), 415 (not called JSON) or 422 (not of this form)."""
    if kind is None:
        if raw.strip() not in (b"", b"{}"):
            raise Problem(400, "no_body", "this request takes no body")
        return None
    if request.content_type != JSON:
        raise Problem(415, "not_json", f"send the body as {JSON}")
    try:
        return msgspec.json.decode(raw, type=kind)
    except msgspec.ValidationError as error:
        raise Problem(422, "bad_body", _told(str(error), "body")) from None
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        raise Problem(400, "bad_json", "the body is not well-formed JSON") from None


def read_form(raw: bytes, kind: type[Struct]) -> Struct:
    """Return a form as *kind*. Raises Problem 400 or 422."""
    if not raw.strip():
        raise Problem(422, "bad_body", "body: expected the fields of a form")
    try:
        return msgspec.convert(fields_of(raw), kind)
    except msgspec.ValidationError as error:
        raise Problem(422, "bad_body", _told(str(error), "body")) from None


def _told(message: str, where: str) -> str:
    """Turn msgspec's "Expected … - at `$.number`" into a sentence; it quotes names of fields, never their values."""
    what, _, path = message.partition(" - at `")
    at = path.rstrip("`").removeprefix("$").removeprefix(".")
    printable = "".join(sign for sign in f"{at or where}: {what[:1].lower()}{what[1:]}" if sign.isprintable())
    return printable[:300]


def found(row: T | None) -> T:
    """Return *row*. Raises NotFoundError for None."""
    if row is None:
        raise NotFoundError("not there")
    return row
