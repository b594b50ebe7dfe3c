"""The AMI client: keeps one connection to Asterisk, reads and writes AstDB over it; it does not know what for."""

import asyncio
import contextlib
import hashlib
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import partial
from itertools import islice
from typing import Any, NoReturn

from binding_ivr.asterisk.ami.wire import Connection, FieldError, LostError, TreeSink, checked
from binding_ivr.background import Backoff, Loop
from binding_ivr.errors import BindingError, ConfigError, UnavailableError
from binding_ivr.log import get_logger

__all__ = ["AmiClient", "AmiReply", "AmiState", "AmiTimes", "FieldError", "UnknownActionError", "Write"]

log = get_logger()

LOGIN_HINT = "Asterisk refuses the AMI login: [ami] user/secret must be a section of Asterisk's manager.conf"
DENIED_HINT = "Asterisk's AMI user may not do {action}: its section in manager.conf needs write = system"
BATCH = 100
"""Actions under way at once: enough to hide the round trip, few enough that a slow Asterisk is noticed in time."""


class AmiState(StrEnum):
    """Where the connection stands; each change is one log line."""

    CONNECTING = "connecting"
    CONNECTED = "connected"
    LOST = "lost"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class AmiTimes:
    """How long the client waits, all in seconds.

    `connect_s` bounds connection, greeting and login together, `reply_s` the reply to an action or to a batch of them,
    `tree_s` a listing. `ping_s` is the period of the ping, `booted_s` how long FullyBooted is waited for after a login,
    `retry_s` first and longest pause after a loss, `refused_s` the pause after a refused login.
    """

    connect_s: float = 5.0
    reply_s: float = 5.0
    tree_s: float = 60.0
    ping_s: float = 10.0
    booted_s: float = 1.0
    retry_s: tuple[float, float] = (0.2, 10.0)
    refused_s: float = 30.0


@dataclass(frozen=True, slots=True)
class Write:
    """One change of AstDB: `value` None deletes the key (a missing one is no fault)."""

    family: str
    key: str = field(repr=False)
    value: str | None = field(repr=False)


@dataclass(frozen=True, slots=True)
class AmiReply:
    """The reply to an action; of one with a list, its first message."""

    success: bool
    message: str
    fields: Mapping[str, str] = field(repr=False)


class UnknownActionError(BindingError):
    """This Asterisk does not have the action."""


