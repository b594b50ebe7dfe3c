"""The second lock: an Asterisk context, made from the number policy, that dials allowed numbers and nothing else.

It only writes text. What it allows is exactly what policy.numbers accepts, pattern by pattern (docs/policy.md).
"""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from binding_ivr.model.regions import GROUPS, calling_code
from binding_ivr.policy import ranges
from binding_ivr.policy.digitset import LONGEST, DigitSet, DigitSets
from binding_ivr.policy.numbers import KINDS, NEVER_KINDS, NumberRules
from binding_ivr.policy.own import OwnNumbers, check_pattern
from binding_ivr.policy.plan import Plan

SHORTEST = 7
EXCEPTABLE = frozenset(KINDS.values()) - NEVER_KINDS


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


def lock(rules: LockRules) -> str:
    """Return the dialplan. Raises ValueError for a numbering plan that cannot be read, Refusal for a bad pattern."""
    body = "\n".join(_Writer(rules).lines())
    return _HEAD + body.replace("@FINGERPRINT@", fingerprint(body)) + "\n"


def fingerprint(body: str) -> str:
    """Return 16 hexadecimal digits by which a loaded lock is told from what the policy would make now."""
    return hashlib.sha256(body.encode()).hexdigest()[:16]


class _Writer:
    def __init__(self, rules: LockRules) -> None:
        self._rules = rules
        self._sets = DigitSets()
        self._plan = Plan(self._sets)
        self._regions = sorted({region for account in rules.accounts for region in account.regions})
        self._allowed = {region: self._of_region(region) for region in self._regions}
        self._every: DigitSet = 0

    def lines(self) -> Iterator[str]:
        yield from self._allowed_subroutine()
        for out in self._rules.outs:
            yield from self._way_out(out)
        yield from self._context("binding-ivr-own", _OWN, self._own())
        yield from self._context("binding-ivr-never", _NEVER, self._never())
        for number, timed in enumerate(self._rules.exceptions, 1):
            patterns = self._sets.patterns(self._excepted(timed.excepted))
            yield from self._context(f"binding-ivr-excepted-{number}", _EXCEPTED, patterns)
        yield from self._context("binding-ivr-denied", _DENIED, self._sets.patterns(self._denied()))
        yield from ("", _PLAN, "[binding-ivr-plan]")
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
        return self._union(self._in_plan(account, region) for account in self._rules.accounts)

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
        if not self._every:
            self._every = self._union(self._plan.numbers(region, EXCEPTABLE) for region in sorted(GROUPS["*"]))
        return self._sets.meet(self._every, covered)

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
        yield _ALLOWED.rstrip("\n")
        for number, timed in enumerate(self._rules.exceptions, 1):
            there = f"${{DIALPLAN_EXISTS(binding-ivr-excepted-{number},${{ARG1}},1)}}"
            yield f' same => n,GotoIf($["{there}"="1" & ${{EPOCH}} < {timed.until}]?yes)'
        yield _ALLOWED_END.rstrip("\n")

    def _way_out(self, out: Out) -> Iterator[str]:
        text = _OUT.replace("@TRUNK@", _dialled(out, "EXTEN")).replace("@CALLED_TRUNK@", _dialled(out, "ARG1"))
        text = text.replace("@CONTEXT@", out.context)
        text = text.replace("@MAX_S@", str(self._rules.max_s))
        if not out.max_channels:
            text = "\n".join(line for line in text.splitlines() if "GROUP_COUNT" not in line)
        yield text.replace("@MAX_CHANNELS@", str(out.max_channels)).rstrip("\n")

    def _context(self, name: str, comment: str, patterns: Iterable[str]) -> Iterator[str]:
        yield from ("", comment, f"[{name}]")
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


_HEAD = """\
; binding_ivr: the way out for calls to cell phones, which dials what the number policy allows and nothing else.
;
; MADE BY `binding-ivr dialplan policy` FROM THE CONFIGURATION AND THE OWN NUMBERS. Do not edit it: make it again when
; one of them changes, then: asterisk -rx 'dialplan reload'. `binding-ivr doctor` tells when it is out of date.
;
; Include it at the end of extensions.conf and let calls leave through it:
;   binding-ivr.toml  in [[routes]] endpoint = "Local/{digits}@binding-ivr-out/n", and what was there as trunk = "..."
;   dialplan          Dial(Local/${DIGITS}@binding-ivr-out/n), with the digits of E.164 without +
;   to ask only       Gosub(binding-ivr-allowed,s,1(${DIGITS})), then ${BINDING_ALLOWED} is 1 or 0
;
; Modules: app_dial, app_stack, app_verbose, func_dialplan, func_groupcount, func_hangupcause, func_logic, func_strings,
; func_timeout. Works with live_dangerously=no.
"""

