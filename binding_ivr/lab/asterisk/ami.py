"""One long-lived AMI connection to an instance of the lab: writes AstDB, places calls. Not for the daemon."""

import asyncio
import logging
import uuid
from collections.abc import Callable
from typing import Any

from panoramisk.manager import Manager

from binding_ivr.lab.errors import LabError

_TIMEOUT_S = 10.0
_LOG = logging.getLogger(__name__)
_LOG.addHandler(logging.NullHandler())
_LOG.propagate = False  # panoramisk writes whole messages, and codes are in them


class Ami:
    """A connection by panoramisk whose every wait is bounded and whose every field is checked."""

    def __init__(self, host: str, port: int, user: str, secret: str, events: str = "off") -> None:
        self._settings: dict[str, Any] = {
            "host": host,
            "port": port,
            "username": user,
            "secret": secret,
            "events": events,
        }
        self._manager: Manager | None = None
        self._waiting: dict[str, asyncio.Future[dict[str, str]]] = {}
        self.on_user_event: Callable[[dict[str, str]], None] | None = None
        """Is given the fields of each UserEvent that nobody waits for."""
        self.on_digit: Callable[[str, str], None] | None = None
        """Is given the channel and the digit, when a channel has received one (with the events `dtmf`)."""

    async def connect(self) -> None:
        """Connect and log in; LabError when that fails."""
        manager = Manager(loop=asyncio.get_running_loop(), log=_LOG, **self._settings)
        manager.register_event("UserEvent", self._user_event)
        manager.register_event("DTMFEnd", self._digit)
        try:
            async with asyncio.timeout(_TIMEOUT_S):
                await manager.connect()
                # panoramisk logs in from a callback of the same future, which has run by now.
                reply = await manager.authenticated_future
        except (OSError, TimeoutError) as error:
            manager.close()
            raise LabError(f"AMI of the lab does not answer ({error}); see its log") from error
        if not reply.success:
            manager.close()
            raise LabError(f"AMI of the lab refuses the login: {reply.message}")
        self._manager = manager

    def close(self) -> None:
        """Close the connection; it does not come back."""
        if self._manager is not None:
            self._manager.close()
            self._manager = None
        for waiting in self._waiting.values():
            waiting.cancel()

    async def action(self, name: str, fields: dict[str, str | list[str]], as_list: bool | None = None) -> Any:
        """Send an action and return its reply; LabError when none comes in time."""
        if self._manager is None:
            raise LabError("the lab is not running")
        for value in fields.values():
            for text in [value] if isinstance(value, str) else value:
                # A line end would begin another field or action.
                if "\r" in text or "\n" in text or len(text) > 900:
                    raise LabError("a value for AMI may not hold line ends, nor be longer than 900 characters")
        future = self._manager.send_action({"Action": name, **fields}, as_list=as_list)
        try:
            return await asyncio.wait_for(future, _TIMEOUT_S)
        except TimeoutError as error:
            raise LabError(f"Asterisk did not answer the AMI action {name} in {_TIMEOUT_S:.0f} s") from error

    async def put(self, key: str, value: str) -> None:
        """Set `lab/<key>` in AstDB."""
        reply = await self.action("DBPut", {"Family": "lab", "Key": key, "Val": value})
        if not reply.success:
            raise LabError(f"AstDB refused lab/{key}: {reply.message}")

    async def get(self, key: str) -> str:
        """Return `lab/<key>` of AstDB, empty when there is none."""
        reply = await self.action("DBGet", {"Family": "lab", "Key": key})
        if isinstance(reply, list):
            return next((str(event["Val"]) for event in reply if "Val" in event), "")
        return ""

    async def delete(self, key: str) -> None:
        """Remove `lab/<key>` from AstDB, if it is there."""
        await self.action("DBDel", {"Family": "lab", "Key": key})

    async def originate(self, fields: dict[str, str | list[str]]) -> None:
        """Place a call without waiting for its end; LabError when Asterisk refuses it."""
        # panoramisk would wait for the end of the call, were it not told that one reply is all.
        reply = await self.action("Originate", {"Async": "true", **fields}, as_list=False)
        if not reply.success:
            raise LabError(f"Asterisk refused the call: {reply.message}")

    async def asked(self, start: Callable[[str], Any], timeout_s: float) -> dict[str, str]:
        """Call *start* with a fresh id and return the fields of the UserEvent that carries it as `LabId`."""
        identity = uuid.uuid4().hex
        waiting: asyncio.Future[dict[str, str]] = asyncio.get_running_loop().create_future()
        self._waiting[identity] = waiting
        try:
            await start(identity)
            return await asyncio.wait_for(waiting, timeout_s)
        except TimeoutError as error:
            raise LabError(f"the call brought no result in {timeout_s:.0f} s") from error
        finally:
            self._waiting.pop(identity, None)

    def _digit(self, _manager: Manager, event: Any) -> None:
        if self.on_digit is not None and event["Direction"] == "Received":
            self.on_digit(str(event["Channel"]), str(event["Digit"]))

    def _user_event(self, _manager: Manager, event: Any) -> None:
        fields = {str(name): str(value) for name, value in event.items()}
        waiting = self._waiting.get(fields.get("LabId", ""))
        if waiting is not None and not waiting.done():
            waiting.set_result(fields)
        elif self.on_user_event is not None:
            self.on_user_event(fields)