class AmiClient:
    """One connection that comes back by itself. Actions are never repeated: what was lost raises UnavailableError."""

    def __init__(
        self,
        *,
        host: str,
        port: int,
        user: str,
        secret: str,
        times: AmiTimes | None = None,
        on_up: Callable[[], None] | None = None,
    ) -> None:
        """Prepare; nothing is sent before `start`. Raises ConfigError for a user that cannot be a section's name.

        *on_up* is called after each login, and again whenever Asterisk says that it has booted; it must not wait.
        """
        try:
            self._user = checked("Username", user)
        except FieldError:
            raise ConfigError("ami.user: must be the name of a section of manager.conf, in plain characters") from None
        self._host = host
        self._port = port
        self._secret = secret
        self._times = times or AmiTimes()
        self.on_up = on_up
        self.on_user_event: Callable[[str], None] | None = None
        """Called with the name of each UserEvent, of whoever sent it; it must not wait."""
        self.state = AmiState.CONNECTING
        self.detail = ""
        """Why there is no connection, as a line that says what to do; empty while there is one."""
        self._logged: AmiState | None = None
        self._connection: Connection | None = None
        self._booted = asyncio.Event()
        self._announced = False
        self._first: asyncio.Future[ConfigError | None] | None = None
        retry = Backoff(*self._times.retry_s)
        self._loop = Loop("ami", self._turn, poll_s=retry.first_s, retry=retry, fault="ami.fault")

    # --- life ------------------------------------------------------------------------------------------------

    @property
    def ready(self) -> bool:
        """True while actions can be sent."""
        return self.state is AmiState.CONNECTED and self._connection is not None and not self._connection.lost.done()

    async def start(self, patience_s: float = 5.0) -> None:
        """Connect, waiting up to *patience_s* seconds for the first result; an absent Asterisk is tried on for.

        Raises ConfigError when Asterisk answers but refuses us.
        """
        self._first = asyncio.get_running_loop().create_future()
        self._loop.start()
        try:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(patience_s):
                    refused = await asyncio.shield(self._first)
                    if refused is not None:
                        raise refused
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """Close the connection; it does not come back."""
        await self._loop.stop()
        if self._first is not None:
            self._first.cancel()
        self.state = AmiState.CONNECTING

    async def _turn(self) -> float:
        """Connect, and stay connected until something ends it. Raises UnavailableError for a loss."""
        try:
            await self._connected_once()
        except ConfigError as error:
            self._change(AmiState.REFUSED, str(error))
            self._settle(error)
            return self._times.refused_s
        except (LostError, OSError, TimeoutError) as error:
            detail = f"Asterisk's AMI does not answer at {self._place}: {_why(error)}"
            self._change(AmiState.LOST, detail)
            self._settle(None)
            raise UnavailableError(detail) from None
        except Exception:
            self.state = AmiState.LOST
            raise

    @property
    def _place(self) -> str:
        return f"{self._host}:{self._port} ([ami] host, port; enabled=yes in manager.conf)"

    async def _connected_once(self) -> NoReturn:
        """Connect, log in, ping until the connection ends, and raise what ended it."""
        self._booted.clear()
        self._announced = False
        connection = Connection(self._host, self._port, self._heard_boot, self._heard)
        try:
            async with asyncio.timeout(self._times.connect_s):
                await connection.open(self._times.connect_s)
                await self._log_in(connection)
            self._connection = connection
            self._change(AmiState.CONNECTED, "")
            self._loop.works()
            self._settle(None)
            with contextlib.suppress(TimeoutError):  # a user without read = system never hears of it
                async with asyncio.timeout(self._times.booted_s):
                    await self._booted.wait()
            self._announce()
            await self._keep(connection)
        finally:
            if self._connection is connection:
                self._connection = None
            connection.close()

    async def _log_in(self, connection: Connection) -> None:
        """Log in by challenge, so that the secret itself does not travel. Raises ConfigError or LostError."""
        challenge = _reply(await connection.begin("Challenge", {"AuthType": "MD5"}))
        text = challenge.fields.get("challenge", "")
        if not challenge.success or not text:
            raise LostError("it sends no challenge")
        key = hashlib.md5((text + self._secret).encode(), usedforsecurity=False).hexdigest()  # AMI knows no other
        login = {"AuthType": "MD5", "Username": self._user, "Key": key, "Events": "system,user"}
        reply = _reply(await connection.begin("Login", login))
        if not reply.success:
            raise ConfigError(LOGIN_HINT)

    async def _keep(self, connection: Connection) -> NoReturn:
        """Ping until the connection is lost, and raise why."""
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._times.ping_s):
                    raise await asyncio.shield(connection.lost)
            try:
                async with asyncio.timeout(self._times.reply_s):
                    await connection.begin("Ping", {})
            except TimeoutError:
                raise LostError(f"no reply to a ping within {self._times.reply_s:g} s") from None

    def _heard_boot(self) -> None:
        self._booted.set()
        if self._announced:  # Asterisk was still booting when we logged in
            self._announce()

    def _heard(self, user_event: str) -> None:
        if self.on_user_event is not None:
            try:
                self.on_user_event(user_event)
            except Exception:
                log.exception("ami.on_user_event_failed")

    def _announce(self) -> None:
        self._announced = True
        if self.on_up is not None:
            try:
                self.on_up()
            except Exception:
                log.exception("ami.on_up_failed")

    def _settle(self, refused: ConfigError | None) -> None:
        if self._first is not None and not self._first.done():
            self._first.set_result(refused)

    def _change(self, state: AmiState, detail: str) -> None:
        if state is AmiState.CONNECTED:
            log.info("ami.connected", host=self._host, port=self._port)
        elif self._logged is not state:
            log.warning(f"ami.{state.value}", detail=detail)
        self._logged = self.state = state
        self.detail = detail

    # --- actions ---------------------------------------------------------------------------------------------

    async def action(self, name: str, fields: Mapping[str, str] | None = None) -> AmiReply:
        """Send one action and return its reply, whatever it says. Raises UnavailableError or FieldError."""
        return _reply((await self._asked(lambda link: [link.begin(name, fields or {})], self._times.reply_s))[0])

    async def put(self, family: str, key: str, value: str) -> None:
        """Set `family/key`. Raises UnavailableError, ConfigError (permission) or FieldError."""
        await self.apply([Write(family, key, value)])

    async def delete(self, family: str, key: str) -> None:
        """Remove `family/key`, if it is there. Raises as `put`."""
        await self.apply([Write(family, key, None)])

    async def apply(self, writes: Iterable[Write]) -> None:
        """Carry out *writes* in order, a batch of them under way at once. Raises as `put`; some may be done then."""
        source = iter(writes)
        while batch := list(islice(source, BATCH)):
            replies = await self._asked(partial(_begun, batch), self._times.reply_s)
            for write, reply in zip(batch, map(_reply, replies), strict=True):
                _check_write(write, reply)

    async def get(self, family: str, key: str) -> str | None:
        """Return the value of `family/key`, None when it is not there. Raises as `put`."""
        return (await self.get_all(family, [key]))[0]

    async def get_all(self, family: str, keys: Sequence[str]) -> list[str | None]:
        """Return the values of *keys*, None for what is not there, a batch under way at once. Raises as `put`."""
        values: list[str | None] = []
        source = iter(keys)
        while batch := list(islice(source, BATCH)):
            values += map(_value, await self._asked(partial(_got, family, batch), self._times.reply_s))
        return values

    async def tree(self, family: str, key: str, sink: TreeSink) -> None:
        """Call *sink* with each key (family included) below `family/key` and its value.

        The prefix is Asterisk's SQL pattern: *sink* must look at each key itself. Raises as `put`, and
        UnknownActionError before Asterisk 18.14, 19.6 and 20.
        """
        replies = await self._asked(lambda link: [link.begin_tree(family, key, sink)], self._times.tree_s)
        reply = _reply(replies[0])
        if not reply.success:
            _check_permission("DBGetTree", reply)
            raise UnavailableError(f"Asterisk does not list AstDB ({reply.message})")

    async def delete_tree(self, family: str, key: str) -> None:
        """Remove everything below `family/key`. Raises as `put`."""
        reply = await self.action("DBDelTree", {"Family": family, "Key": key})
        if not reply.success:
            _check_permission("DBDelTree", reply)

    async def _asked(self, begin: Callable[[Connection], Iterable[Awaitable[Any]]], timeout_s: float) -> list[Any]:
        """Begin actions and wait for all replies. A reply that does not come in time ends the connection."""
        connection = self._connection
        if connection is None:
            raise UnavailableError(self.detail or "Asterisk's AMI is not connected yet; try again")
        try:
            async with asyncio.timeout(timeout_s):
                return await asyncio.gather(*begin(connection))
        except TimeoutError:
            connection.give_up(f"no reply within {timeout_s:g} s")
            raise UnavailableError(f"Asterisk's AMI gave no reply within {timeout_s:g} s; reconnecting") from None
        except LostError as error:
            raise UnavailableError(f"Asterisk's AMI was lost ({error}); reconnecting") from None


