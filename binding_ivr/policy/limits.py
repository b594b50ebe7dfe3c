"""Pure counting rules: may one more call leave; if not, by which limit, and when that lifts. It counts nothing itself.

What must not tell a user about the calls of others (limits of a number) is told by name only when the user's own
calls reach the limit; else it looks like a suppressed number: `try_later`, without a name and a time.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NoReturn

from binding_ivr.errors import Refusal
from binding_ivr.policy.breaker import Breaker, Rules

MINUTE = 60.0
HOUR = 3600.0
DAY = 24 * HOUR
BUCKET_S = 600.0
"""The grain of the minute budget: seconds are added up by the ten minutes in which a call ended."""
NEVER = float("inf")


@dataclass(frozen=True, slots=True)
class Window:
    """At most N calls of one *scope* in *seconds*; *sentence* says that it is reached.

    Scopes: `number`, `prefix` (numbers that differ in the last four digits only, in the account) and `system_prefix`
    (on the whole system) are the callee's; `user` and `address` the asker's, and `uncalled`, which counts the user's
    requests that came to no call; `account` and `system` the line's.
    """

    scope: str
    seconds: float
    sentence: str


WINDOWS: Mapping[str, Window] = {
    "number_hour": Window("number", HOUR, "this number has reached its limit of calls per hour"),
    "number_day": Window("number", DAY, "this number has reached its limit of calls per day"),
    "prefix_hour": Window("prefix", HOUR, "numbers like this one have reached their limit of calls per hour"),
    "system_prefix_hour": Window("system_prefix", HOUR, "numbers like it have reached their limit of calls per hour"),
    "user_hour": Window("user", HOUR, "you have reached your limit of calls per hour"),
    "user_day": Window("user", DAY, "you have reached your limit of calls per day"),
    "user_uncalled_hour": Window("uncalled", HOUR, "you have reached your limit of requests without a call per hour"),
    "user_uncalled_day": Window("uncalled", DAY, "you have reached your limit of requests without a call per day"),
    "address_hour": Window("address", HOUR, "your network has reached its limit of calls per hour"),
    "account_hour": Window("account", HOUR, "your organization has reached its limit of calls per hour"),
    "account_day": Window("account", DAY, "your organization has reached its limit of calls per day"),
    "system_hour": Window("system", HOUR, "this phone system has reached its limit of calls per hour"),
    "system_day": Window("system", DAY, "this phone system has reached its limit of calls per day"),
}  # fmt: skip
"""Every limit on calls in a time by its configuration key."""

SENTENCES: Mapping[str, str] = {
    **{name: window.sentence for name, window in WINDOWS.items()},
    "number_wait_s": "this number was called just now",
    "user_new_numbers_day": "you have reached your limit of different numbers per day",
    "user_failed_tries": "the access code was entered wrong too many times in a row",
    "user_failed_stop": "your calls are stopped, because too many in a row did not verify a number",
    "system_minutes_day": "this phone system has used up its call minutes for the day",
    "account_breaker": "your organization's calls are paused, because too few of the last ones verified a number",
    "system_breaker": "this phone system's calls are paused, because too few of the last ones verified a number",
}
"""Every limit by which a call is refused, and the sentence that says so."""

BREAKERS = ("account_breaker", "system_breaker")
"""The circuit breakers, by the names of their limits."""

SYSTEM_WIDE = frozenset({"system_hour", "system_day", "system_prefix_hour", "system_minutes_day"})
"""Limits that an account's own settings cannot change: they protect what all accounts share."""

ALERTS = frozenset({"prefix_hour", "system_prefix_hour", "system_minutes_day", "user_failed_stop"})
"""Limits whose reaching an administrator should hear of: nobody reaches them by accident."""

MAY_BE_OFF = frozenset({"user_uncalled_hour", "user_uncalled_day"})
"""Limits of which 0 means that there is none: they are left out of `Limits.most` then."""

_CALLEES = frozenset({"number", "prefix", "system_prefix"})


