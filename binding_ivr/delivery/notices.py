"""Notices to people as channels of the outbox: which words go to whom by e-mail. The desk phone is in notices_desk."""

from dataclasses import dataclass
from datetime import date, datetime
from typing import ClassVar
from uuid import UUID

from binding_ivr.config import Config
from binding_ivr.delivery import kinds
from binding_ivr.delivery.kinds import Kind
from binding_ivr.delivery.mail import compose, mailbox
from binding_ivr.delivery.texts import About, Words, choose, texts
from binding_ivr.delivery.wire.reply import Reply, Result
from binding_ivr.delivery.wire.smtp import SmtpClient
from binding_ivr.errors import ConfigError, NotFoundError, UnavailableError
from binding_ivr.log import get_logger
from binding_ivr.metrics import Metrics
from binding_ivr.model import forms
from binding_ivr.model.rows import User
from binding_ivr.store import Store
from binding_ivr.store.outbox import Delivery, OutEvent, Receiver

log = get_logger()

MAIL_AT_ONCE = 4
MARGIN_S = 15.0
"""How much longer a lease is than the tries for which it is taken."""
_DOWN = (Result.UNAVAILABLE, Result.UNREACHABLE)
SKIPPED = Reply(Result.SKIPPED)


@dataclass(frozen=True, slots=True)
class Letter:
    """A notice on its way: the same `key` and `at` make the same message, however often it is sent."""

    kind: Kind
    config: Config
    user: User
    event: OutEvent | None
    key: UUID
    at: datetime


class Readers:
    """Looks up who reads a notice, and finds the words."""

    def __init__(self, config: Config, store: Store) -> None:
        """Read the users and the settings of their accounts in *store*; *config* is that of the installation."""
        self._config = config
        self._store = store

    async def user(self, account: str, user_id: str) -> User:
        """Return the user. Raises BindingError; NotFoundError when the user is gone."""
        return await self._store.directory.user(account, user_id)

    async def config(self, account: str) -> Config:
        """Return the configuration with the account's own settings. Raises BindingError."""
        return self._config.for_account_or_default((await self._store.directory.account(account)).settings)

    async def config_or_ours(self, account: str) -> Config:
        """Return the configuration like `config`; that of the installation for what is about no account."""
        try:
            return await self.config(account)
        except NotFoundError:
            return self._config

    async def is_suspended_for(self, event: OutEvent) -> bool:
        """Return whether a report has suspended the user's number: then the notice of the suspension says it all."""
        binding = await self._store.bindings.get(event.account, event.user_id)
        return binding.reason == "reported" and binding.number == event.facts.get("number")

    def words(self, letter: Letter) -> Words:
        """Return the words of *letter* in its user's language. Raises ConfigError."""
        config, user, event = letter.config, letter.user, letter.event
        facts = event.facts if event is not None else {}
        number, old = kinds.numbers(event.name, facts) if event is not None else ("", "")
        about = About(
            site=config.notices.site_name or config.prompts.site_name,
            node=config.node,
            account=user.account,
            user=user.user_id,
            extension=user.extensions[0] if user.extensions else user.user_id,
            number=number,
            old=old,
            page=config.web.public_url,
            until=_day(facts.get("suspend_at")),
            undo=config.binding.undo_h if kinds.can_be_undone(letter.kind, facts) else 0,
        )
        default = config.notices.language or config.prompts.languages[0]
        return texts(config.notices.templates).words(letter.kind, choose(user.language, default), about)


def _day(time: object) -> date | None:
    """The day of a fact's time, in UTC: nobody knows where the reader is."""
    try:
        return datetime.fromisoformat(str(time)).date() if time is not None else None
    except ValueError:
        return None


class NoticeChannel:
    """What the channels of notices have in common; each tells by its `_tell`."""

    name: ClassVar[str]
    events: ClassVar[tuple[str, ...]] = kinds.USER_EVENTS
    at_once = 1
    lease_s = 0.0
    beside: str | None = None

    @property
    def ready(self) -> bool:
        """True while there is a point in trying."""
        return True

    def __init__(self, readers: Readers, metrics: Metrics) -> None:
        """Tell whom *readers* finds."""
        self.receiver = Receiver(self.name, self.events)
        self._readers = readers
        self._metrics = metrics

    async def tell(self, delivery: Delivery) -> Reply:
        """Try once. What is wrong with one user, a template or our own code keeps nobody else waiting."""
        try:
            reply = await self._tell(delivery.event)
        except NotFoundError:  # the user is gone, and with them whoever could read it
            reply = SKIPPED
        except ConfigError as error:
            reply = Reply(Result.DEFERRED, str(error))
        except UnavailableError:
            reply = Reply(Result.DEFERRED, "PostgreSQL did not answer")
        except Exception:
            log.exception("notice.fault", channel=self.name)
            reply = Reply(Result.DEFERRED, "a fault in binding_ivr; see its log")
        self._metrics.notices.labels(self.name, reply.result.value).inc()
        return reply

    async def _tell(self, event: OutEvent) -> Reply:
        raise NotImplementedError

    def works_by(self, reply: Reply) -> bool:
        """Whoever refuses one message works."""
        return reply.result not in _DOWN

    def failing(self, detail: str) -> None:
        """Log the begin of an outage."""
        log.warning("notice.failing", channel=self.name, detail=detail)

    def recovered(self, seconds: float) -> None:
        """Log its end."""
        log.info("notice.recovered", channel=self.name, seconds=seconds)

    def dead(self, deliveries: int, detail: str) -> None:
        """Log dead letters."""
        log.error("notice.dead", channel=self.name, deliveries=deliveries, detail=detail)

    async def close(self) -> None:
        """End what the channel holds open."""


