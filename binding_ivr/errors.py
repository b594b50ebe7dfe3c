"""The error tree, split by who must act. Every message is one line that says what to do; no number, no code."""


class BindingError(Exception):
    """Base of all errors of this package that a person may read."""


class ConfigError(BindingError):
    """The operator must correct the configuration, a file or a credential."""


class UnavailableError(BindingError):
    """A part outside (PostgreSQL, ARI, AMI, the lab) does not answer now; it may later."""


class StatementRefused(BindingError):
    """PostgreSQL refused a statement for its content: a constraint, a value that has no such form, or a fault of ours.

    The text names only the condition and the constraint, because PostgreSQL's own text quotes values of the row.
    """

    def __init__(self, sqlstate: str, kind: str, constraint: str) -> None:
        """Keep the five-letter *sqlstate*, the name of its *kind* and the *constraint*, if there is one."""
        super().__init__(f"PostgreSQL refused a statement: {kind} ({sqlstate}) {constraint}".rstrip())
        self.sqlstate = sqlstate
        self.constraint = constraint

    @property
    def is_bad_value(self) -> bool:
        """True when a CHECK constraint or a data type did not take a value."""
        return self.sqlstate == "23514" or self.sqlstate.startswith("22")

    @property
    def is_missing_reference(self) -> bool:
        """True when a foreign key found nothing."""
        return self.sqlstate == "23503"


class NotFoundError(BindingError):
    """The account, user, attempt or binding that was named does not exist."""


class Refusal(BindingError):
    """The request was understood and is refused.

    `code` is a stable word for programs (`own_number`, `call_in_progress`, …), `limit` the name of the limit that
    was reached and `retry_at` the POSIX time in seconds at which it lifts, where they apply; `retry_in` is that in
    seconds from now (a rehearsal's clock is not everybody's). `untold` is a limit that must not be told to who asked;
    it is for the operator's eyes only.
    """

    def __init__(
        self,
        code: str,
        message: str,
        *,
        limit: str | None = None,
        retry_at: float | None = None,
        retry_in: float | None = None,
        untold: str = "",
    ) -> None:
        """Make a refusal with the stable word *code* and the plain sentence *message*."""
        super().__init__(message)
        self.code = code
        self.limit = limit
        self.retry_at = retry_at
        self.retry_in = retry_in
        self.untold = untold