_ALLOWED = """
; Gosub(binding-ivr-allowed,s,1(digits)): sets BINDING_ALLOWED to 1 or 0, and BINDING_REFUSED to why not: form (no E.164
; digits), own_number, denied, not_allowed. It fails closed: without func_dialplan nothing is allowed.
[binding-ivr-allowed]
exten => fingerprint_@FINGERPRINT@,1,NoOp()
exten => s,1,Set(BINDING_ALLOWED=0)
 same => n,Set(BINDING_REFUSED=form)
 same => n,GotoIf($["${ARGC}"!="1"]?done)
 same => n,GotoIf($["${REGEX("^[1-9][0-9]{6,14}$" ${ARG1})}"!="1"]?done)
 same => n,Set(BINDING_REFUSED=own_number)
 same => n,GotoIf($["${DIALPLAN_EXISTS(binding-ivr-own,${ARG1},1)}"="1"]?done)
 same => n,Set(BINDING_REFUSED=denied)
 same => n,GotoIf($["${DIALPLAN_EXISTS(binding-ivr-never,${ARG1},1)}"="1"]?done)
 same => n,Set(BINDING_REFUSED=not_allowed)
"""

_ALLOWED_END = """\
 same => n,GotoIf($["${DIALPLAN_EXISTS(binding-ivr-denied,${ARG1},1)}"="1"]?done)
 same => n,GotoIf($["${DIALPLAN_EXISTS(binding-ivr-plan,${ARG1},1)}"!="1"]?done)
 same => n(yes),Set(BINDING_ALLOWED=1)
 same => n,Set(BINDING_REFUSED=)
 same => n(done),Return()
; Here, because Log() tells the extension that it runs in, which elsewhere is the number.
exten => log,1,Log(WARNING,${ARG1} refused a call: ${ARG2})
 same => n,Return()
"""

_OUT = """
; Local/<digits>@@CONTEXT@/n. Always with /n: the channel that asked must stay the one that it was.
[@CONTEXT@]
exten => _[+*#0-9]!,1,GotoIf($["${REGEX("^[1-9][0-9]{6,14}$" ${EXTEN})}"!="1"]?form)
 same => n,Gosub(binding-ivr-allowed,s,1(${EXTEN}))
 same => n,GotoIf($["${BINDING_ALLOWED}"!="1"]?refused)
 same => n,Set(GROUP(@CONTEXT@)=all)
 same => n,GotoIf($[${GROUP_COUNT(all@@CONTEXT@)} > @MAX_CHANNELS@]?full)
 same => n,Set(TIMEOUT(absolute)=@MAX_S@)
 same => n,Dial(@TRUNK@)
 same => n,Set(BINDING_LEG=${HANGUPCAUSE_KEYS()})
 same => n,GotoIf($[${LEN(${BINDING_LEG})}=0 & "${DIALSTATUS}"="CHANUNAVAIL"]?trunk)
 ; What SIP said is lost behind a Local channel; these three mean that the call was not wanted.
 same => n,GotoIf($["${REGEX("^SIP 60[378]" ${HANGUPCAUSE(${BINDING_LEG},tech)})}"="1"]?declined)
 same => n,Hangup(${HANGUPCAUSE})
 same => n(declined),Hangup(21)
 same => n(trunk),Gosub(binding-ivr-allowed,log,1(@CONTEXT@,the trunk cannot be used))
 same => n,Hangup(38)
 same => n(form),Set(BINDING_REFUSED=form)
 same => n(refused),Gosub(binding-ivr-allowed,log,1(@CONTEXT@,${BINDING_REFUSED}))
 same => n,Hangup(21)
 same => n(full),Gosub(binding-ivr-allowed,log,1(@CONTEXT@,all @MAX_CHANNELS@ channels are in use))
 same => n,Hangup(34)
; Gosub(@CONTEXT@,binding_trunk,1(digits)): returns what is dialled, for who has asked binding-ivr-allowed before.
exten => binding_trunk,1,Return(@CALLED_TRUNK@)
"""

_OWN = "; The PBX's own numbers: a call to one would come back."
_NEVER = "; Satellites, services and premium numbers: never, whatever the rest of this file says."
_EXCEPTED = "; Excepted by an administrator for a time."
_DENIED = "; Ranges that are denied inside of what may be called."
_PLAN = "; What may be called, by region: exactly the numbers of the allowed types."
