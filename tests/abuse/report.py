"""What came of an attack, as a row and as words. It attacks nobody."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from tests.abuse.budget import broken, used
from tests.abuse.carrier import is_costly
from tests.abuse.scene import NOT_ASKED, Scene

COLUMNS = ("attack", "requests", "refused", "calls left", "premium", "billed s", "bindings", "verdict")


@dataclass(frozen=True, slots=True)
class Result:
    """One attack's outcome. Calls, premium calls and billed seconds are the phone network's count."""

    name: str
    title: str
    requests: int
    refused: dict[str, int]
    left: int
    premium: int
    billed_s: int
    bindings: int
    control: str
    budget: str
    aside: str
    notes: list[str]
    broken: list[str]
    took_s: float

    @property
    def holds(self) -> bool:
        """Whether every expectation held."""
        return not self.broken

    def row(self) -> tuple[str, ...]:
        """The row of the table."""
        return (
            f"{self.name}*" if self.aside else self.name,
            f"{self.requests:,}",
            f"{sum(self.refused.values()):,}",
            f"{self.left:,}",
            f"{self.premium:,}",
            f"{self.billed_s:,}",
            f"{self.bindings:,}",
            "holds" if self.holds else "BROKEN",
        )

    def words(self) -> list[str]:
        """What the row does not say."""
        why = ", ".join(f"{name} {count:,}" for name, count in sorted(self.refused.items(), key=lambda one: -one[1]))
        lines = [f"{self.name}: {self.title}", f"  refused: {why or 'nothing'}", f"  {self.budget}"]
        lines += [f"  {note}" for note in (*self.notes, self.aside) if note]
        lines.append(f"  honest user: {self.control}")
        return lines + [f"  BROKEN: {sentence}" for sentence in self.broken]

    def json(self) -> dict[str, Any]:
        """For machines."""
        return {**asdict(self), "holds": self.holds}


async def judge(scene: Scene, name: str, title: str, took_s: float) -> Result:
    """Count what left, and hold it against the limits: the same for every attack."""
    await scene.collect()
    stolen = await scene.stolen()
    premium = [leg for leg in scene.legs if is_costly(leg.number)]
    found = [*scene.broken, *broken(scene.legs, scene.budget)]
    if premium:
        found.append(f"{len(premium)} calls to premium numbers")
    if scene.control == NOT_ASKED:
        found.append("no honest user asked for a call meanwhile")
    if stolen:
        found.append(f"{len(stolen)} numbers proven without the phone in hand")
    return Result(
        name=name,
        title=title,
        requests=scene.requests,
        refused=dict(scene.refused),
        left=len(scene.legs),
        premium=len(premium),
        billed_s=sum(leg.seconds for leg in scene.legs),
        bindings=len(stolen),
        control=scene.control,
        budget=used(scene.legs, scene.budget),
        aside=scene.aside,
        notes=scene.notes,
        broken=found,
        took_s=round(took_s, 1),
    )


def table(results: Sequence[Result]) -> str:
    """Write *results* as a table for a terminal."""
    rows = [COLUMNS, *(result.row() for result in results)]
    widths = [max(len(row[at]) for row in rows) for at in range(len(COLUMNS))]
    lines = [
        "  ".join(cell.ljust(width) if at in (0, len(row) - 1) else cell.rjust(width)
                  for at, (cell, width) in enumerate(zip(row, widths, strict=True))).rstrip()
        for row in rows
    ]  # fmt: skip
    return "\n".join([*lines, *(f"* {result.name}: {result.aside}" for result in results if result.aside)])
