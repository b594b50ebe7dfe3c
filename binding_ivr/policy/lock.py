"""The second lock: an Asterisk context, made from the number policy, that dials allowed numbers and nothing else.

It only fills a text in. What it allows is exactly what policy.numbers accepts, pattern by pattern (docs/policy.md);
the text around the patterns is dialplan/binding_ivr_out.template.
"""

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from binding_ivr.model.regions import GROUPS, calling_code
from binding_ivr.policy import ranges
from binding_ivr.policy.digitset import LONGEST, DigitSet, DigitSets
from binding_ivr.policy.numbers import KINDS, NEVER_KINDS, NumberRules
from binding_ivr.policy.own import OwnNumbers, check_pattern
from binding_ivr.policy.plan import Plan, holds, holds_any
from binding_ivr.policy.renumbered import RULES, regular

SHORTEST = 7
EXCEPTABLE = frozenset(KINDS.values()) - NEVER_KINDS
_PARTS = ("head", "allowed", "allowed, after the exceptions", "way out", "own", "never", "excepted", "denied", "plan")


@dataclass(frozen=True, slots=True)
class Timed:
    """What is excepted until a POSIX time."""

    excepted: ranges.Excepted
    until: int


@dataclass(frozen=True, slots=True)
class Out:
    """One way out: the *context* that Local channels enter, and the *trunk* that it dials for the validated digits.

    *trunk* is a dial string with `{e164}`, `{digits}` or, where all its numbers share a country code of *code_length*
    digits, `{national}`; *max_channels* are the calls at once, 0 for any number.
    """

    context: str
    trunk: str
    max_channels: int
    code_length: int = 0


@dataclass(frozen=True, slots=True)
class LockRules:
    """What all accounts together allow; *max_s* is the longest call in seconds."""

    accounts: Sequence[NumberRules]
    own: OwnNumbers
    outs: Sequence[Out]
    max_s: int
    exceptions: Sequence[Timed] = field(default=())


def lock(rules: LockRules, template: str) -> str:
    """Return the dialplan, *template* filled in.

    Raises ValueError for a numbering plan that cannot be read or a template that lacks a part, Refusal for a bad
    pattern.
    """
    parts = _parts(template)
    body = "\n".join(_Writer(rules, parts).lines())
    return parts["head"] + "\n" + body.replace("@FINGERPRINT@", fingerprint(body)) + "\n"


def _parts(template: str) -> dict[str, str]:
    """Return the parts of *template* by name: what stands between the lines `;== name`."""
    found: dict[str, str] = {}
    for part in template.split("\n;== ")[1:]:
        name, _, text = part.partition("\n")
        found[name] = text.rstrip("\n")
    if missing := [name for name in _PARTS if name not in found]:
        raise ValueError(f"the template of the lock has no part {missing[0]!r}")
    return found


def fingerprint(body: str) -> str:
    """Return 16 hexadecimal digits by which a loaded lock can be told from the one that the policy would make now."""
    return hashlib.sha256(body.encode()).hexdigest()[:16]


