"""Who asks for something, as the audit writes it."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Actor:
    """Who asks, for the audit: `who` such as `cli:root` or `user:1001`, `source` `cli|web|desk|call|system`.

    `reason` is why, in their words.
    """

    who: str
    source: str
    address: str = ""
    reason: str = ""
