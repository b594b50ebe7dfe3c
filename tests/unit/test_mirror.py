"""What AstDB must hold, against what it is seen to hold: the pure part of the mirror."""

from hypothesis import given
from hypothesis import strategies as st

from binding_ivr.asterisk.ami.client import Write
from binding_ivr.mirror.astdb import Comparison, changes, is_ours, is_sound, key_of
from binding_ivr.store.mirror import Entry

names = st.from_regex(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,7}", fullmatch=True)
numbers = st.from_regex(r"[1-9][0-9]{5,14}", fullmatch=True)
exts = st.builds(lambda account, name, number: Entry("ext", account, name, f"+{number}"), names, names, numbers)
nums = st.builds(lambda number, account, name: Entry("num", "", number, f"{account}/{name}"), numbers, names, names)
entries = st.lists(st.one_of(exts, nums), max_size=12)


def carried_out(astdb: dict[str, str], writes: list[Write]) -> dict[str, str]:
    after = dict(astdb)
    for write in writes:
        if write.value is None:
            after.pop(f"{write.family}/{write.key}", None)
        else:
            after[f"{write.family}/{write.key}"] = write.value
    return after


@given(wanted=entries, there=entries)
def test_what_is_written_makes_both_equal_and_touches_nothing_else(wanted: list[Entry], there: list[Entry]) -> None:
    foreign = {
        "cidname/1": "x",
        "binding/other/1": "y",
        "Binding/ext/a/1": "z",
        "binding/extra/a": "w",
        "binding/x": "",
    }
    astdb = {f"binding/{key_of(entry)}": str(entry.value) for entry in there} | foreign
    comparison = Comparison()
    comparison.want(wanted)
    for key, value in astdb.items():
        comparison.saw(key, value)
    writes = list(comparison.writes())
    expected = {f"binding/{key_of(entry)}": str(entry.value) for entry in wanted} | foreign
    assert carried_out(astdb, writes) == expected
    assert comparison.is_equal == (astdb == expected)
    assert len({write.key for write in writes}) == len(writes)  # nothing is written that is right already
    assert all(astdb.get(f"binding/{write.key}") != write.value for write in writes)


def test_the_counts_tell_missing_different_and_too_many() -> None:
    comparison = Comparison()
    comparison.want([Entry("ext", "default", str(name), "+12025550100") for name in range(5)])
    for key, value in (("ext/default/0", "+12025550100"), ("ext/default/1", "+1202"), ("ext/default/9", "+1202")):
        comparison.saw(f"binding/{key}", value)
    counts = (comparison.keys, comparison.missing, comparison.differing, len(comparison.stale))
    assert counts == (5, 3, 1, 1)
    assert not comparison.is_equal


def test_changes_delete_first_and_the_last_value_counts() -> None:
    writes = changes(
        [
            Entry("num", "", "12025550100", "default/1"),
            Entry("ext", "default", "1", "+12025550100"),
            Entry("ext", "default", "2", None),
            Entry("ext", "default", "1", None),
        ]
    )
    assert writes == [
        Write("binding", "ext/default/1", None),
        Write("binding", "ext/default/2", None),
        Write("binding", "num/12025550100", "default/1"),
    ]


def test_an_unsound_value_is_never_put() -> None:
    for key, value in (
        ("ext/default/1", "12025550100"),
        ("ext/default/1", "+1202555\r\nAction: Reload"),
        ("ext/default/1", ""),
        ("ext/de/fault/1", "+12025550100"),
        ("ext/../1", "+12025550100"),
        ("ext/default/.1", "+12025550100"),
        ("num/+1202", "default/1"),
        ("num/12025550100", "default"),
        ("num/12025550100", "default/1 2"),
    ):
        assert not is_sound(key, value)
    comparison = Comparison()
    comparison.want([Entry("ext", "default", "1", "bad"), Entry("ext", "default", "2", None)])
    comparison.saw("binding/ext/default/1", "bad")
    assert (comparison.unsound, list(comparison.writes())) == (2, [Write("binding", "ext/default/1", None)])
    assert changes([Entry("ext", "default", "1", "bad")]) == [Write("binding", "ext/default/1", None)]


def test_only_our_own_branches_are_ours() -> None:
    assert [key for key in ("ext/a/1", "num/1", "extra/1", "EXT/a/1", "doctor/1", "") if is_ours(key)] == [
        "ext/a/1",
        "num/1",
    ]


def test_nothing_shows_a_number_in_its_text() -> None:
    entry, write = Entry("num", "", "12025550100", "default/1"), Write("binding", "num/12025550100", None)
    comparison = Comparison()
    comparison.want([entry])
    assert "12025550100" not in f"{entry!r} {write!r} {comparison!r}"
