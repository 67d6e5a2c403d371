"""Builds the part of a server that needs no network: engine, backends, model repository."""

from __future__ import annotations

import logging
import os
import resource
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import psutil

from naiad.backends.registry import BackendRegistry
from naiad.engine import Engine, SharedRegions, Summons, gpu_absence, gpu_count
from naiad.remote.repositories import RemoteRepositories
from naiad.repository.folder_events import check_events, listen
from naiad.repository.gpu_memory import gpu_memory, require_gpus
from naiad.repository.model_repository import ModelRepository
from naiad.repository.model_services import EngineServices
from naiad.repository.on_demand import OnDemand
from naiad.repository.watch import RepositoryWatch
from naiad.settings import ServerSettings
from naiad.stores.redis_store import RedisStore

_log = logging.getLogger("naiad.composition")

_SHARE = 4
"""The tensor pool may take one part in so many of the memory, and so may requests under way."""
_CGROUP_LIMIT = Path("/sys/fs/cgroup/memory.max")


@dataclass(frozen=True, slots=True)
class Core:
    """Engine, repository and client shared memory, built for one another."""

    settings: ServerSettings
    """With the copies of remote repositories among the directories."""
    engine: Engine
    repository: ModelRepository
    shared_regions: SharedRegions | None
    """None: client shared memory is off."""
    response_store: RedisStore | None
    """None: answers are kept in memory alone, if at all."""
    watch: RepositoryWatch | None
    """Of poll mode; None in others."""
    on_demand: OnDemand | None
    """Of on-demand mode; None in others."""
    remote: RemoteRepositories | None
    """None: all repositories are directories of this machine."""

    @property
    def num_parked(self) -> Callable[[], int] | None:
        """Reads how many requests wait for their models to be loaded; None where none ever does."""
        return None if self.on_demand is None else self.on_demand.num_parked

    def load_models(self) -> None:
        """Loads what is to be loaded at start. Blocks; raises as ``ModelRepository.load_all``."""
        if self.on_demand is not None:
            # Before: a model that is loaded may ask for others.
            self.on_demand.start()
        passed_over = frozenset[str]() if self.watch is None else self.watch.begin()
        self.repository.load_all(passed_over)

    def keep_up(self) -> None:
        """In poll mode, has the models follow the repositories from now on."""
        if self.watch is not None:
            self.watch.start()

    def end_models(self) -> None:
        """Unloads all models, and loads none any more. Blocks; idempotent."""
        if self.watch is not None:
            self.watch.stop()
        if self.on_demand is not None:
            self.on_demand.stop()
        self.repository.close()

    def close(self) -> None:
        """Ends the models, then the engine and its store. Blocks until they are done. Idempotent."""
        self.end_models()
        if self.remote is not None:
            self.remote.close()
        self.engine.close()
        if self.response_store is not None:
            self.response_store.close()


def build_core(settings: ServerSettings) -> Core:
    """An engine and an empty repository; ``load_models`` fills it.

    Raises Unavailable when a store of answers or of models can not be reached, Unsupported without the
    library that reaches it, InvalidArgument for an address that is none.
    """
    if settings.repository.control_mode == "poll":
        check_events()
    remote = None
    if settings.repository.remote_repositories:
        remote = RemoteRepositories(
            settings.repository.remote_repositories, settings.repository.cache_directory, os.environ
        )
        settings = _with_copies(settings, remote)
    redis = settings.scheduling.redis
    store = None if redis is None else RedisStore(redis)
    shared_regions = SharedRegions() if settings.allow_client_shm else None
    engine = Engine(
        pool_bytes=settings.core.pool_bytes or memory_share_bytes(),
        # Memory is pinned for a GPU; without one there is nothing to pin it with.
        pinned_bytes=settings.core.pinned_bytes if gpu_count() else 0,
        max_tensor_bytes=settings.http.max_input_size_bytes,
        shared_regions=shared_regions,
        cache_bytes=settings.scheduling.cache_bytes,
        rate_limits=settings.scheduling.rate_limit_resources if settings.scheduling.rate_limit else None,
        response_store=None if store is None else store.queue,
        gpu_cache_bytes=_of_gpus_there(settings.core.gpu_cache_bytes),
    )
    backends = BackendRegistry(settings.repository.backend_config, pinned_bytes=settings.core.pinned_bytes)
    scheduling = replace(settings.scheduling, summaries=settings.metrics.summary_latencies)
    repository = ModelRepository(
        engine,
        backends,
        settings.repository,
        scheduling,
        refresh=(lambda name: None) if remote is None else remote.refresh,
        elsewhere=tuple if remote is None else remote.names,
        gpus=gpu_memory(settings.repository.gpu_limits, engine.gpu_usage),
    )
    if remote is not None:
        remote.keep(repository.folders)
    backends.connect(EngineServices(engine, repository, settings.repository.control_mode), engine)
    watch = None
    if settings.repository.control_mode == "poll":
        watch = RepositoryWatch(
            repository,
            settings.repository.model_repositories,
            linked=settings.repository.linked_repository,
            namespacing=settings.repository.namespacing,
            poll_s=settings.repository.poll_s,
            load_threads=settings.repository.load_threads,
            refresh=(lambda settled: None) if remote is None else remote.follow,
            listen=listen,
        )
    on_demand = None
    if settings.repository.control_mode == "ondemand":
        on_demand = OnDemand(
            Summons(engine),
            repository,
            load_threads=settings.repository.load_threads,
            poll_s=settings.repository.poll_s,
        )
    return Core(settings, engine, repository, shared_regions, store, watch, on_demand, remote)


def _with_copies(settings: ServerSettings, remote: RemoteRepositories) -> ServerSettings:
    """With the local copies of the remote repositories among the directories."""
    local = (*settings.repository.model_repositories, *remote.directories)
    return replace(settings, repository=replace(settings.repository, model_repositories=local))


def _of_gpus_there(sizes: Mapping[int, int]) -> Mapping[int, int]:
    """Raises InvalidArgument for a GPU that is not among those which are there. Without any the log says that
    the sizes have nothing to act on.
    """
    if not sizes:
        return {}
    count = gpu_count()
    if count == 0:
        _log.warning(
            "--cuda-memory-pool-byte-size has no effect, the core has no GPU here: %s", gpu_absence()
        )
        return {}
    require_gpus("--cuda-memory-pool-byte-size", sizes, count)
    return sizes


def memory_share_bytes() -> int:
    """A quarter of the memory this process may use: the machine's, its control group's, its own limit."""
    limits = [psutil.virtual_memory().total]
    try:
        text = _CGROUP_LIMIT.read_text().strip()
    except OSError:
        text = "max"
    if text.isdecimal():
        limits.append(int(text))
    address_space, _ = resource.getrlimit(resource.RLIMIT_AS)
    if address_space != resource.RLIM_INFINITY:
        limits.append(address_space)
    return min(limits) // _SHARE
