"""Regions of shared memory, with a server that is played here."""

from __future__ import annotations

from collections.abc import Callable
from multiprocessing.shared_memory import SharedMemory
from typing import Any

import pytest

from naiad import protos
from naiad.config import ModelConfig
from naiad.errors import InvalidArgument, Unavailable
from naiad.loadgen.inputs import InputTensor
from naiad.loadgen.shared_memory import in_shared_memory
from naiad.loadgen.target import Target
from naiad.loadgen.wire import grpc_request

ROWS = [[InputTensor("x", "UINT8", (3,), b"abc")], [InputTensor("x", "UINT8", (2,), b"de")]]


class Server(Target):
    """Knows regions by their names."""

    def __init__(self, refusal: Callable[[str], str] = lambda name: "") -> None:
        super().__init__("h", 1, "m", "")
        self.regions: dict[str, str] = {}
        self.seen: list[str] = []
        self._refusal = refusal

    def register(self, region: str, key: str, size_bytes: int) -> None:
        if words := self._refusal(region):
            raise InvalidArgument(words)
        self.regions[region] = key.removeprefix("/")
        self.seen.append(self.regions[region])

    def unregister(self, region: str) -> None:
        if self.regions.pop(region, None) is None:
            raise Unavailable("it has gone")

    def config(self) -> ModelConfig:
        raise NotImplementedError

    def _statistics(self) -> dict[str, Any]:
        raise NotImplementedError


def exists(name: str) -> bool:
    try:
        SharedMemory(name).close()
    except FileNotFoundError:
        return False
    return True


def test_tensors_lie_in_regions() -> None:
    server = Server()
    with in_shared_memory(server, ROWS, ["y", "z"], 100) as (rows, places):
        for (given,), (tensor,) in zip(ROWS, rows, strict=True):
            assert tensor.place is not None
            memory = SharedMemory(server.regions[tensor.place.region])
            start = tensor.place.offset_bytes
            assert memory.buf is not None
            assert bytes(memory.buf[start : start + tensor.place.size_bytes]) == given.data
            memory.close()
        assert places["y"].region == places["z"].region
        assert places["z"].offset_bytes >= places["y"].size_bytes == 100
        request = protos.ModelInferRequest.FromString(grpc_request("m", "", rows[0], ["y"], places))
        assert list(request.raw_input_contents) == []
        told = request.outputs[0].parameters
        assert told["shared_memory_region"].string_param == places["y"].region
        assert told["shared_memory_byte_size"].int64_param == 100
    assert server.regions == {} and len(server.seen) == 2
    assert not any(map(exists, server.seen))


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError])
def test_nothing_is_left_after_an_error(error: type[BaseException]) -> None:
    server = Server()
    with pytest.raises(error), in_shared_memory(server, ROWS, ["y"], 100):
        raise error
    assert server.regions == {} and not any(map(exists, server.seen))


def test_a_server_that_refuses() -> None:
    disabled = "Start the server with '--allow-client-shm=true' to enable."
    for refusal, words in (
        (lambda name: disabled, "start it with --allow-client-shm=true"),
        (lambda name: "no room" if name.endswith("outputs") else "", "system: no room"),
    ):
        server = Server(refusal)
        with pytest.raises(InvalidArgument, match=words), in_shared_memory(server, ROWS, ["y"], 100):
            raise AssertionError
        assert server.regions == {} and not any(map(exists, server.seen))
