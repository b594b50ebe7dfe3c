"""How times are written for programs and people. It reads no clock."""

from datetime import UTC, datetime


def iso(at: datetime) -> str:
    """Write a time as ISO 8601 in UTC with whole seconds, for example 2026-11-23T16:00:00Z."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
