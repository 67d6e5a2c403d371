"""Client shared memory: Triton's own clients over both protocols, and what is refused."""

from __future__ import annotations

import itertools
import json
import os
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tritonclient.grpc as grpc_client
import tritonclient.http as http_client
import tritonclient.utils.shared_memory as shm
from numpy.typing import NDArray
from tritonclient.utils import InferenceServerException, serialize_byte_tensor

from .conftest import GATED, GATED_MODEL, IDENTITY, STRINGS, ServerProcess, Start, write_model

OFF = "Client shared memory is disabled. Start the server with '--allow-client-shm=true' to enable."
_numbers = itertools.count()


@dataclass
class Region:
    """A shared memory object of this process."""

    name: str
    key: str
    handle: Any
    size_bytes: int

    def write(self, array: NDArray[Any], offset: int = 0) -> None:
        shm.set_shared_memory_region(self.handle, [array], offset=offset)

    def read(self, dtype: Any, shape: list[int], offset: int = 0) -> NDArray[Any]:
        return np.array(shm.get_contents_as_numpy(self.handle, dtype, shape, offset=offset))

    def file_bytes(self) -> int:
        return Path(f"/dev/shm{self.key}").stat().st_size

    def truncate(self, size_bytes: int) -> None:
        os.truncate(f"/dev/shm{self.key}", size_bytes)


@pytest.fixture(scope="module")
def gate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("gate") / "gate"


@pytest.fixture(scope="module")
def sharing(start_server: Start, tmp_path_factory: pytest.TempPathFactory, gate: Path) -> ServerProcess:
    """A server that takes client shared memory."""
    path = tmp_path_factory.mktemp("models")
    write_model(path, "identity", IDENTITY)
    write_model(path, "strings", STRINGS)
    write_model(path, "gated", GATED.replace("@GATE@", str(gate)), GATED_MODEL)
    return start_server(path, "--allow-client-shm=true")


@pytest.fixture
def region(sharing: ServerProcess) -> Iterator[Callable[[int], Region]]:
    """Makes objects; all are unregistered and unlinked afterwards."""
    made: list[Region] = []

    def make(size_bytes: int) -> Region:
        number = next(_numbers)
        name, key = f"region_{number}", f"/naiad_it_{os.getpid()}_{number}"
        made.append(Region(name, key, shm.create_shared_memory_region(name, key, size_bytes), size_bytes))
        return made[-1]

    yield make
    sharing.call("POST", "/v2/systemsharedmemory/unregister")
    for one in made:
        shm.destroy_shared_memory_region(one.handle)


@pytest.fixture(params=["http", "grpc"])
def kit(request: pytest.FixtureRequest, sharing: ServerProcess) -> Iterator[tuple[Any, Any]]:
    """Triton's client and its module, of each protocol."""
    module, address = (http_client, sharing.http) if request.param == "http" else (grpc_client, sharing.grpc)
    client = module.InferenceServerClient(address)
    yield client, module
    client.close()


def register(server: ServerProcess, name: str, **registration: Any) -> tuple[int, object]:
    return server.json("POST", f"/v2/systemsharedmemory/region/{name}/register", registration)


def error(answer: tuple[int, object]) -> str:
    assert isinstance(answer[1], dict)
    return str(answer[1]["error"])


def place(name: str, size: int, offset: int = 0) -> dict[str, object]:
    return {
        "shared_memory_region": name,
        "shared_memory_byte_size": size,
        "shared_memory_offset": offset,
    }


def infer(server: ServerProcess, source: dict[str, object], shape: list[int], **output: Any) -> Any:
    request: dict[str, Any] = {
        "inputs": [{"name": "INPUT0", "shape": shape, "datatype": "FP32", "parameters": source}]
    }
    if output:
        request["outputs"] = [{"name": "OUTPUT0", "parameters": output}]
    return server.json("POST", "/v2/models/identity/infer", request)


def test_tensors_both_ways(kit: tuple[Any, Any], region: Callable[[int], Region]) -> None:
    client, module = kit
    both = region(16384)
    # A region that does not begin at a page, and tensors that do not begin where it does.
    client.register_system_shared_memory(both.name, both.key, both.size_bytes - 4100, offset=4100)
    data = np.arange(12, dtype=np.float32).reshape(2, 6)
    both.write(data, 4100 + 16)
    source = module.InferInput("INPUT0", [2, 6], "FP32")
    source.set_shared_memory(both.name, data.nbytes, offset=16)
    target = module.InferRequestedOutput("OUTPUT0")
    target.set_shared_memory(both.name, 64, offset=8192)
    for step in range(3):
        both.write(data + step, 4100 + 16)
        result = client.infer("identity", [source], outputs=[target])
        np.testing.assert_array_equal(both.read(np.float32, [2, 6], 4100 + 8192), data + step)
        output = result.get_output("OUTPUT0")
        if module is http_client:
            assert output == {"name": "OUTPUT0", "datatype": "FP32", "shape": [2, 6]}
        else:
            assert list(output.shape) == [2, 6] and not output.parameters
            assert list(result.get_response().raw_output_contents) == [b""]

    # One side alone.
    plain = module.InferInput("INPUT0", [2, 6], "FP32")
    plain.set_data_from_numpy(data)
    client.infer("identity", [plain], outputs=[target])
    np.testing.assert_array_equal(both.read(np.float32, [2, 6], 4100 + 8192), data)
    np.testing.assert_array_equal(client.infer("identity", [source]).as_numpy("OUTPUT0"), data + 2)


