"""Notices on desk phones without Asterisk: what is asked of AMI, and what its replies mean."""

import base64
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast
from uuid import UUID

import msgspec
import pytest

from binding_ivr.asterisk.ami.client import AmiReply
from binding_ivr.asterisk.ami.wire import checked
from binding_ivr.config import Config, DeskNotices, load
from binding_ivr.delivery.notices import Readers
from binding_ivr.delivery.notices_desk import LampChannel, MessageChannel, desk_channels, summary
from binding_ivr.delivery.wire.reply import Reply, Result
from binding_ivr.doctor import notices as doctor_notices
from binding_ivr.errors import ConfigError, NotFoundError, UnavailableError
from binding_ivr.metrics import Metrics
from binding_ivr.model.rows import User
from binding_ivr.store import Store
from binding_ivr.store.outbox import Delivery, OutEvent

ID = UUID("9b6b0000-0000-4000-8000-000000000001")
AT = datetime(2026, 1, 2, tzinfo=UTC)
ALL = ("verified", "suspended", "stale", "removed", "replaced", "reported")
SUSPENDED = {"number": "+15551230001", "reason": "taken_over"}


class Asterisk:
    """Answers actions by their name; `phones` are those that are registered."""

    def __init__(self, *phones: str, **answers: AmiReply) -> None:
        self.phones = phones
        self.answers = answers
        self.asked: list[tuple[str, dict[str, str]]] = []
        self.ready = True

    async def action(self, name: str, fields: Mapping[str, str] | None = None) -> AmiReply:
        told = dict(fields or {})
        for field, value in told.items():
            checked(field, value)
        self.asked.append((name, told))
        if not self.ready:
            raise UnavailableError("Asterisk's AMI was lost; reconnecting")
        if name in self.answers:
            return self.answers[name]
        if name == "MessageSend":
            there = told["To"].partition(":")[2] in self.phones
            return AmiReply(there, "Message successfully sent" if there else "Message failed to send.", {})
        if name == "Getvar":
            endpoint = told["Variable"].partition("/")[2].rstrip(")")
            return AmiReply(True, "", {"value": "NOT_INUSE" if endpoint in self.phones else "UNAVAILABLE"})
        if name == "MailboxCount":
            return AmiReply(True, "", {"newmessages": "2", "urgmessages": "1", "oldmessages": "4"})
        return AmiReply(True, "NOTIFY sent", {})

    def of(self, name: str) -> list[dict[str, str]]:
        return [fields for asked, fields in self.asked if asked == name]


class People(Readers):
    """One user, without a database."""

    def __init__(self, config: Config, user: User | None) -> None:
        super().__init__(config, cast(Store, None))
        self._installation = config
        self._user = user

    async def user(self, account: str, user_id: str) -> User:
        if self._user is None:
            raise NotFoundError("there is no such user")
        return self._user

    async def config(self, account: str) -> Config:
        return self._installation

    async def is_suspended_for(self, event: OutEvent) -> bool:
        return False


def configured(**changes: Any) -> Config:
    desk = DeskNotices(**{"message": ALL, "lamp": True, **changes})
    return msgspec.structs.replace(Config(), desk_notices=desk)


def user(*extensions: str, language: str = "en") -> User:
    return User("sales", "u1", extensions, language, "")


async def told(
    kind: type[MessageChannel | LampChannel],
    asterisk: Asterisk,
    config: Config,
    reader: User | None,
    name: str,
    **facts: Any,
) -> Reply:
    metrics = Metrics()
    channel = kind(People(config, reader), asterisk, config, metrics)
    reply = await channel.tell(Delivery(ID, 1, OutEvent(ID, 1, name, "sales", "u1", facts, AT)))
    labels = {"channel": channel.name, "result": reply.result.value}
    assert metrics.registry.get_sample_value("binding_ivr_notices_total", labels) == 1
    return reply


async def test_a_message_in_the_users_language() -> None:
    asterisk = Asterisk("1001")
    config = configured(message_from="Example <sip:binding@pbx.example>")
    reply = await told(MessageChannel, asterisk, config, user("1001", language="zh"), "binding.suspended", **SUSPENDED)
    assert reply == Reply(Result.DELIVERED)
    ((name, fields),) = asterisk.asked
    assert (name, fields["To"], fields["From"]) == ("MessageSend", "pjsip:1001", "Example <sip:binding@pbx.example>")
    body = base64.b64decode(fields["Base64Body"]).decode()
    assert body.startswith("Example：其他人已证明尾号为 01")
    assert "\n" not in body
    assert "5551230" not in body


