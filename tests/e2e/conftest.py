"""One lab and one installation for a worker; tests with wishes of their own make their own installation."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from xdist.scheduler import LoadScopeScheduling

from binding_ivr.lab import Lab
from binding_ivr.lab.asterisk import engine
from binding_ivr.lab.phones import softphone
from tests.e2e.browser.chromium import chromium
from tests.e2e.data_folder import READY
from tests.e2e.installation import COMMANDS, Installation, installed

LONG = (
    "test_hardened.py",
    "test_page.py",
    "test_enrol.py",
    "test_failures.py",
    "test_wheel.py",
    "test_pull.py",
    "test_doctor.py",
    "test_states.py",
    "test_lab.py",
    "test_freepbx.py",
    "test_moves.py",
    "test_life.py",
    "test_with_service.py",
    "test_calls.py",
    "test_mirror.py",
)
"""What takes longest is begun first, so that no worker is left with it when all others have nothing to do."""


class TogetherScheduling(LoadScopeScheduling):  # type: ignore[misc]
    """A file's tests go to one worker in their order; all that need the browser, which fills a core, to one."""

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0]
        folder = file.rpartition("/")[0]
        return folder if folder.endswith("/browser") else file


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadScopeScheduling:
    """Share the tests out to the workers."""
    return TogetherScheduling(config, log)


def pytest_sessionstart(session: pytest.Session) -> None:
    """Make and install what all labs share, where several workers would do so at the same time."""
    if session.config.getoption("numprocesses", None) and not hasattr(session.config, "workerinput"):
        engine.find()
        engine.find("bullseye")
        softphone.find()
        asyncio.run(chromium())


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the files that take longest first; a file's tests stay in their order."""
    items.sort(key=lambda item: LONG.index(item.path.name) if item.path.name in LONG else len(LONG))


@pytest.fixture(scope="session", autouse=True)
def data_folder(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Where the worker keeps the data folder that its installations begin with."""
    READY.state = tmp_path_factory.mktemp("ready")


@pytest.fixture(scope="session", autouse=True)
async def commands() -> AsyncIterator[None]:
    """End the process that the worker's commands are forked from."""
    yield
    await COMMANDS.stop()


@pytest.fixture(scope="session")
async def lab() -> AsyncIterator[Lab]:
    async with Lab() as running:
        yield running


@pytest.fixture(scope="session")
async def installation(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Installation]:
    folder: Path = tmp_path_factory.mktemp("node")
    async with installed(lab, folder, node="e2e", app="e2e", answers_lookups=True) as made:
        await made.serve()
        yield made
