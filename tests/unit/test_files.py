"""The files that this process may open suffice for all connections, or the start says what to change."""

import resource

import pytest

from binding_ivr.config import Config
from binding_ivr.errors import ConfigError
from binding_ivr.node import files


@pytest.fixture
def limits(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    told: list[tuple[int, int]] = []
    monkeypatch.setattr(resource, "setrlimit", lambda _, limit: told.append(limit))
    return told


def _have(monkeypatch: pytest.MonkeyPatch, soft: int, hard: int) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (soft, hard))


def test_too_few_files_keep_the_service_from_starting(
    monkeypatch: pytest.MonkeyPatch, limits: list[tuple[int, int]]
) -> None:
    _have(monkeypatch, 1024, files.needed(Config()) - 1)
    with pytest.raises(ConfigError, match=r"web\.connections and agi\.connections: .* LimitNOFILE"):
        files.make_room(Config())
    assert not limits


def test_the_soft_limit_is_raised_as_far_as_it_takes(
    monkeypatch: pytest.MonkeyPatch, limits: list[tuple[int, int]]
) -> None:
    needed = files.needed(Config())
    for soft, hard, raised in (
        (1024, needed, [(needed, needed)]),
        (1024, 1_000_000, [(2 * needed, 1_000_000)]),
        (1024, resource.RLIM_INFINITY, [(2 * needed, resource.RLIM_INFINITY)]),
        (2 * needed, 1_000_000, []),
        (resource.RLIM_INFINITY, resource.RLIM_INFINITY, []),
    ):
        limits.clear()
        _have(monkeypatch, soft, hard)
        files.make_room(Config())
        assert limits == raised, (soft, hard)


def test_the_defaults_fit_where_4096_files_may_be_open() -> None:
    """The hard limit of older systems."""
    assert files.needed(Config()) <= 4096
