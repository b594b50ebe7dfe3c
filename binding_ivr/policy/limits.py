"""Pure counting rules: may one more call leave, and if not, when. It counts nothing itself."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from binding_ivr.errors import Refusal

HOUR = 3600.0
DAY = 24 * HOUR


@dataclass(frozen=True, slots=True)
class Window:
    """At most N calls of one *scope* (`number` or `user`) in *seconds*; *whose* completes the refusal's sentence."""

    scope: str
    seconds: float
    whose: str


WINDOWS: Mapping[str, Window] = {
    "number_hour": Window("number", HOUR, "this number was called as often as allowed in an hour"),
    "number_day": Window("number", DAY, "this number was called as often as allowed in a day"),
    "user_hour": Window("user", HOUR, "you asked for as many calls as allowed in an hour"),
}
"""Every counted limit by its configuration key."""


def check(limits: Mapping[str, int], recent: Mapping[str, Sequence[float]], now: float) -> None:
    """Raise Refusal (code `limit_reached`) when one more call would go above a limit; the latest to lift is named.

    *limits* maps names of WINDOWS to the most calls allowed (0 or more), *recent* maps each scope to the POSIX times
    of its counted calls, newest first, at least as many as the largest limit of that scope; *now* is POSIX time.
    """
    worst: tuple[float, str] | None = None
    for name, window in WINDOWS.items():
        if name not in limits:
            continue
        inside = [at for at in recent.get(window.scope, ()) if at > now - window.seconds]
        most = limits[name]
        if len(inside) < most:
            continue
        # The limit lifts when so many calls have left the window that fewer than `most` are inside.
        lifts = (inside[most - 1] if most else now) + window.seconds
        if worst is None or lifts > worst[0]:
            worst = (lifts, name)
    if worst is not None:
        lifts, name = worst
        minutes = max(1, round((lifts - now + 59) // 60))
        raise Refusal(
            "limit_reached",
            f"{WINDOWS[name].whose} (limit {name} = {limits[name]}); try again in {minutes} min",
            limit=name,
            retry_at=lifts,
        )
