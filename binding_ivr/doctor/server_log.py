"""What doctor looks at of PostgreSQL's own log: whether it may quote numbers."""

from binding_ivr.doctor.checks import Check, ok, warn
from binding_ivr.errors import BindingError
from binding_ivr.store import Store

NAME = "postgresql log"
_EXPLAINED = "auto_explain.log_parameter_max_length"


async def server_log(store: Store) -> list[Check]:
    """Check the settings under which the service's own connections log."""
    try:
        rows = await store.db.rows("log_settings")
    except BindingError as error:
        return [warn(NAME, f"its settings cannot be read ({error})")]
    settings = {str(row["name"]): str(row["setting"]) for row in rows}
    # Values of ours are parameters and never part of a statement. The log has them, and rows of errors, as details.
    if settings.get("log_error_verbosity") != "terse":
        why = "may quote phone numbers, because log_error_verbosity is not terse"
    elif settings.get("auto_explain.log_min_duration", "-1") != "-1" and settings.get(_EXPLAINED) != "0":
        why = f"may quote phone numbers, because auto_explain runs and {_EXPLAINED} is not 0"
    else:
        return [ok(NAME, "quotes no number")]
    return [warn(NAME, f"{why}; see docs/operations.md, What PostgreSQL logs")]
