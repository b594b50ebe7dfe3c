"""One lab and one installation for the whole run; tests with wishes of their own make their own installation."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from binding_ivr.lab import Lab
from tests.e2e.data_folder import READY
from tests.e2e.installation import Installation, installed

@pytest.fixture(scope="session", autouse=True)
def data_folder(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Where the worker keeps the data folder that its installations begin with."""
    READY.state = tmp_path_factory.mktemp("ready")


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
