"""model.py files in the running core: what a request sees and what it gets."""

from __future__ import annotations

import concurrent.futures
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import naiad
from naiad.errors import InvalidArgument, NaiadError, NotFound, Unavailable

from .conftest import until

HEAD = "import json, os, threading\nimport numpy as np\nimport triton_python_backend_utils as pb_utils\n"
ONE_INPUT = 'input [ { name: "X" data_type: TYPE_FP32 dims: [ -1 ] } ]'
ONE_OUTPUT = 'output [ { name: "Y" data_type: TYPE_FP32 dims: [ -1 ] } ]'
DATATYPES = "BOOL UINT8 UINT16 UINT32 UINT64 INT8 INT16 INT32 INT64 FP16 FP32 FP64 STRING BF16".split()  # noqa: SIM905

Serve = Callable[..., naiad.Server]


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    """Writes models, given as name -> (config, source), and serves them."""
    servers: list[naiad.Server] = []

    def start(models: dict[str, tuple[str, str]], **settings: Any) -> naiad.Server:
        for name, (config, source) in models.items():
            version = tmp_path / name / "1"
            version.mkdir(parents=True, exist_ok=True)
            (tmp_path / name / "config.pbtxt").write_text(f'name: "{name}" backend: "python" {config}')
            (version / "model.py").write_text(HEAD + source)
        server = naiad.Server(model_repository=tmp_path, pool_bytes=64 << 20, **settings)
        servers.append(server)
        return server

    yield start
    for server in servers:
        server.close()


def execute(body: str, more: str = "") -> str:
    """The source of a model whose execute has this body."""
    lines = "".join(f"        {line}\n" for line in body.splitlines())
    return f"class TritonPythonModel:\n    def execute(self, requests):\n{lines}{more}"


ECHO = execute(
    "return [pb_utils.InferenceResponse([pb_utils.Tensor('Y', r.inputs()[0].as_numpy())]) for r in requests]"
)


def test_every_datatype_goes_through(serve: Serve) -> None:
    tensors = " ".join(
        f'input {{ name: "IN_{d}" data_type: TYPE_{d} dims: [ -1 ] optional: true }} '
        f'output {{ name: "OUT_{d}" data_type: TYPE_{d} dims: [ -1 ] }}'
        for d in DATATYPES
    )
    source = execute(
        "responses = []\n"
        "for r in requests:\n"
        "    out = []\n"
        "    for t in r.inputs():\n"
        "        d = t.name()[3:]\n"
        "        if d == 'BF16':\n"
        "            out.append(pb_utils.Tensor.from_dlpack('OUT_BF16', t.to_dlpack()))\n"
        "        else:\n"
        "            out.append(pb_utils.Tensor('OUT_' + d, t.as_numpy()))\n"
        "    responses.append(pb_utils.InferenceResponse(out))\n"
        "return responses"
    )
    model = serve({"types": (tensors, source)}).model("types")
    values: dict[str, Any] = {
        d: np.array([0, 1, 3]).astype("bool" if d == "BOOL" else d.lower().replace("fp", "float"))
        for d in DATATYPES[:-2]
    }
    values["STRING"] = np.array([b"", b"\0\xff", "ä".encode()], dtype=np.object_)
    for datatype, value in values.items():
        result = model.infer({f"IN_{datatype}": value}, outputs=[f"OUT_{datatype}"])
        assert list(result) == [f"OUT_{datatype}"]
        assert result[f"OUT_{datatype}"].dtype == value.dtype
        assert result[f"OUT_{datatype}"].tolist() == value.tolist()
    torch = pytest.importorskip("torch")
    bf16 = torch.tensor([1.0, -2.5], dtype=torch.bfloat16)
    result = model.infer({"IN_BF16": bf16}, outputs=["OUT_BF16"])
    assert torch.equal(torch.from_dlpack(result.tensor("OUT_BF16")), bf16)


def test_a_batch_is_one_call(serve: Serve) -> None:
    config = (
        f"max_batch_size: 8 {ONE_INPUT} {ONE_OUTPUT} "
        "dynamic_batching { preferred_batch_size: [ 4 ] max_queue_delay_microseconds: 60000000 }"
    )
    source = execute(
        "n = float(len(requests))\n"
        "return [pb_utils.InferenceResponse([pb_utils.Tensor('Y', np.array([[n]], np.float32))])"
        " for _ in requests]"
    )
    model = serve({"m": (config, source)}).model("m")
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        x = np.ones((1, 1), np.float32)
        counts = [r["Y"][0, 0] for r in pool.map(lambda _: model.infer({"X": x}), range(4))]
    assert counts == [4, 4, 4, 4]
    assert model.statistics()["execution_count"] == 1


