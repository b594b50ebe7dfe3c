"""Exact sets of digit strings: made from a numbering plan's patterns, combined, and told as Asterisk patterns.

A set is an acyclic automaton over the digits, kept as small as can be; the numbers in it are never listed one by one.
"""

import re
from collections.abc import Callable, Collection, Iterator

LONGEST = 15
"""Digits of an E.164 number at most."""

DigitSet = int
"""A set, by the name that its sets gave it; 0 is the empty set. Equal sets have equal names."""

_Node = tuple[bool, tuple[DigitSet, ...]]
_DIGITS = "0123456789"
_NOTHING = (0,) * 10
_NAMED = {_DIGITS: "X", _DIGITS[1:]: "Z", _DIGITS[2:]: "N"}


class DigitSets:
    """Makes sets and remembers every one, so that what is equal is the same."""

    def __init__(self) -> None:
        """Begin with the empty set (0) and the set of the empty string (`only`)."""
        self._nodes: list[_Node] = [(False, _NOTHING)]
        self._names: dict[_Node, DigitSet] = {self._nodes[0]: 0}
        self._done: dict[tuple[str, DigitSet, DigitSet], DigitSet] = {}
        self.only = self._node(True, _NOTHING)
        self._tails = [self.only]
        for _ in range(LONGEST):
            self._tails.append(self._node(True, (self._tails[-1],) * 10))

    def tail(self, most: int) -> DigitSet:
        """Return all strings of 0 to *most* (15 or fewer) digits."""
        return self._tails[most]

    def of_lengths(self, lengths: Collection[int]) -> DigitSet:
        """Return all strings of exactly these lengths."""
        made = 0
        for length in range(max(lengths, default=0), -1, -1):
            made = self._node(length in lengths, (made,) * 10)
        return made

    def union(self, one: DigitSet, other: DigitSet) -> DigitSet:
        """Return what is in one of both."""
        if not one or not other or one == other:
            return one or other
        return self._combine("or", min(one, other), max(one, other), lambda a, b: a or b, self.union)

    def meet(self, one: DigitSet, other: DigitSet) -> DigitSet:
        """Return what is in both."""
        if not one or not other or one == other:
            return one and other
        return self._combine("and", min(one, other), max(one, other), lambda a, b: a and b, self.meet)

    def minus(self, one: DigitSet, other: DigitSet) -> DigitSet:
        """Return what is in *one* and not in *other*."""
        if not one or not other or one == other:
            return 0 if one == other else one
        return self._combine("not", one, other, lambda a, b: a and not b, self.minus)

    def after(self, prefix: str, rest: DigitSet) -> DigitSet:
        """Return the strings of *rest* with *prefix* in front; `X` in it is any digit."""
        for sign in reversed(prefix):
            rest = self._step(_DIGITS if sign == "X" else sign, rest)
        return rest

    def beginning(self, prefix: str) -> DigitSet:
        """Return every string of up to 15 digits that begins with *prefix*; `X` in it is any digit."""
        return self.after(prefix, self.tail(LONGEST - len(prefix)))

    def matching(self, pattern: str, rest: DigitSet | None = None) -> DigitSet:
        """Return the strings that match *pattern* as a whole, each followed by one of *rest* (default: by nothing).

        The pattern is a regular expression as numbering plans are written: digits, `\\d`, `[..]`, `(?:..)`, `|`, `?`
        and `{n}` or `{n,m}`. Raises ValueError for anything else.
        """
        return _Reader(self, pattern).read(self.only if rest is None else rest)

    def contains(self, name: DigitSet, text: str) -> bool:
        """Return whether *text*, made of 0-9, is in the set."""
        for sign in text:
            name = self._nodes[name][1][int(sign)]
        return self._nodes[name][0]

    def patterns(self, name: DigitSet) -> Iterator[str]:
        """Yield Asterisk extension patterns, without the `_`, that match exactly the strings of the set.

        Where any digits may follow, up to 15 in all, the pattern ends in `!`.
        """
        yield from self._patterns(name, "", 0)

    def _patterns(self, name: DigitSet, before: str, digits: int) -> Iterator[str]:
        if digits < LONGEST and name == self._tails[LONGEST - digits]:
            yield f"{before}!"
            return
        accepts, ways = self._nodes[name]
        if accepts:
            yield before
        by_target: dict[DigitSet, str] = {}
        for sign, target in zip(_DIGITS, ways, strict=True):
            if target:
                by_target[target] = by_target.get(target, "") + sign
        for target, signs in by_target.items():
            yield from self._patterns(target, before + _class(signs), digits + 1)

    def _node(self, accepts: bool, ways: tuple[DigitSet, ...]) -> DigitSet:
        node = (accepts, ways)
        if node not in self._names:
            self._names[node] = len(self._nodes)
            self._nodes.append(node)
        return self._names[node]

    def _step(self, signs: str, rest: DigitSet) -> DigitSet:
        return self._node(False, tuple(rest if sign in signs else 0 for sign in _DIGITS)) if rest else 0

    def _combine(
        self,
        what: str,
        one: DigitSet,
        other: DigitSet,
        accepts: Callable[[bool, bool], bool],
        again: Callable[[DigitSet, DigitSet], DigitSet],
    ) -> DigitSet:
        key = (what, one, other)
        if key not in self._done:
            (a, a_ways), (b, b_ways) = self._nodes[one], self._nodes[other]
            ways = tuple(again(x, y) for x, y in zip(a_ways, b_ways, strict=True))
            self._done[key] = self._node(accepts(a, b), ways)
        return self._done[key]


