"""Backends by name."""

from __future__ import annotations

import sys
import types
from importlib import metadata
from pathlib import Path
from typing import Any, ClassVar

import pytest

from naiad.backends.base import Backend
from naiad.backends.identity import IdentityBackend
from naiad.backends.isolated import IsolatedBackend
from naiad.backends.python.backend import PythonBackend
from naiad.backends.python.shared import SharedPythonBackend
from naiad.backends.registry import BackendRegistry
from naiad.errors import ConfigError, Unsupported


class Mine(Backend):
    name: ClassVar[str] = "mine"
    option_names: ClassVar[frozenset[str] | None] = frozenset({"a", "b"})

    def runs_on_gpu(self) -> bool:
        return True

    def factory(self, config: Any, files: Any) -> Any:
        raise AssertionError("not in these tests")


def test_built_in_backends_are_made_once() -> None:
    registry = BackendRegistry()
    assert isinstance(registry.get("python"), PythonBackend)
    assert isinstance(registry.get("identity"), IdentityBackend)
    assert registry.get("python") is registry.get("python")


def test_options_of_all_and_of_one() -> None:
    registry = BackendRegistry({"": {"a": "1", "b": "1"}, "mine": {"b": "2"}}, backends={"mine": Mine})
    assert registry.get("mine").options == {"a": "1", "b": "2"}


def test_options_that_a_backend_does_not_have_are_refused() -> None:
    with pytest.raises(ConfigError, match="backend 'mine' has no option 'c', 'd'"):
        BackendRegistry({"mine": {"d": "", "c": "", "a": ""}}, backends={"mine": Mine}).get("mine")
    with pytest.raises(ConfigError, match="backend 'python' has no option 'shm'"):
        BackendRegistry({"python": {"shm": "1"}}).get("python")
    BackendRegistry({"": {"default-max-batch-size": "8"}, "python": {"stub-timeout-seconds": "9"}}).get(
        "python"
    )


def test_backends_with_workers_know_what_those_may_pin() -> None:
    backend = BackendRegistry(pinned_bytes=1 << 20).get("pytorch")
    assert isinstance(backend, IsolatedBackend)
    assert backend.pinned_limit_bytes == 1 << 20


def test_gpu_backends() -> None:
    assert BackendRegistry(backends={"mine": Mine}).on_gpu() == {
        "identity",
        "mine",
        "python",
        "pytorch",
        "tensorrt",
        "vllm",
    }


def test_unknown_ones_are_refused_with_what_there_is() -> None:
    with pytest.raises(
        Unsupported,
        match="no backend 'tensorflow'; there are: identity, onnxruntime, openvino, py",
    ):
        BackendRegistry().get("tensorflow")


def test_installed_packages_offer_backends(monkeypatch: pytest.MonkeyPatch) -> None:
    found = metadata.EntryPoints(
        [
            metadata.EntryPoint("mine", "naiad_offered_backends:Mine", "naiad.backends"),
            metadata.EntryPoint("broken", "naiad_absent_package:X", "naiad.backends"),
            metadata.EntryPoint("wrong", "builtins:dict", "naiad.backends"),
        ]
    )
    monkeypatch.setattr(metadata, "entry_points", lambda **select: found.select(**select))
    offered = types.ModuleType("naiad_offered_backends")
    offered.Mine = Mine  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "naiad_offered_backends", offered)
    registry = BackendRegistry()
    assert registry.get("mine").name == "mine"
    assert set(registry.names()) >= {"mine", "broken", "python"}
    with pytest.raises(Unsupported, match="'broken' cannot be imported"):
        registry.get("broken")
    with pytest.raises(Unsupported, match="'wrong' is no"):
        registry.get("wrong")


def test_a_backend_directory(tmp_path: Path) -> None:
    for name in ("mine", "identity", "native"):
        (tmp_path / name).mkdir()
    (tmp_path / "mine" / "model.py").write_text("")
    (tmp_path / "identity" / "model.py").write_text("")
    (tmp_path / "native" / "libtriton_native.so").write_bytes(b"")
    (tmp_path / "model.py").write_text("")
    registry = BackendRegistry({"": {"backend-directory": str(tmp_path)}, "mine": {"isolation": "thread"}})
    mine = registry.get("mine")
    assert isinstance(mine, SharedPythonBackend)
    assert (mine.name, mine.directory, mine.options["isolation"]) == ("mine", tmp_path / "mine", "thread")
    assert "mine" in registry.names()
    assert isinstance(registry.get("identity"), IdentityBackend)
    with pytest.raises(Unsupported, match="backend 'native' is a shared library for Triton"):
        registry.get("native")
    for name in (".", "..", "mine/../mine", "missing"):
        with pytest.raises(Unsupported, match="there is no backend"):
            registry.get(name)
