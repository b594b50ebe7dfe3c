"""Notices on the desk phone as channels of the outbox: a SIP MESSAGE, and the message lamp. Both go through AMI.

Asterisk answers MessageSend and PJSIPNotify before the phone does: taken means that Asterisk sent it to a phone that is
registered. Whether the phone showed it is not known to anybody.
"""

import base64
from collections.abc import Awaitable, Callable

from binding_ivr.asterisk.ami.client import FieldError
from binding_ivr.config import Config, DeskNotices
from binding_ivr.delivery import kinds
from binding_ivr.delivery.notices import SKIPPED, Letter, NoticeChannel, Readers, UserChannel
from binding_ivr.delivery.user_events import Manager
from binding_ivr.delivery.wire.reply import Reply, Result
from binding_ivr.errors import UnavailableError
from binding_ivr.metrics import Metrics
from binding_ivr.model.rows import User
from binding_ivr.store.outbox import OutEvent, Receiver

AT_ONCE = 4
MESSAGE_HINT = "Asterisk's AMI user may not send messages: its section in manager.conf needs write = ...,message"
LAMP_HINT = "Asterisk's AMI user may not use {action}: its section in manager.conf needs write = system,reporting,..."
LAMP_MODULE = "Asterisk has no PJSIPNotify: load res_pjsip_notify.so (with a pjsip_notify.conf, which may be empty)"
NO_ACTION = "Invalid/unknown command"
_ABSENT = ("UNAVAILABLE", "INVALID")
_HOPE = (Result.DELIVERED, Result.UNAVAILABLE, Result.UNREACHABLE, Result.DEFERRED, Result.GONE)

Send = Callable[[str, str], Awaitable[Reply]]
"""Sends to one phone, named by its extension and as Asterisk knows it."""


class DeskChannel(NoticeChannel):
    """What both ways to a desk phone have in common: which phones a user has, and what Asterisk's silence means."""

    at_once = AT_ONCE

    def __init__(self, readers: Readers, ami: Manager, config: Config, metrics: Metrics) -> None:
        """Send over *ami*, for the accounts whose phones are at this node's Asterisk."""
        super().__init__(readers, metrics)
        self.beside = config.desk_notices.node
        self._ami = ami

    @property
    def ready(self) -> bool:
        """While AMI is away, everything waits; AMI's own log lines say so."""
        return self._ami.ready

    async def at_each(self, user: User, template: str, send: Send) -> Reply:
        """Send to every phone of *user*; it is told when one of them could be."""
        if not user.extensions:
            return SKIPPED
        replies = []
        for extension in user.extensions:
            try:
                replies.append(await send(extension, _filled(template, extension, user.account)))
            except UnavailableError as error:
                return Reply(Result.UNREACHABLE, str(error))
            except FieldError as error:
                replies.append(Reply(Result.GONE, str(error)))
        return min(replies, key=lambda reply: _HOPE.index(reply.result))


class MessageChannel(DeskChannel, UserChannel):
    """SIP MESSAGE, one line of plain text."""

    name = "sip-message"

    def wishes(self, config: Config) -> tuple[str, ...]:
        """Those of `[desk_notices] message`."""
        return config.desk_notices.message

    async def send(self, letter: Letter) -> Reply:
        """Show *letter* on the user's desk phones."""
        desk = letter.config.desk_notices
        body = base64.b64encode(self._readers.words(letter).short.encode()).decode()

        async def to(_: str, target: str) -> Reply:
            fields = {"To": target, "Base64Body": body}
            if desk.message_from:
                fields["From"] = desk.message_from
            reply = await self._ami.action("MessageSend", fields)
            if reply.success:
                return Reply(Result.DELIVERED)
            if reply.message == "Permission denied":
                return Reply(Result.UNAVAILABLE, MESSAGE_HINT)
            if "technology" in reply.message:
                return Reply(
                    Result.UNAVAILABLE, "Asterisk cannot send messages this way: check [desk_notices] message_to"
                )
            return Reply(Result.DEFERRED, "Asterisk could not send it: is the phone registered?")

        return await self.at_each(letter.user, desk.message_to, to)


