"""Repositories over an engine that remembers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from naiad.backends.registry import BackendRegistry
from naiad.repository.model_repository import ModelRepository
from naiad.settings import RepositorySettings

from .fakes import FakeBackend, FakeEngine


@pytest.fixture
def engine() -> FakeEngine:
    return FakeEngine()


@pytest.fixture
def repository(tmp_path: Path, engine: FakeEngine) -> Callable[..., ModelRepository]:
    def make(**settings: Any) -> ModelRepository:
        settings.setdefault("exit_on_error", False)
        settings.setdefault("model_repositories", (tmp_path,))
        return ModelRepository(
            engine,  # type: ignore[arg-type]
            BackendRegistry(backends={"fake": FakeBackend}),
            RepositorySettings(**settings),
            num_gpus=0,
        )

    return make