class UserChannel(NoticeChannel):
    """A channel to the user whose number it is about."""

    def wishes(self, config: Config) -> tuple[str, ...]:
        """Return the notices that users of an account get over this channel."""
        raise NotImplementedError

    async def send(self, letter: Letter) -> Reply:
        """Send *letter* to its user. Raises ConfigError."""
        raise NotImplementedError

    async def _tell(self, event: OutEvent) -> Reply:
        kind = kinds.for_user(event.name, event.facts)
        if kind is None:
            return SKIPPED
        user, config = await self._readers.user(event.account, event.user_id), await self._readers.config(event.account)
        wishes = self.wishes(config)
        if kinds.wish(kind) not in wishes:
            return SKIPPED
        if kind is Kind.REPORTED and "suspended" in wishes and await self._readers.is_suspended_for(event):
            return SKIPPED
        return await self.send(Letter(kind, config, user, event, event.event_id, event.created_at))


class MailChannel(UserChannel):
    """E-mail to the user."""

    name = "mail"
    at_once = MAIL_AT_ONCE

    def __init__(self, readers: Readers, client: SmtpClient, config: Config, metrics: Metrics) -> None:
        """Send over *client* as `[mail] sender` of *config*."""
        super().__init__(readers, metrics)
        self.lease_s = self.at_once * config.mail.timeout_s + MARGIN_S
        self._client = client
        self._sender = config.mail.sender

    def wishes(self, config: Config) -> tuple[str, ...]:
        """Those of `[notices] mail`."""
        return config.notices.mail

    async def send(self, letter: Letter) -> Reply:
        """Send an e-mail, if the user has an address."""
        if not letter.user.email:
            return SKIPPED
        try:
            to = forms.read_email(letter.user.email)
        except ValueError as error:
            return Reply(Result.GONE, f"the user's e-mail address is {error}")
        return await _mailed(self._client, self._sender, [to], self._readers.words(letter), str(letter.key), letter.at)

    async def close(self) -> None:
        """End the connection to the mail server."""
        await self._client.close()


class OperatorMailChannel(NoticeChannel):
    """E-mail to the operator's addresses."""

    name = "mail-admin"
    events = kinds.OPERATOR_EVENTS

    def __init__(self, readers: Readers, client: SmtpClient, config: Config, metrics: Metrics) -> None:
        """Send over *client* as `[mail] sender` of *config*."""
        super().__init__(readers, metrics)
        self.lease_s = config.mail.timeout_s + MARGIN_S
        self._client = client
        self._sender = config.mail.sender

    async def _tell(self, event: OutEvent) -> Reply:
        kind = kinds.for_operator(event.name, event.facts)
        if kind is None:
            return SKIPPED
        config = await self._readers.config_or_ours(event.account)
        if kinds.wish(kind) not in config.notices.admin_mail:
            return SKIPPED
        about = User(event.account, event.user_id, (), config.notices.language, "")  # who asked may be gone since
        return await self.send(Letter(kind, config, about, event, event.event_id, event.created_at))

    async def send(self, letter: Letter) -> Reply:
        """Send *letter*, which is about its user, to the operator, if an address is set. Raises ConfigError."""
        admin = letter.config.notices.admin
        if not admin:
            return SKIPPED
        try:
            to = [forms.read_email(one) for one in admin]
        except ValueError as error:
            return Reply(Result.GONE, f"notices.admin: {error}")
        words = self._readers.words(letter)
        return await _mailed(self._client, self._sender, to, words, f"{letter.key}.operator", letter.at)

    async def close(self) -> None:
        """End the connection to the mail server."""
        await self._client.close()


async def _mailed(client: SmtpClient, sender: str, to: list[str], words: Words, identity: str, at: datetime) -> Reply:
    message = compose(words, sender=sender, to=to, identity=identity, time=at)
    return await client.send(mailbox(sender)[1], to, message)


def check_templates(config: Config) -> None:
    """Fill every template once. Raises ConfigError for the first that is at fault."""
    texts(config.notices.templates).check()


def mail_channels(config: Config, readers: Readers, metrics: Metrics) -> list[NoticeChannel]:
    """Return the channels by e-mail that are switched on. Raises ConfigError for a template that is at fault."""
    if not config.mail.host:
        return []
    check_templates(config)
    return [
        MailChannel(readers, SmtpClient(config.mail), config, metrics),
        OperatorMailChannel(readers, SmtpClient(config.mail), config, metrics),
    ]
