"""The in-process API over the running core."""

from __future__ import annotations

import asyncio
import runpy
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import naiad
from naiad.errors import InvalidArgument, NotFound, Stopping

CONFIG = """
backend: "identity" max_batch_size: 16 dynamic_batching { }
input [ { name: "x" data_type: TYPE_FP32 dims: [ -1 ] }, { name: "s" data_type: TYPE_STRING dims: [ 1 ] } ]
output [ { name: "y" data_type: TYPE_FP32 dims: [ -1 ] }, { name: "t" data_type: TYPE_STRING dims: [ 1 ] } ]
"""


def write(root: Path, name: str, *versions: int, config: str = CONFIG) -> None:
    for version in versions:
        (root / name / str(version)).mkdir(parents=True)
    (root / name / "config.pbtxt").write_text(config)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[naiad.Server]:
    write(tmp_path, "m", 1, 2, config=CONFIG + "version_policy { all { } }")
    with naiad.Server(model_repository=tmp_path, pool_bytes=64 << 20) as started:
        yield started


def ones(rows: int = 1) -> Any:
    return np.ones((rows, 3), np.float32)


STRINGS = np.array([["ä"]], dtype=np.object_)


def test_arrays_in_arrays_out(server: naiad.Server) -> None:
    model = server.model("m")
    result = model.infer({"x": ones() * 2, "s": STRINGS}, request_id="7")
    assert sorted(result) == ["t", "y"]
    assert result["y"].tolist() == [[2, 2, 2]]
    assert result["t"].tolist() == [["ä".encode()]]
    assert result.request_id == "7"
    assert list(model.infer({"x": ones(), "s": STRINGS}, outputs=["y"])) == ["y"]


def test_results_outlive_the_server(tmp_path: Path) -> None:
    write(tmp_path, "m", 1)
    with naiad.Server(model_repository=str(tmp_path), pool_bytes=64 << 20) as server:
        result = server.model("m").infer({"x": ones() * 3, "s": STRINGS})
        view = result["y"]
    assert view.tolist() == [[3, 3, 3]]
    assert result["t"][0, 0] == "ä".encode()


def test_dlpack_in_and_out(server: naiad.Server) -> None:
    result = server.model("m").infer({"x": ones() * 5, "s": STRINGS})
    assert np.from_dlpack(result.tensor("y")).tolist() == [[5, 5, 5]]  # type: ignore[arg-type]
    torch = pytest.importorskip("torch")
    given = torch.arange(6, dtype=torch.float32).reshape(2, 3)
    words = np.array([["a"], ["b"]], dtype=np.object_)
    taken = torch.from_dlpack(server.model("m").infer({"x": given, "s": words}).tensor("y"))
    assert torch.equal(taken, given)
    with pytest.raises(InvalidArgument, match="row-major"):
        server.model("m").infer({"x": given.t().contiguous().t(), "s": words})


def test_what_does_not_fit_is_refused(server: naiad.Server) -> None:
    model = server.model("m")
    for inputs in (
        {"x": np.ones((1, 3), np.float64), "s": STRINGS},
        {"x": np.ones(3, np.float32), "s": STRINGS},
        {"x": ones(17), "s": STRINGS},
        {"z": ones()},
        {},
    ):
        with pytest.raises(InvalidArgument):
            model.infer(inputs)
    with pytest.raises(InvalidArgument):
        model.infer({"x": ones(), "s": STRINGS}, outputs=["absent"])
    assert model.infer({"x": ones(), "s": STRINGS})["y"].shape == (1, 3)


def test_awaiting(server: naiad.Server) -> None:
    model = server.model("m")

    async def ask() -> list[float]:
        results = await asyncio.gather(
            *(model.ainfer({"x": ones() * i, "s": STRINGS}, outputs=["y"]) for i in range(50))
        )
        with pytest.raises(InvalidArgument):
            await model.ainfer({"z": ones()})
        return [float(result["y"][0, 0]) for result in results]

    # Each asyncio.run has an event loop of its own.
    for _ in range(3):
        assert asyncio.run(ask()) == list(range(50))
    assert len(server._planes) <= 2


def test_several_event_loops_at_a_time(server: naiad.Server) -> None:
    model = server.model("m")
    seen: list[float] = []

    async def ask(number: int) -> None:
        for _ in range(20):
            seen.append(float((await model.ainfer({"x": ones() * number, "s": STRINGS}))["y"][0, 0]))

    threads = [threading.Thread(target=lambda n=n: asyncio.run(ask(n))) for n in range(4)]  # type: ignore[misc]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(seen) == sorted(float(n) for n in range(4) for _ in range(20))


def test_a_cancelled_coroutine_leaves_the_others_alone(server: naiad.Server) -> None:
    model = server.model("m")

    async def ask() -> Any:
        gone = asyncio.ensure_future(model.ainfer({"x": ones(), "s": STRINGS}))
        await asyncio.sleep(0)
        gone.cancel()
        with pytest.raises(asyncio.CancelledError):
            await gone
        return (await model.ainfer({"x": ones() * 4, "s": STRINGS}))["y"]

    assert asyncio.run(ask()).tolist() == [[4, 4, 4]]


