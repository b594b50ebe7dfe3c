"""The look-ups of the dialplan, as every door asks them."""

from typing import Protocol

from binding_ivr.model.lookups import LookupAnswer


class Lookups(Protocol):
    """Answers the dialplan."""

    async def trusted_number(self, account: str, extension: str) -> LookupAnswer:
        """The trusted number of an extension. Bad input is NONE; a fault of ours is ERROR, never an exception."""

    async def trusted_caller(self, number: str) -> LookupAnswer:
        """The extension whose user's trusted number is *number* (any writing with a country code)."""
