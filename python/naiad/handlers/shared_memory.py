"""What the API does about memory that clients share with the server. Any thread; nothing here waits."""

from __future__ import annotations

from typing import Any

from naiad.engine import SharedRegions, gpu_absence
from naiad.errors import InvalidArgument, NotFound, Unsupported

Json = dict[str, Any]

_OFF = "Client shared memory is disabled. Start the server with '--allow-client-shm=true' to enable."
_MAX_UINT64 = 2**64 - 1


class SharedMemory:
    """Registered regions. Without ``regions`` clients may share none, and every method raises Unsupported."""

    def __init__(self, regions: SharedRegions | None) -> None:
        self._system = regions

    @property
    def extensions(self) -> tuple[str, ...]:
        """The protocol extensions that act."""
        return () if self._system is None else ("system_shared_memory",)

    def system_regions(self, name: str) -> list[Json]:
        """One region, or all for "". Raises NotFound."""
        return [
            {"name": name, "key": key, "offset": offset, "byte_size": size}
            for name, key, offset, size in self._regions().list(name)
        ]

    def register_system(self, name: str, key: object, offset: object, byte_size: object) -> None:
        """Opens the POSIX shared memory object ``key``; ``offset`` and ``byte_size`` are bytes.

        Raises AlreadyExists, InvalidArgument, or Unavailable when there are too many.
        """
        regions = self._regions()
        if not isinstance(key, str) or not _is_text(key):
            raise InvalidArgument(f"registration of shared memory region '{name}': 'key' should be a string")
        regions.register_system(name, key, _size(name, "offset", offset), _size(name, "byte_size", byte_size))

    def unregister_system(self, name: str) -> None:
        """One region, or all for "". Requests that use it finish. An unknown one is no error."""
        regions = self._regions()
        if name:
            regions.unregister(name)
        else:
            regions.unregister_all()

    def cuda_regions(self, name: str) -> list[Json]:
        """One region, or all for "": there are none. Raises NotFound."""
        self._regions()
        if name:
            raise NotFound(f"Unable to find cuda shared memory region: '{name}'")
        return []

    def register_cuda(self, name: str) -> None:
        """Raises Unsupported."""
        self._regions()
        absence = gpu_absence()
        reason = f"GPUs not supported: {absence}" if absence else "CUDA IPC is not supported by this version"
        raise Unsupported(f"failed to register CUDA shared memory region: '{name}', {reason}")

    def unregister_cuda(self, name: str) -> None:
        """Nothing is registered, and an unknown region is no error."""
        self._regions()

    def _regions(self) -> SharedRegions:
        if self._system is None:
            raise Unsupported(_OFF)
        return self._system


def _is_text(value: str) -> bool:
    """Whether it can be written as UTF-8: JSON can spell half of a character."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _size(name: str, what: str, value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= _MAX_UINT64:
        raise InvalidArgument(
            f"registration of shared memory region '{name}': '{what}' should be an integer from 0 to 2^64-1"
        )
    return value
