"""What the repository holds of one model by its name."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from naiad.errors import InvalidArgument, NotFound, NotReady
from naiad.repository.fingerprint import Fingerprint
from naiad.repository.namespaces import public_name
from naiad.repository.overrides import OverrideFolder
from naiad.repository.rollout import Rollout, is_label
from naiad.repository.scan import ModelDirectory
from naiad.repository.served import IndexEntry, LoadedVersion, State
from naiad.settings import CPU

_holds_lock = threading.Lock()

Rows = Mapping[int | None, tuple[State, str]]
"""Version -> state and reason; None when no version is to blame."""


@dataclass
class ModelEntry:
    """One model, known by its key. ``lock`` is held while it loads or unloads; the other fields change under
    it and are read without: each is replaced whole.
    """

    name: str
    """Its key: see ``namespaces``."""
    lock: threading.Lock = field(default_factory=threading.Lock)
    served: tuple[LoadedVersion, ...] = ()
    """Ascending."""
    rows: Rows = field(default_factory=dict)
    wanted: bool = False
    """Somebody asked for it to be loaded, and nobody since to unload it."""
    fingerprint: Fingerprint | None = None
    """Of what is served."""
    tried: Fingerprint | None = None
    """Of what the last load tried, whether or not it failed."""
    steps: tuple[str, ...] = ()
    """Of an ensemble that is served: the models of its steps."""
    config_json: str | None = None
    """What took the place of config.pbtxt when it was loaded."""
    folder: OverrideFolder | None = None
    """The files that it was loaded with in place of the repository's."""
    path: Path | None = None
    """Where what is served lies."""
    configured: Rollout = Rollout()
    """How the configuration that is served spreads requests over the versions."""
    rollouts: tuple[Rollout, ...] = ()
    """What clients have made of that, the last one holds; none: ``configured`` does."""
    holds: int = 0
    """How many loads of ensembles need it to stay."""
    num_loads: int = 0
    num_evictions: int = 0

    @property
    def rollout(self) -> Rollout:
        """How requests are spread over the versions now."""
        return self.rollouts[-1] if self.rollouts else self.configured

    @property
    def is_fixed(self) -> bool:
        """Whether it is not unloaded for the sake of others: somebody asked for it."""
        return self.wanted or self.holds > 0

    @property
    def in_flight(self) -> int:
        """Requests that its versions are not done with."""
        return sum(loaded.model.in_flight for loaded in self.served)

    def size_bytes(self, place: int = CPU) -> int:
        """What its versions took of main memory, or of a GPU, when they were loaded."""
        claims = [loaded.claim for loaded in self.served]
        return sum(claim.sizes.get(place, 0) for claim in claims if claim is not None)

    def used_at_s(self) -> float:
        """When it was loaded or a request of it ran, whichever was later; of the steady clock."""
        return max(
            (max(loaded.loaded_at_s, loaded.model.statistics()["last_used_s"]) for loaded in self.served),
            default=0.0,
        )

    def find(self, version: str) -> LoadedVersion:
        """The version that is served, the highest when none is named; ``version`` is a number or a label.

        Raises NotFound, NotReady, or InvalidArgument, in Triton's words.
        """
        labels = self.rollout.labels
        number = labels.get(version)
        if number is None and labels and is_label(version):
            raise self._not_found(f"has no version with the label '{version}'")
        if number is None:
            number = check_version(version)
        served = self.served
        if number is None:
            if not served:
                raise self._not_found("has no available versions")
            return served[-1]
        for loaded in served:
            if loaded.version == number:
                return loaded
        if self.rows.get(number, ("", ""))[0] in ("LOADING", "UNLOADING"):
            name = public_name(self.name)
            raise NotReady(f"Request for unknown model: '{name}' version {number} is not at ready state")
        raise self._not_found(f"version {number} is not found")

    def _not_found(self, what: str) -> NotFound:
        return NotFound(f"Request for unknown model: '{public_name(self.name)}' {what}")

    def keep_folder(self, folder: OverrideFolder | None) -> None:
        """Takes the files of an earlier load away."""
        old, self.folder = self.folder, folder
        if old is not None and old is not folder:
            old.remove()

    @contextmanager
    def held(self) -> Iterator[None]:
        """It is not unloaded for the sake of others meanwhile."""
        with _holds_lock:
            self.holds += 1
        try:
            yield
        finally:
            with _holds_lock:
                self.holds -= 1

    def mark_loading(self, directory: ModelDirectory) -> None:
        """Shows that it loads for the first time."""
        if not self.served:
            self.rows = dict.fromkeys(directory.versions or (None,), ("LOADING", ""))

    def index(self) -> list[IndexEntry]:
        """Its rows of the repository index."""
        rows = sorted(self.rows.items(), key=lambda row: row[0] or 0)
        return [
            IndexEntry(public_name(self.name), "" if version is None else str(version), state, reason)
            for version, (state, reason) in rows
        ]


def closing_order(entries: Sequence[ModelEntry]) -> list[ModelEntry]:
    """What is a step of another one goes behind it."""
    order: list[ModelEntry] = []
    left = list(entries)
    while left:
        needed = {step for entry in left for step in entry.steps}
        first = [entry for entry in left if entry.name not in needed] or left
        order += first
        left = [entry for entry in left if entry not in first]
    return order


def check_version(version: str) -> int | None:
    """The number of a version; None for "": any. Raises InvalidArgument in Triton's words."""
    if version == "":
        return None
    if re.fullmatch(r"[0-9]{1,18}", version) is None or int(version) == 0:
        shown = version if len(version) <= 64 else version[:64] + "..."
        raise InvalidArgument(
            f"failed to get model version from specified version string '{shown}' (details: not a positive "
            "number), version should be an integral value > 0"
        )
    return int(version)
