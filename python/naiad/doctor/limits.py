"""What the system lets a server have: memory, processors, descriptors."""

from __future__ import annotations

import os
import resource
from dataclasses import dataclass
from pathlib import Path

import psutil

from naiad.doctor.finding import Finding
from naiad.settings import IoSettings

GROUP = "Limits"

DESCRIPTORS_WANTED = 3 * IoSettings().max_connections + 1024
"""Of a server with as many connections as it allows."""

_LEAST_LOCKED = 256 << 20
_DOCKER_SHM = 64 << 20
_LEAST_MEMORY = 1 << 30
_CGROUP = Path("/sys/fs/cgroup")


@dataclass(frozen=True)
class Limits:
    """A reading. None: no bound."""

    descriptors: int | None
    locked_bytes: int | None
    shm_bytes: int | None
    """Of /dev/shm; None: there is none."""
    memory_bytes: int
    """Of the machine."""
    cgroup_memory_bytes: int | None
    processors: int
    """That this process may run on."""
    cgroup_processors: float | None


def read_limits(cgroup: Path = _CGROUP, shm: Path = Path("/dev/shm")) -> Limits:
    """Those of this process."""
    return Limits(
        descriptors=_limit(resource.RLIMIT_NOFILE),
        locked_bytes=_limit(resource.RLIMIT_MEMLOCK),
        shm_bytes=_size(shm),
        memory_bytes=psutil.virtual_memory().total,
        cgroup_memory_bytes=_cgroup_memory(cgroup),
        processors=len(os.sched_getaffinity(0)),
        cgroup_processors=_cgroup_processors(cgroup),
    )


def check_limits(limits: Limits, *, gpu: bool) -> list[Finding]:
    """``gpu``: whether there is one, for which memory is locked."""
    return [
        _memory(limits),
        _processors(limits),
        _descriptors(limits),
        _locked(limits, gpu),
        _shm(limits),
    ]


def _memory(limits: Limits) -> Finding:
    own = limits.memory_bytes if limits.cgroup_memory_bytes is None else limits.cgroup_memory_bytes
    what = f"{size(own)}"
    if limits.cgroup_memory_bytes is not None:
        what += f" by the control group, of {size(limits.memory_bytes)}"
    if own < _LEAST_MEMORY:
        return Finding(GROUP, "memory", "warning", what, "docker run --memory=4g ...")
    return Finding(GROUP, "memory", "ok", what)


def _processors(limits: Limits) -> Finding:
    quota = limits.cgroup_processors
    if quota is None or quota >= limits.processors:
        return Finding(GROUP, "processors", "ok", str(limits.processors))
    # Frameworks start as many threads as they see processors, and these then wait for one another's share.
    threads = max(1, int(quota))
    return Finding(
        GROUP,
        "processors",
        "warning",
        f"{quota:g} by the control group, but {limits.processors} are seen",
        f"naiad serve --backend-config=onnxruntime,intra_op_thread_count={threads}, or docker run "
        f"--cpuset-cpus=0-{threads - 1}",
    )


def _descriptors(limits: Limits) -> Finding:
    if limits.descriptors is None or limits.descriptors >= DESCRIPTORS_WANTED:
        shown = "no bound" if limits.descriptors is None else str(limits.descriptors)
        return Finding(GROUP, "file descriptors", "ok", shown)
    connections = max(1, (limits.descriptors - 1024) // 3)
    return Finding(
        GROUP,
        "file descriptors",
        "warning",
        f"{limits.descriptors}, enough for about {connections} connections",
        f"ulimit -Hn {DESCRIPTORS_WANTED} (docker run --ulimit nofile={DESCRIPTORS_WANTED})",
    )


def _locked(limits: Limits, gpu: bool) -> Finding:
    if limits.locked_bytes is None:
        return Finding(GROUP, "memlock", "ok", "no bound")
    what = size(limits.locked_bytes)
    if not gpu:
        return Finding(GROUP, "memlock", "ok", f"{what}; counts with a GPU only")
    if limits.locked_bytes < _LEAST_LOCKED:
        return Finding(
            GROUP, "memlock", "warning", what, "ulimit -l unlimited (docker run --ulimit memlock=-1)"
        )
    return Finding(GROUP, "memlock", "ok", what)


def _shm(limits: Limits) -> Finding:
    name = "/dev/shm"
    if limits.shm_bytes is None:
        return Finding(GROUP, name, "warning", "not there", "mount -t tmpfs tmpfs /dev/shm")
    if limits.shm_bytes <= _DOCKER_SHM:
        # naiad's own memory has no name there; that of clients and of torch's data loaders has.
        what = f"{size(limits.shm_bytes)}: little for clients with shared memory"
        return Finding(GROUP, name, "warning", what, "docker run --shm-size=1g ...")
    return Finding(GROUP, name, "ok", size(limits.shm_bytes))


def size(count: int) -> str:
    """``1.5 GiB``."""
    amount, unit = float(count), "B"
    for unit in ("B", "KiB", "MiB", "GiB", "TiB"):  # noqa: B007
        if amount < 1024:
            break
        amount /= 1024
    return f"{amount:.0f} {unit}" if amount >= 10 or amount.is_integer() else f"{amount:.1f} {unit}"


def _limit(kind: int) -> int | None:
    """The hard one: a server raises its own soft one."""
    _, hard = resource.getrlimit(kind)
    return None if hard == resource.RLIM_INFINITY else hard


def _size(path: Path) -> int | None:
    try:
        found = os.statvfs(path)
    except OSError:
        return None
    return found.f_frsize * found.f_blocks


def _cgroup_memory(cgroup: Path) -> int | None:
    for name in ("memory.max", "memory/memory.limit_in_bytes"):
        text = _read(cgroup / name)
        # Version 1 writes "no bound" as a number near 2 to the 63rd.
        if text.isdecimal() and int(text) < 1 << 60:
            return int(text)
    return None


def _cgroup_processors(cgroup: Path) -> float | None:
    parts = _read(cgroup / "cpu.max").split()
    if len(parts) != 2:
        parts = [_read(cgroup / "cpu/cpu.cfs_quota_us"), _read(cgroup / "cpu/cpu.cfs_period_us")]
    if all(part.isdecimal() for part in parts) and int(parts[1]) > 0:
        return int(parts[0]) / int(parts[1])
    return None


def _read(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""
