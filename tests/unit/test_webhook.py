"""The parts of a webhook without I/O: body, signature, pauses, configuration, and the headers of UserEvents."""

import json
import re
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, get_args
from uuid import UUID

import pytest

from binding_ivr.asterisk.ami.wire import checked
from binding_ivr.config import Config, EventName, load
from binding_ivr.delivery.backoff import DELIVERY, RECEIVER
from binding_ivr.delivery.message import body
from binding_ivr.delivery.user_events import LONGEST, fields, sanitised
from binding_ivr.delivery.wire.http import LONGEST_RETRY_AFTER_S, WebhookClient
from binding_ivr.delivery.wire.reply import Result
from binding_ivr.delivery.wire.signature import sign
from binding_ivr.errors import ConfigError
from binding_ivr.store.outbox import OutEvent

PAGE = (Path(__file__).resolve().parents[2] / "docs/webhooks.md").read_text()
SECRET = "0123456789abcdef"
AT = 1790000000
EVENT = OutEvent(
    UUID(int=7),
    17,
    "attempt.ended",
    "default",
    "1001",
    {"account": "default", "user_id": "1001", "number": "+15551230001", "outcome": "verified", "tries": 1},
    datetime(2026, 9, 21, 14, 13, 20, 123456, UTC),
    ("1001", "2001"),
)


def is_genuine() -> Callable[..., bool]:
    """The function that the page gives to receivers."""
    found = re.search(r"```python\n(.*?)```", PAGE, re.DOTALL)
    assert found
    names: dict[str, Any] = {}
    exec(found[1], names)
    return names["is_genuine"]  # type: ignore[no-any-return]


# --- signature -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("secret", "timestamp", "text", "signature"),
    [
        (SECRET, AT, b'{"id":"1"}', "v1=e6aafe1ce79fa1e85335244abeefc1499342b12ffd2bff4dab78ddff1403b80a"),
        (SECRET, 0, b"", "v1=9b9567f7a6e6e3243d8c5c66dde94f7df77b79d6edb3dee210c5778814cfaca0"),
        ("geheimnis-äöü-16", AT, "ü".encode(), "v1=f7fa53ea24a8079080a781ef13f85c5c04b5ead05717bd6f3206aeccd9a78195"),
    ],
)
def test_signatures(secret: str, timestamp: int, text: bytes, signature: str) -> None:
    made = sign(secret, timestamp, text)
    assert made == signature  # as `openssl dgst -sha256 -hmac` makes it
    headers = {"Binding-Timestamp": str(timestamp), "Binding-Signature": made}
    assert is_genuine()(secret, headers, text, timestamp)


def test_the_page_tells_a_signature_that_can_be_checked() -> None:
    assert sign(SECRET, AT, b'{"id":"1"}') in PAGE


@pytest.mark.parametrize(
    ("changes", "text", "late_s", "good"),
    [
        ({}, b"body", 0, True),
        ({}, b"body", 299, True),
        ({}, b"body", -299, True),
        ({}, b"body", 301, False),
        ({}, b"body", -301, False),
        ({}, b"Body", 0, False),
        ({"Binding-Timestamp": str(AT + 1)}, b"body", 0, False),
        ({"Binding-Timestamp": ""}, b"body", 0, False),
        ({"Binding-Timestamp": "-1"}, b"body", 0, False),
        ({"Binding-Timestamp": "١٢"}, b"body", 0, False),
        ({"Binding-Signature": ""}, b"body", 0, False),
        ({"Binding-Signature": "v1="}, b"body", 0, False),
        ({"Binding-Signature": "v2=abc, " + sign(SECRET, AT, b"body")}, b"body", 0, True),
        ({"Binding-Signature": sign("another-secret-16", AT, b"body")}, b"body", 0, False),
        ({"Binding-Signature": sign(SECRET, AT, b"body").replace("v1", "v0")}, b"body", 0, False),
        ({"Binding-Signature": "é"}, b"body", 0, False),
    ],
)
def test_what_the_page_gives_to_receivers(changes: dict[str, str], text: bytes, late_s: int, good: bool) -> None:
    headers = {"Binding-Timestamp": str(AT), "Binding-Signature": sign(SECRET, AT, b"body"), **changes}
    assert is_genuine()(SECRET, headers, text, AT + late_s) is good


