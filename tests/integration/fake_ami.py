"""A hand-written Asterisk manager interface on a loopback socket whose misbehaviour tests choose."""

import asyncio
import contextlib
import hashlib
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Self

from tests.patience import SLOW

CHALLENGE = "123456"
Fields = dict[str, str]


async def until(condition: Callable[[], object], within_s: float = 5.0) -> None:
    """Wait for *condition*, yielding to the loop between looks at it."""
    async with asyncio.timeout(within_s * SLOW):
        while not condition():
            await asyncio.sleep(0.002)


class FakeAmi:
    """Keeps an AstDB as Asterisk does. `on_action` may act in its own way; it returns True when it has."""

    def __init__(self) -> None:
        self.astdb: dict[str, str] = {}
        self.actions: list[Fields] = []
        self.raw = b""
        self.logins = 0
        self.greeting = b"Asterisk Call Manager/11.0.0\r\n"
        self.secret = "s3cret"
        self.boots = True
        self.denied: set[str] = set()
        self.unknown: set[str] = set()
        self.on_action: Callable[[Fields, asyncio.StreamWriter], Awaitable[bool]] | None = None
        self.writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._client, "127.0.0.1", 0)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._server is not None
        self._server.close()
        self.cut()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    @property
    def port(self) -> int:
        assert self._server is not None
        return int(self._server.sockets[0].getsockname()[1])

    def cut(self) -> None:
        """Cut every connection."""
        for writer in list(self.writers):
            writer.transport.abort()

    def tell(self, text: str) -> None:
        """Send an event to every connection."""
        for writer in self.writers:
            writer.write(text.replace("\n", "\r\n").encode())

    async def _client(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self.writers.add(writer)
        try:
            writer.write(self.greeting)
            while True:
                block = await reader.readuntil(b"\r\n\r\n")
                self.raw += block
                fields = dict(line.split(": ", 1) for line in block.decode().split("\r\n") if ": " in line)
                self.actions.append(fields)
                if self.on_action is not None and await self.on_action(fields, writer):
                    continue
                writer.write(self._answer(fields).replace("\n", "\r\n").encode())
                await writer.drain()
        except (asyncio.IncompleteReadError, OSError):
            pass
        finally:
            self._tasks.discard(task)
            self.writers.discard(writer)
            with contextlib.suppress(Exception):
                writer.transport.abort()

    def _answer(self, fields: Fields) -> str:
        action, tag = fields["Action"], f"ActionID: {fields['ActionID']}\n"
        if action in self.unknown:
            return f"Response: Error\n{tag}Message: Invalid/unknown command: {action}. Use Action: ListCommands.\n\n"
        if action in self.denied:
            return f"Response: Error\n{tag}Message: Permission denied\n\n"
        return self._of(action, fields, tag)

    def _of(self, action: str, fields: Fields, tag: str) -> str:
        path = f"{fields.get('Family', '')}/{fields.get('Key', '')}"
        match action:
            case "Challenge":
                return f"Response: Success\n{tag}Challenge: {CHALLENGE}\n\n"
            case "Login":
                return self._login(fields, tag)
            case "Ping":
                return f"Response: Success\n{tag}Ping: Pong\n\n"
            case "DBPut":
                self.astdb[path] = fields.get("Val", "")
                return f"Response: Success\n{tag}Message: Updated database successfully\n\n"
            case "DBDel":
                found = self.astdb.pop(path, None)
                return f"Response: {'Error' if found is None else 'Success'}\n{tag}Message: Key\n\n"
            case "DBDelTree":
                self.astdb = {key: value for key, value in self.astdb.items() if not key.startswith(f"{path}/")}
                return f"Response: Success\n{tag}Message: Key tree deleted successfully\n\n"
            case "DBGet" | "DBGetTree":
                return self._listing(action, path, tag)
            case _:
                return f"Response: Error\n{tag}Message: Invalid/unknown command: {action}.\n\n"

    def _login(self, fields: Fields, tag: str) -> str:
        key = hashlib.md5(f"{CHALLENGE}{self.secret}".encode()).hexdigest()
        if fields.get("Key") != key:
            return f"Response: Error\n{tag}Message: Authentication failed\n\n"
        self.logins += 1
        booted = "Event: FullyBooted\nPrivilege: system,all\nStatus: Fully Booted\n\n" if self.boots else ""
        return f"Response: Success\n{tag}Message: Authentication accepted\n\n{booted}"

    def _listing(self, action: str, path: str, tag: str) -> str:
        whole = action == "DBGetTree"
        found = {key: value for key, value in self.astdb.items() if key == path or (whole and key.startswith(path))}
        if not found and not whole:
            return f"Response: Error\n{tag}Message: Database entry not found\n\n"
        lines = [f"Response: Success\n{tag}EventList: start\nMessage: Result will follow\n\n"]
        lines += [f"Event: {action}Response\nKey: /{key}\nVal: {value}\n{tag}\n" for key, value in found.items()]
        return "".join(lines) + f"Event: {action}Complete\n{tag}EventList: Complete\nListItems: {len(found)}\n\n"