class _Reader:
    """Reads one pattern from its end to its beginning: each part is a step in front of what follows it."""

    _TOKEN = re.compile(r"\(\?:|[()|?]|\\d|\[[^\]]*\]|\{\d+(?:,\d+)?\}|\d")

    def __init__(self, sets: DigitSets, pattern: str) -> None:
        self._sets = sets
        self._pattern = pattern
        self._tokens = self._TOKEN.findall(pattern)
        if "".join(self._tokens) != pattern:
            raise ValueError(f"a pattern of the numbering plan cannot be read: {pattern[:60]}")
        self._at = 0

    def read(self, rest: DigitSet) -> DigitSet:
        made = self._either()(rest)
        if self._at != len(self._tokens):
            raise ValueError(f"a pattern of the numbering plan has a part too many: {self._pattern[:60]}")
        return made

    def _peek(self) -> str:
        return self._tokens[self._at] if self._at < len(self._tokens) else ""

    def _take(self) -> str:
        token = self._peek()
        self._at += 1
        return token

    def _either(self) -> Callable[[DigitSet], DigitSet]:
        ways = [self._sequence()]
        while self._peek() == "|":
            self._take()
            ways.append(self._sequence())

        def made(rest: DigitSet) -> DigitSet:
            found = 0
            for way in ways:
                found = self._sets.union(found, way(rest))
            return found

        return made

    def _sequence(self) -> Callable[[DigitSet], DigitSet]:
        parts: list[Callable[[DigitSet], DigitSet]] = []
        while self._peek() not in ("", "|", ")"):
            parts.append(self._times(self._part()))

        def made(rest: DigitSet) -> DigitSet:
            for part in reversed(parts):
                rest = part(rest)
            return rest

        return made

    def _part(self) -> Callable[[DigitSet], DigitSet]:
        sign = self._take()
        if sign == "(?:":
            inner = self._either()
            if self._take() != ")":
                raise ValueError(f"a pattern of the numbering plan lacks a parenthesis: {self._pattern[:60]}")
            return inner
        if sign[0] not in "[\\" and not sign.isdigit():
            raise ValueError(f"a pattern of the numbering plan has {sign} out of place: {self._pattern[:60]}")
        signs = "".join(digit for digit in _DIGITS if re.fullmatch(sign, digit))
        return lambda rest: self._sets._step(signs, rest)

    def _times(self, part: Callable[[DigitSet], DigitSet]) -> Callable[[DigitSet], DigitSet]:
        if self._peek() == "?":
            self._take()
            least, most = 0, 1
        elif self._peek().startswith("{"):
            numbers = [int(number) for number in re.findall(r"\d+", self._take())]
            least, most = numbers[0], numbers[-1]
        else:
            return part

        def made(rest: DigitSet) -> DigitSet:
            found = rest
            for _ in range(most - least):
                found = self._sets.union(rest, part(found))
            for _ in range(least):
                found = part(found)
            return found

        return made


def _class(signs: str) -> str:
    """Return how an Asterisk pattern writes one of *signs* (sorted digits)."""
    if len(signs) == 1:
        return signs
    if signs in _NAMED:
        return _NAMED[signs]
    runs = re.findall("|".join(f"{_DIGITS[a:b]}" for a, b in _RUNS), signs)
    return "[" + "".join(run if len(run) < 3 else f"{run[0]}-{run[-1]}" for run in runs) + "]"


_RUNS = sorted(((a, b) for a in range(10) for b in range(a + 1, 11)), key=lambda run: run[0] - run[1])
