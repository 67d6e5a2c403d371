"""One fleet for all tests of the room. Without the extra [fleet] the tests fail and say what to install."""

from __future__ import annotations

from pathlib import Path

import pytest

from naiad.fleet.build import build_fleet
from naiad.fleet.fleet_model import FleetModel


@pytest.fixture(scope="session")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[FleetModel]]:
    directory = tmp_path_factory.mktemp("fleet") / "models"
    return directory, build_fleet(directory)


@pytest.fixture
def repository(fleet: tuple[Path, list[FleetModel]]) -> Path:
    return fleet[0]