def test_versions_metadata_configuration_statistics(server: naiad.Server) -> None:
    assert [model.name for model in server.models()] == ["m"]
    model = server.model("m")
    assert model.ready
    assert model.metadata["versions"] == ["1", "2"]
    assert model.metadata["inputs"][0] == {"name": "x", "datatype": "FP32", "shape": [-1, -1]}
    assert model.config["max_batch_size"] == 16
    server.model("m", version=1).infer({"x": ones(), "s": STRINGS})
    model.infer({"x": ones(), "s": STRINGS})
    model.infer({"x": ones(), "s": STRINGS})
    assert server.model("m", 1).statistics()["inference_count"] == 1
    assert model.statistics()["version"] == "2"
    assert model.statistics()["inference_count"] == 2
    with pytest.raises(NotFound):
        server.model("absent")
    with pytest.raises(NotFound):
        server.model("m", 9)
    with pytest.raises(InvalidArgument):
        server.model("m", "x")


def test_loading_and_unloading(tmp_path: Path) -> None:
    write(tmp_path, "a", 1)
    write(tmp_path, "b", 1)
    with naiad.Server(tmp_path, control_mode="explicit", load_models=["a"], pool_bytes=64 << 20) as server:
        assert [model.name for model in server.models()] == ["a"]
        server.load("b")
        model = server.model("b")
        assert model.infer({"x": ones(), "s": STRINGS})["y"].shape == (1, 3)
        server.unload("b")
        with pytest.raises(NotFound):
            _ = model.ready
        with pytest.raises(NotFound):
            model.infer({"x": ones(), "s": STRINGS})


def test_a_model_that_cannot_be_loaded_is_told_at_once(tmp_path: Path) -> None:
    write(tmp_path, "m", 1, config=CONFIG.replace("identity", "absent"))
    with pytest.raises(InvalidArgument, match="there is no backend 'absent'"):
        naiad.Server(tmp_path, pool_bytes=64 << 20)


def test_after_closing_nothing_is_served(tmp_path: Path) -> None:
    write(tmp_path, "m", 1)
    server = naiad.Server(tmp_path, pool_bytes=64 << 20)
    model = server.model("m")
    server.close()
    server.close()
    with pytest.raises((NotFound, Stopping)):
        model.infer({"x": ones(), "s": STRINGS})
    with pytest.raises(Stopping):
        asyncio.run(_ainfer(model))


async def _ainfer(model: naiad.Model) -> None:
    await model.ainfer({"x": ones(), "s": STRINGS})


def test_the_example_runs(capsys: pytest.CaptureFixture[str]) -> None:
    example = Path(__file__).parents[2] / "examples" / "in_process.py"
    runpy.run_path(str(example), run_name="__main__")
    printed = capsys.readouterr().out
    assert "y = [[2. 4. 6.]]" in printed
    assert "sum over 100 requests: 29700.0" in printed


def test_many_requests_at_once_share_batches(tmp_path: Path) -> None:
    # With a delay: without one a model as short as this runs each request as it comes.
    delayed = "dynamic_batching { max_queue_delay_microseconds: 10000000 }"
    write(tmp_path, "m", 1, config=CONFIG.replace("dynamic_batching { }", delayed))
    with naiad.Server(model_repository=tmp_path, pool_bytes=64 << 20) as server:
        model = server.model("m")
        results = model.infer_many([{"x": ones() * i, "s": STRINGS} for i in range(64)], outputs=["y"])
        assert [result["y"][0, 0] for result in results] == list(range(64))
        counts = model.statistics()
        assert counts["inference_count"] == 64
        assert counts["execution_count"] == 4, "batches of sixteen"
        assert model.infer_many([]) == []


def test_many_requests_of_which_one_is_refused(server: naiad.Server) -> None:
    model = server.model("m")
    wrong = {"x": ones(rows=17), "s": STRINGS}
    with pytest.raises(InvalidArgument, match="batch-size must be <= 16"):
        model.infer_many([{"x": ones(), "s": STRINGS}, wrong, {"x": ones(), "s": STRINGS}])
    assert model.statistics()["inference_count"] == 2, "the others ran"


def test_callbacks_get_results_and_failures(server: naiad.Server, caplog: pytest.LogCaptureFixture) -> None:
    model = server.model("m")
    got: list[Any] = []
    all_there = threading.Event()

    def done(outcome: Any) -> None:
        got.append(outcome)
        if len(got) == 20:
            all_there.set()
        raise RuntimeError("a callback's own fault")

    for i in range(20):
        model.submit({"x": ones() * i, "s": STRINGS}, done, outputs=["y"])
    assert all_there.wait(30)
    assert sorted(result["y"][0, 0] for result in got) == list(range(20))
    with pytest.raises(InvalidArgument):
        model.submit({"x": ones(rows=17), "s": STRINGS}, done)
    server.close()
    assert caplog.text.count("a callback of an inference request failed") == 20
    with pytest.raises(Stopping):
        model.submit({"x": ones(), "s": STRINGS}, done)
