"""The models that should be served, and those that are: load, reload, unload, look up."""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from naiad.backends.registry import BackendRegistry
from naiad.engine import Engine, gpu_count
from naiad.errors import Internal, InvalidArgument, NaiadError, NotFound, NotReady, Stopping
from naiad.repository.fingerprint import Fingerprint, fingerprint
from naiad.repository.loader import LoadFailed, ModelLoader
from naiad.repository.scan import ModelDirectory, Scan, find_model, scan
from naiad.repository.served import IndexEntry, LoadedVersion, State
from naiad.settings import RepositorySettings, SchedulingSettings

_log = logging.getLogger("naiad.repository")

_ALL = "*"

Rows = dict[int | None, tuple[State, str]]


@dataclass
class _Entry:
    """One model by name. ``lock`` is held while it loads or unloads; the other fields change under it and are
    read without: each is replaced whole.
    """

    name: str
    lock: threading.Lock = field(default_factory=threading.Lock)
    served: tuple[LoadedVersion, ...] = ()
    """Ascending."""
    rows: Rows = field(default_factory=dict)
    """Version -> state and reason; None when no version is to blame."""
    wanted: bool = False
    """Somebody asked for it to be loaded, and nobody since to unload it."""
    fingerprint: Fingerprint | None = None
    steps: tuple[str, ...] = ()
    """Of an ensemble that is served: the models of its steps."""
    config_json: str | None = None
    """What took the place of config.pbtxt when it was loaded."""