def test_without_a_time_of_its_own_it_looks_at_the_clock() -> None:
    now = int(time.time())
    headers = {"Binding-Timestamp": str(now), "Binding-Signature": sign(SECRET, now, b"")}
    assert is_genuine()(SECRET, headers, b"")


# --- body ----------------------------------------------------------------------------------------------------


def text_of(facts: dict[str, Any], *, full: bool = True) -> bytes:
    return body(
        event_id=EVENT.event_id,
        sequence=EVENT.sequence,
        name=EVENT.name,
        time=EVENT.created_at,
        account=EVENT.account,
        user_id=EVENT.user_id,
        facts=facts,
        full_numbers=full,
    )


def test_the_body() -> None:
    assert json.loads(text_of(dict(EVENT.facts))) == {
        "id": str(EVENT.event_id),
        "event": "attempt.ended",
        "time": "2026-09-21T14:13:20.123456Z",
        "sequence": 17,
        "account": "default",
        "user_id": "1001",
        "facts": {"number": "+15551230001", "outcome": "verified", "tries": 1},
    }
    turned = dict(reversed(list(EVENT.facts.items())))
    assert text_of(turned) == text_of(dict(EVENT.facts))


def test_masked_numbers_wherever_they_stand() -> None:
    facts = {"number": "+15551230001", "list": ["+442079460000"], "in": {"text": "was +15551230001"}, "tries": 3}
    told = text_of(facts, full=False).decode()
    assert json.loads(told)["facts"] == {"number": "+1…01", "list": ["+4…00"], "in": {"text": "was +1…01"}, "tries": 3}
    assert "555" not in told


# --- pauses --------------------------------------------------------------------------------------------------


def test_pauses_grow_to_a_limit() -> None:
    assert [round(DELIVERY.pause(n, 0.5)) for n in range(1, 11)] == [
        10, 30, 90, 270, 810, 2430, 7290, 21600, 21600, 21600
    ]  # fmt: skip
    assert DELIVERY.pause(1, 0.0) == pytest.approx(8.0)
    assert DELIVERY.pause(1, 1.0) == pytest.approx(12.0)
    assert DELIVERY.pause(1_000_000, 0.5) == pytest.approx(21600.0)
    assert [round(RECEIVER.pause(n, 0.5)) for n in range(1, 9)] == [1, 2, 4, 8, 16, 32, 60, 60]


@pytest.mark.parametrize(
    ("status", "header", "result", "seconds"),
    [
        (200, "", Result.DELIVERED, 0),
        (204, "99", Result.DELIVERED, 0),
        (301, "", Result.UNAVAILABLE, 0),
        (400, "", Result.REFUSED, 0),
        (401, "", Result.UNAVAILABLE, 0),
        (410, "", Result.GONE, 0),
        (422, "", Result.REFUSED, 0),
        (429, "120", Result.UNAVAILABLE, 120),
        (503, " 7 ", Result.UNAVAILABLE, 7),
        (503, "Mon, 21 Sep 2026 14:14:20 GMT", Result.UNAVAILABLE, 60),
        (503, "Mon, 21 Sep 2026 14:12:20 GMT", Result.UNAVAILABLE, 0),
        (503, "soon", Result.UNAVAILABLE, 0),
        (503, "-5", Result.UNAVAILABLE, 0),
        (503, "9" * 400, Result.UNAVAILABLE, LONGEST_RETRY_AFTER_S),
        (500, "60", Result.UNAVAILABLE, 0),
    ],
)
def test_what_a_status_means(status: int, header: str, result: Result, seconds: float) -> None:
    now = datetime(2026, 9, 21, 14, 13, 20, tzinfo=UTC).timestamp()
    reply = WebhookClient(lambda: now)._judged(status, header)
    assert (reply.result, reply.retry_after_s) == (result, seconds)
    assert (reply.detail == "") is (result is Result.DELIVERED)


# --- configuration -------------------------------------------------------------------------------------------


def read(tmp_path: Path, text: str, **environ: str) -> Config:
    path = tmp_path / "binding-ivr.toml"
    path.write_text(text)
    return load(path, environ)


HOOK = f'[[webhooks]]\nname = "a"\nurl = "https://x.example/y?z=1"\nsecret = "{SECRET}"\n'


