"""Builds the part of a server that needs no network: engine, backends, model repository."""

from __future__ import annotations

import resource
from dataclasses import dataclass
from pathlib import Path

import psutil

from naiad.backends.registry import BackendRegistry
from naiad.engine import Engine, SharedRegions, gpu_count
from naiad.repository.model_repository import ModelRepository
from naiad.repository.model_services import EngineServices
from naiad.settings import ServerSettings
from naiad.stores.redis_store import RedisStore

_POOL_SHARE = 4
"""The tensor pool may take one part in so many of the memory."""
_CGROUP_LIMIT = Path("/sys/fs/cgroup/memory.max")


@dataclass(frozen=True, slots=True)
class Core:
    """Engine, repository and client shared memory, built for one another."""

    engine: Engine
    repository: ModelRepository
    shared_regions: SharedRegions | None
    """None: client shared memory is off."""
    response_store: RedisStore | None
    """None: answers are kept in memory alone, if at all."""

    def close(self) -> None:
        """Ends the models, then the engine and its store. Blocks until they are done. Idempotent."""
        self.repository.close()
        self.engine.close()
        if self.response_store is not None:
            self.response_store.close()


def build_core(settings: ServerSettings) -> Core:
    """An engine and an empty repository; ``repository.load_all()`` fills it.

    Raises Unavailable when a store of answers can not be reached, Unsupported without its client library.
    """
    redis = settings.scheduling.redis
    store = None if redis is None else RedisStore(redis)
    shared_regions = SharedRegions() if settings.allow_client_shm else None
    engine = Engine(
        pool_bytes=settings.core.pool_bytes or default_pool_bytes(),
        # Memory is pinned for a GPU; without one there is nothing to pin it with.
        pinned_bytes=settings.core.pinned_bytes if gpu_count() else 0,
        max_tensor_bytes=settings.http.max_input_size_bytes,
        shared_regions=shared_regions,
        cache_bytes=settings.scheduling.cache_bytes,
        rate_limits=settings.scheduling.rate_limit_resources if settings.scheduling.rate_limit else None,
        response_store=None if store is None else store.queue,
    )
    backends = BackendRegistry(settings.repository.backend_config)
    repository = ModelRepository(engine, backends, settings.repository, settings.scheduling)
    backends.connect(EngineServices(engine, repository, settings.repository.control_mode), engine)
    return Core(engine, repository, shared_regions, store)


def default_pool_bytes() -> int:
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
    return min(limits) // _POOL_SHARE
