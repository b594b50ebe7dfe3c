"""Places: newcomers take those of the silent, never those of the busy; model-based against a list."""

from hypothesis import given
from hypothesis import strategies as st

from binding_ivr.places import Places


class Now:
    def __init__(self) -> None:
        self.s = 0.0

    def __call__(self) -> float:
        return self.s


def test_whoever_has_shown_nothing_for_the_longest_time_goes_first() -> None:
    gone: list[str] = []
    places = Places[str](3, gone.append, Now())
    for name in ("spoke", "waits", "waits too"):
        assert places.enter(name)
    places.hold("spoke")
    places.release("spoke")
    assert places.enter("fourth")
    assert places.enter("fifth")
    assert gone == ["waits", "waits too"]
    places.hold("fourth")
    places.hold("fifth")
    assert places.enter("sixth")  # only one that spoke before is silent now
    assert gone == ["waits", "waits too", "spoke"]
    places.hold("sixth")
    assert not places.enter("seventh")
    assert (len(places), places.busy, places.dropped) == (3, 3, 3)


def test_a_place_that_was_lost_is_not_held_or_left_again() -> None:
    places = Places[str](1, lambda _: None, Now())
    places.enter("a")
    places.enter("b")
    places.hold("a")
    places.release("a")
    places.leave("a")
    assert len(places) == 1
    places.leave("b")
    assert len(places) == 0


def test_silence_has_an_end_and_a_longer_one_for_who_has_spoken() -> None:
    now, gone = Now(), list[str]()
    places = Places[str](9, gone.append, now)
    for name in ("fresh", "idle", "busy"):
        places.enter(name)
    for name in ("idle", "busy"):
        places.hold(name)
    places.release("idle")
    now.s = 10
    places.end_silent(10, 30)
    assert gone == ["fresh"]
    now.s = 30
    places.end_silent(10, 30)
    assert gone == ["fresh", "idle"]
    now.s = 1e9
    places.end_silent(10, 30)
    assert (gone, len(places)) == (["fresh", "idle"], 1)


STEPS = st.lists(st.tuples(st.sampled_from(["enter", "hold", "release", "leave"]), st.integers(0, 12)), max_size=80)


@given(STEPS, st.integers(1, 5))
def test_there_are_never_more_than_places_and_the_busy_keep_theirs(steps: list[tuple[str, int]], most: int) -> None:
    busy: set[int] = set()
    inside: set[int] = set()

    def drop(who: int) -> None:
        assert who in inside
        assert who not in busy
        inside.discard(who)

    places = Places[int](most, drop, Now())
    for step, who in steps:
        if step == "enter" and who in inside:
            continue
        full_of_busy = len(busy) == most
        result = getattr(places, step)(who)
        if step == "enter":
            assert result is not full_of_busy
            inside |= {who} if result else set()
        elif step == "hold" and who in inside:
            busy.add(who)
        elif step == "release":
            busy.discard(who)
        elif step == "leave":
            busy.discard(who)
            inside.discard(who)
        assert len(places) == len(inside) <= most
        assert places.busy == len(busy)