class LampChannel(DeskChannel):
    """The message lamp: lit while the user must do something about the number (message-summary, RFC 3842)."""

    name = "lamp"
    events = kinds.LAMP_EVENTS

    async def _tell(self, event: OutEvent) -> Reply:
        lit = kinds.lamp(event.name, event.facts)
        if lit is None:
            return SKIPPED
        user, config = await self._readers.user(event.account, event.user_id), await self._readers.config(event.account)
        return await self.set(user, config.desk_notices, lit=lit) if config.desk_notices.lamp else SKIPPED

    async def set(self, user: User, desk: DeskNotices, *, lit: bool) -> Reply:
        """Light the lamp of the user's desk phones, or show what their voicemail says."""

        async def to(extension: str, endpoint: str) -> Reply:
            state = await self._ami.action("Getvar", {"Variable": f"DEVICE_STATE(PJSIP/{endpoint})"})
            if not state.success:
                return _refused("Getvar", state.message)
            if state.fields.get("value") in _ABSENT:  # PJSIPNotify would say that it was sent
                return Reply(Result.DEFERRED, "the phone is not registered")
            new, old = await self._voicemail(_filled(desk.mailbox, extension, user.account))
            new += lit
            reply = await self._ami.action("PJSIPNotify", {"Endpoint": endpoint, "Variable": summary(new, old)})
            return Reply(Result.DELIVERED) if reply.success else _refused("PJSIPNotify", reply.message)

        return await self.at_each(user, desk.lamp_to, to)

    async def _voicemail(self, mailbox: str) -> tuple[int, int]:
        """New and old messages in *mailbox*: the lamp is theirs as well. Raises UnavailableError."""
        if not mailbox:
            return 0, 0
        reply = await self._ami.action("MailboxCount", {"Mailbox": mailbox})
        if not reply.success:
            raise UnavailableError(_refused("MailboxCount", reply.message).detail)
        counts = [reply.fields.get(name, "") for name in ("newmessages", "urgmessages", "oldmessages")]
        new, urgent, old = (int(count) if count.isdigit() else 0 for count in counts)
        return new + urgent, old


def _filled(template: str, extension: str, account: str) -> str:
    return template.replace("{extension}", extension).replace("{account}", account)


def _refused(action: str, message: str) -> Reply:
    if message == "Permission denied":
        return Reply(Result.UNAVAILABLE, LAMP_HINT.format(action=action))
    if message.startswith(NO_ACTION) and action == "PJSIPNotify":
        return Reply(Result.UNAVAILABLE, LAMP_MODULE)
    return Reply(Result.DEFERRED, f"Asterisk refuses {action}")


def summary(new: int, old: int) -> str:
    """Return the variables of PJSIPNotify that make a message-summary of *new* and *old* messages."""
    return ",".join(
        (
            "Event=message-summary",
            "Content-type=application/simple-message-summary",
            f"Content=Messages-Waiting: {'yes' if new else 'no'}",
            f"Content=Voice-Message: {new}/{old} (0/0)",
        )
    )


def desk_channels(
    config: Config, readers: Readers, ami: Manager | None, metrics: Metrics
) -> tuple[list[NoticeChannel], list[Receiver]]:
    """Return the channels to desk phones that are switched on; without *ami*, the receivers that others deliver to."""
    kinds_of: list[type[DeskChannel]] = []
    if config.desk_notices.message:
        kinds_of.append(MessageChannel)
    if config.desk_notices.lamp:
        kinds_of.append(LampChannel)
    if ami is None:
        return [], [Receiver(kind.name, kind.events) for kind in kinds_of]
    return [kind(readers, ami, config, metrics) for kind in kinds_of], []