def test_the_request_as_the_model_sees_it(serve: Serve) -> None:
    outputs = (
        'output { name: "Y" data_type: TYPE_STRING dims: [ 1 ] } '
        'output { name: "Z" data_type: TYPE_FP32 dims: [ 1 ] }'
    )
    source = execute(
        "def tell(r):\n"
        "    return json.dumps([r.request_id(), json.loads(r.parameters()),\n"
        "        sorted(r.requested_output_names()), r.correlation_id(), r.is_cancelled(),\n"
        "        [t.name() for t in r.inputs()], r.inputs()[0].shape()])\n"
        "return [pb_utils.InferenceResponse([pb_utils.Tensor('Y', np.array([tell(r)], dtype=object))])"
        " for r in requests]"
    )
    model = serve({"m": (f"{ONE_INPUT} {outputs}", source)}).model("m")
    x = np.ones(3, np.float32)
    result = model.infer({"X": x}, outputs=["Y"], request_id="r9", parameters={"a": 1, "b": "x", "c": True})
    assert json.loads(result["Y"][0]) == ["r9", {"a": 1, "b": "x", "c": True}, ["Y"], 0, False, ["X"], [3]]
    assert json.loads(model.infer({"X": x})["Y"][0])[2] == ["Y", "Z"]
    assert result.request_id == "r9"


def test_writing_to_inputs_changes_nothing_for_the_caller(serve: Serve) -> None:
    source = execute(
        "responses = []\n"
        "for r in requests:\n"
        "    x = pb_utils.get_input_tensor_by_name(r, 'X').as_numpy()\n"
        "    x *= 2\n"
        "    responses.append(pb_utils.InferenceResponse([pb_utils.Tensor('Y', x)]))\n"
        "return responses"
    )
    model = serve({"m": (f"{ONE_INPUT} {ONE_OUTPUT}", source)}).model("m")
    x = np.ones(3, np.float32)
    assert model.infer({"X": x})["Y"].tolist() == [2, 2, 2]
    assert x.tolist() == [1, 1, 1]


