"""The SMTP client: one message in, one result out. It tries nothing again and knows nothing of what it sends.

One connection at a time, kept only while further messages wait: a mail server likes ten messages over one connection
more than ten connections.
"""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Sequence

import aiosmtplib
from aiosmtplib import SMTP

from binding_ivr.config import Mail
from binding_ivr.delivery.wire.reply import Reply, Result
from binding_ivr.errors import ConfigError

LOGIN_HINT = "the mail server refuses the login: check [mail] user and password"
SENDER_HINT = "the mail server refuses the sender: check [mail] sender"
_DOWN = (Result.UNAVAILABLE, Result.UNREACHABLE)


class SmtpClient:
    """Sends to the server of `[mail]`; `close` at the end."""

    def __init__(self, mail: Mail) -> None:
        """Prepare; nothing is connected before the first message."""
        self._mail = mail
        self._lock = asyncio.Lock()
        self._waiting = 0
        self._server: SMTP | None = None
        self._outages = 0
        self._outage = Reply(Result.UNREACHABLE)

    async def send(self, sender: str, to: Sequence[str], message: bytes) -> Reply:
        """Send *message* from the address *sender* to all of *to*; never raises but for cancellation.

        Delivered means that the server took it for at least one of them. A message that waited while the server was
        found to be down shares that result instead of waiting for its own.
        """
        seen = self._outages
        self._waiting += 1
        try:
            async with self._lock:
                if self._outages != seen:
                    return self._outage
                reply = await self._send(sender, to, message)
                if reply.result in _DOWN:
                    self._outages += 1
                    self._outage = reply
                if self._waiting == 1:
                    await self._quit()
                return reply
        finally:
            self._waiting -= 1

    async def check(self) -> Reply:
        """Connect and log in, and send nothing; delivered means that this works."""
        async with self._lock:
            try:
                async with asyncio.timeout(self._mail.timeout_s):
                    await self._connect()
            except Exception as error:
                return judged(error)
            finally:
                await self._quit()
        return Reply(Result.DELIVERED)

    async def close(self) -> None:
        """End the connection."""
        self._drop()

    async def _send(self, sender: str, to: Sequence[str], message: bytes) -> Reply:
        try:
            async with asyncio.timeout(self._mail.timeout_s):
                server = await self._connect()
                refused, _ = await server.sendmail(sender, list(to), message)
        except Exception as error:  # the library raises ssl.SSLError, OSError and ValueError besides its own
            reply = judged(error)
            if reply.result in _DOWN:
                self._drop()
            return reply
        except BaseException:  # cancelled in the middle: nobody knows where the conversation stands
            self._drop()
            raise
        return Reply(Result.DELIVERED, f"refused for {len(refused)} of {len(to)} addresses" if refused else "")

    async def _connect(self) -> SMTP:
        """Return the connection; one that was kept is asked first whether it still lives."""
        if self._server is not None and self._server.is_connected:
            with contextlib.suppress(aiosmtplib.SMTPException):
                await self._server.rset()
                return self._server
            self._drop()
        mail = self._mail
        self._server = SMTP(
            hostname=mail.host,
            port=mail.port,
            username=mail.user or None,
            password=mail.password if mail.user else None,
            local_hostname=mail.hello or _own_name(),
            timeout=mail.timeout_s,
            use_tls=mail.tls == "tls",
            start_tls=mail.tls == "starttls",
            tls_context=await asyncio.to_thread(_tls, mail.ca_file),
        )
        await self._server.connect()
        return self._server

    async def _quit(self) -> None:
        server, self._server = self._server, None
        if server is not None and server.is_connected:
            with contextlib.suppress(aiosmtplib.SMTPException, OSError, TimeoutError):
                async with asyncio.timeout(1.0):
                    await server.quit()
        if server is not None:
            server.close()

    def _drop(self) -> None:
        server, self._server = self._server, None
        if server is not None:
            server.close()


def _tls(ca_file: str) -> ssl.SSLContext:
    context = ssl.create_default_context()
    if ca_file:
        try:
            context.load_verify_locations(cafile=ca_file)
        except OSError:
            raise ConfigError(f"mail.ca_file: {ca_file} cannot be read, or holds no certificate") from None
    return context


def _own_name() -> str:
    """The host's name for EHLO, or an address literal (RFC 5321, 4.1.3) when it has none that a server may see."""
    name = socket.gethostname()
    return name if name.isascii() and name.replace(".", "").replace("-", "").isalnum() else "[127.0.0.1]"


def judged(error: BaseException) -> Reply:
    """Return what a failed try means, in words of a closed set: servers quote addresses."""
    match error:
        case aiosmtplib.SMTPRecipientsRefused():
            return _of_message([one.code for one in error.recipients], "for this address")
        case aiosmtplib.SMTPDataError():
            return _of_message([error.code], "for this message")
        case aiosmtplib.SMTPResponseException():
            return Reply(Result.UNAVAILABLE, _of_conversation(error))
        case ssl.SSLError() | OSError():
            return Reply(Result.UNREACHABLE, _of_network(error))
        case ConfigError():
            return Reply(Result.UNAVAILABLE, str(error))
        case ValueError():
            return Reply(Result.GONE, "not an e-mail address")
    return Reply(Result.UNAVAILABLE, _of_server(str(error)))


def _of_conversation(error: aiosmtplib.SMTPResponseException) -> str:
    hint = ""
    if isinstance(error, aiosmtplib.SMTPAuthenticationError):
        hint = LOGIN_HINT
    elif isinstance(error, aiosmtplib.SMTPSenderRefused) and error.code != 421:
        hint = SENDER_HINT
    return f"{hint} (SMTP {error.code})" if hint else f"SMTP {error.code}"


def _of_message(codes: Sequence[int], what: str) -> Reply:
    """A message is given up when the server says no for good to all its addresses (RFC 5321, 4.2.1)."""
    code = next((code for code in codes if code < 500), codes[0] if codes else 554)
    if code == 421:
        return Reply(Result.UNAVAILABLE, "SMTP 421")
    return Reply(Result.DEFERRED if code < 500 else Result.GONE, f"SMTP {code} {what}")


def _of_network(error: BaseException | None) -> str:
    match error:
        case ssl.SSLCertVerificationError():
            return "its TLS certificate was not accepted"
        case ssl.SSLError():
            return "no TLS connection; is [mail] tls right for this port?"
        case aiosmtplib.SMTPConnectTimeoutError():
            return "no connection in time"
        case TimeoutError():
            return "no reply in time"
        case aiosmtplib.SMTPConnectError():
            return _of_network(error.__cause__)
        case ConnectionRefusedError():
            return "connection refused"
        case socket.gaierror():
            return "its name cannot be resolved"
        case ConnectionError():
            return "the connection was cut"
    return "no connection"


def _of_server(text: str) -> str:
    if "STARTTLS" in text and "AUTH" not in text:
        return "the mail server offers no STARTTLS: check [mail] tls"
    if "AUTH" in text or "authentication" in text:
        return "the mail server offers no login that we support: check [mail] tls and user"
    return "no SMTP reply"
