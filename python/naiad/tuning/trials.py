"""Candidates on real servers, under load."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from naiad.config import ModelConfig, from_dict, parse_pbtxt, to_json
from naiad.errors import NaiadError
from naiad.loadgen.measure import Effort, measure
from naiad.loadgen.prepare import load_of
from naiad.staging.found import CONFIG, FoundModel
from naiad.tuning.candidate import Candidate, apply
from naiad.tuning.child_server import ChildServer
from naiad.tuning.ladder import Ladder
from naiad.tuning.outcome import Limits, Load, Outcome


@dataclass(frozen=True)
class Subject:
    """The model that is tuned, and what it is asked."""

    paths: tuple[Path, ...]
    """As for ``naiad serve``."""
    model: str
    others: tuple[str, ...] = ()
    """Models that it calls: loaded as they are."""
    batch_size: int = 1
    shapes: tuple[str, ...] = ()
    input_data: str = "random"
    load_timeout_s: float = 600.0


Tell = Callable[[Candidate, str], None]
"""Called with what is done with a candidate now."""


def base_of(model: FoundModel | None) -> Any | None:
    """The configuration that somebody wrote, as a ModelConfig message; None where nobody has. Raises
    ConfigError.
    """
    folder = model.links.get("") if model is not None else None
    if folder is None or not (folder / CONFIG).is_file():
        return None
    return parse_pbtxt((folder / CONFIG).read_bytes(), file=f"{folder.name}/{CONFIG}")


def completed_config(subject: Subject) -> ModelConfig:
    """How the model runs as it is. Raises InvalidArgument with the reason where it does not load."""
    with ChildServer(subject.paths, subject.load_timeout_s) as server:
        _load(server, subject, None)
        return ModelConfig(from_dict(server.config(subject.model)))


class Trials:
    """One at a time: what ran side by side would disturb each other."""

    def __init__(
        self,
        subject: Subject,
        base: Any,
        config: ModelConfig,
        ladder: Ladder,
        limits: Limits,
        effort: Effort,
        tell: Tell = lambda candidate, what: None,
    ) -> None:
        self._subject = subject
        self._base = base
        self._config = config
        self._ladder = ladder
        self._limits = limits
        self._effort = effort
        self._tell = tell

    def attempt(self, candidate: Candidate) -> Outcome:
        """Blocks. What does not run is an outcome too."""
        self._tell(candidate, "loads")
        memory_bytes = 0
        try:
            with ChildServer(self._subject.paths, self._subject.load_timeout_s) as server:
                _load(server, self._subject, to_json(apply(candidate, self._base, self._config)))
                memory_bytes = server.memory_bytes()
                if not self._limits.holds(memory_bytes):
                    return Outcome(candidate, memory_bytes=memory_bytes)
                loads = self._ladder.climb(self._limits, self._measuring(server, candidate))
                memory_bytes = max(memory_bytes, server.memory_bytes())
        except NaiadError as error:
            return Outcome(candidate, (), memory_bytes, str(error))
        return Outcome(candidate, loads, memory_bytes)

    def _measuring(self, server: ChildServer, candidate: Candidate) -> Callable[[int], Load]:
        subject = self._subject
        scenario, target = load_of(
            *(server.url, "http", subject.model, "", subject.batch_size, subject.shapes, subject.input_data),
            distribution="constant",
            seed=0,
        )

        def run(concurrency: int) -> Load:
            self._tell(candidate, f"concurrency {concurrency}")
            level = measure(replace(scenario, concurrency=concurrency), target, self._effort)
            window = level.window
            return Load(
                concurrency,
                window.per_second * subject.batch_size,
                window.percentile_s(50) * 1e3,
                window.percentile_s(99) * 1e3,
                level.server.requests * subject.batch_size / max(1, level.server.executions),
                window.errors.total(),
            )

        return run


def _load(server: ChildServer, subject: Subject, config: Any) -> None:
    for other in subject.others:
        server.load(other)
    server.load(subject.model, config)