def test_errors_of_a_request_and_of_a_batch(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    source = execute(
        "code = int(requests[0].inputs()[0].as_numpy()[0])\n"
        "if code < 0:\n"
        "    raise RuntimeError('boom')\n"
        "error = pb_utils.TritonError('no', list(pb_utils.TritonErrorCode)[code])\n"
        "return [pb_utils.InferenceResponse(error=error) for _ in requests]"
    )
    model = serve({"m": (f"{ONE_INPUT} {ONE_OUTPUT}", source)}).model("m")

    def fail(code: int) -> NaiadError:
        with pytest.raises(NaiadError) as caught:
            model.infer({"X": np.array([code], np.float32)})
        return caught.value

    kinds = [type(fail(code)).code for code in range(8)]
    assert kinds == [
        "UNKNOWN",
        "INTERNAL",
        "NOT_FOUND",
        "INVALID_ARGUMENT",
        "UNAVAILABLE",
        "UNSUPPORTED",
        "ALREADY_EXISTS",
        "CANCELLED",
    ]
    assert str(fail(1)) == "no"
    error = fail(-1)
    assert type(error).code == "INTERNAL"
    assert str(error) == "Failed to process the request(s) for model 'm_0', message: RuntimeError: boom"
    # The worker's log takes another way than its answer.
    until(lambda: "Traceback" in caplog.text, caplog.text)
    assert str(fail(1)) == "no"


def test_an_output_of_the_wrong_type_fails_its_request(serve: Serve) -> None:
    source = execute(
        "return [pb_utils.InferenceResponse([pb_utils.Tensor('Y', np.ones(1, np.int32))]) for _ in requests]"
    )
    model = serve({"m": (f"{ONE_INPUT} {ONE_OUTPUT}", source)}).model("m")
    with pytest.raises(NaiadError, match="Y.*INT32.*FP32"):
        model.infer({"X": np.ones(1, np.float32)})


def test_each_instance_has_its_own_thread_for_all_its_calls(serve: Serve) -> None:
    source = (
        "class TritonPythonModel:\n"
        "    def initialize(self, args):\n"
        "        self.home = threading.get_ident()\n"
        "        self.place = args['model_repository']\n"
        "        self.name = args['model_instance_name']\n"
        "    def execute(self, requests):\n"
        "        ok = float(threading.get_ident() == self.home)\n"
        "        y = pb_utils.Tensor('Y', np.array([ok], np.float32))\n"
        "        return [pb_utils.InferenceResponse([y]) for _ in requests]\n"
        "    def finalize(self):\n"
        "        with open(os.path.join(self.place, self.name), 'w') as file:\n"
        "            file.write(str(threading.get_ident() == self.home))\n"
    )
    config = f'{ONE_INPUT} {ONE_OUTPUT} instance_group [ {{ name: "g" count: 2 kind: KIND_CPU }} ]'
    server = serve({"m": (config, source)})
    assert server.model("m").infer({"X": np.ones(1, np.float32)})["Y"].tolist() == [1]
    home = Path(server._settings.repository.model_repositories[0]) / "m"
    server.close()
    assert [(home / name).read_text() for name in ("g_0", "g_1")] == ["True", "True"]


def test_models_with_files_of_the_same_name_do_not_meet(serve: Serve, tmp_path: Path) -> None:
    source = execute(
        "import tokens\n"
        "y = pb_utils.Tensor('Y', np.array([tokens.N], np.float32))\n"
        "return [pb_utils.InferenceResponse([y]) for _ in requests]"
    )
    for name, number in (("a", 1), ("b", 2)):
        (tmp_path / name / "1").mkdir(parents=True)
        (tmp_path / name / "1" / "tokens.py").write_text(f"N = {number}\n")
    config = f"{ONE_INPUT} {ONE_OUTPUT}"
    server = serve({"a": (config, source), "b": (config, source)})
    x = np.ones(1, np.float32)
    assert [server.model(name).infer({"X": x})["Y"].tolist() for name in "abab"] == [[1], [2], [1], [2]]


def test_auto_complete_and_refused_loads(serve: Serve) -> None:
    complete = (
        "    @staticmethod\n"
        "    def auto_complete_config(config):\n"
        "        config.add_input({'name': 'X', 'data_type': 'TYPE_FP32', 'dims': [3]})\n"
        "        config.add_output({'name': 'Y', 'data_type': 'TYPE_FP32', 'dims': [3]})\n"
        "        config.set_max_batch_size(2)\n"
        "        return config\n"
    )
    refusing = execute("pass", "    def initialize(self, args):\n        raise ValueError('not today')\n")
    server = serve(
        {"good": ("", ECHO + complete), "bad": (f"{ONE_INPUT} {ONE_OUTPUT}", refusing)}, exit_on_error=False
    )
    assert server.model("good").metadata["inputs"] == [{"name": "X", "datatype": "FP32", "shape": [-1, 3]}]
    with pytest.raises(InvalidArgument):
        server.model("good").infer({"X": np.ones((3, 3), np.float32)})
    with pytest.raises(NotFound, match="no available versions"):
        server.model("bad")
    with pytest.raises(InvalidArgument, match="ValueError: not today"):
        server.load("bad")


def test_a_reload_drops_no_request(serve: Serve, tmp_path: Path) -> None:
    config = f"{ONE_INPUT} {ONE_OUTPUT}"
    constant = (
        "y = pb_utils.Tensor('Y', np.array([%d], np.float32))\n"
        "return [pb_utils.InferenceResponse([y]) for _ in requests]"
    )
    server = serve({"m": (config, execute(constant % 0))})
    model = server.model("m")
    stop = concurrent.futures.Future[None]()

    def ask() -> list[float]:
        seen = []
        while not stop.done():
            seen.append(float(model.infer({"X": np.ones(1, np.float32)})["Y"][0]))
        return seen

    with concurrent.futures.ThreadPoolExecutor(3) as pool:
        askers = [pool.submit(ask) for _ in range(3)]
        try:
            for number in range(1, 6):
                (tmp_path / "m" / "1" / "model.py").write_text(
                    HEAD + execute(constant % number) + "#" * number
                )
                server.load("m")
                assert model.infer({"X": np.ones(1, np.float32)})["Y"].tolist() == [number]
        finally:
            stop.set_result(None)
        for asker in askers:
            seen = asker.result()
            assert seen == sorted(seen)
    server.unload("m")
    with pytest.raises((NotFound, Unavailable)):
        model.infer({"X": np.ones(1, np.float32)})
