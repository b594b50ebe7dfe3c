"""The mutants of a module: every single change that mutmut's operators, and a few of our own, make to its source.

Left alone are docstrings, sentences for people, annotations, type aliases, asserts and what `assert_never` guards.
"""

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import libcst as cst
from libcst.metadata import CodeRange, MetadataWrapper, PositionProvider
from mutmut.mutation import mutators


@dataclass(frozen=True, slots=True)
class Mutant:
    """One change: in *path* (relative), inside of *where* (empty: outside of any function), from *was* to *now*.

    *nth* counts equal changes in one place, from 1. *lines* are those of what is changed.
    """

    path: str
    where: str
    was: str
    now: str
    nth: int
    lines: range
    source: str

    @property
    def name(self) -> tuple[str, str, str, str, int]:
        """What tells it from others and stays as other lines move."""
        return self.path, self.where, self.was, self.now, self.nth

    def __str__(self) -> str:
        """Return one paragraph for people."""
        nth = f" (number {self.nth} of its kind)" if self.nth > 1 else ""
        return f"{self.path}:{self.lines.start} {self.where}{nth}\n    - {self.was}\n    + {self.now}"


@dataclass(frozen=True, slots=True)
class Change:
    """A mutant that is not written out yet, which takes long."""

    module: cst.Module
    path: str
    where: str
    old: cst.CSTNode
    new: cst.CSTNode
    nth: int
    lines: range

    def made(self) -> Mutant | None:
        """Write it out; None when nothing that compiles comes of it."""
        changed = self.module.deep_replace(self.old, self.new)
        assert isinstance(changed, cst.Module)
        source = changed.code
        was, now = _difference(self.module.code, source)
        if was == now or not _compiles(source):
            return None
        return Mutant(self.path, self.where, was, now, self.nth, self.lines, source)


def changes_of(root: Path, path: str) -> list[Change]:
    """Return all changes of the module at *path* below *root*."""
    visitor = _Visitor()
    wrapper = MetadataWrapper(cst.parse_module((root / path).read_text("utf-8")), unsafe_skip_copy=True)
    module = wrapper.visit(visitor)
    found, seen = [], Counter[tuple[str, str, str]]()
    for where, old, new, at in visitor.found:
        kind = (where, module.code_for_node(old), module.code_for_node(new))
        seen[kind] += 1
        found.append(Change(module, path, where, old, new, seen[kind], range(at.start.line, at.end.line + 1)))
    return found


def _compiles(source: str) -> bool:
    try:
        compile(source, "mutant", "exec")
    except SyntaxError:
        return False
    return True


def _difference(one: str, other: str) -> tuple[str, str]:
    """Return the lines in which they differ."""
    was, now = one.splitlines(), other.splitlines()
    while was and now and was[0] == now[0]:
        del was[0], now[0]
    while was and now and was[-1] == now[-1]:
        del was[-1], now[-1]
    return " ".join(map(str.strip, was)), " ".join(map(str.strip, now))


# --- what is changed -------------------------------------------------------------------------------------------


def _strings(node: cst.SimpleString) -> Iterable[cst.CSTNode]:
    """Words only: a sentence for people may be worded in many ways."""
    if " " not in node.value:
        yield from list(mutators.operator_string(node))[:1]


def _arguments(node: cst.Call) -> Iterable[cst.CSTNode]:
    """None in place of each argument. One that is left out altogether is a TypeError, which proves little."""
    for at, argument in enumerate(node.args):
        if not argument.star and not _is_falsy(argument.value):
            changed = argument.with_changes(value=cst.Name("None"))
            yield node.with_changes(args=[*node.args[:at], changed, *node.args[at + 1 :]])


def _is_falsy(node: cst.BaseExpression) -> bool:
    """None in its place changes nothing that matters."""
    return isinstance(node, cst.Name) and node.value in ("None", "False")


def _negated(test: cst.BaseExpression) -> cst.UnaryOperation:
    inner = test.with_changes(lpar=[cst.LeftParen()], rpar=[cst.RightParen()])
    return cst.UnaryOperation(cst.Not(), inner)


def _conditions(node: cst.If | cst.While) -> Iterable[cst.CSTNode]:
    """Other operators turn a `not` and a single comparison round already."""
    if not isinstance(node.test, cst.UnaryOperation | cst.Comparison):
        yield node.with_changes(test=_negated(node.test))


def _filters(node: cst.CompFor) -> Iterable[cst.CSTNode]:
    if node.ifs:
        yield node.with_changes(ifs=[])


def _guards(node: cst.MatchCase) -> Iterable[cst.CSTNode]:
    if node.guard is not None:
        none = cst.SimpleWhitespace("")
        yield node.with_changes(guard=None, whitespace_before_if=none, whitespace_after_if=none)
        if not isinstance(node.guard, cst.UnaryOperation | cst.Comparison):
            yield node.with_changes(guard=_negated(node.guard))