@dataclass(frozen=True, slots=True)
class Limits:
    """What is allowed. A name that is not in `most` is not limited; 0 allows nothing.

    `most` holds counts by names of WINDOWS, and `user_new_numbers_day` and `system_minutes_day`; of
    `user_failed_stop` 0 stops nobody. `wait_s` are the
    seconds between the end of a call to a number and the next one: after the first call, the second, and so on; the
    last one stays. `reserve_s` is the longest that the call asked for can stand. `breakers` holds rules by names of
    BREAKERS.
    """

    most: Mapping[str, int] = field(default_factory=dict)
    wait_s: Sequence[float] = ()
    reserve_s: int = 0
    breakers: Mapping[str, Rules] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Consequences:
    """What calls that prove nothing bring about. A count of 0 brings nothing.

    *user_failed_tries* wrong entries in a row lock a user out for *user_lock_s* seconds, and for *user_lock_again_s*
    after that, and *user_failed_stop* failures in a row until an administrator resets it. *number_unproven* answered
    calls to a number within *number_unproven_days* days lock the number. The breakers are of the call's account and of
    the whole system.
    """

    user_failed_tries: int
    user_failed_stop: int
    user_lock_s: float
    user_lock_again_s: float
    number_unproven: int
    number_unproven_days: int
    account_breaker: Rules
    system_breaker: Rules


@dataclass(frozen=True, slots=True)
class Chain:
    """Ended calls to one number in the last day since its last proof: how many, and when the last ended (POSIX)."""

    calls: int = 0
    ended_at: float | None = None


@dataclass(frozen=True, slots=True)
class Facts:
    """What was counted at `now`. All times are POSIX seconds.

    `reached` maps names of WINDOWS to the time of the N-th newest counted call when that lies inside the window, N
    being the most allowed; `own` the same over the user's own calls alone, for the callee's scopes. `chain` and
    `own_chain` are of the number. `other_numbers` are the last calls to each other number that the user entered in the
    last day, newest first; `is_new` is false for a number among the user's calls of that day and for the trusted one.
    `stopped`: too many failures in a row, and no administrator has reset them. `spent` are (begin of a bucket,
    seconds), oldest first; `reserved` the seconds held by calls that are not billed.
    `hidden` is true when the number is suppressed, locked, or in another user's call. `breakers` are by names of
    BREAKERS.
    """

    now: float
    reached: Mapping[str, float] = field(default_factory=dict)
    own: Mapping[str, float] = field(default_factory=dict)
    chain: Chain = Chain()
    own_chain: Chain = Chain()
    other_numbers: Sequence[float] = ()
    is_new: bool = True
    locked_until: float | None = None
    stopped: bool = False
    spent: Sequence[tuple[float, float]] = ()
    reserved: float = 0.0
    hidden: bool = False
    breakers: Mapping[str, Breaker] = field(default_factory=dict)


def check(limits: Limits, facts: Facts, *, of_number: bool = True) -> None:
    """Raise Refusal when one more call would go above a limit: of those that may be told, the latest to lift.

    Code `limit_reached` with the limit's name and the time at which it lifts (none when only an administrator can lift
    it), or `try_later`. Without *of_number* what concerns a certain number is left out.
    """
    told = _of_user(limits, facts) + _of_line(limits, facts)
    hidden = []
    if of_number:
        told += _new_numbers(limits, facts)
        of_this = _of_number(limits, facts)
        told += [(lifts, name) for name, lifts, is_own in of_this if is_own]
        hidden = [(lifts, name) for name, lifts, is_own in of_this if not is_own]
    if told:
        _refuse(*max(told), now=facts.now)
    if hidden or (of_number and facts.hidden):
        raise try_later(max(hidden)[1] if hidden else "")


def probes(limits: Limits, facts: Facts) -> list[str]:
    """Return the names of the breakers for which the call that `check` lets pass is a probe."""
    return [name for name, found in _breakers(limits, facts) if found.is_half_open(facts.now)]


def try_later(because: str = "") -> Refusal:
    """The one refusal for all that a user must not learn about a number; *because* of a limit, or what has no name."""
    sentence = "this number cannot be called now; try again later, or use another number"
    return Refusal("try_later", sentence, untold=because)


def call_in_progress() -> Refusal:
    """The user has a call."""
    return Refusal("call_in_progress", "a call is in progress; wait until it ends, or cancel it")


def suspended() -> Refusal:
    """The administrator took the trust away."""
    return Refusal("suspended", "your administrator suspended this number; only they can lift the suspension")


def failures(tries: int, *, answered: bool, ours: bool) -> int:
    """Return what a call that proved nothing adds to `user_failed_stop`: its entries, or 1 if it was answered in vain.

    *tries* are its wrong or incomplete entries, *ours*: it was our fault.
    """
    return max(tries, int(answered and not ours))