def test_strings(kit: tuple[Any, Any], region: Callable[[int], Region]) -> None:
    client, module = kit
    one = region(256)
    client.register_system_shared_memory(one.name, one.key, 256)
    data = np.array([b"a", b"", "\u00fc".encode()], dtype=object)
    wire = serialize_byte_tensor(data)
    assert wire is not None
    one.write(wire)
    source = module.InferInput("INPUT0", [3], "BYTES")
    source.set_shared_memory(one.name, len(wire.item()))
    target = module.InferRequestedOutput("OUTPUT0")
    target.set_shared_memory(one.name, 100, offset=100)
    client.infer("strings", [source], outputs=[target])
    assert list(one.read(np.object_, [3], 100)) == list(data)


def test_large_tensors(kit: tuple[Any, Any], region: Callable[[int], Region]) -> None:
    client, module = kit
    size_bytes = 80 << 20  # more than a request body may have
    one, other = region(size_bytes), region(size_bytes)
    data = np.random.default_rng(1).random((1, size_bytes // 4), dtype=np.float32)
    one.write(data)
    for each in (one, other):
        client.register_system_shared_memory(each.name, each.key, size_bytes)
    source = module.InferInput("INPUT0", list(data.shape), "FP32")
    source.set_shared_memory(one.name, size_bytes)
    target = module.InferRequestedOutput("OUTPUT0")
    target.set_shared_memory(other.name, size_bytes)
    client.infer("identity", [source], outputs=[target])
    np.testing.assert_array_equal(other.read(np.float32, list(data.shape)), data)


def test_registering(kit: tuple[Any, Any], region: Callable[[int], Region]) -> None:
    client, module = kit
    one, other = region(64), region(64)
    client.register_system_shared_memory(one.name, one.key, 32, offset=8)
    client.register_system_shared_memory(other.name, other.key[1:], 64)
    with pytest.raises(
        InferenceServerException, match=f"shared memory region '{one.name}' already in manager"
    ):
        client.register_system_shared_memory(one.name, one.key, 32)
    wanted = {"name": one.name, "key": one.key, "offset": 8, "byte_size": 32}
    if module is http_client:
        assert client.get_system_shared_memory_status(one.name) == [wanted]
        assert {row["name"] for row in client.get_system_shared_memory_status()} == {one.name, other.name}
    else:
        row = client.get_system_shared_memory_status(one.name).regions[one.name]
        assert {"name": row.name, "key": row.key, "offset": row.offset, "byte_size": row.byte_size} == wanted
        assert set(client.get_system_shared_memory_status().regions) == {one.name, other.name}
    client.unregister_system_shared_memory(one.name)
    client.unregister_system_shared_memory(one.name)
    with pytest.raises(
        InferenceServerException, match="Unable to find system shared memory region"
    ) as caught:
        client.get_system_shared_memory_status(one.name)
    assert caught.value.status() in ("404", "StatusCode.NOT_FOUND")
    client.unregister_system_shared_memory()
    status = client.get_system_shared_memory_status()
    assert not (status if module is http_client else status.regions)


def test_gpu_regions(kit: tuple[Any, Any], sharing: ServerProcess) -> None:
    client, module = kit
    status = client.get_cuda_shared_memory_status()
    assert not (status if module is http_client else status.regions)
    client.unregister_cuda_shared_memory()
    client.unregister_cuda_shared_memory("r")
    with pytest.raises(InferenceServerException, match="Unable to find cuda shared memory region: 'r'"):
        client.get_cuda_shared_memory_status("r")
    with pytest.raises(
        InferenceServerException, match="failed to register CUDA shared memory region: 'r', "
    ) as caught:
        client.register_cuda_shared_memory("r", b"AAAA", 0, 64)
    assert caught.value.status() in ("501", "StatusCode.UNIMPLEMENTED")


def test_registrations_that_are_refused(sharing: ServerProcess, region: Callable[[int], Region]) -> None:
    one = region(4096)
    for key in ("", "/", "/" + one.key, one.key + "/", "/." + one.key, "..", "../shm" + one.key,
                one.key + "\0", "\0", "x" * 256, "triton_python_backend_shm_region_1",
                "/triton_python_backend_shm_region_1", "\ud800"):  # fmt: skip
        answer = register(sharing, "r", key=key, byte_size=64)
        assert answer[0] == 400, key
        assert "shared memory region 'r'" in error(answer)
    answer = register(sharing, "r", key="naiad_no_such_object", byte_size=64)
    assert (answer[0], error(answer)) == (400, "Unable to open shared memory region: 'r'")
    for offset, size in [
        (0, 4097), (4096, 1), (1, 4096), (0, 0), (2**64 - 32, 64), (32, 2**64 - 32), (2**63, 2**63),
        (2**64 - 1, 1), (0, 2**64 - 1),
    ]:  # fmt: skip
        answer = register(sharing, "r", key=one.key, offset=offset, byte_size=size)
        assert (answer[0], error(answer)) == (
            400,
            "failed to register shared memory region 'r': invalid args",
        )
    for registration in (
        {}, {"key": one.key}, {"key": 1, "byte_size": 1}, {"key": one.key, "byte_size": -1},
        {"key": one.key, "byte_size": 2**64}, {"key": one.key, "byte_size": True},
        {"key": one.key, "byte_size": 1.5}, {"key": one.key, "byte_size": 1, "offset": "0"},
    ):  # fmt: skip
        assert register(sharing, "r", **registration)[0] == 400
    assert sharing.json("GET", "/v2/systemsharedmemory/status") == (200, [])
    assert sharing.call("POST", "/v2/systemsharedmemory/register", "{}")[0] == 404
    assert sharing.call("GET", "/v2/systemsharedmemory/region/r/register")[0] == 405


def test_uses_that_are_refused(sharing: ServerProcess, region: Callable[[int], Region]) -> None:
    one = region(4096)
    name = one.name
    assert register(sharing, name, key=one.key, byte_size=128)[0] == 200
    for source, status, message in [
        (place("none", 64), 404, "Unable to find shared memory region: 'none'"),
        (place(name, 64, 128), 400, f"Invalid offset for shared memory region: '{name}'"),
        (place(name, 64, 65), 400, f"Invalid offset + byte size for shared memory region: '{name}'"),
        (place(name, 2**64 - 32, 32), 400, f"Invalid offset + byte size for shared memory region: '{name}'"),
        (place(name, 60), 400, "input byte size mismatch for input 'INPUT0' for model 'identity'. Expec"),
        ({"shared_memory_region": name}, 400, "'shared_memory_byte_size' must be specified along with"),
        ({"shared_memory_byte_size": 64}, 400, "'shared_memory_region' must be specified along with"),
        (place(name, 64) | {"binary_data_size": 64}, 400, "input 'INPUT0' has both 'binary_data_size' and"),
    ]:  # fmt: skip
        answer = infer(sharing, source, [1, 16])
        assert answer[0] == status
        assert error(answer).startswith(message)
    fine = place(name, 64)
    for output, status, message in [
        (place(name, 8), 500, "shared memory size specified with the request for output 'OUTPUT0' (8 bytes)"
                              " should be at least 64 bytes to hold the results"),
        (place("none", 64), 404, "Unable to find shared memory region: 'none'"),
        (place(name, 64, 100), 400, f"Invalid offset + byte size for shared memory region: '{name}'"),
        (place(name, 64) | {"classification": 1}, 400, "output 'OUTPUT0' asks for shared memory and for"),
        (place(name, 64) | {"binary_data": True}, 400, "output 'OUTPUT0' asks for shared memory and for"),
    ]:  # fmt: skip
        answer = infer(sharing, fine, [1, 16], **output)
        assert (answer[0], error(answer)[: len(message)]) == (status, message)
    assert infer(sharing, fine, [1, 16], **place(name, 64, 64))[0] == 200


def test_a_client_that_shrinks_its_object(sharing: ServerProcess, region: Callable[[int], Region]) -> None:
    one, other = region(1 << 20), region(1 << 20)
    for each in (one, other):
        assert register(sharing, each.name, key=each.key, byte_size=1 << 20)[0] == 200
    shape = [1, 1 << 18]
    one.truncate(4096)
    answer = infer(sharing, place(one.name, 1 << 20), shape)
    assert answer[0] == 400
    assert "is smaller than it was when it was registered" in error(answer)
    answer = infer(sharing, place(other.name, 1 << 20), shape, **place(one.name, 1 << 20))
    assert answer[0] == 400
    assert one.file_bytes() == 4096
    one.truncate(1 << 20)
    assert infer(sharing, place(other.name, 1 << 20), shape, **place(one.name, 1 << 20))[0] == 200


def test_unregistering_what_is_in_use(
    sharing: ServerProcess, region: Callable[[int], Region], gate: Path
) -> None:
    one, other = region(64), region(64)
    assert register(sharing, one.name, key=one.key, byte_size=64)[0] == 200
    one.write(np.array([41], np.int32))
    request = {
        "inputs": [
            {"name": "INPUT0", "shape": [1], "datatype": "INT32", "parameters": place(one.name, 4)},
        ],
        "outputs": [{"name": "OUTPUT0", "parameters": place(one.name, 4, 32)}],
    }
    answers: list[tuple[int, object]] = []
    waiting = threading.Thread(
        target=lambda: answers.append(sharing.json("POST", "/v2/models/gated/infer", request))
    )
    waiting.start()
    entered = Path(f"{gate}.entered")
    while not entered.exists():
        time.sleep(0.005)
    assert sharing.json("POST", f"/v2/systemsharedmemory/region/{one.name}/unregister")[0] == 200
    assert sharing.json("GET", f"/v2/systemsharedmemory/region/{one.name}/status")[0] == 404
    # The name stands for another object before the answer is written.
    assert register(sharing, one.name, key=other.key, byte_size=64)[0] == 200
    gate.touch()
    waiting.join(60)
    assert answers and answers[0][0] == 200, answers
    assert one.read(np.int32, [1], 32)[0] == 41
    assert other.read(np.int32, [1], 32)[0] == 0


def test_requests_beside_registrations(sharing: ServerProcess, region: Callable[[int], Region]) -> None:
    one = region(4096)
    data = np.arange(512, dtype=np.float32)
    one.write(data)
    statuses: set[int] = set()
    wrong: list[object] = []
    done = threading.Event()

    def use() -> None:
        connection = sharing.connect()
        body = json.dumps(
            {
                "inputs": [
                    {
                        "name": "INPUT0",
                        "shape": [1, 512],
                        "datatype": "FP32",
                        "parameters": place(one.name, 2048),
                    }
                ]
            }
        )
        while not done.is_set():
            connection.request("POST", "/v2/models/identity/infer", body)
            response = connection.getresponse()
            answer = json.loads(response.read())
            statuses.add(response.status)
            if response.status == 200 and answer["outputs"][0]["data"] != data.tolist():
                wrong.append(answer)
        connection.close()

    users = [threading.Thread(target=use) for _ in range(2)]
    for user in users:
        user.start()
    rounds = 0
    while rounds < 200 or len(statuses) < 2:
        register(sharing, one.name, key=one.key, byte_size=4096)
        sharing.call("POST", f"/v2/systemsharedmemory/region/{one.name}/unregister")
        rounds += 1
    done.set()
    for user in users:
        user.join()
    assert not wrong
    assert statuses == {200, 404}


def test_extension_is_reported(sharing: ServerProcess, server: ServerProcess) -> None:
    for one, reported in ((sharing, True), (server, False)):
        _, metadata = one.json("GET", "/v2")
        assert isinstance(metadata, dict)
        assert ("system_shared_memory" in metadata["extensions"]) is reported


@pytest.mark.parametrize("kind", ["system", "cuda"])
def test_off_by_default(server: ServerProcess, kind: str) -> None:
    for method, path in (
        ("GET", "/status"), ("GET", "/region/r/status"), ("POST", "/region/r/register"),
        ("POST", "/region/r/unregister"), ("POST", "/unregister"),
    ):  # fmt: skip
        answer = server.json(method, f"/v2/{kind}sharedmemory{path}", {} if method == "POST" else None)
        assert (answer[0], error(answer)) == (501, OFF)


def test_requests_are_refused_by_default(server: ServerProcess) -> None:
    for answer in (
        infer(server, place("r", 64), [1, 16]),
        infer(server, {"binary_data_size": 0}, [1, 0], **place("r", 64)),
    ):
        assert (answer[0], error(answer)) == (501, OFF)
    with grpc_client.InferenceServerClient(server.grpc) as client:
        for call in (
            lambda: client.get_system_shared_memory_status(),
            lambda: client.register_system_shared_memory("r", "k", 1),
            lambda: client.unregister_system_shared_memory(),
            lambda: client.get_cuda_shared_memory_status(),
            lambda: client.register_cuda_shared_memory("r", b"AAAA", 0, 1),
            lambda: client.unregister_cuda_shared_memory(),
        ):
            with pytest.raises(InferenceServerException) as caught:
                call()
            assert (caught.value.status(), caught.value.message()) == ("StatusCode.UNIMPLEMENTED", OFF)
