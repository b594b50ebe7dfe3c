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


@pytest.mark.parametrize(
    ("script", "path"),
    [
        (b"attempt/0b8f", "/attempt/0b8f"),
        (b"/attempt/0b8f/", "/attempt/0b8f"),
        (b"//attempt//0b8f//", "/attempt//0b8f"),
        (b" attempt ", "/attempt"),
        (b"/", "/"),
        (b"a?b/", "/a"),
        (b"/X/attempt/X/", "/X/attempt/X"),
    ],
)
def test_a_path_begins_with_one_slash_and_ends_with_none(script: bytes, path: str) -> None:
    assert parse_hello(HELLO % (script, b"x")).path == path


def test_what_is_not_there_is_empty() -> None:
    hello = parse_hello(b"agi_network_script: a\n\n")
    assert (hello.channel_id, hello.language, hello.query) == ("", "", {})
    assert hello.headers == {"agi_network_script": "a"}


def test_space_around_headers_is_not_part_of_them() -> None:
    hello = parse_hello(b"agi_network_script: a\nagi_uniqueid: 6.0 \nagi_language:  es\nagi_x: a: b\nno header\n\n")
    assert (hello.channel_id, hello.language, hello.headers["agi_x"]) == ("6.0", "es", "a: b")
    assert "no header" not in hello.headers


def test_a_name_of_another_encoding_is_read_letter_by_letter() -> None:
    assert parse_hello(HELLO % (b"a", b"Jos\xe9")).headers["agi_calleridname"] == "Jos\xe9"
    assert parse_hello(HELLO % (b"a", "Jos\xe9".encode())).headers["agi_calleridname"] == "Jos\xe9"


def test_one_bad_part_makes_the_whole_query_worthless_and_empty_parts_nothing() -> None:
    assert parse_hello(HELLO % (b"a?&x=1&&y=2&", b"x")).query == {"x": "1", "y": "2"}
    assert parse_hello(HELLO % (b"a?x=1&y=%C3%A9%3D", b"x")).query == {"x": "1", "y": "\xe9="}
    assert parse_hello(HELLO % (b"a?x=1&y=%e9", b"x")).query is None


def test_numbers_and_keys_are_in_no_representation() -> None:
    hello = parse_hello(HELLO % (b"trusted-caller?number=+15551230001", b"+15551230002"))
    assert "1555" not in repr(hello)
    assert "trusted-caller" in repr(hello)
    assert "862494" not in repr(parse_answer(b"200 result=1 (862494)"))


def test_the_value_of_a_variable_is_told_with_the_result() -> None:
    assert parse_answer(b"200 result=1 (862494)") == Answer(200, 1, "862494")
    assert parse_answer(b" 200 result=1 (a b)\r\n") == Answer(200, 1, "a b")
    assert parse_answer(b"200 result=1") == Answer(200, 1, "")


def test_an_error_says_what_is_wrong_and_nothing_that_the_peer_sent() -> None:
    with pytest.raises(AgiProtocolError, match="no agi_network_script header"):
        parse_hello(b"agi_channel: PJSIP/1\n\n")
    with pytest.raises(AgiProtocolError, match="AGI reply") as error:
        parse_answer(b"nonsense 862494")
    assert "862494" not in str(error.value)


def test_quoting_takes_out_and_keeps() -> None:
    assert quoted('a"b\\c\nd\x7fe f,g$') == '"abcde f,g$"'
    assert quoted("") == '""'


@given(st.text())
def test_plain_is_what_stays_itself_in_a_dialplan(value: str) -> None:
    allowed = set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789*#+./:@_ -")
    assert is_plain(value) == (set(value) <= allowed)


def test_repeated_complaints_are_counted_not_repeated() -> None:
    now = [0.0]
    quiet = Quiet(10.0, clock=lambda: now[0])
    assert [quiet.admits("a"), quiet.admits("a"), quiet.admits("a"), quiet.admits("b")] == [0, None, None, 0]
    now[0] = 10.0
    assert [quiet.admits("a"), quiet.admits("a")] == [2, None]