def test_webhooks_are_read(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("from-a-file-16-signs\n")
    config = read(
        tmp_path, HOOK + '[[webhooks]]\nname="b"\nurl="http://[::1]:8/"\nsecret_file="secret"\nevents=["attempt.ended"]'
    )
    first, second = config.webhooks
    assert (first.events, first.accounts, first.numbers) == (get_args(EventName), (), "full")
    assert (second.secret, second.events) == ("from-a-file-16-signs", ("attempt.ended",))
    assert config.outbox.keep_days == 7
    by_environment = json.dumps([{"name": "c", "url": "https://c.example", "secret_file": str(tmp_path / "secret")}])
    config = read(tmp_path, HOOK, BINDING_IVR__WEBHOOKS=by_environment)
    assert [(one.name, one.secret) for one in config.webhooks] == [("c", "from-a-file-16-signs")]


def test_the_sample_webhook_is_valid(tmp_path: Path) -> None:
    import binding_ivr

    lines = Path(binding_ivr.__file__).with_name("binding-ivr.sample.toml").read_text().splitlines()
    start = lines.index("# [[webhooks]]")
    block = "\n".join(line.removeprefix("# ") for line in lines[start : lines.index("", start)])
    sample = read(tmp_path, block.replace('"..."', f'"{SECRET}"')).webhooks[0]
    assert sample == load(None, {"BINDING_IVR__WEBHOOKS": json.dumps(
        [{"name": "portal", "url": "https://portal.example/hooks/binding", "secret": SECRET}]
    )}).webhooks[0]  # fmt: skip


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("https://x.example/y?z=1", "ftp://x.example", "webhooks[0].url: write https://host/path"),
        ("https://x.example/y?z=1", "https:///y", "webhooks[0].url"),
        ("https://x.example/y?z=1", "https://me:hush@x.example/", "webhooks[0].url"),
        ("https://x.example/y?z=1", "https://x.example:port/", "webhooks[0].url"),
        ("https://x.example/y?z=1", "https://x.example/ y", "webhooks[0].url"),
        ("https://x.example/y?z=1", "https://x.example/#y", "webhooks[0].url"),
        ("https://x.example/y?z=1", "file:///etc/passwd", "webhooks[0].url"),
        (SECRET, "hush", "webhooks[0].secret: needs at least 16 characters"),
        ('name = "a"', 'name = "a b"', "webhooks[0].name: expected `str` matching"),
        ('name = "a"', 'name = "a"\nevents = []', "webhooks[0].events: expected `array` of length >= 1"),
        ('name = "a"', 'name = "a"\nevents = ["x"]', "webhooks[0].events[0]: invalid enum value 'x'"),
        ('name = "a"', 'name = "a"\nverify = false', "webhooks[0].verify: unknown key"),
        ('name = "a"', 'name = "a"\nsecret_file = "nothing"', "webhooks[0].secret_file"),
    ],
)
def test_a_bad_webhook_is_told_by_its_path(tmp_path: Path, old: str, new: str, told: str) -> None:
    with pytest.raises(ConfigError) as refused:
        read(tmp_path, HOOK.replace(old, new))
    assert str(refused.value).startswith(told)
    assert "hush" not in str(refused.value)


def test_two_webhooks_of_one_name(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="two webhooks have the same name"):
        read(tmp_path, HOOK + HOOK)


# --- UserEvents ----------------------------------------------------------------------------------------------


def test_the_headers_of_a_user_event() -> None:
    assert fields(EVENT) == {
        "UserEvent": "BindingAttemptEnded",
        "Event-ID": str(EVENT.event_id),
        "Time": "2026-09-21T14:13:20.123Z",
        "Account": "default",
        "User": "1001",
        "Extension": "1001",
        "Extensions": "1001,2001",
        "Outcome": "verified",
    }


@pytest.mark.parametrize("value", ["a\r\nAction: Originate", "ünï", "a b", "100%", "\0", " x ", "é" * 300, "x" * 5000])
def test_no_value_leaves_its_header(value: str) -> None:
    safe = sanitised(value)
    assert checked("User", safe) == safe
    assert len(safe) <= LONGEST
    assert not set("\r\n\0") & set(safe)


def test_ordinary_values_stay_as_they_are() -> None:
    for value in ("1001", "alice@pbx.example", "a-b_c.d", "*68#", '"x"'):
        assert sanitised(value) == value
