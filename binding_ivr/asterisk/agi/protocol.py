"""FastAGI's text in both directions: request headers, targets, reply lines, quoted values; it does no I/O."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import unquote

from panoramisk.utils import parse_agi_result

DIGITS = "0123456789*#ABCD"
"""Every key that a channel may report."""

USAGE_END = b"520 End of proper usage."
"""The line that closes the several lines of a 520 reply."""

_UNSPEAKABLE = re.compile(r'[\x00-\x1f\x7f"\\]')
_PLAIN = re.compile(r"[A-Za-z0-9*#+./:@_ -]*\Z")


class AgiProtocolError(Exception):
    """The peer does not speak FastAGI as we know it. The message is one line without anything the peer sent."""


@dataclass(frozen=True, slots=True)
class Hello:
    """What a session begins with. `query` may hold numbers and is kept out of every log."""

    path: str
    query: Mapping[str, str] | None = field(repr=False)
    channel_id: str
    language: str
    headers: Mapping[str, str] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Answer:
    """One reply of Asterisk: `code` 200, 510, 511 or 520, `result` the number after `result=` (None without one)."""

    code: int
    result: int | None
    data: str = field(default="", repr=False)
    """What stands in brackets behind the result: the value of a variable. It may be digits heard."""


def parse_hello(block: bytes) -> Hello:
    """Parse the header block up to and with its empty line. Raises AgiProtocolError.

    `query` is None when it cannot be trusted: a name twice, a part without `=`, or a broken percent code.
    """
    try:
        lines = block.decode("utf-8").split("\n")
    except UnicodeDecodeError:
        # Caller names come as the network sent them; no header that we use may hold other than ASCII.
        lines = block.decode("latin-1").split("\n")
    headers = dict(line.split(": ", 1) for line in lines if ": " in line)
    script = headers.get("agi_network_script", "").strip()
    if not script:
        raise AgiProtocolError("no agi_network_script header")
    path, _, query = script.partition("?")
    return Hello(
        path="/" + path.strip("/"),
        query=_parse_query(query),
        channel_id=headers.get("agi_uniqueid", "").strip(),
        language=headers.get("agi_language", "").strip(),
        headers=headers,
    )


def _parse_query(query: str) -> Mapping[str, str] | None:
    # `+` stays a plus: these are phone numbers in a dialplan, not a web form.
    values: dict[str, str] = {}
    for part in filter(None, query.split("&")):
        name, equals, value = part.partition("=")
        if not equals or name in values:
            return None
        try:
            values[name] = unquote(value, errors="strict")
        except UnicodeDecodeError:
            return None
    return values


def parse_answer(line: bytes) -> Answer:
    """Parse one complete reply line. Raises AgiProtocolError."""
    try:
        parsed = parse_agi_result(line.decode("utf-8", "replace").strip())
        if parsed.get("error") in ("AGIAppError", "AGIResultHangup"):
            return Answer(200, -1)
        code = int(parsed["status_code"])
        value, data = parsed["result"]
        return Answer(code, int(value) if value else None, data or "")
    except (ValueError, KeyError, IndexError, TypeError):
        raise AgiProtocolError("a reply line that is not an AGI reply") from None


def quoted(value: str) -> str:
    """Return *value* as one quoted AGI argument; control characters, quotes and backslashes are taken out."""
    return '"' + _UNSPEAKABLE.sub("", value) + '"'


def is_plain(value: str) -> bool:
    """True when *value* holds nothing that a dialplan application's arguments could give a meaning."""
    return _PLAIN.match(value) is not None


def masked(text: str) -> str:
    """Return the beginning of what a peer sent, fit for a log line: no digits, no control characters."""
    return re.sub(r"[^A-Za-z/_.-]", "#", text[:60])
