"""What the API does about memory that clients share with the server. Any thread; nothing here waits."""

from __future__ import annotations

from typing import Any

from naiad.engine import SharedRegions, gpu_absence
from naiad.errors import InvalidArgument, Unsupported

Json = dict[str, Any]

_OFF = "Client shared memory is disabled. Start the server with '--allow-client-shm=true' to enable."
_MAX_INT32 = 2**31 - 1
_MAX_UINT64 = 2**64 - 1


class SharedMemory:
    """Registered regions. Without ``regions`` clients may share none, and every method raises Unsupported."""

    def __init__(self, regions: SharedRegions | None) -> None:
        self._system = regions

    @property
    def extensions(self) -> tuple[str, ...]:
        """The protocol extensions that act."""
        if self._system is None:
            return ()
        return ("system_shared_memory",) if gpu_absence() else ("system_shared_memory", "cuda_shared_memory")

    def system_regions(self, name: str) -> list[Json]:
        """One region, or all for "". Raises NotFound."""
        return [
            {"name": name, "key": key, "offset": offset, "byte_size": size}
            for name, key, offset, size in self._regions().list_system(name)
        ]

    def register_system(self, name: str, key: object, offset: object, byte_size: object) -> None:
        """Opens the POSIX shared memory object ``key``; ``offset`` and ``byte_size`` are bytes.

        Raises AlreadyExists, InvalidArgument, or Unavailable when there are too many.
        """
        regions = self._regions()
        if not isinstance(key, str) or not _is_text(key):
            raise InvalidArgument(f"registration of shared memory region '{name}': 'key' should be a string")
        start = _integer(name, "offset", offset, _MAX_UINT64)
        regions.register_system(name, key, start, _integer(name, "byte_size", byte_size, _MAX_UINT64))

    def unregister_system(self, name: str) -> None:
        """One region, or all for "". Requests that use it finish. An unknown one is no error."""
        self._regions().unregister_system(name)

    def cuda_regions(self, name: str) -> list[Json]:
        """One region, or all for "". Raises NotFound."""
        return [
            {"name": name, "device_id": device, "byte_size": size}
            for name, device, size in self._regions().list_gpu(name)
        ]

    def register_cuda(self, name: str, exported: bytes | None, device: object, byte_size: object) -> None:
        """Opens the allocation behind ``exported``, a cudaIpcMemHandle_t; None: what was sent is none.
        ``byte_size`` is bytes.

        Raises AlreadyExists, InvalidArgument, Unavailable when there are too many, Unsupported without a GPU.
        """
        regions = self._regions()
        if absence := gpu_absence():
            raise Unsupported(
                f"failed to register CUDA shared memory region: '{name}', GPUs not supported: {absence}"
            )
        if exported is None:
            raise InvalidArgument("'raw_handle' should be an object whose 'b64' is text in base64")
        number = _integer(name, "device_id", device, _MAX_INT32)
        regions.register_gpu(name, exported, number, _integer(name, "byte_size", byte_size, _MAX_UINT64))

    def unregister_cuda(self, name: str) -> None:
        """One region, or all for "". Requests that use it finish. An unknown one is no error."""
        self._regions().unregister_gpu(name)

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


def _integer(name: str, what: str, value: object, largest: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= largest:
        raise InvalidArgument(
            f"registration of shared memory region '{name}': "
            f"'{what}' should be an integer from 0 to {largest}"
        )
    return value
