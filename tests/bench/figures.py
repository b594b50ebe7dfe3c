"""A measured figure: its values, its ratio to a peer of the same run, and the bound that it must keep."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median


@dataclass(frozen=True)
class Figure:
    """One line of the table. `peer` is what it is compared with; `bound` is of the medians' ratio, or of the median."""

    name: str
    unit: str
    values: Sequence[float]
    peer: "Figure | None" = None
    bound: float | None = None

    @property
    def ratio(self) -> float | None:
        """The medians' ratio; None without a peer."""
        return None if self.peer is None else median(self.values) / max(median(self.peer.values), 1e-9)

    @property
    def holds(self) -> bool:
        """False when the bound is broken."""
        judged = self.ratio if self.peer is not None else median(self.values)
        return self.bound is None or judged is None or judged <= self.bound

    def words(self) -> str:
        """The line."""
        low, middle, high = (f"{value:,.6g}" for value in (min(self.values), median(self.values), max(self.values)))
        against = "" if self.peer is None else f"{self.ratio:.2f} x {self.peer.name}"
        bound = "" if self.bound is None else f"<= {self.bound:g}{'' if self.holds else '  BROKEN'}"
        return f"{self.name:<44} {low:>11} {middle:>11} {high:>11} {self.unit:<6} {against:<34} {bound}"


def table(figures: Sequence[Figure]) -> str:
    """All of them, with a head."""
    head = f"{'':<44} {'min':>11} {'median':>11} {'max':>11} {'':<6} {'ratio of medians':<34} bound"
    return "\n".join([head, *(figure.words() for figure in figures)])
