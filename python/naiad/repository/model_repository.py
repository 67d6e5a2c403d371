"""The models that should be served, and those that are: load, reload, unload, look up."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from naiad.backends.registry import BackendRegistry
from naiad.engine import Engine, gpu_count
from naiad.errors import InvalidArgument, NaiadError, NotFound, NotReady, Stopping
from naiad.repository.entry import ModelEntry, check_version, closing_order
from naiad.repository.eviction import Evictor
from naiad.repository.failures import Failures
from naiad.repository.fingerprint import Fingerprint, fingerprint
from naiad.repository.gpu_memory import GpuMemory
from naiad.repository.index import has_version, index_rows, names_at_start, versions_by_name
from naiad.repository.loader import LoadFailed, ModelLoader
from naiad.repository.measure import Measure
from naiad.repository.memory_budget import MemoryBudget
from naiad.repository.overrides import OverrideFolder
from naiad.repository.plan import Plan
from naiad.repository.rollout import configured_rollout, rollout_from_json
from naiad.repository.roots import Roots
from naiad.repository.served import IndexEntry, LoadedVersion
from naiad.repository.serving import Serving
from naiad.settings import RepositorySettings, SchedulingSettings

_log = logging.getLogger("naiad.repository")


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
        refresh: Callable[[str | None], None] = lambda name: None,
        elsewhere: Callable[[], Collection[str]] = tuple,
        gpus: GpuMemory | None = None,
    ) -> None:
        """``num_gpus``: of the machine, counted when None; ``gpus``: None where there is none. ``refresh``,
        ``elsewhere``: see ``Roots``.
        """
        self._settings = settings
        self.budget = MemoryBudget(settings.memory_limit_bytes, settings.gpu_limits, gpus)
        self._loader = ModelLoader(
            engine,
            backends,
            self.find,
            auto_complete=settings.auto_complete,
            config_name=settings.config_name,
            num_gpus=gpu_count() if num_gpus is None else num_gpus,
            scheduling=scheduling,
            budget=self.budget,
            measure=Measure(gpus, exact=self.budget.is_limited, trim=engine.trim),
        )
        self._entries: dict[str, ModelEntry] = {}
        self._entries_lock = threading.Lock()
        # Held while an ensemble is loaded together with the models of its steps: two that name each other
        # must not wait for one another.
        self._ensembles_lock = threading.RLock()
        self._roots = Roots(settings, refresh, elsewhere)
        self._serving = Serving(engine, self.budget)
        self._failures = Failures(self._serving, self._roots)
        self._summonable: Mapping[str, tuple[int, ...]] = {}
        if settings.control_mode == "ondemand":
            self.budget.make_room = Evictor(self._serving, self.entries).make_room
        self._closed = False

    def load_all(self, passed_over: Collection[str] = ()) -> None:
        """Loads what is to be loaded at start but for ``passed_over``, several at a time. A model that fails
        leaves the others alone.

        Raises InvalidArgument at the end, naming the models that failed, when the settings say
        ``exit_on_error``. Raises NotFound for a repository that is not there.
        """
        names, refused = names_at_start(self._settings, self._roots)
        names = [name for name in names if name not in passed_over]
        for name, error in refused.items():
            self._failures.refuse(self._entry(name), error)
        failures = {name: str(error) for name, error in refused.items()}
        with ThreadPoolExecutor(max(1, self._settings.load_threads), thread_name_prefix="naiad-load") as pool:
            for name, failure in zip(names, pool.map(self._try_load, names), strict=True):
                if failure is not None:
                    failures[name] = failure
        if failures and self._settings.exit_on_error:
            listed = "; ".join(f"{name}: {failures[name]}" for name in sorted(failures))
            raise InvalidArgument(f"failed to load all models: {listed}")

    def load(
        self,
        name: str,
        config_json: str | None = None,
        files: Mapping[str, bytes] | None = None,
        *,
        summoned: bool = False,
    ) -> None:
        """Loads the model, or loads it again if something changed; the old versions serve until the new ones
        do. A version whose files and configuration did not change goes on as it is.

        ``config_json`` takes the place of config.pbtxt for this once, and ``files``
        (``<version>/<path>`` -> content) of all that the repository has of the model, which then need not be
        there. ``summoned``: a request wants it, nobody else. Blocks until it serves and until what the old
        versions were doing is done. Raises InvalidArgument with the reason; the old versions serve on then.
        """
        self._check_open()
        folder: OverrideFolder | None = None
        try:
            if files:
                folder = OverrideFolder(name, files)
                directory = folder.directory()
            else:
                directory = self._roots.find(name, fresh=True)
        except NaiadError as error:
            # Not NotFound: clients of the load call take that for a missing API.
            raise InvalidArgument(f"failed to load '{name}': {error}") from None
        entry = self._entry(name)
        try:
            self._load_with_steps(entry, Plan(directory, config_json, folder, summoned=summoned))
        finally:
            if folder is not None and entry.folder is not folder:
                folder.remove()
        self._renew_dependents(name)

    def summon(self, name: str) -> None:
        """Loads a model that a request wants, if it does not serve already. Blocks; raises as ``load``."""
        if not self._entry(name).served:
            self.load(name, summoned=True)

    def must_summon(self, name: str) -> bool:
        """Whether it does not serve, and ``summon`` would load it."""
        return name in self._summonable and not (name in self._entries and self._entries[name].served)

    def summonable(self) -> Mapping[str, tuple[int, ...]]:
        """The models of all repositories, by name, and their versions as far as these are known. Reads the
        directories. From now on requests for them are taken to be for models that serve.
        """
        self._summonable = versions_by_name(self._roots)
        return self._summonable

    def load_if_still(self, name: str, seen: Fingerprint) -> None:
        """``load``, if that is what the repository has, at the end too. Raises as ``load``."""
        self._check_open()
        plan = Plan(self._roots.find(name), expected=seen)
        self._load_with_steps(self._entry(name), plan)
        self._renew_dependents(name)

    def tried(self, name: str) -> Fingerprint | None:
        """What the model's files were like at its last load, failed or not; None: none since an unload."""
        entry = self._entries.get(name)
        return None if entry is None else entry.tried

    def folders(self) -> list[Path]:
        """Where the models that are served lie."""
        return [entry.path for entry in list(self._entries.values()) if entry.path is not None]

    def wanted(self) -> list[str]:
        """The models that were asked for and not unloaded since."""
        return [entry.name for entry in list(self._entries.values()) if entry.wanted]

    def _load_with_steps(self, entry: ModelEntry, plan: Plan) -> None:
        entry.tried = plan.seen
        try:
            steps = self._loader.steps(plan.directory, plan.config_json)
        except LoadFailed as failure:
            entry.wanted = entry.wanted or not plan.summoned
            raise self._failures.of_load(entry, failure) from None
        if not steps:
            self._load(entry, plan, ())
            return
        with self._ensembles_lock, ExitStack() as held:
            self._load_steps(entry.name, steps, (), held, plan.summoned)
            self._load(entry, plan, steps)

    def _load_steps(
        self, name: str, steps: tuple[str, ...], above: tuple[str, ...], held: ExitStack, summoned: bool
    ) -> None:
        """Loads what an ensemble needs and is not served. What fails is told by the ensemble's own load."""
        for step in steps:
            entry = self._entry(step)
            held.enter_context(entry.held())
            if step in (name, *above) or entry.served:
                continue
            try:
                plan = Plan(self._roots.find(step, fresh=True), summoned=summoned)
                inner = self._loader.steps(plan.directory, None)
                self._load_steps(step, inner, (name, *above), held, summoned)
                self._load(entry, plan, inner)
            except (NaiadError, LoadFailed):
                continue

    def _renew_dependents(self, name: str) -> None:
        """Ensembles are compiled for the models of their steps as these are now."""
        for entry in self._dependents(name):
            with self._ensembles_lock, entry.lock:
                if not entry.served:
                    continue
                try:
                    directory = entry.folder.directory() if entry.folder else self._roots.find(entry.name)
                    seen = fingerprint(directory.path, entry.config_json)
                    loaded = self._loader.load(directory, entry.config_json, seen)
                    self._serving.take_over(entry, tuple(loaded), entry.rollout)
                except LoadFailed as failure:
                    self._serving.stop(entry)
                    self._failures.of_load(entry, failure)
                except NaiadError as error:
                    self._serving.stop(entry)
                    self._failures.refuse(entry, error)
            self._renew_dependents(entry.name)

    def _dependents(self, name: str) -> list[ModelEntry]:
        return [entry for entry in list(self._entries.values()) if name in entry.steps]

    def _load(self, entry: ModelEntry, plan: Plan, steps: tuple[str, ...]) -> None:
        with entry.lock:
            self._check_open()
            entry.wanted = entry.wanted or not plan.summoned
            if entry.served and (plan.summoned or entry.fingerprint == plan.seen):
                return
            entry.mark_loading(plan.directory)
            try:
                loaded = self._load_versions(entry, plan)
                configured = configured_rollout(loaded[-1].config)
                changed = configured != entry.configured
                self._serving.take_over(entry, loaded, configured if changed else entry.rollout)
            except LoadFailed as failure:
                raise self._failures.of_load(entry, failure, *plan.own_roots) from None
            if changed:
                entry.configured, entry.rollouts = configured, ()
            entry.num_loads += 1
            entry.fingerprint = plan.seen
            entry.steps = steps
            entry.config_json = plan.config_json
            entry.keep_folder(plan.folder)
            entry.path = plan.directory.path

    def _load_versions(self, entry: ModelEntry, plan: Plan) -> tuple[LoadedVersion, ...]:
        """Tries again what fails, as often as the settings say. Raises LoadFailed."""
        left = self._settings.load_retries
        while True:
            try:
                plan.check_still()
                loaded = tuple(self._loader.load(plan.directory, plan.config_json, plan.seen, entry.served))
                self._serving.check_before(entry, loaded, plan.check_still)
                return loaded
            except LoadFailed as failure:
                if left == 0:
                    raise
                left -= 1
                reason = self._failures.public(failure.error, *plan.own_roots)
                _log.warning("loading '%s' is tried again: %s", entry.name, reason)

    def unload(self, name: str, unload_dependents: bool = False) -> None:
        """Takes no more requests for the model, finishes those it has, and stops it. Blocks until then.

        Ensembles that have it for a step are unloaded first. ``unload_dependents``: of an ensemble, the
        models of its steps too. Raises InvalidArgument for a name that no repository has.
        """
        entry = self._entries.get(name)
        if entry is None:
            try:
                self._roots.find(name)
            except NaiadError as error:
                raise InvalidArgument(f"failed to unload '{name}': {error}") from None
            return
        steps = entry.steps
        for dependent in self._dependents(name):
            self.unload(dependent.name)
        with entry.lock:
            entry.wanted = False
            entry.tried = None
            self._serving.stop(entry)
            if name in self._summonable:
                entry.rows = {}  # as if it had never been loaded
        if unload_dependents:
            for step in steps:
                self.unload(step, unload_dependents=True)

    def close(self) -> None:
        """Unloads all models. Idempotent."""
        with self._entries_lock:
            self._closed = True
            entries = list(self._entries.values())
        for entry in closing_order(entries):
            with entry.lock:
                self._serving.stop(entry)
        self._serving.close()

    def find(self, name: str, version: str = "") -> LoadedVersion:
        """The version that is served, the highest when none is named; ``version`` is a number or a label.

        Raises NotFound, NotReady, or InvalidArgument for what is neither.
        """
        entry = self._entries.get(name)
        if entry is None:
            check_version(version)
            raise NotFound(f"Request for unknown model: '{name}' is not found")
        return entry.find(version)

    def rollout(self, name: str) -> dict[str, Any]:
        """How the requests for a model are spread over its versions, as JSON. Raises NotFound."""
        return self._served_entry(name).rollout.to_json()

    def has_labels(self, name: str) -> bool:
        """Whether versions of the model have labels."""
        return name in self._entries and bool(self._entries[name].rollout.labels)

    def set_rollout(self, name: str, given: Mapping[str, Any]) -> None:
        """From now on requests are spread so (see ``rollout_from_json``), until the model is unloaded or its
        configuration asks for something else than before. Raises NotFound, or InvalidArgument when it names a
        version that is not served; nothing has changed then.
        """
        rollout = rollout_from_json(given)
        entry = self._served_entry(name)
        with entry.lock:
            self._serving.spread(entry, rollout)

    def roll_back(self, name: str) -> None:
        """Undoes the last ``set_rollout``. Raises NotFound, or InvalidArgument when there is none left."""
        entry = self._served_entry(name)
        with entry.lock:
            self._serving.spread_as_before(entry)

    def _served_entry(self, name: str) -> ModelEntry:
        self.find(name)
        return self._entries[name]

    def is_ready(self, name: str, version: str = "") -> bool:
        """Whether requests for the model are served; not while all its workers are started again. Raises
        NotFound for a model or version that is not there.
        """
        if self.must_summon(
            name
        ):  # Who waits for it to be ready before a first request must not do so for ever.
            return has_version(self._summonable[name], version)
        try:
            return self.find(name, version).model.healthy
        except NotReady:
            return False

    def all_ready(self) -> bool:
        """Whether every model that was asked for and not unloaded since is served."""
        return all(entry.served for entry in list(self._entries.values()) if entry.wanted)

    def entries(self) -> list[ModelEntry]:
        """All models that were ever dealt with, by name."""
        return sorted(self._entries.values(), key=lambda entry: entry.name)

    def loaded(self) -> list[LoadedVersion]:
        """All versions that are served, by name and version."""
        return [loaded for entry in self.entries() for loaded in entry.served]

    def index(self, ready_only: bool = False) -> list[IndexEntry]:
        """All models in the repositories, and their versions' states. Reads the directories."""
        rows = index_rows(
            self._roots.scan(),
            self._roots.elsewhere(),
            self._entries,
            self._summonable,
            self._failures.public,
        )
        return [row for row in rows if row.state == "READY"] if ready_only else rows

    def _try_load(self, name: str) -> str | None:
        """Why the load failed, or None."""
        try:
            self.load(name)
        except NaiadError as error:
            entry = self._entry(name)
            if not entry.rows:
                self._failures.refuse(entry, error)
            return str(error)
        return None

    def _entry(self, name: str) -> ModelEntry:
        with self._entries_lock:
            entry = self._entries.get(name)
            if entry is None:
                entry = ModelEntry(name)
                # Copied, so that who reads it without the lock never sees it change.
                self._entries = {**self._entries, name: entry}
            return entry

    def _check_open(self) -> None:
        if self._closed:
            raise Stopping("Server is stopping, no more models are loaded")
