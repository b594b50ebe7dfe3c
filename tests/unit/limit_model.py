"""The limits once more, as slowly and plainly as can be: counted over a list of calls, as docs/limits.md says."""

from collections.abc import Sequence
from dataclasses import dataclass

from binding_ivr.policy.limits import BUCKET_S, DAY, WINDOWS, Chain, Facts, Limits


@dataclass
class Call:
    """One call that was accepted; all times are POSIX seconds."""

    at: float
    account: str
    user: str
    number: str
    client: str | None = None
    ended_at: float | None = None
    verified: bool = False
    counted: bool = True
    counted_number: bool = True
    counted_line: bool = True
    counted_again: bool = True
    uncalled: bool = False
    reserved_s: int = 0
    billed_s: int | None = None


def in_scope(scope: str, call: Call, ask: Call) -> bool:
    """Tell whether *call* counts against *ask* in a limit of *scope*."""
    match scope:
        case "user":
            return call.counted and (call.account, call.user) == (ask.account, ask.user)
        case "uncalled":
            return call.uncalled and (call.account, call.user) == (ask.account, ask.user)
        case "address":
            return call.counted and call.client is not None and call.client == ask.client
        case "account":
            return call.counted_line and call.account == ask.account
        case "system":
            return call.counted_line
        case "number":
            return call.counted_number and call.number == ask.number
        case "prefix":
            return call.counted_number and call.number[:-4] == ask.number[:-4] and call.account == ask.account
        case "system_prefix":
            return call.counted_number and call.number[:-4] == ask.number[:-4]
    raise AssertionError(scope)


def facts_of(calls: Sequence[Call], ask: Call, limits: Limits, now: float, trusted: str | None = None) -> Facts:
    """Count *calls* for *ask* at *now*."""
    mine = [call for call in calls if (call.account, call.user) == (ask.account, ask.user)]
    lately = [call for call in mine if call.counted_again and call.at > now - DAY]
    others: dict[str, float] = {}
    for call in lately:
        if call.number != ask.number:
            others[call.number] = max(others.get(call.number, 0.0), call.at)
    spent: dict[float, float] = {}
    for call in calls:
        if call.billed_s and call.ended_at is not None:
            begin = call.ended_at // BUCKET_S * BUCKET_S
            if begin > now - DAY - BUCKET_S:
                spent[begin] = spent.get(begin, 0.0) + call.billed_s
    return Facts(
        now=now,
        reached=_reached(calls, ask, limits, now),
        own={
            name: at
            for name, at in _reached(mine, ask, limits, now).items()
            if WINDOWS[name].scope in ("number", "prefix", "system_prefix")
        },
        chain=_chain(calls, calls, ask, now),
        own_chain=_chain(mine, calls, ask, now),
        other_numbers=sorted(others.values(), reverse=True)[: max(1, limits.most.get("user_new_numbers_day", 1))],
        is_new=ask.number != trusted and all(call.number != ask.number for call in lately),
        spent=sorted(spent.items()),
        reserved=sum(call.reserved_s for call in calls if call.billed_s is None and call.at > now - DAY),
    )


def _reached(calls: Sequence[Call], ask: Call, limits: Limits, now: float) -> dict[str, float]:
    found = {}
    for name, most in limits.most.items():
        if name in WINDOWS and most > 0:
            window = WINDOWS[name]
            inside = sorted(c.at for c in calls if in_scope(window.scope, c, ask) and c.at > now - window.seconds)
            if len(inside) >= most:
                found[name] = inside[-most]
    return found


def _chain(calls: Sequence[Call], every: Sequence[Call], ask: Call, now: float) -> Chain:
    proofs = [c.at for c in every if c.number == ask.number and c.verified and c.at > now - DAY]
    since = max([now - DAY, *proofs])
    chained = [
        c.ended_at
        for c in calls
        if c.number == ask.number and c.counted_again and c.at > since and c.ended_at is not None
    ]
    return Chain(len(chained), max(chained, default=None))