async def test_the_longest_message_fits_an_ami_line() -> None:
    asterisk = Asterisk("1001")
    config = configured()
    config = msgspec.structs.replace(config, prompts=msgspec.structs.replace(config.prompts, site_name="号" * 400))
    reply = await told(MessageChannel, asterisk, config, user("1001"), "binding.suspended", **SUSPENDED)
    assert reply.result is Result.DELIVERED


@pytest.mark.parametrize(
    ("phones", "extensions", "result"),
    [
        (("1001", "1002"), ("1001", "1002"), Result.DELIVERED),
        (("1002",), ("1001", "1002"), Result.DELIVERED),
        ((), ("1001", "1002"), Result.DEFERRED),
        ((), (), Result.SKIPPED),
    ],
)
async def test_one_phone_that_takes_it_is_enough(
    phones: tuple[str, ...], extensions: tuple[str, ...], result: Result
) -> None:
    for kind in (MessageChannel, LampChannel):
        reply = await told(
            kind, Asterisk(*phones), configured(), user(*extensions), "binding.stale", number="+15551230001"
        )
        assert reply.result is result


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (AmiReply(False, "Permission denied", {}), (Result.UNAVAILABLE, "write = ...,message")),
        (AmiReply(False, "Message technology not found.", {}), (Result.UNAVAILABLE, "message_to")),
        (AmiReply(False, "Message failed to send.", {}), (Result.DEFERRED, "registered?")),
    ],
)
async def test_what_a_refused_message_means(answer: AmiReply, expected: tuple[Result, str]) -> None:
    asterisk = Asterisk("1001", MessageSend=answer)
    reply = await told(MessageChannel, asterisk, configured(), user("1001"), "binding.suspended", **SUSPENDED)
    assert reply.result is expected[0]
    assert expected[1] in reply.detail


async def test_while_ami_is_away_nothing_is_tried() -> None:
    asterisk = Asterisk("1001")
    asterisk.ready = False
    config = configured()
    for kind in (MessageChannel, LampChannel):
        assert not kind(People(config, user("1001")), asterisk, config, Metrics()).ready
        reply = await told(kind, asterisk, config, user("1001"), "binding.suspended", **SUSPENDED)
        assert reply.result is Result.UNREACHABLE


async def test_who_wants_no_message_gets_none() -> None:
    asterisk = Asterisk("1001")
    reply = await told(
        MessageChannel, asterisk, configured(message=("stale",)), user("1001"), "binding.suspended", **SUSPENDED
    )
    assert reply.result is Result.SKIPPED
    reply = await told(LampChannel, asterisk, configured(lamp=False), user("1001"), "binding.suspended", **SUSPENDED)
    assert reply.result is Result.SKIPPED
    reply = await told(MessageChannel, asterisk, configured(), None, "binding.suspended", **SUSPENDED)
    assert reply.result is Result.SKIPPED
    assert asterisk.asked == []


async def test_templates_name_extension_and_account() -> None:
    asterisk = Asterisk("1001-sales")
    config = configured(message_to="pjsip:{extension}-{account}", lamp_to="{extension}-{account}")
    for kind in (MessageChannel, LampChannel):
        reply = await told(kind, asterisk, config, user("1001"), "binding.suspended", **SUSPENDED)
        assert reply.result is Result.DELIVERED
    assert asterisk.of("MessageSend")[0]["To"] == "pjsip:1001-sales"
    assert asterisk.of("PJSIPNotify")[0]["Endpoint"] == "1001-sales"


# --- the lamp


@pytest.mark.parametrize(
    ("name", "facts", "lit"),
    [
        ("binding.suspended", SUSPENDED, True),
        ("binding.stale", {"number": "+15551230001"}, True),
        ("binding.verified", {"number": "+15551230001"}, False),
        ("binding.removed", {"status": "none"}, False),
    ],
)
async def test_the_lamp(name: str, facts: dict[str, Any], lit: bool) -> None:
    asterisk = Asterisk("1001")
    assert (await told(LampChannel, asterisk, configured(), user("1001"), name, **facts)).result is Result.DELIVERED
    assert asterisk.of("PJSIPNotify") == [{"Endpoint": "1001", "Variable": summary(int(lit), 0)}]
    assert asterisk.of("MailboxCount") == []


async def test_another_number_that_waits_for_its_proof_leaves_the_lamp_alone() -> None:
    asterisk = Asterisk("1001")
    reply = await told(LampChannel, asterisk, configured(), user("1001"), "binding.removed", status="pending")
    assert (reply.result, asterisk.asked) == (Result.SKIPPED, [])


