"""What paths hold."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import pytest

from naiad.staging.found import find_models, model_name
from naiad.staging.unservable import Unservable

PYTHON_MODEL = "class TritonPythonModel:\n    def execute(self, requests): ...\n"


def script(path: Path) -> Path:
    """What looks like a TorchScript archive."""
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("m/constants.pkl", b"")
        archive.writestr("m/data.pkl", b"")
    return path


def write(path: Path, content: str | bytes = b"x") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def hub(folder: Path, architecture: str) -> Path:
    """A folder of Hugging Face's form."""
    write(folder / "config.json", json.dumps({"architectures": [architecture], "model_type": "m"}))
    write(folder / "model.safetensors")
    return folder


def test_an_onnx_file_brings_the_files_of_its_weights(tmp_path: Path) -> None:
    file = write(tmp_path / "res net.onnx", b"..location..weights.data..")
    write(tmp_path / "weights.data")
    write(tmp_path / "other.data")
    (model,) = find_models(file).models
    assert (model.name, model.backend) == ("res_net", "onnxruntime")
    assert model.links == {"1/model.onnx": file, "1/weights.data": tmp_path / "weights.data"}


def test_a_file_of_torch_is_told_by_its_contents(tmp_path: Path) -> None:
    (model,) = find_models(script(tmp_path / "a.pt")).models
    assert model.script == tmp_path / "a.pt" and list(model.links) == ["1/model.pt"]
    with zipfile.ZipFile(tmp_path / "b.pt", "w") as archive:
        archive.writestr("b/archive_format", b"pt2")
    (exported,) = find_models(tmp_path / "b.pt").models
    assert exported.script is None and list(exported.links) == ["1/model.pt2"]
    with zipfile.ZipFile(tmp_path / "c.pt", "w") as archive:
        archive.writestr("c/data.pkl", b"")
    with pytest.raises(Unservable, match="weights alone") as refused:
        find_models(tmp_path / "c.pt")
    assert "torch.jit.save" in refused.value.next_step
    with pytest.raises(Unservable, match="no model file of PyTorch"):
        find_models(write(tmp_path / "d.pth"))


def test_openvino_needs_both_files(tmp_path: Path) -> None:
    file = write(tmp_path / "m.xml", '<?xml version="1.0"?><net name="m">')
    with pytest.raises(Unservable, match="weights of .* are missing"):
        find_models(file)
    write(tmp_path / "m.bin")
    (model,) = find_models(file).models
    assert set(model.links) == {"1/model.xml", "1/model.bin"}
    with pytest.raises(Unservable, match="no model of OpenVINO"):
        find_models(write(tmp_path / "page.xml", "<html>"))


def test_a_python_model_brings_what_lies_beside_it(tmp_path: Path) -> None:
    folder = tmp_path / "adder"
    file = write(folder / "model.py", PYTHON_MODEL)
    write(folder / "words.txt")
    write(folder / "config.pbtxt")
    write(folder / ".hidden")
    (model,) = find_models(file).models
    assert model.name == "adder"
    assert set(model.links) == {"1/model.py", "1/words.txt", "config.pbtxt"}
    with pytest.raises(Unservable, match="no class TritonPythonModel"):
        find_models(write(folder / "train.py", "import torch\n"))


def test_a_repository_is_served_as_it_is(tmp_path: Path) -> None:
    write(tmp_path / "a/1/model.onnx")
    write(tmp_path / "b/config.pbtxt")
    write(tmp_path / "README.md")
    found = find_models(tmp_path)
    assert found.repository == tmp_path
    (one,) = find_models(tmp_path / "a").models
    assert one.links == {"": tmp_path / "a"}
    (inside,) = find_models(tmp_path / "a/1/model.onnx").models
    assert inside.name == "a" and inside.links == {"": tmp_path / "a"}


def test_a_folder_of_models_of_all_kinds(tmp_path: Path) -> None:
    write(tmp_path / "a.onnx")
    write(tmp_path / "triton/1/model.onnx")
    write(tmp_path / "loose/net.onnx")
    hub(tmp_path / "llama", "LlamaForCausalLM")
    write(tmp_path / "notes.md")
    write(tmp_path / "pictures/cat.jpg")
    found = find_models(tmp_path)
    assert {model.name: model.backend for model in found.models} == {
        "a": "onnxruntime", "triton": "", "loose": "onnxruntime", "llama": "vllm",
    }  # fmt: skip
    assert found.repository is None
    assert found.passed_over == (tmp_path / "pictures",)


def test_hugging_face(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (model,) = find_models(hub(tmp_path / "m", "Qwen2ForCausalLM")).models
    assert model.backend == "vllm"
    assert json.loads(model.texts["1/model.json"]) == {"model": str(tmp_path / "m")}
    encoder = hub(tmp_path / "bert", "BertModel")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(Unservable, match="BertModel") as refused:
        find_models(encoder)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: name)
    (pooled,) = find_models(encoder).models
    assert json.loads(pooled.texts["1/model.json"]) == {
        "model": str(encoder), "runner": "pooling", "convert": "embed",
    }  # fmt: skip
    with pytest.raises(Unservable, match="CLIPModel.*no backend serves"):
        find_models(hub(tmp_path / "clip", "CLIPModel"))
    assert f"optimum-cli export onnx --model {encoder}" in refused.value.next_step
    write(encoder / "onnx/model.onnx")
    (exported,) = find_models(encoder).models
    assert (exported.name, exported.backend) == ("bert", "onnxruntime")
    cached = hub(tmp_path / "models--org--Tiny-1B/snapshots/0a1b", "LlamaForCausalLM")
    assert find_models(cached).models[0].name == "Tiny-1B"


@pytest.mark.parametrize(
    ("name", "reason", "step"),
    [
        ("nothing.onnx", "there is no file or folder", "look with"),
        ("notes.txt", "no model file", "it serves"),
        ("model.safetensors", "no model file", "config.json"),
        ("tree.pkl", "no model file", "skl2onnx"),
        ("empty.onnx", "is empty", "again"),
        ("hollow", "holds no model: it is empty", "naiad repo init"),
        ("pictures", "holds no model: it has cat.jpg", "naiad repo init"),
    ],
)
def test_what_can_not_be_served_says_what_to_do(tmp_path: Path, name: str, reason: str, step: str) -> None:
    for file in ("notes.txt", "model.safetensors", "tree.pkl", "pictures/cat.jpg"):
        write(tmp_path / file)
    write(tmp_path / "empty.onnx", "")
    (tmp_path / "hollow").mkdir()
    with pytest.raises(Unservable, match=reason) as refused:
        find_models(tmp_path / name)
    assert step in refused.value.next_step


def test_a_name_that_is_nearly_there(tmp_path: Path) -> None:
    write(tmp_path / "small.onnx")
    with pytest.raises(Unservable) as refused:
        find_models(tmp_path / "smal.onnx")
    assert "small.onnx" in refused.value.next_step


def test_names_of_models() -> None:
    assert model_name("a b/c") == "a_b_c"
    assert model_name("..x") == "x"
    assert model_name("é") == "_"
    assert model_name("-") == "model"