def _cases(node: cst.Match) -> Iterable[cst.CSTNode]:
    kept = [case for case in node.cases if not _is_unreachable(case)]
    for case in kept if len(node.cases) > 1 else ():
        yield node.with_changes(cases=[other for other in node.cases if other is not case])


_OPPOSITE: dict[type[cst.CSTNode], type[cst.BaseCompOp]] = {
    cst.LessThan: cst.GreaterThanEqual,
    cst.LessThanEqual: cst.GreaterThan,
    cst.GreaterThan: cst.LessThanEqual,
    cst.GreaterThanEqual: cst.LessThan,
}


def _comparisons(node: cst.ComparisonTarget) -> Iterable[cst.CSTNode]:
    if opposite := _OPPOSITE.get(type(node.operator)):
        yield node.with_changes(operator=opposite())


def _statements(node: cst.SimpleStatementLine) -> Iterable[cst.CSTNode]:
    if len(node.body) == 1 and isinstance(node.body[0], cst.Raise | cst.Expr) and not _is_docstring(node):
        yield node.with_changes(body=[cst.Pass()])


def _returns(node: cst.Return) -> Iterable[cst.CSTNode]:
    if node.value is not None and not _is_falsy(node.value):
        yield node.with_changes(value=cst.Name("None"))


_REPLACED = (mutators.operator_string, mutators.operator_arg_removal, mutators.operator_match)
OPERATORS: list[tuple[type[cst.CSTNode], Callable[[Any], Iterable[cst.CSTNode]]]] = [
    *((kind, operator) for kind, operator in mutators.mutation_operators if operator not in _REPLACED),
    (cst.SimpleString, _strings),
    (cst.Call, _arguments),
    (cst.Match, _cases),
    (cst.MatchCase, _guards),
    (cst.If, _conditions),
    (cst.While, _conditions),
    (cst.CompFor, _filters),
    (cst.ComparisonTarget, _comparisons),
    (cst.SimpleStatementLine, _statements),
    (cst.Return, _returns),
]


# --- what is left alone ----------------------------------------------------------------------------------------


def _is_docstring(line: cst.SimpleStatementLine) -> bool:
    return isinstance(line.body[0], cst.Expr) and isinstance(line.body[0].value, cst.SimpleString)


def _is_unreachable(case: cst.MatchCase) -> bool:
    return "assert_never(" in cst.Module([]).code_for_node(case.body)


def _is_of_types(line: cst.SimpleStatementLine) -> bool:
    """A type alias or variable: `DigitSet = int`, `Event = Begin | Ringing`, `Changer = Literal[...]`."""
    statement = line.body[0]
    if not isinstance(statement, cst.Assign):
        return False
    value = statement.value
    if isinstance(value, cst.Call):
        return isinstance(value.func, cst.Name) and value.func.value == "TypeVar"
    if isinstance(value, cst.Name):
        return value.value not in ("True", "False")
    union = isinstance(value, cst.BinaryOperation) and isinstance(value.operator, cst.BitOr)
    return union or isinstance(value, cst.Subscript)


class _Visitor(cst.CSTVisitor):
    METADATA_DEPENDENCIES = (PositionProvider,)

    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, cst.CSTNode, cst.CSTNode, CodeRange]] = []
        self._names: list[str] = []
        self._in_function = 0
        self._in_enum = 0

    def on_visit(self, node: cst.CSTNode) -> bool:
        if self._is_left_alone(node):
            return False
        for kind, operator in OPERATORS:
            if isinstance(node, kind) and not (self._in_enum and isinstance(node, cst.Assign)):
                for changed in operator(node):
                    lines = self.get_metadata(PositionProvider, node)
                    where = ".".join(self._names) if self._in_function else ""
                    self.found.append((where, node, changed, lines))
        if isinstance(node, cst.FunctionDef | cst.ClassDef):
            self._names.append(node.name.value)
            self._in_function += isinstance(node, cst.FunctionDef)
            self._in_enum += _is_enum(node)
        return True

    def on_leave(self, original_node: cst.CSTNode) -> None:
        if isinstance(original_node, cst.FunctionDef | cst.ClassDef) and not self._is_left_alone(original_node):
            self._names.pop()
            self._in_function -= isinstance(original_node, cst.FunctionDef)
            self._in_enum -= _is_enum(original_node)

    def _is_left_alone(self, node: cst.CSTNode) -> bool:
        if isinstance(node, cst.Annotation | cst.Decorator | cst.Assert | cst.Import | cst.ImportFrom):
            return True
        if isinstance(node, cst.SimpleStatementLine):
            return _is_docstring(node) or (not self._in_function and _is_of_types(node))
        if isinstance(node, cst.MatchCase):
            return _is_unreachable(node)
        return isinstance(node, cst.ClassDef) and "Protocol" in _bases(node)


def _bases(node: cst.ClassDef) -> set[str]:
    return {base.value.value for base in node.bases if isinstance(base.value, cst.Name)}


def _is_enum(node: cst.CSTNode) -> bool:
    return isinstance(node, cst.ClassDef) and bool(_bases(node) & {"Enum", "StrEnum"})