async def test_the_lamp_is_the_voicemails_as_well() -> None:
    asterisk = Asterisk("1001")
    config = configured(mailbox="{extension}@{account}")
    await told(LampChannel, asterisk, config, user("1001"), "binding.verified", number="+15551230001")
    await told(LampChannel, asterisk, config, user("1001"), "binding.stale", number="+15551230001")
    assert asterisk.of("MailboxCount") == [{"Mailbox": "1001@sales"}] * 2
    assert [fields["Variable"] for fields in asterisk.of("PJSIPNotify")] == [summary(3, 4), summary(4, 4)]


def test_the_summary() -> None:
    assert summary(1, 0) == (
        "Event=message-summary,Content-type=application/simple-message-summary,"
        "Content=Messages-Waiting: yes,Content=Voice-Message: 1/0 (0/0)"
    )
    assert "Messages-Waiting: no" in summary(0, 7)


@pytest.mark.parametrize(
    ("action", "message", "result", "detail"),
    [
        ("PJSIPNotify", "Invalid/unknown command: PJSIPNotify. Use", Result.UNAVAILABLE, "load res_pjsip_notify.so"),
        ("PJSIPNotify", "Permission denied", Result.UNAVAILABLE, "may not use PJSIPNotify"),
        ("Getvar", "Permission denied", Result.UNAVAILABLE, "may not use Getvar"),
        ("PJSIPNotify", "Unable to retrieve endpoint", Result.DEFERRED, "Asterisk refuses PJSIPNotify"),
        ("MailboxCount", "Permission denied", Result.UNREACHABLE, "may not use MailboxCount"),
    ],
)
async def test_what_a_refused_lamp_means(action: str, message: str, result: Result, detail: str) -> None:
    asterisk = Asterisk("1001", **{action: AmiReply(False, message, {})})
    config = configured(mailbox="{extension}")
    reply = await told(LampChannel, asterisk, config, user("1001"), "binding.suspended", **SUSPENDED)
    assert reply.result is result
    assert detail in reply.detail


# --- wiring, doctor, configuration


def test_which_channels_a_node_serves() -> None:
    people = People(configured(), user("1001"))
    channels, elsewhere = desk_channels(configured(node="pbx1"), people, Asterisk(), Metrics())
    assert [(channel.name, channel.beside) for channel in channels] == [("sip-message", "pbx1"), ("lamp", "pbx1")]
    assert elsewhere == []
    channels, elsewhere = desk_channels(configured(), people, None, Metrics())
    assert channels == []
    assert [receiver.name for receiver in elsewhere] == ["sip-message", "lamp"]
    assert desk_channels(Config(), people, Asterisk(), Metrics()) == ([], [])


def test_doctor_names_what_ami_lacks() -> None:
    def lacks(config: Config, *allowed: str) -> list[tuple[str, str]]:
        return [(check.status.value, check.detail) for check in doctor_notices.of_ami(config, frozenset(allowed))]

    assert lacks(configured(), "messagesend", "pjsipnotify", "getvar", "mailboxcount")[0][0] == "ok"
    found = lacks(configured())
    assert [status for status, _ in found] == ["fail", "fail", "fail"]
    assert "message" in found[0][1]
    assert "res_pjsip_notify" in found[1][1]
    assert "Getvar" in found[2][1]
    assert lacks(configured(node="another")) == []
    assert lacks(Config()) == []


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("message_to = '1001'", "desk_notices.message_to"),
        ("message_to = 'pjsip:{user}'", "desk_notices.message_to"),
        ("message_to = 'pjsip:a\\nB: c'", "desk_notices.message_to"),
        ('message_from = "Ex <sip:a@b.example>\\r\\nX: y"', "desk_notices.message_from"),
        ("message_from = 'Example'", "desk_notices.message_from"),
        ("lamp_to = '{extension},x=y'", "desk_notices.lamp_to"),
        ("mailbox = 'a b'", "desk_notices.mailbox"),
        ("message = ['all']", "desk_notices.message[0]"),
        ("node = 'a b'", "desk_notices.node"),
    ],
)
def test_bad_settings(tmp_path: Path, text: str, path: str) -> None:
    file = tmp_path / "binding-ivr.toml"
    file.write_text(f"[desk_notices]\n{text}\n")
    with pytest.raises(ConfigError) as refused:
        load(file, {})
    assert str(refused.value).startswith(f"{path}: ")


@pytest.mark.parametrize(
    "sender",
    ["", "sip:binding@pbx.example", '"Example Inc." <sip:binding@10.0.0.1:5060>', "Example <sips:a@pbx.example>"],
)
def test_good_senders(tmp_path: Path, sender: str) -> None:
    file = tmp_path / "binding-ivr.toml"
    file.write_text(f"[desk_notices]\nmessage_from = '{sender}'\n")
    assert load(file, {}).desk_notices.message_from == sender
