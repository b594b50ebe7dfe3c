"""The lab's one error. It does not know what raised it; its text is one line that says what to do."""

from binding_ivr.errors import UnavailableError


class LabError(UnavailableError):
    """The lab cannot do what was asked."""
