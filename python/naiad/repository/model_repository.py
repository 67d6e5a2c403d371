"""The models that should be served, and those that are: load, reload, unload, look up."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from pathlib import Path

from naiad.backends.registry import BackendRegistry
from naiad.engine import Engine, gpu_count
from naiad.errors import InvalidArgument, NaiadError, NotFound, NotReady, Stopping
from naiad.repository.entries import Entries
from naiad.repository.entry import ModelEntry, closing_order
from naiad.repository.eviction import Evictor
from naiad.repository.failures import Failures
from naiad.repository.fingerprint import Fingerprint, fingerprint
from naiad.repository.gpu_memory import GpuMemory
from naiad.repository.index import has_version, index_rows, names_at_start, versions_by_name
from naiad.repository.loader import LoadFailed, ModelLoader
from naiad.repository.measure import Measure
from naiad.repository.memory_budget import MemoryBudget
from naiad.repository.namespaces import FROM_A_LOAD, ambiguity, namespace_of, public_name
from naiad.repository.overrides import OverrideFolder
from naiad.repository.plan import Plan
from naiad.repository.rollout import configured_rollout
from naiad.repository.rollout_control import RolloutControl
from naiad.repository.roots import Roots
from naiad.repository.scan import ModelDirectory
from naiad.repository.served import IndexEntry, LoadedVersion
from naiad.repository.serving import Serving
from naiad.settings import RepositorySettings, SchedulingSettings

_log = logging.getLogger("naiad.repository")


class ModelRepository(RolloutControl):
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
        measure = Measure(gpus, exact=self.budget.is_limited, trim=engine.trim)
        super().__init__(Entries(), Serving(engine, self.budget, measure))
        self._loader = ModelLoader(
            engine,
            backends,
            self.find_step,
            auto_complete=settings.auto_complete,
            runs_code=settings.runs_code,
            config_name=settings.config_name,
            num_gpus=gpu_count() if num_gpus is None else num_gpus,
            scheduling=scheduling,
            budget=self.budget,
            measure=measure,
        )
        # Held while an ensemble is loaded together with the models of its steps: two that name each other
        # must not wait for one another.
        self._ensembles_lock = threading.RLock()
        self._roots = Roots(settings, refresh, elsewhere)
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
            self._failures.refuse(self._entries.of(name), error)
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
        try:
            keys = self._roots.keys(name, fresh=not files)
            if len(keys) > 1 and (files or config_json is not None):
                raise InvalidArgument(ambiguity(name, len(keys)))
        except NaiadError as error:
            raise InvalidArgument(f"failed to load '{name}': {error}") from None
        failures: list[NaiadError] = []
        for key in keys:
            try:
                self._load_key(key, config_json, files, summoned)
            except NaiadError as error:
                failures.append(error)
        if failures:
            raise failures[0]

    def _load_key(
        self, key: str, config_json: str | None, files: Mapping[str, bytes] | None, summoned: bool
    ) -> None:
        folder: OverrideFolder | None = None
        try:
            if files:
                namespace = namespace_of(key) or (FROM_A_LOAD if self._settings.namespacing else "")
                folder = OverrideFolder(public_name(key) if namespace else key, files, namespace)
                directory = folder.directory()
            else:
                directory = self._roots.find(key, fresh=True)
        except NaiadError as error:
            # Not NotFound: clients of the load call take that for a missing API.
            raise InvalidArgument(f"failed to load '{key}': {error}") from None
        entry = self._entries.of(directory.key)
        try:
            self._load_with_steps(entry, Plan(directory, config_json, folder, summoned=summoned))
        finally:
            if folder is not None and entry.folder is not folder:
                folder.remove()
        self._renew_dependents(directory.key)

    def summon(self, name: str) -> None:
        """Loads a model that a request wants, if it does not serve already. Blocks; raises as ``load``."""
        if not self._entries.of(name).served:
            self.load(name, summoned=True)

    def must_summon(self, name: str) -> bool:
        """Whether it does not serve, and ``summon`` would load it."""
        entry = self._entries.by_key.get(name)
        return name in self._summonable and not (entry is not None and entry.served)

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
        self._load_with_steps(self._entries.of(name), plan)
        self._renew_dependents(name)

    def tried(self, name: str) -> Fingerprint | None:
        """What the model's files were like at its last load, failed or not; None: none since an unload."""
        entry = self._entries.by_key.get(name)
        return None if entry is None else entry.tried

    def folders(self) -> list[Path]:
        """Where the models that are served lie."""
        return [entry.path for entry in self._entries.all() if entry.path is not None]

    def wanted(self) -> list[str]:
        """The models that were asked for and not unloaded since."""
        return [entry.name for entry in self._entries.all() if entry.wanted]

    def _load_with_steps(self, entry: ModelEntry, plan: Plan) -> None:
        entry.tried = plan.seen
        try:
            steps = self._steps(plan.directory, plan.config_json)
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
            entry = self._entries.of(step)
            held.enter_context(entry.held())
            if step in (name, *above) or entry.served:
                continue
            try:
                plan = Plan(self._roots.find(step, fresh=True), summoned=summoned)
                inner = self._steps(plan.directory, None)
                self._load_steps(step, inner, (name, *above), held, summoned)
                self._load(entry, plan, inner)
                if self._settings.namespacing:
                    self._renew_dependents(step)  # which may have had another one of this name
            except (NaiadError, LoadFailed):
                continue

    def _steps(self, directory: ModelDirectory, config_json: str | None) -> tuple[str, ...]:
        """The keys of the models that an ensemble needs, where these are clear. Raises LoadFailed."""
        keys = []
        for step in self._loader.steps(directory, config_json):
            # What is wrong with one that is not clear is told when the ensemble is compiled.
            with suppress(InvalidArgument, NotFound):
                keys.append(self._roots.step_key(directory.key, step))
        return tuple(keys)

    def _renew_dependents(self, name: str) -> None:
        """Ensembles are compiled for the models of their steps as these are now."""
        for entry in self._entries.users_of_name(name):
            with self._ensembles_lock, entry.lock:
                if not entry.served:
                    continue
                try:
                    directory = entry.folder.directory() if entry.folder else self._roots.find(entry.name)
                    seen = fingerprint(directory.path, entry.config_json)
                    steps = self._steps(directory, entry.config_json)
                    loaded = self._loader.load(directory, entry.config_json, seen)
                    self._serving.take_over(entry, tuple(loaded), entry.rollout)
                    entry.steps = steps
                except LoadFailed as failure:
                    self._serving.stop(entry)
                    self._failures.of_load(entry, failure)
                except NaiadError as error:
                    self._serving.stop(entry)
                    self._failures.refuse(entry, error)
            self._renew_dependents(entry.name)

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
        entries = self._entries.named(name)
        if not entries:
            try:
                for key in self._roots.keys(name):
                    self._roots.find(key)
            except NaiadError as error:
                raise InvalidArgument(f"failed to unload '{name}': {error}") from None
        for entry in entries:
            self._unload(entry, unload_dependents)

    def _unload(self, entry: ModelEntry, unload_dependents: bool) -> None:
        steps = entry.steps
        for dependent in self._entries.dependents(entry.name):
            self.unload(dependent.name)
        with entry.lock:
            entry.wanted = False
            entry.tried = None
            self._serving.stop(entry)
            if entry.name in self._summonable:
                entry.rows = {}  # as if it had never been loaded
        if unload_dependents:
            for step in steps:
                self.unload(step, unload_dependents=True)

    def close(self) -> None:
        """Unloads all models. Idempotent."""
        self._closed = True
        for entry in closing_order(self._entries.all()):
            with entry.lock:
                self._serving.stop(entry)
        self._serving.close()

    def find(self, name: str, version: str = "") -> LoadedVersion:
        """The version that is served, the highest when none is named; ``version`` is a number or a label.

        Raises NotFound, NotReady, or InvalidArgument for what is neither.
        """
        return self._entries.find(name, version)

    def find_step(self, ensemble: str, name: str, version: str) -> LoadedVersion:
        """The version that a step of an ensemble, known by its key, names. Raises as ``find``."""
        return self._entries.find(self._roots.step_key(ensemble, name), version)

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
        return all(entry.served for entry in self._entries.all() if entry.wanted)

    def entries(self) -> list[ModelEntry]:
        """All models that were ever dealt with, by name."""
        return self._entries.all()

    def loaded(self) -> list[LoadedVersion]:
        """All versions that are served, by name and version."""
        return [loaded for entry in self.entries() for loaded in entry.served]

    def index(self, ready_only: bool = False) -> list[IndexEntry]:
        """All models in the repositories, and their versions' states. Reads the directories."""
        rows = index_rows(
            self._roots.scan(),
            self._roots.elsewhere(),
            self._entries.by_key,
            self._summonable,
            self._failures.public,
        )
        return [row for row in rows if row.state == "READY"] if ready_only else rows

    def _try_load(self, name: str) -> str | None:
        """Why the load failed, or None."""
        try:
            self.load(name)
        except NaiadError as error:
            entry = self._entries.of(name)
            if not entry.rows:
                self._failures.refuse(entry, error)
            return str(error)
        return None

    def _check_open(self) -> None:
        if self._closed:
            raise Stopping("Server is stopping, no more models are loaded")
