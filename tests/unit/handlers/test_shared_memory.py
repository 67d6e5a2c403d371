"""Client shared memory on the control plane, with the core's own regions."""

from __future__ import annotations

from collections.abc import Iterator
from multiprocessing.shared_memory import SharedMemory as SharedObject
from pathlib import Path

import pytest

from naiad.engine import SharedRegions
from naiad.errors import AlreadyExists, InvalidArgument, NaiadError, NotFound, Unsupported
from naiad.handlers.control import ControlPlane
from naiad.handlers.shared_memory import SharedMemory
from naiad.settings import RepositorySettings, ServerSettings

from .test_control import FakeRepository


@pytest.fixture
def key() -> Iterator[str]:
    """The name of an object of 64 bytes."""
    made = SharedObject(create=True, size=64)
    yield made.name
    made.close()
    made.unlink()


@pytest.fixture
def memory() -> SharedMemory:
    return SharedMemory(SharedRegions())


def test_regions_come_and_go(memory: SharedMemory, key: str) -> None:
    assert memory.system_regions("") == []
    memory.register_system("a", key, 16, 32)
    memory.register_system("b", "/" + key.removeprefix("/"), 0, 64)
    a = {"name": "a", "key": key, "offset": 16, "byte_size": 32}
    assert memory.system_regions("a") == [a]
    assert [region["name"] for region in memory.system_regions("")] == ["a", "b"]
    with pytest.raises(AlreadyExists, match="shared memory region 'a' already in manager"):
        memory.register_system("a", key, 0, 64)
    memory.unregister_system("a")
    memory.unregister_system("a")
    with pytest.raises(NotFound, match="Unable to find system shared memory region: 'a'"):
        memory.system_regions("a")
    memory.unregister_system("")
    assert memory.system_regions("") == []


@pytest.mark.parametrize("size", [None, -1, 2**64, 1.0, "1", True])
def test_sizes_are_natural_numbers(memory: SharedMemory, key: str, size: object) -> None:
    with pytest.raises(InvalidArgument, match="'byte_size' should be an integer"):
        memory.register_system("r", key, 0, size)
    with pytest.raises(InvalidArgument, match="'offset' should be an integer"):
        memory.register_system("r", key, size, 1)


@pytest.mark.parametrize("wrong", [None, 1, ["k"], "\ud800"])
def test_a_key_is_a_string(memory: SharedMemory, wrong: object) -> None:
    with pytest.raises(InvalidArgument, match="'key' should be a string"):
        memory.register_system("r", wrong, 0, 1)


def test_a_region_has_a_name(memory: SharedMemory, key: str) -> None:
    with pytest.raises(InvalidArgument, match="1 to 1024 bytes, got 0"):
        memory.register_system("", key, 0, 1)


def test_regions_of_a_gpu_are_checked(memory: SharedMemory) -> None:
    assert memory.cuda_regions("") == []
    memory.unregister_cuda("")
    memory.unregister_cuda("r")
    with pytest.raises(NotFound, match="Unable to find cuda shared memory region: 'r'"):
        memory.cuda_regions("r")


def test_without_a_gpu_a_region_of_one_is_refused_by_a_sentence(
    memory: SharedMemory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("naiad.handlers.shared_memory.gpu_absence", lambda: "no GPU in this machine")
    with pytest.raises(Unsupported) as caught:
        memory.register_cuda("r", bytes(64), 0, 1)
    assert caught.value.message == (
        "failed to register CUDA shared memory region: 'r', GPUs not supported: no GPU in this machine"
    )


def test_what_is_said_of_a_region_of_a_gpu_is_checked(
    memory: SharedMemory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("naiad.handlers.shared_memory.gpu_absence", lambda: "")
    with pytest.raises(InvalidArgument, match="a handle of CUDA memory has 64 bytes, got 3"):
        memory.register_cuda("r", b"abc", 0, 1)
    with pytest.raises(
        InvalidArgument, match="'raw_handle' should be an object whose 'b64' is text in base64"
    ):
        memory.register_cuda("r", None, 0, 1)
    with pytest.raises(InvalidArgument, match="'device_id' should be an integer from 0 to 2147483647"):
        memory.register_cuda("r", bytes(64), -1, 1)
    with pytest.raises(InvalidArgument, match="'byte_size' should be an integer"):
        memory.register_cuda("r", bytes(64), 0, None)


def test_everything_is_refused_when_it_is_off() -> None:
    off = SharedMemory(None)
    for call in (
        lambda: off.system_regions(""),
        lambda: off.register_system("r", "k", 0, 1),
        lambda: off.unregister_system(""),
        lambda: off.cuda_regions(""),
        lambda: off.register_cuda("r", bytes(64), 0, 1),
        lambda: off.unregister_cuda("r"),
    ):
        with pytest.raises(NaiadError) as caught:
            call()
        assert isinstance(caught.value, Unsupported)
        assert caught.value.message == (
            "Client shared memory is disabled. Start the server with '--allow-client-shm=true' to enable."
        )


def test_the_extension_is_reported_where_it_acts() -> None:
    settings = ServerSettings(RepositorySettings((Path("/m"),)))
    for regions, reported in ((None, False), (SharedRegions(), True)):
        metadata = ControlPlane(FakeRepository(), settings, regions).server_metadata()
        assert ("system_shared_memory" in metadata["extensions"]) is reported
