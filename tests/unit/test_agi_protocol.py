"""FastAGI's text: headers, targets, replies, quoting; hostile input raises the one typed error or is refused."""

import contextlib

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from binding_ivr.asterisk.agi.protocol import (
    AgiProtocolError,
    Answer,
    is_plain,
    masked,
    parse_answer,
    parse_hello,
    quoted,
)
from binding_ivr.asterisk.quiet import Quiet

HELLO = (
    b"agi_network: yes\nagi_network_script: %s\nagi_request: agi://127.0.0.1:4573/x\nagi_channel: PJSIP/trunk-1\n"
    b"agi_language: es\nagi_uniqueid: binding_ivr.6.0\nagi_calleridname: %s\nagi_extension: s\n\n"
)


def test_headers_as_asterisk_sends_them() -> None:
    hello = parse_hello(HELLO % (b"attempt/0b8f", b"unknown"))
    assert (hello.path, hello.query, hello.channel_id, hello.language) == ("/attempt/0b8f", {}, "binding_ivr.6.0", "es")
    assert hello.headers["agi_request"] == "agi://127.0.0.1:4573/x"


@pytest.mark.parametrize(
    ("script", "query"),
    [
        (b"trusted-number?account=a&extension=1001", {"account": "a", "extension": "1001"}),
        (b"/trusted-caller?number=+15551230001", {"number": "+15551230001"}),
        (b"trusted-caller?number=%2B15551230001", {"number": "+15551230001"}),
        (b"trusted-caller?number=", {"number": ""}),
        (b"trusted-caller?number=1&number=2", None),
        (b"trusted-caller?number=1&account", None),
        (b"trusted-caller?number=%ff", None),
        (b"trusted-caller?a=b?c=d", {"a": "b?c=d"}),
    ],
)
def test_queries(script: bytes, query: dict[str, str] | None) -> None:
    assert parse_hello(HELLO % (script, b"x")).query == query


def test_a_caller_name_in_another_encoding_does_no_harm() -> None:
    assert parse_hello(HELLO % (b"attempt/1", b"Jos\xe9")).path == "/attempt/1"


@pytest.mark.parametrize("block", [b"", b"\n\n", b"agi_network: yes\n\n", b"agi_network_script: \n\n", b"\x00\xff\n\n"])
def test_headers_without_a_target(block: bytes) -> None:
    with pytest.raises(AgiProtocolError):
        parse_hello(block)


@given(st.binary())
@example(b"agi_network_script: %zz?%\n\n")
@example(b"agi_network_script: ?=&=\n\n")
def test_any_header_block_parses_or_raises_the_one_error(block: bytes) -> None:
    for tried in (block, b"agi_network_script: " + block):
        try:
            hello = parse_hello(tried)
        except AgiProtocolError:
            continue
        assert hello.path.startswith("/")


@pytest.mark.parametrize(
    ("line", "answer"),
    [
        (b"200 result=0 endpos=3404", Answer(200, 0)),
        (b"200 result=49 endpos=9760", Answer(200, 49)),
        (b"200 result=-1 endpos=0", Answer(200, -1)),
        (b"200 result=1 (hangup)", Answer(200, -1)),
        (b"200 result=1", Answer(200, 1)),
        (b"200 result= (timeout)", Answer(200, None)),
        (b"200", Answer(200, None)),
        (b"510 Invalid or unknown command", Answer(510, None)),
        (b"511 Command Not Permitted on a dead channel or intercept routine", Answer(511, None)),
        (b"520 End of proper usage.", Answer(520, None)),
    ],
)
def test_replies(line: bytes, answer: Answer) -> None:
    assert parse_answer(line) == answer


@pytest.mark.parametrize("line", [b"", b"nonsense", b"200 result=abc", b"9" * 5000, b"\xff\xfe\x00"])
def test_replies_that_are_none(line: bytes) -> None:
    with pytest.raises(AgiProtocolError):
        parse_answer(line)


@given(st.one_of(st.binary(), st.binary().map(lambda tail: b"200 result=" + tail)))
@example("200 result=\u0663".encode())
def test_any_reply_parses_or_raises_the_one_error(line: bytes) -> None:
    with contextlib.suppress(AgiProtocolError):
        parse_answer(line)


@given(st.text())
@example('a"\r\nSET VARIABLE X "y')
@example("\x85\u2028\\")
def test_a_quoted_value_cannot_leave_its_quotes(value: str) -> None:
    text = quoted(value)
    assert text[0] == text[-1] == '"'
    assert not set(text[1:-1]) & set('"\\\r\n\x00')


@pytest.mark.parametrize("value", ["${EVIL}", "$[1]", "a,b", 'a"b', "a\\b", "a=b", "a&b", "a\n", "(x)", "é"])
def test_what_a_dialplan_could_interpret_is_not_plain(value: str) -> None:
    assert not is_plain(value)


def test_ordinary_answers_are_plain() -> None:
    for value in ("", "+15551230001", "PJSIP/+15551230001@trunk", "2026-01-01T00:00:00+00:00", "Local/1@from-internal"):
        assert is_plain(value)


def test_what_is_logged_of_a_peer_holds_no_number() -> None:
    assert masked("/trusted-number/+15551230001\n\x1b[0m") == "/trusted-number/" + "#" * 16 + "m"
    assert len(masked("x" * 1000)) == 60


def test_repeated_complaints_are_counted_not_repeated() -> None:
    now = [0.0]
    quiet = Quiet(10.0, clock=lambda: now[0])
    assert [quiet.admits("a"), quiet.admits("a"), quiet.admits("a"), quiet.admits("b")] == [0, None, None, 0]
    now[0] = 10.0
    assert [quiet.admits("a"), quiet.admits("a")] == [2, None]
