"""Tensors in memory that this process shares with a server of the same machine."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from itertools import count
from multiprocessing.shared_memory import SharedMemory

from naiad.errors import InvalidArgument, NaiadError
from naiad.loadgen.inputs import InputTensor, Place
from naiad.loadgen.target import Target

_ALIGNMENT = 64
_numbers = count()


@contextmanager
def in_shared_memory(
    target: Target, requests: Sequence[Sequence[InputTensor]], outputs: Sequence[str], output_bytes: int
) -> Iterator[tuple[list[list[InputTensor]], dict[str, Place]]]:
    """Requests with their inputs in one region, and for each output its place in another one, of
    ``output_bytes``. All requests have the same places, so that outputs of one lie over those of another:
    nobody reads them. Regions are registered with the server inside of the block. Raises InvalidArgument
    where the server refuses them.
    """
    with ExitStack() as stack:
        size_bytes = sum(_aligned(len(tensor.data)) for request in requests for tensor in request)
        inputs_at = stack.enter_context(_region(target, "inputs", size_bytes))
        content = inputs_at.memory.buf
        assert content is not None
        placed, offset = [], 0
        for request in requests:
            row = []
            for tensor in request:
                end = offset + len(tensor.data)
                content[offset:end] = tensor.data
                row.append(replace(tensor, place=Place(inputs_at.name, offset, len(tensor.data))))
                offset += _aligned(len(tensor.data))
            placed.append(row)
        each = _aligned(output_bytes)
        outputs_at = stack.enter_context(_region(target, "outputs", each * len(outputs)))
        places = {
            name: Place(outputs_at.name, each * index, output_bytes) for index, name in enumerate(outputs)
        }
        yield placed, places


@dataclass(frozen=True)
class _Region:
    """Known to the server by ``name``."""

    name: str
    memory: SharedMemory


@contextmanager
def _region(target: Target, what: str, size_bytes: int) -> Iterator[_Region]:
    name = f"naiad-bench-{os.getpid()}-{next(_numbers)}-{what}"
    memory = SharedMemory(name, create=True, size=max(1, size_bytes))
    try:
        try:
            _register(target, name, memory)
            yield _Region(name, memory)
        finally:
            _let_go(target, name)
    finally:
        memory.close()
        memory.unlink()


def _register(target: Target, name: str, memory: SharedMemory) -> None:
    try:
        target.register(name, f"/{memory.name}", memory.size)
    except InvalidArgument as error:
        if "allow-client-shm" in str(error):
            raise InvalidArgument(
                "--shared-memory system: this server takes no shared memory of clients; start it with "
                "--allow-client-shm=true"
            ) from None
        raise InvalidArgument(f"--shared-memory system: {error}") from None


def _let_go(target: Target, name: str) -> None:
    """Also of what may not have been registered; a server that has gone meanwhile has let go of it too."""
    try:
        target.unregister(name)
    except NaiadError:
        return


def _aligned(size_bytes: int) -> int:
    return -(-size_bytes // _ALIGNMENT) * _ALIGNMENT