class _Writer:
    def __init__(self, rules: LockRules, parts: Mapping[str, str]) -> None:
        self._rules = rules
        self._parts = parts
        self._sets = DigitSets()
        self._plan = Plan(self._sets)
        # Read as what they are today, and in Brazil not without a ninth digit: nobody calls these.
        self._old = self._union(
            self._sets.matching(regular(rule.pattern)) for rule in RULES if rule.somebody or not rule.stands
        )
        self._regions = sorted({region for account in rules.accounts for region in account.regions})
        self._allowed = {region: self._of_region(region) for region in self._regions}
        self._every: DigitSet = 0

    def lines(self) -> Iterator[str]:
        yield from self._allowed_subroutine()
        for out in self._rules.outs:
            yield from self._way_out(out)
        yield from self._context("binding-ivr-own", "own", self._own())
        yield from self._context("binding-ivr-never", "never", self._never())
        for number, timed in enumerate(self._rules.exceptions, 1):
            patterns = self._sets.patterns(self._excepted(timed.excepted))
            yield from self._context(f"binding-ivr-excepted-{number}", "excepted", patterns)
        yield from self._context("binding-ivr-denied", "denied", self._sets.patterns(self._denied()))
        yield from ("", self._parts["plan"], "[binding-ivr-plan]")
        for region, numbers in self._allowed.items():
            yield f"; {region}"
            yield from _extensions(self._sets.patterns(numbers))

    # --- sets

    def _union(self, several: Iterable[DigitSet]) -> DigitSet:
        found = 0
        for numbers in several:
            found = self._sets.union(found, numbers)
        return found

    def _of_region(self, region: str) -> DigitSet:
        """What any account may call in *region*, denied prefixes aside."""
        every = self._union(self._in_plan(account, region) for account in self._rules.accounts)
        return self._sets.minus(every, self._old)

    def _in_plan(self, account: NumberRules, region: str) -> DigitSet:
        return self._plan.numbers(region, set(account.types) - NEVER_KINDS) if region in account.regions else 0

    def _denied(self) -> DigitSet:
        """What is in the plan and yet denied by every account that could call it."""
        accounts = self._rules.accounts
        if len({(tuple(account.deny), tuple(account.allow)) for account in accounts}) == 1:
            return self._denied_by(accounts[0])
        allowed = self._union(
            self._sets.minus(self._in_plan(account, region), self._denied_by(account))
            for account in accounts
            for region in account.regions
        )
        return self._sets.minus(self._union(self._allowed.values()), allowed)

    def _denied_by(self, account: NumberRules) -> DigitSet:
        """The longest prefix decides, and *allow* of two that are equally long."""
        found = 0
        prefixes = [(len(prefix), 0, prefix) for prefix in account.deny]
        prefixes += [(len(prefix), 1, prefix) for prefix in account.allow]
        for _, allows, prefix in sorted(prefixes):
            numbers = self._sets.beginning(prefix[1:])
            found = self._sets.minus(found, numbers) if allows else self._sets.union(found, numbers)
        return found

    def _excepted(self, excepted: ranges.Excepted) -> DigitSet:
        digits = excepted.prefix[1:]
        covered = self._sets.after(digits, self._sets.only) if excepted.whole else self._sets.beginning(digits)
        if not (holds(excepted.prefix) if excepted.whole else holds_any(excepted.prefix)):
            return self._sets.minus(covered, self._sets.tail(SHORTEST - 1))  # younger than the plan
        if not self._every:
            self._every = self._union(self._plan.numbers(region, EXCEPTABLE) for region in sorted(GROUPS["*"]))
        known = self._sets.meet(self._every, covered)
        return known if excepted.whole else self._sets.minus(known, self._old)

    def _never(self) -> Iterator[str]:
        for code in sorted(ranges.SATELLITE | ranges.PREMIUM | ranges.SERVICE):
            yield f"{code}!"
        for prefix in ranges.PREMIUM_PATTERNS:
            yield f"{prefix[1:]}!"
        for region in self._regions:
            yield from self._sets.patterns(self._plan.numbers(region, ("PREMIUM_RATE", "SHARED_COST")))

    def _own(self) -> list[str]:
        own = self._rules.own
        found = {did.removeprefix("+") for did in own.dids}
        for pattern in own.patterns:
            found.add(check_pattern("_" + pattern.removeprefix("_").removeprefix("+"))[1:].upper())
        # A route may dial national digits, which would ring the extension that has them.
        codes = sorted({str(calling_code(region)) for region in self._regions})
        for extension in own.extensions:
            if extension.isascii() and extension.isdigit():
                found |= {code + extension for code in ("", *codes) if self._is_allowed(code + extension)}
        return sorted(found)

    def _is_allowed(self, digits: str) -> bool:
        return SHORTEST <= len(digits) <= LONGEST and any(
            self._sets.contains(numbers, digits) for numbers in self._allowed.values()
        )

    # --- lines

    def _allowed_subroutine(self) -> Iterator[str]:
        yield "\n" + self._parts["allowed"]
        for number, timed in enumerate(self._rules.exceptions, 1):
            there = f"${{DIALPLAN_EXISTS(binding-ivr-excepted-{number},${{ARG1}},1)}}"
            yield f' same => n,GotoIf($["{there}"="1" & ${{EPOCH}} < {timed.until}]?yes)'
        yield self._parts["allowed, after the exceptions"]

    def _way_out(self, out: Out) -> Iterator[str]:
        text = (
            ("\n" + self._parts["way out"])
            .replace("@TRUNK@", _dialled(out, "EXTEN"))
            .replace("@CALLED_TRUNK@", _dialled(out, "ARG1"))
        )
        text = text.replace("@CONTEXT@", out.context)
        text = text.replace("@MAX_S@", str(self._rules.max_s))
        if not out.max_channels:
            text = "\n".join(line for line in text.splitlines() if "GROUP_COUNT" not in line)
        yield text.replace("@MAX_CHANNELS@", str(out.max_channels)).rstrip("\n")

    def _context(self, name: str, part: str, patterns: Iterable[str]) -> Iterator[str]:
        yield from ("", self._parts[part], f"[{name}]")
        yield from _extensions(patterns)


def _dialled(out: Out, variable: str) -> str:
    """Return the dial string of the trunk for the digits in a *variable* of the dialplan."""
    text = out.trunk.replace("{e164}", f"+${{{variable}}}").replace("{digits}", f"${{{variable}}}")
    return text.replace("{national}", f"${{{variable}:{out.code_length}}}")


def _extensions(patterns: Iterable[str]) -> Iterator[str]:
    seen: set[str] = set()
    for pattern in patterns:
        if pattern not in seen:
            seen.add(pattern)
            yield f"exten => {pattern if pattern.isdigit() else f'_{pattern}'},1,NoOp()"
