"""What of a model is served: new versions take over from old ones, and requests are spread over them."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence

from naiad.engine import Engine
from naiad.errors import InvalidArgument, NaiadError
from naiad.repository.entry import ModelEntry
from naiad.repository.loader import LoadFailed
from naiad.repository.measure import Measure
from naiad.repository.memory import Trimmer
from naiad.repository.memory_budget import MemoryBudget
from naiad.repository.namespaces import PublicNames
from naiad.repository.rollout import Rollout
from naiad.repository.served import LoadedVersion, State

_log = logging.getLogger("naiad.repository")

_ROLLOUTS_KEPT = 16


class Serving:
    """Changes what the engine serves. Any thread that holds the lock of the entry."""

    def __init__(
        self, engine: Engine, budget: MemoryBudget | None = None, measure: Measure | None = None
    ) -> None:
        self._engine = engine
        self._names = PublicNames(engine)
        self._budget = budget or MemoryBudget()
        self._measure = measure or Measure(trim=engine.trim)
        self._trimmer = Trimmer(self._measure.trim)

    def take_over(self, entry: ModelEntry, loaded: tuple[LoadedVersion, ...], rollout: Rollout) -> None:
        """In the same moment the new versions take over and requests are spread as ``rollout`` says; then
        what the old ones were doing is waited for. Raises LoadFailed when ``rollout`` names versions that are
        not there: the new ones have ended then, and all is as before.
        """
        old = entry.served
        new_ones = [version for version in loaded if not _runs_in(version, old)]
        try:
            self._publish(entry.name, loaded, rollout)
        except NaiadError as error:
            self._end(new_ones, drain=False)
            raise LoadFailed(None, error) from error
        entry.served = loaded
        self._budget.note_serving([version.claim for version in new_ones], True)
        served = {version.version for version in loaded}
        rows: dict[int | None, tuple[State, str]] = dict.fromkeys(served, ("READY", ""))
        gone = {version.version for version in old} - served
        entry.rows = rows | dict.fromkeys(gone, ("UNLOADING", ""))
        for version in new_ones:
            _log.info("successfully loaded '%s' version %d", version.name, version.version)
        self._end([version for version in old if not _runs_in(version, loaded)])
        entry.rows = rows | dict.fromkeys(gone, ("UNAVAILABLE", "unloaded"))

    def check_before(
        self, entry: ModelEntry, loaded: tuple[LoadedVersion, ...], check: Callable[[], None]
    ) -> None:
        """When ``check`` raises, ends versions that are loaded and do not serve yet, and raises that."""
        try:
            check()
        except LoadFailed:
            self._end([version for version in loaded if not _runs_in(version, entry.served)], drain=False)
            raise

    def stop(self, entry: ModelEntry) -> None:
        """Serves nothing of it any more, and blocks until what it was doing is done. Idempotent."""
        old = entry.served
        if not old:
            return
        self._names.publish(entry.name, [])
        self._budget.note_serving([version.claim for version in old], False)
        entry.served = ()
        entry.fingerprint = None
        entry.steps = ()
        entry.configured, entry.rollouts = Rollout(), ()
        entry.rows = {version.version: ("UNLOADING", "") for version in old}
        self._end(old)
        entry.rows = {version.version: ("UNAVAILABLE", "unloaded") for version in old}
        entry.keep_folder(None)
        entry.path = None
        _log.info("successfully unloaded '%s'", entry.name)

    def pause(self, entry: ModelEntry) -> None:
        """Has requests for it wait, if it may be summoned, until ``resume`` or until it is loaded again."""
        self._names.publish(entry.name, [])

    def resume(self, entry: ModelEntry) -> None:
        """It serves as before ``pause``, those that wait first."""
        self._publish(entry.name, entry.served, entry.rollout)

    def refuse(self, entry: ModelEntry, version: int | None, reason: str) -> None:
        """Shows why nothing of it is served."""
        self._names.publish(entry.name, [])
        entry.rows = {version: ("UNAVAILABLE", reason)}

    def spread(self, entry: ModelEntry, rollout: Rollout) -> None:
        """From now on requests are spread so. Raises InvalidArgument when that names a version which is not
        served; nothing has changed then.
        """
        self._publish(entry.name, entry.served, rollout)
        entry.rollouts = (*entry.rollouts, rollout)[-_ROLLOUTS_KEPT:]
        _log.info("requests for '%s' are spread anew: %s", entry.name, rollout.to_json())

    def spread_as_before(self, entry: ModelEntry) -> None:
        """Undoes the last ``spread``. Raises InvalidArgument when there is none left."""
        if not entry.rollouts:
            raise InvalidArgument(
                f"the rollout of model '{entry.name}' has not been changed: there is nothing to undo"
            )
        before = entry.rollouts[-2] if len(entry.rollouts) > 1 else entry.configured
        self._publish(entry.name, entry.served, before)
        entry.rollouts = entry.rollouts[:-1]
        _log.info("requests for '%s' are spread as before: %s", entry.name, before.to_json())

    def close(self) -> None:
        """Nothing is changed any more."""
        self._trimmer.close()

    def _publish(self, name: str, versions: Sequence[LoadedVersion], rollout: Rollout) -> None:
        models = [version.model for version in versions]
        if not rollout:
            self._names.publish(name, models)
            return
        routes = rollout.routes((version.version for version in versions), name)
        self._names.publish(name, models, routes)

    def _end(self, versions: Iterable[LoadedVersion], *, drain: bool = True) -> None:
        for version in versions:
            with self._measure.ending(version.config, version.model):
                self._engine.stop(version.model, drain=drain)
            self._budget.release(version.claim)
            self._trimmer.ask()


def _runs_in(version: LoadedVersion, others: Iterable[LoadedVersion]) -> bool:
    return any(version.model is other.model for other in others)