def _begun(writes: Sequence[Write], link: Connection) -> list[Awaitable[Any]]:
    # All fields are looked at before the first is sent: a bad one must not leave replies that nobody reads.
    for write in writes:
        checked("Family", write.family)
        checked("Key", write.key)
        checked("Val", write.value or "")
    return [
        link.begin("DBDel", {"Family": write.family, "Key": write.key})
        if write.value is None
        else link.begin("DBPut", {"Family": write.family, "Key": write.key, "Val": write.value})
        for write in writes
    ]


def _got(family: str, keys: Sequence[str], link: Connection) -> list[Awaitable[Any]]:
    return [link.begin("DBGet", {"Family": family, "Key": key}) for key in keys]


def _reply(messages: Any) -> AmiReply:
    first = messages[0] if isinstance(messages, list) else messages
    fields = {str(name).lower(): str(value) for name, value in first.items()}
    return AmiReply(bool(first.success), fields.get("message", ""), fields)


def _value(messages: Any) -> str | None:
    reply = _reply(messages)
    if not reply.success:
        _check_permission("DBGet", reply)
        return None
    return next((str(message["Val"]) for message in messages if "Val" in message), "")


def _check_write(write: Write, reply: AmiReply) -> None:
    if reply.success:
        return
    action = "DBDel" if write.value is None else "DBPut"
    _check_permission(action, reply)
    if write.value is not None:
        raise UnavailableError(f"Asterisk could not write to AstDB ({reply.message}); see Asterisk's log")


def _check_permission(action: str, reply: AmiReply) -> None:
    if reply.message == "Permission denied":
        raise ConfigError(DENIED_HINT.format(action=action))
    if reply.message.startswith("Invalid/unknown command"):
        raise UnknownActionError(f"this Asterisk has no AMI action {action}")


def _why(error: BaseException) -> str:
    if isinstance(error, TimeoutError):
        return "no answer in time"
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
