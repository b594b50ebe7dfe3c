"""The hardened edge of AMI on panoramisk's Manager: one connection, one life; it neither reconnects nor logs in.

panoramisk sends unanswered actions again after a reconnect, lets their futures wait for ever when the line is cut,
writes whole messages (secrets too) to its log and takes any field as it is; here a connection's end ends every action
on it.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from panoramisk.actions import Action
from panoramisk.ami_protocol import AMIProtocol
from panoramisk.manager import Manager
from panoramisk.message import Message

GREETING = b"Asterisk Call Manager/"
LINE_MAX = 1000
"""Asterisk cuts a line at 1024 bytes, name and line end included."""
MESSAGE_MAX = 1 << 20
_END = b"\r\n\r\n"
_TREE = b"Event: DBGetTreeResponse\r\n"

_LOG = logging.getLogger(__name__)
_LOG.addHandler(logging.NullHandler())
_LOG.propagate = False
_LOG.setLevel(logging.CRITICAL + 1)  # panoramisk would write whole messages, secrets and numbers in them

TreeSink = Callable[[str, str], None]
"""Takes one key (with its family, without the leading slash) and its value."""


class LostError(Exception):
    """The connection ended, or what came over it could not be understood. The message is one line."""


class FieldError(ValueError):
    """A value that may not be sent: it could begin another field or action, or would be cut."""


def checked(name: str, value: str) -> str:
    """Return *value* when it may stand behind `Name: `; raises FieldError, which names the field only."""
    if not value.isascii() or not value.isprintable() or value != value.strip():
        raise FieldError(f"{name} may hold only printable ASCII, without spaces at either end")
    if len(name) + len(value) > LINE_MAX:
        raise FieldError(f"{name} is longer than an AMI line")
    return value


class Wire(AMIProtocol):  # type: ignore[misc]  # panoramisk has no types
    """The protocol: bounded, with a greeting that must be Asterisk's, and futures that always end."""

    factory: "Connection | None"
    closed: bool

    def connection_made(self, transport: asyncio.Transport) -> None:
        """Begin, waiting for the greeting."""
        super().connection_made(transport)
        self.log = _LOG
        self.buffer = b""
        self.greeted: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.trees: dict[str, TreeSink] = {}

    def data_received(self, data: bytes) -> None:
        """Take what came; anything that is not AMI ends the connection."""
        try:
            self.buffer += data
            if self.greeted.done() or self._greet():
                self._messages()
        except LostError as error:
            self.lose(str(error))
        except Exception as error:  # a message that panoramisk's parser does not survive
            self.lose(f"a message could not be read ({type(error).__name__})")

    def _greet(self) -> bool:
        line, end, rest = self.buffer.partition(b"\n")
        if not line.startswith(GREETING[: len(line)]) or len(line) > LINE_MAX:
            raise LostError("what listens there is not Asterisk's manager interface")
        if not end:
            return False
        self.buffer = rest
        self.greeted.set_result(None)
        return True

    def _messages(self) -> None:
        *blocks, self.buffer = self.buffer.split(_END)
        if len(self.buffer) > MESSAGE_MAX:
            raise LostError("a message without end")
        for block in blocks:
            if self.closed:
                return
            if block.startswith(_TREE) and self._is_leaf(block):
                continue
            message = Message.from_line(block.decode("latin-1").strip())
            if message is not None:
                self.handle_message(message)

    def _is_leaf(self, block: bytes) -> bool:
        """Hand one entry of a listing to whoever asked, past panoramisk: a listing may hold 100,000 of them."""
        fields = dict(line.partition(": ")[::2] for line in block.decode("latin-1").split("\r\n"))
        sink = self.trees.get(fields.get("ActionID", ""))
        if sink is None:
            return False
        sink(fields.get("Key", "").removeprefix("/"), fields.get("Val", ""))
        return True

    def handle_message(self, message: Message) -> None:
        """Give a reply to its action, if that still waits, and an event to the connection."""
        action = self.responses.get(message.id)
        if action is not None and action.future.done():  # whoever asked has left
            self.responses.pop(message.id)
            return
        super().handle_message(message)

    def lose(self, reason: str) -> None:
        """End the connection for *reason*."""
        self.connection_lost(LostError(reason))

    def connection_lost(self, exc: object) -> None:
        """End every action that waits, and tell the connection; panoramisk calls it at Asterisk's Shutdown too."""
        if self.closed:
            return
        self.closed = True
        error = exc if isinstance(exc, LostError) else LostError("the connection was closed")
        waiting = [self.greeted, *(action.future for action in self.responses.values())]
        self.responses.clear()
        for future in waiting:
            if not future.done():
                future.set_exception(error)
                future.exception()  # nobody may be waiting any more
        self.transport.abort()
        if self.factory is not None:
            self.factory.connection_lost(error)

    def close(self) -> None:
        """End the connection from this side."""
        self.lose("closed")


