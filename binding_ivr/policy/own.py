"""Numbers that a call would come back from: extensions, DIDs and patterns of the accounts on this PBX (rule R1)."""

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from binding_ivr.errors import Refusal


@dataclass(frozen=True, slots=True)
class OwnNumbers:
    """Numbers a call would loop back to: extensions as dialled, DIDs as E.164, Asterisk patterns on E.164 digits."""

    extensions: Collection[str] = ()
    dids: Collection[str] = ()
    patterns: Collection[str] = ()


def own_numbers(kinds_and_values: Iterable[tuple[str, str]]) -> OwnNumbers:
    """Sort stored own numbers (`extension`, `did`, `pattern`)."""
    sorted_by_kind: dict[str, set[str]] = {"extension": set(), "did": set(), "pattern": set()}
    for kind, value in kinds_and_values:
        sorted_by_kind[kind].add(value)
    return OwnNumbers(sorted_by_kind["extension"], sorted_by_kind["did"], sorted_by_kind["pattern"])


def is_own(e164: str, national: str, own: OwnNumbers) -> bool:
    """True when a call to the number would come back to us.

    *e164* with its `+`, *national* the national significant number: both are compared with the extensions too, because
    a route may dial either without the `+`, and would then ring the extension.
    """
    digits = e164.removeprefix("+")
    return (
        e164 in own.dids
        or digits in own.extensions
        or national in own.extensions
        or any(matches(pattern, digits) for pattern in own.patterns)
    )


def matches(pattern: str, digits: str) -> bool:
    """True when *digits* match an Asterisk extension pattern such as `_1555010XXXX` or `_1555[2-4]!`.

    Asterisk documentation, "Pattern Matching": X 0-9, Z 1-9, N 2-9, [..] a set, `.` one or more, `!` none or more.
    """
    return re.fullmatch(_regular(pattern), digits) is not None


def check_pattern(pattern: str) -> str:
    """Return *pattern* as stored. Raises Refusal `bad_pattern` when it is not an Asterisk pattern on digits."""
    if not re.fullmatch(r"_[+]?([0-9XZNxzn]|\[[0-9-]+\]){3,}[.!]?", pattern):
        raise Refusal(
            "bad_pattern", "write a pattern such as _1555010XXXX: E.164 digits without +, and X Z N [2-4] . !"
        )
    try:
        re.compile(_regular(pattern))
    except re.error:
        raise Refusal("bad_pattern", "the pattern has a set [..] that is written wrongly") from None
    return pattern


_PATTERN_SIGNS = {"X": "[0-9]", "Z": "[1-9]", "N": "[2-9]", ".": ".+", "!": ".*"}


def _regular(pattern: str) -> str:
    body = pattern.removeprefix("_").removeprefix("+")
    return "".join(
        part if part.startswith("[") else _PATTERN_SIGNS.get(part.upper(), re.escape(part))
        for part in re.findall(r"\[[^\]]*\]|.", body)
    )
