"""Cell phone numbers as they were written before their country changed them, or as only that country writes them.

The table holds what phonenumbers does not know. It is the one source of three twins: `current` here, the SQL function
`binding_ivr.current_number`, and the context `binding-ivr-renumbered` of dialplan/binding_ivr.conf. `as_sql` and
`as_dialplan` write the latter two, and tests compare them.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

_SIGNS = {"X": "[0-9]", "Z": "[1-9]", "N": "[2-9]"}
_PART = re.compile(r"\{([0-9]+)(?::([0-9]+))?\}")


@dataclass(frozen=True, slots=True)
class Rule:
    """How a writing leads to the number of today.

    *pattern* is an Asterisk pattern of E.164 digits without `+`; *today* is digits and parts of what matched: `{4}` is
    all from the fifth digit on, `{2:2}` two digits from the third on. *stands*: the numbering plan has the writing too,
    as another number (a landline, or a number of an older kind): then it is only what else may be meant. *somebody*:
    that other number may be somebody else's, so that a caller who shows it is not taken for this one.
    """

    pattern: str
    today: str
    stands: bool = False
    somebody: bool = False

    def apply(self, digits: str) -> str:
        """Return the number of today for *digits* that match."""

        def part(found: re.Match[str]) -> str:
            at = int(found[1])
            return digits[at:] if found[2] is None else digits[at : at + int(found[2])]

        return _PART.sub(part, self.today)


RULES = (
    # Mexico: since August 2019 no 1 after the country code, no 044, 045 and 01 before the number.
    Rule("521NXXXXXXXXX", "52{3}"),
    Rule("5204[45]NXXXXXXXXX", "52{5}"),
    Rule("5201NXXXXXXXXX", "52{4}"),
    # Argentina: cell phones have a 9 after the country code, or 15 after the area code; callers often have neither.
    Rule("54[1-3]XXXXXXXXX", "549{2}", stands=True),
    Rule("541115XXXXXXXX", "549{2:2}{6}"),
    Rule("54[23]XX15XXXXXXX", "549{2:3}{7}"),
    Rule("54[23]XXX15XXXXXX", "549{2:4}{8}"),
    # Brazil: a ninth digit, 9, since 2012 to 2016. With a 7 it may also be a number of a trunking network, which has
    # none. Carrier codes (0 21 11 9...) reach phonenumbers with their 0, callers without it.
    Rule("55ZZ[689]XXXXXXX", "55{2:2}9{4}"),
    Rule("55ZZ7XXXXXXX", "55{2:2}9{4}", stands=True, somebody=True),
    Rule("55ZXZZ9XXXXXXXX", "55{4}"),
    Rule("55ZXZZ[6-9]XXXXXXX", "55{4:2}9{6}"),
    # Trunk prefixes that are kept: Belarus 8 0, Ukraine 8 0 (until 2009), Lithuania 8 (2024), Colombia 03 (2021).
    Rule("3750[2-4]XXXXXXXX", "375{4}"),
    Rule("38080[3-9]XXXXXXXX", "380{5}"),
    Rule("37086XXXXXXX", "370{4}"),
    Rule("5733XXXXXXXXX", "57{3}"),
    # Benin, November 2024: 01 before every number.
    Rule("229NXXXXXXX", "22901{3}"),
    # Ivory Coast, January 2021: 01, 05 or 07, as the second digit told the network.
    Rule("2250[1-3]XXXXXX", "22501{3}"),
    Rule("225[4-9][0-3]XXXXXX", "22501{3}"),
    Rule("225[04-9][4-6]XXXXXX", "22505{3}"),
    Rule("225[04-9][7-9]XXXXXX", "22507{3}"),
    # Gabon, November 2019: 6 or 7 in place of the 0, as the network is; of 03 it is not known.
    Rule("2410[256]XXXXXX", "2416{4}"),
    Rule("2410[47]XXXXXX", "2417{4}"),
    Rule("241[256]XXXXXX", "2416{3}"),
    Rule("241[47]XXXXXX", "2417{3}"),
    Rule("2413XXXXXX", "2410{3}"),
    # Vietnam, November 2018: eleven digits became ten.
    *(
        Rule(f"84{old}XXXXXXX", f"84{new}{{5}}")
        for old, new in {
            "120": "70", "121": "79", "122": "77", "126": "76", "128": "78", "123": "83", "124": "84", "125": "85",
            "127": "81", "129": "82", "186": "56", "188": "58", "199": "59",
        }.items()
    ),
    Rule("8416[2-9]XXXXXXX", "843{4}"),
    # Chile, until 2016: 09 from landlines; eight digits between cell phones.
    Rule("5609[4-9]XXXXXXX", "56{3}"),
    Rule("56[4-9]XXXXXXX", "569{2}"),
    # Cameroon, November 2014: 6 before cell phones. Mauritius, September 2013: 5. Ecuador, September 2012: 9.
    Rule("237[5679]XXXXXXX", "2376{3}"),
    Rule("230[79]XXXXXX", "2305{3}"),
    Rule("593[89]XXXXXXX", "5939{3}"),
    # Egypt, October 2011: a digit after the network's two.
    *(
        Rule(f"20{old}XXXXXXX", f"20{new}{{4}}")
        for old, new in {
            "10": "100", "11": "111", "12": "122", "14": "114", "16": "106", "17": "127", "18": "128", "19": "109",
        }.items()
    ),
    # Georgia, 2011: 5 before cell phones. Qatar, July 2010: the first digit twice.
    Rule("995[579]XXXXXXX", "9955{3}"),
    Rule("974[3567]XXXXXX", "974{3:1}{3}"),
)  # fmt: skip
"""No two of them match the same digits, and what one makes matches none."""


def regular(pattern: str) -> str:
    """Return the regular expression of a rule's pattern, without anchors."""
    return "".join(
        part if part.startswith("[") else _SIGNS.get(part, part) for part in re.findall(r"\[[^\]]*\]|.", pattern)
    )


@cache
def _matching() -> re.Pattern[str]:
    return re.compile("|".join(f"({regular(rule.pattern)})" for rule in RULES))


def rule_for(digits: str) -> Rule | None:
    """Return the rule that matches E.164 *digits* (without `+`)."""
    found = _matching().fullmatch(digits)
    return RULES[found.lastindex - 1] if found is not None and found.lastindex else None


def current(digits: str) -> str | None:
    """Return whose E.164 *digits* (without `+`) a caller who shows these may have today; None when no rule says."""
    rule = rule_for(digits)
    return None if rule is None or rule.somebody else rule.apply(digits)


def _of_callers() -> Iterator[Rule]:
    return (rule for rule in RULES if not rule.somebody)


def as_dialplan() -> Iterator[str]:
    """Yield the lines of the context in dialplan/binding_ivr.conf."""
    for rule in _of_callers():
        today = _PART.sub(lambda part: f"${{EXTEN:{part[0][1:-1]}}}", rule.today)
        yield f"exten => _{rule.pattern},1,Return({today})"


def as_sql() -> Iterator[str]:
    """Yield the branches of the SQL function, of its argument `digits`."""
    for rule in _of_callers():
        parts = re.findall(r"\{[^}]*\}|[0-9]+", rule.today)
        yield f"    WHEN digits ~ '^{regular(rule.pattern)}$' THEN {' || '.join(map(_sql_part, parts))}"


def _sql_part(part: str) -> str:
    found = _PART.fullmatch(part)
    if found is None:
        return f"'{part}'"
    length = "" if found[2] is None else f", {found[2]}"
    return f"substr(digits, {int(found[1]) + 1}{length})"