class Connection(Manager):  # type: ignore[misc]  # panoramisk has no types
    """One connection to one Asterisk, from `open` to `close`."""

    protocol: Wire | None
    pinger: asyncio.TimerHandle | None

    def __init__(
        self, host: str, port: int, on_booted: Callable[[], None], on_user_event: Callable[[str], None]
    ) -> None:
        """Prepare; *on_booted* is called at each FullyBooted event, *on_user_event* with each UserEvent's name.

        Neither may wait.
        """
        super().__init__(
            loop=asyncio.get_running_loop(), host=host, port=port, encoding="latin-1", protocol_factory=Wire, log=_LOG
        )
        self.lost: asyncio.Future[LostError] = asyncio.get_running_loop().create_future()
        self._on_booted = on_booted
        self._on_user_event = on_user_event
        self._closed = False

    async def open(self, timeout_s: float) -> None:
        """Connect and hear the greeting. Raises OSError, TimeoutError or LostError."""
        try:
            async with asyncio.timeout(timeout_s):
                await self.connect()
                await asyncio.sleep(0)  # panoramisk takes the protocol in a callback of the same future
                if self.protocol is None:
                    raise LostError("not connected")
                await asyncio.shield(self.protocol.greeted)
        except BaseException:
            self.close()
            raise

    @property
    def wire(self) -> Wire:
        """The open protocol. Raises LostError before `open` and after the end."""
        if self.protocol is None or self.protocol.closed:
            raise LostError("not connected")
        return self.protocol

    def connection_made(self, f: "asyncio.Future[Any]") -> None:
        """Take the protocol; a connection that failed is told by `connect` itself, and nobody tries again here."""
        if f.cancelled() or f.exception() is not None:
            return
        super().connection_made(f)
        if self.pinger is not None:  # panoramisk's own ping waits for no answer
            self.pinger.cancel()
            self.pinger = None
        if self._closed:  # given up in the moment in which it came about
            self.close()

    def close(self) -> None:
        """End the connection from this side; harmless when done twice."""
        self._closed = True
        super().close()

    def give_up(self, reason: str) -> None:
        """End the connection because of *reason*, which `lost` then tells."""
        if self.protocol is not None:
            self.protocol.lose(reason)

    def connection_lost(self, exc: object) -> None:
        """Note the end."""
        if not self.lost.done():
            self.lost.set_result(exc if isinstance(exc, LostError) else LostError("the connection was closed"))

    def dispatch(self, event: Message) -> Sequence[str]:
        """Look at one event."""
        if event.event == "FullyBooted":
            self._on_booted()
        elif event.event == "UserEvent" and isinstance(name := event.get("UserEvent"), str):
            self._on_user_event(name)
        return ()

    def begin(self, name: str, fields: Mapping[str, str]) -> "asyncio.Future[Any]":
        """Send an action and return the future of its reply. Raises LostError or FieldError."""
        wire = self.wire
        safe = {field: checked(field, value) for field, value in fields.items()}
        future: asyncio.Future[Any] = wire.send(Action({"Action": name, **safe}), as_list=None)
        return future

    def begin_tree(self, family: str, key: str, sink: TreeSink) -> "asyncio.Future[Any]":
        """Ask for everything below `family/key`; each entry goes to *sink*. Raises LostError or FieldError."""
        wire = self.wire
        action = Action({"Action": "DBGetTree", "Family": checked("Family", family), "Key": checked("Key", key)})
        wire.trees[action.id] = sink
        future: asyncio.Future[Any] = wire.send(action, as_list=None)
        future.add_done_callback(lambda _done: wire.trees.pop(action.id, None))
        return future
