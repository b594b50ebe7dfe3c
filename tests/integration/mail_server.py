"""A mail server on loopback that does to each message what its script says; the protocol is aiosmtpd's."""

import asyncio
import contextlib
import email
import email.policy
import ssl
import subprocess
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from email.message import EmailMessage
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from tests.patience import SLOW

USER, PASSWORD = "binding", "a-password-of-the-tests"


def certificate(folder: Path) -> tuple[ssl.SSLContext, str]:
    """A server's TLS context for `localhost`, and the file of the authority that vouches for it: itself."""
    key, cert = folder / "key.pem", folder / "cert.pem"
    command = [
        "openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=localhost",
        "-addext", "subjectAltName=DNS:localhost", "-keyout", str(key), "-out", str(cert),
    ]  # fmt: skip
    subprocess.run(command, check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    return context, str(cert)


@dataclass(frozen=True, slots=True)
class Mailed:
    """One message that was taken."""

    sender: str
    to: list[str]
    raw: bytes
    login: bytes
    tls: bool
    hello: str

    @property
    def message(self) -> EmailMessage:
        parsed = email.message_from_bytes(self.raw, policy=email.policy.default)
        assert isinstance(parsed, EmailMessage)
        return parsed

    def part(self, kind: str) -> str:
        """The text of the alternative `plain` or `html`."""
        body = self.message.get_body((kind,))
        assert isinstance(body, EmailMessage)
        return str(body.get_content())


@dataclass
class MailServer:
    """Answers each message at `DATA` by the first of `script` that is left, then by `usual`.

    An SMTP reply (`"451 later"`), `cut`, or `stall` (until `release`). `refused` tells the reply to RCPT by address,
    `senders` that to MAIL.
    """

    usual: str = "250 taken"
    script: list[str] = field(default_factory=list)
    refused: dict[str, str] = field(default_factory=dict)
    senders: str = ""
    tls: ssl.SSLContext | None = None
    implicit: bool = False
    login: bool = False
    choose: Callable[[bytes], str | None] | None = None
    got: list[Mailed] = field(default_factory=list)
    tries: int = 0
    connections: int = 0

    async def __aenter__(self) -> Self:
        self._released = asyncio.Event()
        self._came = asyncio.Condition()
        self._protocols: list[SMTP] = []
        context = self.tls if self.implicit else None
        self._server = await asyncio.get_running_loop().create_server(self._protocol, "127.0.0.1", 0, ssl=context)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._released.set()
        self._server.close()
        for protocol in self._protocols:
            handler = protocol._handler_coroutine
            if protocol.transport is not None:
                protocol.transport.close()
            if handler is not None:
                handler.cancel()
                await asyncio.wait([handler])

    @property
    def port(self) -> int:
        return int(self._server.sockets[0].getsockname()[1])

    def release(self) -> None:
        """End all stalls, now and later."""
        self._released.set()

    async def wait(self, condition: Callable[[], bool], seconds: float = 20.0) -> None:
        """Wait until *condition* is true after some try."""
        async with asyncio.timeout(seconds * SLOW), self._came:
            await self._came.wait_for(condition)

    def _protocol(self) -> SMTP:
        self.connections += 1
        with warnings.catch_warnings():  # a login without STARTTLS: there it is TLS from the first byte
            warnings.simplefilter("ignore", UserWarning)
            protocol = SMTP(
                self,
                hostname="mail.test",
                loop=asyncio.get_running_loop(),
                tls_context=None if self.implicit else self.tls,
                require_starttls=self.tls is not None and not self.implicit,
                auth_required=self.login,
                auth_require_tls=not self.implicit,
                authenticator=self._authenticated,
            )
        self._protocols.append(protocol)
        return protocol

    @staticmethod
    def _authenticated(server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: Any) -> AuthResult:
        right = isinstance(data, LoginPassword) and data == LoginPassword(USER.encode(), PASSWORD.encode())
        return AuthResult(success=right, auth_data=data.login if right else None, handled=False)

    async def handle_MAIL(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if self.senders:
            return self.senders
        envelope.mail_from = address
        envelope.mail_options.extend(options)
        return "250 OK"

    async def handle_RCPT(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if address in self.refused:
            await self._tried()
            return self.refused[address]
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        raw = envelope.content
        assert isinstance(raw, bytes)
        answer = (self.choose(raw) if self.choose else None) or (self.script.pop(0) if self.script else self.usual)
        if answer.startswith("250"):
            login = session.auth_data or b""
            tls = session.ssl is not None or self.implicit
            told = Mailed(str(envelope.mail_from), list(envelope.rcpt_tos), raw, login, tls, str(session.host_name))
            self.got.append(told)
        await self._tried()
        if answer == "cut":
            assert isinstance(server.transport, asyncio.WriteTransport)
            server.transport.abort()
        elif answer == "stall":
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._released.wait(), 30)
        return answer if answer[:3].isdigit() else "451 later"

    async def _tried(self) -> None:
        self.tries += 1
        async with self._came:
            self._came.notify_all()