class ModelRepository:
    """Keeps the engine's models as they are asked for. Any thread; what is done to one model takes turns."""

    def __init__(
        self,
        engine: Engine,
        backends: BackendRegistry,
        settings: RepositorySettings,
        scheduling: SchedulingSettings | None = None,
        *,
        num_gpus: int | None = None,
    ) -> None:
        """``num_gpus``: of the machine, counted when None."""
        self._engine = engine
        self._settings = settings
        self._loader = ModelLoader(
            engine,
            backends,
            self.find,
            auto_complete=settings.auto_complete,
            num_gpus=gpu_count() if num_gpus is None else num_gpus,
            scheduling=scheduling,
        )
        self._entries: dict[str, _Entry] = {}
        self._entries_lock = threading.Lock()
        # Held while an ensemble is loaded together with the models of its steps: two that name each other
        # must not wait for one another.
        self._ensembles_lock = threading.RLock()
        self._closed = False

    def load_all(self) -> None:
        """Loads what is to be loaded at start, several at a time. A model that fails leaves the others alone.

        Raises InvalidArgument at the end, naming the models that failed, when the settings say
        ``exit_on_error``. Raises NotFound for a repository that is not there.
        """
        names, refused = self._names_at_start()
        for name, error in refused.items():
            self._refuse(self._entry(name), error)
        failures = {name: str(error) for name, error in refused.items()}
        with ThreadPoolExecutor(max(1, self._settings.load_threads), thread_name_prefix="naiad-load") as pool:
            for name, failure in zip(names, pool.map(self._try_load, names), strict=True):
                if failure is not None:
                    failures[name] = failure
        if failures and self._settings.exit_on_error:
            listed = "; ".join(f"{name}: {failures[name]}" for name in sorted(failures))
            raise InvalidArgument(f"failed to load all models: {listed}")

    def load(self, name: str, config_json: str | None = None) -> None:
        """Loads the model, or loads it again if something changed; the old versions serve until the new ones
        do.

        ``config_json`` takes the place of config.pbtxt for this once. Blocks until it serves and until what
        the old versions were doing is done. Raises InvalidArgument with the reason when it fails; the old
        versions serve on.
        """
        self._check_open()
        try:
            directory = self._find_directory(name)
        except NaiadError as error:
            # Not NotFound: clients of the load call take that for a missing API.
            raise InvalidArgument(f"failed to load '{name}': {error}") from None
        entry = self._entry(name)
        try:
            steps = self._loader.steps(directory, config_json)
        except LoadFailed as failure:
            entry.wanted = True
            raise self._load_failed(entry, failure) from None
        if steps:
            with self._ensembles_lock:
                self._load_steps(name, steps, ())
                self._load(entry, directory, config_json, steps)
        else:
            self._load(entry, directory, config_json, ())
        self._renew_dependents(name)

    def _load_steps(self, name: str, steps: tuple[str, ...], above: tuple[str, ...]) -> None:
        """Loads what an ensemble needs and is not served. What fails is told by the ensemble's own load."""
        for step in steps:
            if step in (name, *above) or self._entry(step).served:
                continue
            try:
                directory = self._find_directory(step)
                inner = self._loader.steps(directory, None)
                self._load_steps(step, inner, (name, *above))
                self._load(self._entry(step), directory, None, inner)
            except (NaiadError, LoadFailed):
                continue

    def _renew_dependents(self, name: str) -> None:
        """Ensembles are compiled for the models of their steps as these are now."""
        for entry in self._dependents(name):
            with self._ensembles_lock, entry.lock:
                if not entry.served:
                    continue
                try:
                    directory = self._find_directory(entry.name)
                    loaded = self._loader.load(directory, entry.config_json)
                except LoadFailed as failure:
                    self._stop(entry)
                    self._load_failed(entry, failure)
                except NaiadError as error:
                    self._stop(entry)
                    self._refuse(entry, error)
                else:
                    self._serve(entry, tuple(loaded))
            self._renew_dependents(entry.name)

    def _dependents(self, name: str) -> list[_Entry]:
        return [entry for entry in list(self._entries.values()) if name in entry.steps]

    def _load(
        self, entry: _Entry, directory: ModelDirectory, config_json: str | None, steps: tuple[str, ...]
    ) -> None:
        with entry.lock:
            self._check_open()
            seen = fingerprint(directory.path, config_json)
            if entry.served and entry.fingerprint == seen:
                return
            entry.wanted = True
            self._mark_loading(entry, directory)
            try:
                loaded = self._loader.load(directory, config_json)
            except LoadFailed as failure:
                raise self._load_failed(entry, failure) from None
            self._serve(entry, tuple(loaded))
            entry.fingerprint = seen
            entry.steps = steps
            entry.config_json = config_json

    def unload(self, name: str, unload_dependents: bool = False) -> None:
        """Takes no more requests for the model, finishes those it has, and stops it. Blocks until then.

        Ensembles that have it for a step are unloaded first. ``unload_dependents``: of an ensemble, the
        models of its steps too. Raises InvalidArgument for a name that no repository has.
        """
        entry = self._entries.get(name)
        if entry is None:
            try:
                self._find_directory(name)
            except NaiadError as error:
                raise InvalidArgument(f"failed to unload '{name}': {error}") from None
            return
        steps = entry.steps
        for dependent in self._dependents(name):
            self.unload(dependent.name)
        with entry.lock:
            entry.wanted = False
            self._stop(entry)
        if unload_dependents:
            for step in steps:
                self.unload(step, unload_dependents=True)

    def close(self) -> None:
        """Unloads all models. Idempotent."""
        with self._entries_lock:
            self._closed = True
            entries = list(self._entries.values())
        while entries:
            # What is a step of another one goes behind it.
            needed = {step for entry in entries for step in entry.steps}
            first = [entry for entry in entries if entry.name not in needed] or entries
            for entry in first:
                with entry.lock:
                    self._stop(entry)
            entries = [entry for entry in entries if entry not in first]

    def find(self, name: str, version: str = "") -> LoadedVersion:
        """The version that is served, the highest when none is named.

        Raises NotFound, NotReady, or InvalidArgument for what is no version number.
        """
        entry = self._entries.get(name)
        number = _version_number(version)
        if entry is None:
            raise NotFound(f"Request for unknown model: '{name}' is not found")
        served = entry.served
        if number is None:
            if not served:
                raise NotFound(f"Request for unknown model: '{name}' has no available versions")
            return served[-1]
        for loaded in served:
            if loaded.version == number:
                return loaded
        if entry.rows.get(number, ("", ""))[0] in ("LOADING", "UNLOADING"):
            raise NotReady(f"Request for unknown model: '{name}' version {number} is not at ready state")
        raise NotFound(f"Request for unknown model: '{name}' version {number} is not found")

    def is_ready(self, name: str, version: str = "") -> bool:
        """Whether requests for the model are served; not while all its workers are started again. Raises
        NotFound for a model or version that is not there.
        """
        try:
            return self.find(name, version).model.healthy
        except NotReady:
            return False

    def all_ready(self) -> bool:
        """Whether every model that was asked for and not unloaded since is served."""
        return all(entry.served for entry in list(self._entries.values()) if entry.wanted)

    def loaded(self) -> list[LoadedVersion]:
        """All versions that are served, by name and version."""
        entries = sorted(self._entries.values(), key=lambda entry: entry.name)
        return [loaded for entry in entries for loaded in entry.served]

    def index(self, ready_only: bool = False) -> list[IndexEntry]:
        """All models in the repositories, and their versions' states. Reads the directories."""
        found = self._scan()
        entries = dict(self._entries)
        served = {name for name, entry in entries.items() if entry.served}
        rows: list[IndexEntry] = []
        for name in sorted({*found.models, *found.refused, *served}):
            entry = entries.get(name)
            if entry is not None and entry.rows:
                rows.extend(_rows(entry))
            elif name in found.refused:
                rows.append(IndexEntry(name, "", "UNAVAILABLE", self._public(found.refused[name])))
            else:
                rows.append(IndexEntry(name, "", "", ""))
        return [row for row in rows if row.state == "READY"] if ready_only else rows

    def _names_at_start(self) -> tuple[list[str], dict[str, NaiadError]]:
        found = self._scan()
        if self._settings.control_mode == "none" or _ALL in self._settings.load_models:
            return list(found.models), dict(found.refused)
        return list(dict.fromkeys(self._settings.load_models)), {}

    def _scan(self) -> Scan:
        return scan(self._settings.model_repositories, linked=self._settings.linked_repository)

    def _find_directory(self, name: str) -> ModelDirectory:
        return find_model(self._settings.model_repositories, name, linked=self._settings.linked_repository)

    def _try_load(self, name: str) -> str | None:
        """Why the load failed, or None."""
        try:
            self.load(name)
        except NaiadError as error:
            entry = self._entry(name)
            if not entry.rows:
                self._refuse(entry, error)
            return str(error)
        return None

    def _entry(self, name: str) -> _Entry:
        with self._entries_lock:
            entry = self._entries.get(name)
            if entry is None:
                entry = _Entry(name)
                # Copied, so that who reads it without the lock never sees it change.
                self._entries = {**self._entries, name: entry}
            return entry

    def _mark_loading(self, entry: _Entry, directory: ModelDirectory) -> None:
        if not entry.served:
            entry.rows = dict.fromkeys(directory.versions or (None,), ("LOADING", ""))

    def _serve(self, entry: _Entry, loaded: tuple[LoadedVersion, ...]) -> None:
        old = entry.served
        self._engine.publish(entry.name, [version.model for version in loaded])
        entry.served = loaded
        replaced = {version.version for version in loaded}
        rows: Rows = dict.fromkeys(replaced, ("READY", ""))
        gone: Rows = {
            version.version: ("UNLOADING", "") for version in old if version.version not in replaced
        }
        entry.rows = rows | gone
        for version in loaded:
            _log.info("successfully loaded '%s' version %d", version.name, version.version)
        self._drain(old)
        entry.rows = rows | dict.fromkeys(gone, ("UNAVAILABLE", "unloaded"))

    def _stop(self, entry: _Entry) -> None:
        old = entry.served
        if not old:
            return
        self._engine.publish(entry.name, [])
        entry.served = ()
        entry.fingerprint = None
        entry.steps = ()
        entry.rows = {version.version: ("UNLOADING", "") for version in old}
        self._drain(old)
        entry.rows = {version.version: ("UNAVAILABLE", "unloaded") for version in old}
        _log.info("successfully unloaded '%s'", entry.name)

    def _drain(self, versions: Iterable[LoadedVersion]) -> None:
        for version in versions:
            self._engine.stop(version.model, drain=True)

    def _load_failed(self, entry: _Entry, failure: LoadFailed) -> NaiadError:
        reason = self._public(failure.error)
        if not isinstance(failure.error, NaiadError):
            _log.error("loading '%s' failed", entry.name, exc_info=failure.error)
            reason = f"{type(failure.error).__name__}: {reason}"
        _log.error("failed to load '%s': %s", entry.name, reason)
        if not entry.served:
            self._engine.publish(entry.name, [])
            entry.rows = {failure.version: ("UNAVAILABLE", reason)}
        at = "" if failure.version is None else f"version {failure.version} is at UNAVAILABLE state: "
        text = f"load failed for model '{entry.name}': {at}{reason}"
        return InvalidArgument(text) if isinstance(failure.error, NaiadError) else Internal(text)

    def _refuse(self, entry: _Entry, error: NaiadError) -> None:
        reason = self._public(error)
        _log.error("failed to load '%s': %s", entry.name, reason)
        entry.wanted = True
        entry.rows = {None: ("UNAVAILABLE", reason)}
        self._engine.publish(entry.name, [])

    def _public(self, error: Exception) -> str:
        """The error's text, with no place on the server's disk in it."""
        text = str(error)
        for root in self._settings.model_repositories:
            # A relative name may be any word of the text.
            for spelled in {str(root.absolute()), str(root.resolve())}:
                text = text.replace(f"{spelled}/", "").replace(spelled, "the model repository")
        return text

    def _check_open(self) -> None:
        if self._closed:
            raise Stopping("Server is stopping, no more models are loaded")


def _rows(entry: _Entry) -> list[IndexEntry]:
    rows = sorted(entry.rows.items(), key=lambda row: row[0] or 0)
    return [
        IndexEntry(entry.name, "" if version is None else str(version), state, reason)
        for version, (state, reason) in rows
    ]


def _version_number(version: str) -> int | None:
    """None for "": any. Raises InvalidArgument in Triton's words."""
    if version == "":
        return None
    if re.fullmatch(r"[0-9]{1,18}", version) is None or int(version) == 0:
        shown = version if len(version) <= 64 else version[:64] + "..."
        raise InvalidArgument(
            f"failed to get model version from specified version string '{shown}' (details: not a positive "
            "number), version should be an integral value > 0"
        )
    return int(version)
