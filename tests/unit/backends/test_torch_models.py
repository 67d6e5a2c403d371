"""The pytorch backend with models of every kind of file, without a server."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fake_batch import FakeBatch

from naiad.backends.base import InstancePlace, ModelFiles
from naiad.backends.torch.backend import TorchBackend
from naiad.config import ModelConfig, parse_pbtxt
from naiad.errors import BackendError, ConfigError, InvalidArgument, Unsupported

torch = pytest.importorskip("torch", reason="torch is not installed: pip install 'naiad[torch]'")
import torch_models as models  # noqa: E402

CPU = InstancePlace("m_0", "CPU", 0)
THREAD = 'parameters { key: "isolation" value { string_value: "thread" } }'


def tensors(kind: str, *names: str, data_type: str = "TYPE_FP32", dims: str = "4") -> str:
    return "".join(f'{kind} {{ name: "{n}" data_type: {data_type} dims: [ {dims} ] }}\n' for n in names)


def configured(text: str, *, batch: int = 8, **parameters: str) -> ModelConfig:
    lines = [f'name: "m" backend: "pytorch" max_batch_size: {batch}', text]
    lines += [f"parameters {{ key: \"{k}\" value {{ string_value: '{v}' }} }}" for k, v in parameters.items()]
    return ModelConfig(parse_pbtxt("\n".join(lines)))


def made(config: ModelConfig, files: ModelFiles) -> Any:
    backend = TorchBackend({})
    backend.check(config, files)
    return backend.make_instance(config, files, CPU)


def rows(count: int, first: float = 0.0) -> np.ndarray[Any, Any]:
    return np.arange(first, first + count * 4, dtype=np.float32).reshape(count, 4)


def run(instance: Any, inputs: dict[str, Any], *wanted: str, **more: Any) -> dict[str, np.ndarray[Any, Any]]:
    given = {name: value if isinstance(value, tuple) else ("FP32", value) for name, value in inputs.items()}
    batch = FakeBatch(given, list(wanted), num_rows=next(iter(given.values()))[1].shape[0], **more)
    instance.execute_batch(batch)
    return batch.outputs


@pytest.mark.parametrize("names", [("a", "b"), ("INPUT__0", "INPUT__1"), ("p", "q")])
def test_torchscript_by_each_convention(names: tuple[str, str], files: ModelFiles) -> None:
    models.save_script(models.AddSub(), files.version_directory / "model.pt")
    instance = made(configured(tensors("input", *names) + tensors("output", "OUTPUT__0", "OUTPUT__1")), files)
    given = {names[0]: rows(3), names[1]: rows(3, 5)}
    outputs = run(instance, given, "OUTPUT__0", "OUTPUT__1")
    assert outputs["OUTPUT__0"].tolist() == (rows(3) + rows(3, 5)).tolist()
    assert outputs["OUTPUT__1"].tolist() == (rows(3) - rows(3, 5)).tolist()
    assert list(run(instance, given, "OUTPUT__1")) == ["OUTPUT__1"]
    instance.finalize()
    assert not torch.is_inference_mode_enabled()


def test_inputs_are_seen_without_a_copy_unless_the_model_writes(files: ModelFiles) -> None:
    text = tensors("input", "a") + tensors("output", "OUTPUT__0")
    models.save_script(models.InPlace(), files.version_directory / "model.pt")
    given = rows(1)
    instance = made(configured(text), files)
    assert run(instance, {"a": given}, "OUTPUT__0")["OUTPUT__0"].tolist() == [[1, 2, 3, 4]]
    assert given.tolist() == [[0, 1, 2, 3]]  # another request's view of the same memory
    instance.finalize()
    own = rows(1)
    instance = made(configured(text), files)
    run(instance, {"a": own}, "OUTPUT__0", writable=True)
    assert own.tolist() == [[1, 2, 3, 4]]  # gathered for this batch: not copied once more
    instance.finalize()


def test_a_dictionary_of_tensors(files: ModelFiles) -> None:
    models.save_script(models.ByName(), files.version_directory / "model.pt")
    instance = made(configured(tensors("input", "x", "y") + tensors("output", "double", "sum")), files)
    outputs = run(instance, {"x": rows(2), "y": rows(2, 1)}, "double", "sum")
    assert outputs["double"].tolist() == (rows(2) * 2).tolist()
    assert outputs["sum"].tolist() == (rows(2) + rows(2, 1)).tolist()
    instance.finalize()


def test_lists_of_strings_and_numbers(files: ModelFiles) -> None:
    models.save_script(models.Shout(), files.version_directory / "model.pt")
    text = (
        tensors("input", "texts", data_type="TYPE_STRING", dims="1")
        + tensors("input", "times", data_type="TYPE_INT64", dims="1")
        + tensors("output", "LOUD", data_type="TYPE_STRING", dims="1")
    )
    instance = made(configured(text), files)
    texts = np.array([[b"a"], ["öb".encode()]], dtype=np.object_)
    times = np.array([[2], [2]])
    outputs = run(instance, {"texts": ("BYTES", texts), "times": ("INT64", times)}, "LOUD")
    assert outputs["LOUD"].tolist() == [["AA"], ["öBöB"]]
    with pytest.raises(InvalidArgument, match="must be one number, the same for all"):
        run(instance, {"texts": ("BYTES", texts), "times": ("INT64", np.array([[2], [3]]))}, "LOUD")
    with pytest.raises(InvalidArgument, match="no UTF-8"):
        bad = np.array([[b"\xff"]], dtype=np.object_)
        run(instance, {"texts": ("BYTES", bad), "times": ("INT64", times[:1])}, "LOUD")
    instance.finalize()


def test_a_string_for_a_tensor_is_refused(files: ModelFiles) -> None:
    models.save_script(models.InPlace(), files.version_directory / "model.pt")
    text = tensors("input", "a", data_type="TYPE_STRING") + tensors("output", "O__0")
    with pytest.raises(ConfigError, match="input 'a' is BYTES, but goes to an argument that takes a tensor"):
        made(configured(text), files)


@pytest.mark.parametrize("names", [("x",), ("ARGS[0]",), ("INPUT__0",)])
def test_an_exported_program(names: tuple[str], files: ModelFiles) -> None:
    module = models.Linear()
    models.save_exported(module, files.version_directory / "model.pt2")
    text = 'platform: "torch_aoti" default_model_filename: "model.pt2"\n' + tensors("input", *names)
    text += tensors("output", "RESULT[more][1]", "OUTPUT__0", dims="2")
    instance = made(configured(text), files)
    outputs = run(instance, {names[0]: rows(2)}, "RESULT[more][1]", "OUTPUT__0")
    expected = module(torch.from_numpy(rows(2)))
    assert np.allclose(outputs["RESULT[more][1]"], expected["more"][1].detach().numpy())
    assert np.allclose(outputs["OUTPUT__0"], expected["y"].detach().numpy())
    instance.finalize()


def test_an_exported_program_completes_its_configuration(files: ModelFiles) -> None:
    models.save_exported(models.Linear(), files.version_directory / "model.pt2")
    config = configured('default_model_filename: "model.pt2"', batch=0, isolation="thread")
    completed = TorchBackend({"default-max-batch-size": "16"}).auto_complete(config, files)
    assert completed.max_batch_size == 16
    assert [(t.name, t.data_type, t.dims) for t in completed.inputs] == [("x", "TYPE_FP32", (4,))]
    assert [(t.name, t.dims) for t in completed.outputs] == [(f"OUTPUT__{i}", (2,)) for i in range(3)]


@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
def test_a_module_from_a_file_with_its_weights(suffix: str, files: ModelFiles) -> None:
    from safetensors.torch import save_file

    (files.version_directory / "model.py").write_text(models.LINEAR_SOURCE)
    state = models.Linear().state_dict()
    path = files.version_directory / f"model{suffix}"
    save_file(state, path) if suffix == ".safetensors" else torch.save(state, path)
    config = configured('runtime: "model.py"\n' + tensors("input", "x") + tensors("output", "y", dims="2"))
    instance = made(config, files)
    expected = torch.relu(torch.from_numpy(rows(2)) @ state["linear.weight"].T + state["linear.bias"])
    assert np.allclose(run(instance, {"x": rows(2)}, "y")["y"], expected.numpy(), atol=1e-6)
    instance.finalize()


def test_weights_that_hold_code_are_not_unpickled(files: ModelFiles) -> None:
    (files.version_directory / "model.py").write_text(models.LINEAR_SOURCE)
    torch.save(models.Linear(), files.version_directory / "model.pt")
    with pytest.raises(BackendError, match="UnpicklingError: Weights only load failed"):
        made(configured(tensors("input", "x") + tensors("output", "y", dims="2")), files)


def test_weights_without_their_class_are_refused(files: ModelFiles) -> None:
    torch.save(models.Linear().state_dict(), files.version_directory / "model.pt")
    with pytest.raises(InvalidArgument, match="'model.pt' holds weights alone; the nn.Module class"):
        made(configured(tensors("input", "x") + tensors("output", "y")), files)


def test_one_class_or_the_one_that_is_named(files: ModelFiles) -> None:
    source = models.LINEAR_SOURCE + "\n\nclass Block(nn.Module):\n    pass\n"
    (files.version_directory / "model.py").write_text(source)
    text = tensors("input", "x") + tensors("output", "y", dims="2")
    with pytest.raises(InvalidArgument, match="MODEL_CLASS name one of them; there are: Block, Net"):
        made(configured(text), files)
    instance = made(configured(text, MODEL_CLASS="Net"), files)
    assert run(instance, {"x": rows(1)}, "y")["y"].shape == (1, 2)
    instance.finalize()


def test_bf16_and_scalars(files: ModelFiles) -> None:
    (files.version_directory / "model.py").write_text(
        "import torch\n\nclass Net(torch.nn.Module):\n  def forward(self, x):\n    return x + 1, x.sum()\n"
    )
    text = tensors("input", "x", data_type="TYPE_BF16") + tensors("output", "y", data_type="TYPE_BF16")
    config = configured(text + tensors("output", "s", data_type="TYPE_BF16", dims="1"), batch=0)
    instance = made(config, files)
    one = np.full(4, 0x3F80, np.uint16)
    outputs = run(instance, {"x": ("BF16", one)}, "y", "s")
    assert outputs["y"].tolist() == [0x4000] * 4
    assert outputs["s"].tolist() == [0x4080]
    instance.finalize()


def test_outputs_that_are_not_what_the_configuration_says(files: ModelFiles) -> None:
    models.save_script(models.AddSub(), files.version_directory / "model.pt")
    given = {"a": rows(1), "b": rows(1)}
    for output, message in (
        (tensors("output", "s", data_type="TYPE_INT64"), "is data type FP32, but .* says INT64"),
        (tensors("output", "s", dims="5"), r"is shape \[1, 4\], but .* says \[-1, 5\]"),
        (tensors("output", "s", data_type="TYPE_STRING"), "is a Tensor, but .* says a list of strings"),
    ):
        instance = made(configured(tensors("input", "a", "b") + output), files)
        with pytest.raises(BackendError, match=message):
            run(instance, given, "s")
        instance.finalize()


def test_what_the_model_raises_is_its_batch_s_error(files: ModelFiles) -> None:
    models.save_script(models.AddSub(), files.version_directory / "model.pt")
    instance = made(configured(tensors("input", "a", "b", dims="-1") + tensors("output", "s")), files)
    with pytest.raises(
        BackendError, match="model 'm', message: RuntimeError: The size of tensor a"
    ) as raised:
        run(instance, {"a": rows(1), "b": np.ones((1, 3), np.float32)}, "s")
    assert "Traceback" not in str(raised.value)
    instance.finalize()


def test_what_is_refused_before_anything_is_loaded(files: ModelFiles) -> None:
    models.save_script(models.AddSub(), files.version_directory / "model.pt")
    both = tensors("input", "a", "b") + tensors("output", "s")
    with pytest.raises(Unsupported, match="one response per request"):
        made(configured(both + "model_transaction_policy { decoupled: true }"), files)
    with pytest.raises(ConfigError, match="TorchScript file does not say what its tensors are"):
        made(configured(tensors("input", "a", "b")), files)
    with pytest.raises(ConfigError, match="does not fit a TorchScript file"):
        made(configured(both, TORCH_COMPILE_OPTIONAL_PARAMETERS="{}"), files)
    with pytest.raises(Unsupported, match="ENABLE_WEIGHT_SHARING needs parameter isolation 'thread'"):
        made(
            configured(
                both + 'instance_group { name: "g" count: 2 kind: KIND_CPU }', ENABLE_WEIGHT_SHARING="true"
            ),
            files,
        )
    (files.version_directory / "model.pt").write_bytes(b"no archive")
    with pytest.raises(InvalidArgument, match="'model.pt' is no model file of PyTorch"):
        made(configured(both), files)


def test_weights_that_instances_share(files: ModelFiles) -> None:
    models.save_script(models.AddSub(), files.version_directory / "model.pt")
    config = configured(
        tensors("input", "a", "b") + tensors("output", "s"), isolation="thread", ENABLE_WEIGHT_SHARING="yes"
    )
    backend = TorchBackend({})
    first, second = (backend.make_instance(config, files, CPU) for _ in range(2))
    assert first._model is second._model
    for instance in (second, first):
        instance.finalize()
    assert not backend._shared


def test_a_gpu_that_torch_does_not_have(files: ModelFiles) -> None:
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    models.save_script(models.AddSub(), files.version_directory / "model.pt")
    config = configured(tensors("input", "a", "b") + tensors("output", "s"))
    with pytest.raises(Unsupported, match=r"KIND_GPU, but the installed torch 2\.\d+"):
        TorchBackend({}).make_instance(config, files, InstancePlace("m_0", "GPU", 0))


def test_torch_that_is_not_there(files: ModelFiles, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    (files.version_directory / "model.pt").write_bytes(b"")
    with pytest.raises(Unsupported, match=r"needs torch: pip install 'naiad\[torch\]'"):
        TorchBackend({}).check(configured(""), files)
    assert isinstance(Path(files.directory), Path)
