"""An engine that remembers, and a backend whose models are texts."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from naiad.backends.base import Backend, ModelFiles
from naiad.config import ModelConfig
from naiad.errors import InvalidArgument, Unsupported
from naiad.repository.model_repository import ModelRepository

TENSORS = (
    'input [ { name: "X" data_type: TYPE_FP32 dims: [ 1 ] } ] '
    'output [ { name: "Y" data_type: TYPE_FP32 dims: [ 1 ] } ]'
)


@dataclass(eq=False)
class FakeModel:
    name: str
    version: int
    origin: Any
    healthy: bool = True
    in_flight: int = 0
    last_used_s: float = 0.0

    def statistics(self) -> dict[str, Any]:
        return {"last_used_s": self.last_used_s}

    def instance_use(self) -> list[tuple[str, int, int]]:
        return []


@dataclass
class FakeEngine:
    """Starts what it is given; a factory that is an exception is raised."""

    log: list[tuple[str, ...]] = field(default_factory=list)
    published: dict[str, list[FakeModel]] = field(default_factory=dict)
    running: list[FakeModel] = field(default_factory=list)
    on_start: Callable[[str], None] = lambda name: None
    routes: dict[str, Any] = field(default_factory=dict)
    fixed_instances: bool = False
    on_stop: Callable[[str], None] = lambda name: None

    def start(self, spec: Any, factory: Any, instances: Sequence[Any]) -> FakeModel:
        assert instances
        self.on_start(spec.name)
        if isinstance(factory, Exception):
            raise factory
        model = FakeModel(spec.name, spec.version, factory)
        self.log.append(("start", f"{spec.name}/{spec.version}"))
        self.running.append(model)
        return model

    def publish(self, name: str, models: Sequence[FakeModel], *, routes: Any = None) -> None:
        self.published[name] = list(models)
        self.routes[name] = routes
        self.log.append(("publish", name, *(str(model.version) for model in models)))

    def make_ambiguous(self, name: str, num_bearers: int) -> None:
        self.published[name] = []
        self.log.append(("ambiguous", name, str(num_bearers)))

    def resize(self, model: FakeModel, factory: Any, instances: Sequence[Any]) -> None:
        if self.fixed_instances:
            raise Unsupported("made for what it has")
        if isinstance(factory, Exception):
            raise factory
        self.log.append(("resize", f"{model.name}/{model.version}", str(len(instances))))

    def trim(self) -> None:
        return None

    def stop(self, model: FakeModel, *, drain: bool = True) -> None:
        self.on_stop(model.name)
        self.running.remove(model)
        self.log.append(("stop" if drain else "kill", f"{model.name}/{model.version}"))


class FakeBackend(Backend):
    """A version's file ``model.fake`` says how loading goes."""

    name: ClassVar[str] = "fake"
    default_filename: ClassVar[str] = "model.fake"
    broken: ClassVar[Mapping[str, Exception]] = {}

    def factory(self, config: ModelConfig, files: ModelFiles) -> Any:
        text = files.find(config, self.default_filename).read_text()
        if text == "refused":
            raise InvalidArgument(f"the file {files.version_directory} is bad")
        if text == "bug":
            raise ZeroDivisionError("division by zero")
        return InvalidArgument("no instance") if text == "no instance" else text


def write(root: Path, name: str, *versions: int, text: str = "ok", config: str = "") -> Path:
    for version in versions:
        directory = root / name / str(version)
        directory.mkdir(parents=True, exist_ok=True)
        (directory / "model.fake").write_text(text)
    (root / name).mkdir(exist_ok=True)
    (root / name / "config.pbtxt").write_text(f'name: "{name}" backend: "fake" {TENSORS} {config}')
    return root / name


def change(directory: Path, version: int, text: str) -> None:
    file = directory / str(version) / "model.fake"
    file.write_text(text)
    os.utime(file, ns=(0, file.stat().st_mtime_ns + 1_000_000))


Make = Callable[..., ModelRepository]
