"""`binding-ivr notice test`: one test notice through each channel that is switched on, and what came of it."""

import asyncio
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from uuid import uuid4

from binding_ivr.app.installation import Installation
from binding_ivr.asterisk.ami.client import AmiClient
from binding_ivr.config import Config
from binding_ivr.delivery.kinds import Kind
from binding_ivr.delivery.notices import Letter, MailChannel, OperatorMailChannel, Readers, mail_channels
from binding_ivr.delivery.notices_desk import LampChannel, MessageChannel, desk_channels
from binding_ivr.delivery.wire.reply import Reply, Result
from binding_ivr.errors import BindingError, ConfigError
from binding_ivr.metrics import Metrics
from binding_ivr.mirror.resync import connected
from binding_ivr.model.rows import BindingStatus, User

Row = dict[str, str]

LAMP_S = 3.0
"""For how long the lamp is lit."""


async def try_channels(installation: Installation, account: str, user_id: str, lamp_s: float = LAMP_S) -> list[Row]:
    """Send a test notice to a user; return a row per channel: `channel`, `to`, `result`, `detail`.

    Raises BindingError: NotFoundError for the user, ConfigError when no channel is switched on.
    """
    readers, metrics = Readers(installation.config, installation.store), Metrics()
    user, config = await readers.user(account, user_id), await readers.config(account)
    letter = Letter(Kind.TEST, config, user, None, uuid4(), datetime.now(UTC))
    rows: list[Row] = []
    async with AsyncExitStack() as stack:
        for mail in mail_channels(installation.config, readers, metrics):
            stack.push_async_callback(mail.close)
            if isinstance(mail, MailChannel):
                reply = await mail.send(letter) if user.email else _skipped("the user has no e-mail address")
                rows.append(_row(mail.name, user.email, reply))
            elif isinstance(mail, OperatorMailChannel) and config.notices.admin:
                rows.append(_row(mail.name, ", ".join(config.notices.admin), await mail.send(letter)))
        rows += await _try_desk(installation, readers, letter, lamp_s, stack)
    if not rows:
        raise ConfigError("no notices are switched on; set [mail] host, or [desk_notices] message or lamp")
    return rows


async def _try_desk(
    installation: Installation, readers: Readers, letter: Letter, lamp_s: float, stack: AsyncExitStack
) -> list[Row]:
    config, user = letter.config, letter.user
    if not (installation.config.desk_notices.message or installation.config.desk_notices.lamp):
        return []
    wanted = config.desk_notices.node
    if wanted not in ("", installation.config.node):
        elsewhere = f"the phones belong to the node {wanted}; run this there"
        return [{"channel": "sip-message, lamp", "to": "", "result": Result.SKIPPED.value, "detail": elsewhere}]
    try:
        ami = await _ami(installation.config, stack)
    except BindingError as error:
        return [{"channel": "ami", "to": "", "result": Result.UNREACHABLE.value, "detail": str(error)}]
    rows: list[Row] = []
    phones = ", ".join(user.extensions)
    for channel in desk_channels(installation.config, readers, ami, Metrics())[0]:
        if not user.extensions:
            reply = _skipped("the user has no extension")
        elif isinstance(channel, MessageChannel):
            reply = await channel.send(letter)
        else:
            assert isinstance(channel, LampChannel)
            reply = await _blink(installation, channel, config, user, lamp_s)
        rows.append(_row(channel.name, phones, reply))
    return rows


async def _ami(config: Config, stack: AsyncExitStack) -> AmiClient:
    if not config.ami.user:
        raise ConfigError("notices on the desk phone need [ami] user and secret")
    ami = await connected(config)
    stack.push_async_callback(ami.stop)
    return ami


async def _blink(installation: Installation, channel: LampChannel, config: Config, user: User, lamp_s: float) -> Reply:
    """Light the lamp for a moment, then leave it as the user's number asks for."""
    reply = await channel.set(user, config.desk_notices, lit=True)
    if reply.result is not Result.DELIVERED:
        return reply
    await asyncio.sleep(lamp_s)
    binding = await installation.store.bindings.get(user.account, user.user_id)
    to_do = binding.status is BindingStatus.SUSPENDED or binding.stale_at is not None
    return await channel.set(user, config.desk_notices, lit=to_do)


def _skipped(detail: str) -> Reply:
    return Reply(Result.SKIPPED, detail)


def _row(channel: str, to: str, reply: Reply) -> Row:
    return {"channel": channel, "to": to, "result": reply.result.value, "detail": reply.detail}
