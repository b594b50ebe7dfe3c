"""A made-up installation for the tests of the page: one user with any binding, and requests without a network."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any, cast
from urllib.parse import urlencode
from uuid import uuid4

from aiohttp import web
from aiohttp.test_utils import make_mocked_request

from binding_ivr.app.installation import Installation
from binding_ivr.app.view import Shown, View
from binding_ivr.config import Config, Prompts
from binding_ivr.errors import NotFoundError, Refusal
from binding_ivr.model.actors import Actor
from binding_ivr.model.moves import MoveRow
from binding_ivr.model.outcome import FAULTS, AttemptState, Outcome
from binding_ivr.model.rows import Account, AttemptRow, AuditRow, BindingRow, BindingStatus, SuspendReason, User
from binding_ivr.policy.lifecycle import Changer, Life, Undo
from binding_ivr.policy.limit_state import LimitState, Paused, Reset
from binding_ivr.policy.numbers import as_people_write_it
from binding_ivr.store import FoundUser, Suppression
from binding_ivr.web.auth.identity import IDENTITY, Identity
from binding_ivr.web.page import admin
from binding_ivr.web.page import binding as page
from binding_ivr.web.settings import CONFIG, INSTALLATION, READINESS

NOW = datetime.now(UTC).replace(microsecond=0)
NUMBER = "+12025550150"
CODE = "048213"
IN_CALL = Refusal("call_in_progress", "a call is in progress")
USER = Identity("user", "default", "1001", csrf="token", ambient=True)
ADMIN = Identity("key", scopes=frozenset({"admin"}), name="ops", csrf="token", ambient=True)


def changed(by: Changer = "user") -> Life:
    """A number that was changed an hour ago."""
    ago = NOW - timedelta(hours=1)
    return Life(undo=Undo("+12125550177", ago, by, ago + timedelta(hours=24)))


def attempt(
    state: AttemptState = AttemptState.RINGING,
    digits: int = 0,
    outcome: Outcome | None = None,
    ago_s: float = 30,
    due_s: float = 0,
) -> AttemptRow:
    """An attempt that began *ago_s* before NOW and may leave *due_s* after it."""
    began = NOW - timedelta(seconds=ago_s)
    return AttemptRow(
        attempt_id=uuid4(), account="default", user_id="1001", number=NUMBER,
        state=AttemptState.ENDED if outcome else state, digits=digits, outcome=outcome,
        fault=FAULTS[outcome] if outcome else None, tries=0, cause=None, tech_cause=None, detail="", key_id="1",
        node="pbx1", created_at=began, answered_at=None, ended_at=began if outcome else None,
        not_before=NOW + timedelta(seconds=due_s), shown_until=NOW + timedelta(seconds=270),
        expires_at=NOW + timedelta(seconds=570), read_at=NOW,
    )  # fmt: skip


def view(
    status: str = "none",
    last: AttemptRow | None = None,
    *,
    code: str | None = None,
    reason: str | None = None,
    pending: str | None = None,
    bind: Refusal | None = None,
    revalidate: Refusal | None = None,
    caller_ids: tuple[str, ...] = ("+12025550100",),
    stale: bool = False,
    life: Life | None = None,
) -> View:
    number = None if status == "none" else NUMBER
    since = NOW - timedelta(days=3) if number else None
    binding = BindingRow(
        "default",
        "1001",
        BindingStatus(status),
        SuspendReason(reason) if reason else None,
        number,
        pending,
        since,
        last,
        stale_at=NOW - timedelta(days=1) if stale else None,
    )
    return View(
        binding,
        Shown(last, code) if last else None,
        as_people_write_it(number) if number else None,
        as_people_write_it(pending) if pending else None,
        bind,
        revalidate,
        caller_ids,
        life or Life(),
        as_people_write_it(life.undo.number) if life and life.undo else None,
    )


def live(state: AttemptState, digits: int = 0, code: str | None = CODE, due_s: float = 0) -> View:
    return view("pending", attempt(state, digits, due_s=due_s), code=code, bind=IN_CALL, revalidate=IN_CALL)


@dataclass
class FakeInstallation:
    """One user, 1001; what was asked is in `asked`, and `refuse` is raised at the next asking.

    It is all the use cases and all the parts of the store in one.
    """

    now: View = field(default_factory=view)
    language: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict)
    asked: list[tuple[str, ...]] = field(default_factory=list)
    refuse: Exception | None = None
    rows: Sequence[AttemptRow] = ()
    paused: Sequence[Paused] = ()
    moved: Sequence[MoveRow] = ()

    async def view(self, account: str, user_id: str, actor: object = None) -> View:
        await self.user(account, user_id)
        return self.now

    async def user(self, account: str, user_id: str) -> User:
        if user_id != "1001":
            raise NotFoundError("there is no such user")
        return User("default", "1001", ("1001",), self.language, "")

    @property
    def bindings(self) -> "FakeInstallation":
        return self

    accounts = numbers = bindings

    @property
    def store(self) -> SimpleNamespace:
        limits = SimpleNamespace(state=self.limit_state, reset_user=self.reset_user, resume=self.resume_calls)
        return SimpleNamespace(
            attempts=SimpleNamespace(attempts=self.attempts),
            directory=SimpleNamespace(user=self.user, accounts=self.all_accounts),
            limits=limits,
            moves=SimpleNamespace(moves=self.moves),
            personal=SimpleNamespace(audit=self.audit),
            suppressions=SimpleNamespace(list=self.suppressions),
            web=SimpleNamespace(search_users=self.users),
        )

    async def config_of(self, account: str) -> Config:
        return Config().for_account_or_default(self.settings)

    async def all_accounts(self) -> Sequence[Account]:
        return [Account("default", {})]

    async def limit_state(self) -> LimitState:
        return LimitState(self.paused, [], 7, 20, 12.34, 1, 2)

    async def reset_user(self, account: str, user_id: str, actor: Actor) -> Reset:
        self._ask("reset_user", account, user_id, actor.reason)
        return Reset(1, 1)

    async def reset(self, number: str, actor: Actor) -> Reset:
        self._ask("reset_number", number, actor.reason)
        return Reset(3, 1)

    async def resume_calls(self, account: str, actor: Actor) -> None:
        self._ask("resume_calls", account, actor.reason)

    async def limits(self, account: str) -> Mapping[str, float]:
        return {"number_hour": 3, "number_day": 5, "user_hour": 5, "concurrent_node": 2}

    async def attempts(self, **_: object) -> Sequence[AttemptRow]:
        return self.rows

    async def moves(self, **_: object) -> Sequence[MoveRow]:
        return self.moved

    async def users(self, account: str | None, text: str, after: str, limit: int) -> Sequence[FoundUser]:
        row = FoundUser(await self.user("default", "1001"), self.now.binding.status, NUMBER, NOW)
        return [row] if text in "1001" else []

    async def suppressions(self) -> Sequence[Suppression]:
        return [Suppression(b"\xab" * 32, "reported", "callee", NOW)]

    def _ask(self, *words: str) -> None:
        self.asked.append(words)
        if self.refuse is not None:
            raise self.refuse

    async def bind(self, account: str, user_id: str, number: str, actor: Actor, *, now: bool = False) -> None:
        self._ask("bind", user_id, number, actor.who, *["now"] * now)

    async def revalidate(self, account: str, user_id: str, actor: Actor, *, now: bool = False) -> None:
        self._ask("revalidate", user_id, actor.who, *["now"] * now)

    async def undo(self, account: str, user_id: str, actor: Actor, *, now: bool = False) -> None:
        self._ask("undo", user_id, actor.who, *["now"] * now)

    async def cancel(self, account: str, user_id: str, actor: Actor) -> None:
        self._ask("cancel", user_id, actor.who)

    async def remove(self, account: str, user_id: str, actor: Actor) -> None:
        self._ask("remove", user_id, actor.who)

    async def suspend(self, account: str, user_id: str, actor: Actor) -> None:
        self._ask("suspend", user_id, actor.who, actor.reason)

    async def resume(self, account: str, user_id: str, actor: Actor) -> None:
        self._ask("resume", user_id, actor.who)

    async def suppress(self, number: str, actor: Actor) -> None:
        self._ask("suppress", number, actor.who)

    async def audit(self, **_: object) -> Sequence[AuditRow]:
        return [
            AuditRow(7, NOW, "default", "1001", "binding.suspended", "key:ops", "web", "192.0.2.1", None,
                     {"number": NUMBER}, "phone lost")
        ]  # fmt: skip

    async def unsuppress(self, number: str, actor: Actor) -> None:
        self._ask("unsuppress", number)


async def healthy() -> Mapping[str, str]:
    return {"ari": "ok"}


def application(fake: FakeInstallation, config: Config | None = None) -> web.Application:
    """The application with the pages alone."""
    app = web.Application()
    app[CONFIG] = config or Config(prompts=Prompts(site_name="Acme & Sons"))
    app[INSTALLATION] = cast(Installation, fake)
    app[READINESS] = healthy
    page.add_routes(app)
    admin.add_routes(app)
    return app


async def ask(
    fake: FakeInstallation,
    path: str = "/",
    form: Mapping[str, str] | None = None,
    *,
    identity: Identity | None = USER,
    accept: str = "en",
    config: Config | None = None,
) -> web.Response:
    """Send a request for *path*, a POST when there is a *form*; redirections are returned, not raised."""
    app = application(fake, config)
    headers = {"Accept-Language": accept, "Accept": "text/html"}
    if form is not None:
        headers["Content-Type"] = "application/x-www-form-urlencoded"
    request = make_mocked_request("POST" if form is not None else "GET", path, headers, app=app)
    if form is not None:
        request._read_bytes = urlencode({"csrf": "token", **form}).encode()
    if identity is not None:
        request[IDENTITY] = identity
    found = await app.router.resolve(request)
    found.add_app(app)
    request._match_info = found
    try:
        return cast(web.Response, await found.handler(request))
    except web.HTTPSeeOther as redirection:
        return redirection
