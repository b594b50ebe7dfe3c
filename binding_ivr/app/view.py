"""What a user may see of the own binding at one moment, and what may be done next. It asks nobody."""

import contextlib
from dataclasses import dataclass, field

from binding_ivr.config import Config
from binding_ivr.errors import BindingError, Refusal
from binding_ivr.model.rows import AttemptRow, BindingRow, BindingStatus
from binding_ivr.policy.lifecycle import Life, life_of
from binding_ivr.policy.numbers import as_people_write_it
from binding_ivr.policy.routes import serving, stored


@dataclass(frozen=True, slots=True)
class Shown:
    """An attempt as its user may see it: `code` is None while it must not be shown."""

    attempt: AttemptRow
    code: str | None = field(repr=False)


@dataclass(frozen=True, slots=True)
class View:
    """All that a user may see of the own binding. `bind` and `revalidate` are what stands against them, if anything."""

    binding: BindingRow
    last: Shown | None
    number_written: str | None = field(repr=False)
    """The number as people write it."""
    pending_written: str | None = field(repr=False)
    bind: Refusal | None
    revalidate: Refusal | None
    caller_ids: tuple[str, ...]
    """The numbers that may call, E.164, of the routes that serve the number; of all routes while there is none."""
    life: Life = field(default_factory=Life)
    """Until when it is trusted without a new proof, and what can be gone back to."""
    undo_written: str | None = field(default=None, repr=False)

    @property
    def can_cancel(self) -> bool:
        """True while a call is in flight."""
        return self.last is not None and self.last.attempt.outcome is None

    @property
    def can_remove(self) -> bool:
        """True while there is a number."""
        return self.binding.status is not BindingStatus.NONE


@dataclass(frozen=True, slots=True)
class Begun(Shown):
    """A new attempt, and the binding as its user may see it now."""

    view: View


def view_of(
    config: Config, binding: BindingRow, last: Shown | None, bind: Refusal | None, revalidate: Refusal | None
) -> View:
    """Return the view of *binding* by *config* (the account's); *last* is its attempt, as it may be shown."""
    rules = config.binding
    life = life_of(binding, rules.stale_days, rules.suspend_days, rules.undo_h)
    return View(
        binding=binding,
        last=last,
        number_written=_written(binding.number),
        pending_written=_written(binding.pending_number),
        bind=bind,
        revalidate=revalidate,
        caller_ids=_caller_ids(config, binding.pending_number or binding.number),
        life=life,
        undo_written=_written(life.undo.number) if life.undo else None,
    )


def _written(e164: str | None) -> str | None:
    return as_people_write_it(e164) if e164 else None


def _caller_ids(config: Config, number: str | None) -> tuple[str, ...]:
    routes = list(config.routes)
    if number is not None:
        with contextlib.suppress(BindingError):
            routes = serving(config.routes, stored(number).region)
    return tuple(dict.fromkeys(route.caller_id for route in routes if route.caller_id))