def _of_user(limits: Limits, facts: Facts) -> list[tuple[float, str]]:
    found = []
    if facts.stopped and limits.most.get("user_failed_stop"):
        found.append((NEVER, "user_failed_stop"))
    if facts.locked_until is not None and facts.locked_until > facts.now:
        found.append((facts.locked_until, "user_failed_tries"))
    return found + _windows(limits, facts, "user", "uncalled", "address")


def _new_numbers(limits: Limits, facts: Facts) -> list[tuple[float, str]]:
    most = limits.most.get("user_new_numbers_day")
    if most is None or not facts.is_new or len(facts.other_numbers) < most:
        return []
    return [(facts.other_numbers[most - 1] + DAY if most else NEVER, "user_new_numbers_day")]


def _of_line(limits: Limits, facts: Facts) -> list[tuple[float, str]]:
    found = _windows(limits, facts, "account", "system")
    minutes = limits.most.get("system_minutes_day")
    if minutes is not None and (lifts := _minutes_lift(minutes * MINUTE, limits.reserve_s, facts)) is not None:
        found.append((lifts, "system_minutes_day"))
    return found + [
        (lifts, name) for name, paused in _breakers(limits, facts) if (lifts := paused.lifts(facts.now)) is not None
    ]


def _breakers(limits: Limits, facts: Facts) -> list[tuple[str, Breaker]]:
    return [(name, facts.breakers[name]) for name, rules in limits.breakers.items() if rules.calls]


def _windows(limits: Limits, facts: Facts, *scopes: str) -> list[tuple[float, str]]:
    found = []
    for name, most in limits.most.items():
        window = WINDOWS.get(name)
        if window is None or window.scope not in scopes:
            continue
        if most == 0:
            found.append((NEVER, name))
        elif name in facts.reached:
            found.append((facts.reached[name] + window.seconds, name))
    return found


def _of_number(limits: Limits, facts: Facts) -> list[tuple[str, float, bool]]:
    """What is reached of the callee's limits: name, when it lifts, and whether the user's own calls reach it."""
    found: list[tuple[str, float, bool]] = []
    for name, most in limits.most.items():
        window = WINDOWS.get(name)
        if window is None or window.scope not in _CALLEES:
            continue
        if most == 0:
            found.append((name, NEVER, True))
        elif name in facts.own:
            found.append((name, facts.own[name] + window.seconds, True))
        elif name in facts.reached:
            found.append((name, facts.reached[name] + window.seconds, False))
    own = _wait_ends(limits.wait_s, facts.own_chain)
    if own > facts.now:
        found.append(("number_wait_s", own, True))
    elif (every := _wait_ends(limits.wait_s, facts.chain)) > facts.now:
        found.append(("number_wait_s", every, False))
    return found


def _wait_ends(wait_s: Sequence[float], chain: Chain) -> float:
    if not wait_s or not chain.calls or chain.ended_at is None:
        return 0.0
    return chain.ended_at + wait_s[min(chain.calls, len(wait_s)) - 1]


def _minutes_lift(budget_s: float, reserve_s: float, facts: Facts) -> float | None:
    """When the call asked for fits into the budget of a day; None when it does now.

    While calls in flight alone hold it back, that is when they must have ended; they mostly end much sooner.
    """
    spent = sum(seconds for _, seconds in facts.spent)
    if spent + facts.reserved + reserve_s <= budget_s:
        return None
    if reserve_s > budget_s:
        return NEVER
    if spent + reserve_s <= budget_s:
        return facts.now + max(reserve_s, MINUTE)
    for begin, seconds in facts.spent:
        spent -= seconds
        if spent + reserve_s <= budget_s:
            return begin + BUCKET_S + DAY
    return NEVER


def _refuse(lifts: float, name: str, *, now: float) -> NoReturn:
    if lifts == NEVER:
        raise Refusal("limit_reached", f"{SENTENCES[name]} (limit {name}); ask your administrator", limit=name)
    raise Refusal(
        "limit_reached",
        f"{SENTENCES[name]} (limit {name}); try again in {in_words(lifts - now)}",
        limit=name,
        retry_at=lifts,
        retry_in=lifts - now,
    )


def in_words(seconds: float) -> str:
    """Write a duration for people, rounded up: `45 s`, `5 min`, `3 h`, `2 days`."""
    for size, unit, most in ((1.0, "s", 90), (MINUTE, "min", 90), (HOUR, "h", 48)):
        count = max(1, -int(-seconds // size))
        if count <= most:
            return f"{count} {unit}"
    return f"{-int(-seconds // DAY)} days"
