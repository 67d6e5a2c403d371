"""Workers that are forked from a process which has loaded the model once."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import numpy as np
import pytest

import naiad
from naiad.errors import InvalidArgument, NaiadError

from .conftest import Start, lives, until, write_model

CONFIG = """
backend: "python"
input [ { name: "SLEEP" data_type: TYPE_FP32 dims: [ 1 ] } ]
output [ { name: "FACTS" data_type: TYPE_INT64 dims: [ 4 ] } ]
instance_group [ { kind: KIND_CPU count: %d } ]
parameters { key: "fork_after_load" value { string_value: "yes" } }
%s
"""

MODEL = """
import os
import time

import numpy as np
import triton_python_backend_utils as pb_utils

LOADED = {}


class TritonPythonModel:
    @staticmethod
    def preload(args):
        if os.path.exists(os.path.join(args["model_repository"], "how")):
            exec(open(os.path.join(args["model_repository"], "how")).read())
        LOADED["by"] = os.getpid()
        LOADED["weights"] = np.ones(64 << 20, np.uint8)

    def initialize(self, args):
        self.name = args["model_instance_name"]

    def execute(self, requests):
        return [self.answer(request) for request in requests]

    def answer(self, request):
        time.sleep(float(request.inputs()[0].as_numpy()[0]))
        facts = [os.getpid(), os.getppid(), LOADED["by"], int(LOADED["weights"][::4096].sum())]
        return pb_utils.InferenceResponse([pb_utils.Tensor("FACTS", np.array(facts))])
"""


def serve(path: Path, instances: int = 1, more: str = "") -> naiad.Server:
    write_model(path, "m", CONFIG % (instances, more), MODEL)
    return naiad.Server(path, pool_bytes=64 << 20)


def facts(server: naiad.Server, count: int = 1) -> set[tuple[int, ...]]:
    """What the workers say: pid, parent, who has loaded, the sum."""
    sleep = {"SLEEP": np.array([0.1 if count > 1 else 0], np.float32)}
    return {tuple(each["FACTS"].tolist()) for each in server.model("m").infer_many([sleep] * count)}


def test_workers_share_what_was_loaded_once(tmp_path: Path) -> None:
    with serve(tmp_path, instances=3) as server:
        found: set[tuple[int, ...]] = set()

        def find_all() -> bool:
            found.update(facts(server, 6))
            return len(found) == 3

        until(find_all)
        pids = {fact[0] for fact in found}
        (template,) = {fact[1] for fact in found}
        assert {fact[2:] for fact in found} == {(template, (64 << 20) // 4096)}
        for pid in pids:
            rollup = dict(
                line.split(":") for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]
            )
            private = sum(int(rollup[f"Private_{kind}"].split()[0]) for kind in ("Clean", "Dirty"))
            assert private < 48 << 10, "in kB: the weights are not copied"
        server.unload("m")
        until(lambda: not any(lives(pid) for pid in {template, *pids}))


def test_a_worker_that_is_killed_is_forked_again(tmp_path: Path) -> None:
    with serve(tmp_path) as server:
        ((pid, template, *_),) = facts(server)
        os.kill(pid, signal.SIGKILL)
        until(lambda: not Path(f"/proc/{pid}").exists())
        ((now, parent, *_),) = facts(server)
        assert now != pid
        assert parent == template


def test_when_the_template_is_killed_another_one_is_made(tmp_path: Path) -> None:
    with serve(tmp_path) as server:
        ((pid, template, *_),) = facts(server)
        os.kill(template, signal.SIGKILL)
        until(lambda: not lives(pid))

        def again() -> set[tuple[int, ...]]:
            try:
                return facts(server)
            except NaiadError:
                return set()

        until(again)
        ((now, parent, *_),) = again()
        assert now != pid
        assert parent != template


@pytest.mark.parametrize(
    ("how", "more", "error"),
    [
        ("raise ValueError('no weights')", "", "ValueError: no weights"),
        ("os._exit(3)", "", "the process that its workers are forked from has ended"),
        (
            "time.sleep(1000)",
            'parameters { key: "load_timeout_seconds" value { string_value: "1" } }',
            "model 'm' was not loaded in time",
        ),
        (
            "",
            'parameters { key: "isolation" value { string_value: "thread" } }',
            "fork_after_load needs a process, and isolation is 'thread'",
        ),
    ],
)
def test_what_can_not_be_loaded_says_why(tmp_path: Path, how: str, more: str, error: str) -> None:
    (tmp_path / "m").mkdir()
    (tmp_path / "m" / "how").write_text(how)
    with pytest.raises(InvalidArgument, match=error):
        serve(tmp_path, more=more)


def test_none_outlives_the_server(tmp_path: Path, start_server: Start) -> None:
    write_model(tmp_path, "m", CONFIG % (2, ""), MODEL)
    server = start_server(tmp_path)
    body = {"inputs": [{"name": "SLEEP", "datatype": "FP32", "shape": [1], "data": [0]}]}
    _, answer = server.json("POST", "/v2/models/m/infer", body)
    pid, template, *_ = answer["outputs"][0]["data"]  # type: ignore[index,call-overload]
    server.signal(signal.SIGKILL)
    server.wait()
    until(lambda: not lives(pid) and not lives(template))
