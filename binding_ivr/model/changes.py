"""What PostgreSQL says has changed. Only shapes."""

from collections.abc import Callable
from dataclasses import dataclass
from uuid import UUID


@dataclass(frozen=True, slots=True)
class Change:
    """Something changed in PostgreSQL. `kind`: `queued`, `cancel`, `attempt` (state, digits or outcome), `binding`.

    For the mirrors: `mirror` (an extension came, went or changed hands) and `compare` (compare all of AstDB).
    `clock`: a rehearsal moved the clock. `limits`: calls were paused or resumed, or a limit's alert was raised.
    """

    kind: str
    account: str = ""
    user_id: str = ""
    attempt_id: UUID | None = None
    state: str = ""
    digits: int = 0
    outcome: str = ""
    fault: str = ""
    status: str = ""


ChangeHandler = Callable[[Change], None]
