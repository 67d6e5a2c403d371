"""Model folders that are written."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import pytest

from naiad.backends.registry import BackendRegistry
from naiad.checking.check import check_repositories
from naiad.config import ModelConfig, parse_pbtxt
from naiad.staging.commented import commented_config
from naiad.staging.found import FoundModel
from naiad.staging.init import MadeModel, find_one, init_model
from naiad.staging.unservable import Unservable

from .onnx_files import save_matmul


def make(source: Path, to: Path, *, link: bool = False) -> MadeModel:
    return init_model(find_one(source), to, BackendRegistry(), link=link)


def config_of(made: MadeModel) -> ModelConfig:
    return ModelConfig(parse_pbtxt((made.directory / "config.pbtxt").read_text()))


@pytest.mark.parametrize("external", [False, True])
def test_from_onnx(tmp_path: Path, external: bool) -> None:
    source = save_matmul(tmp_path / "net.onnx", external=external)
    made = make(source, tmp_path / "models")
    assert made.directory == tmp_path / "models/net"
    config = config_of(made)
    assert (config.name, config.backend, config.max_batch_size) == ("net", "onnxruntime", 4)
    assert [(t.name, t.data_type, t.dims) for t in config.inputs] == [("x", "TYPE_FP32", (4,))]
    assert [(t.name, t.data_type, t.dims) for t in config.outputs] == [("y", "TYPE_FP32", (2,))]
    assert (made.directory / "1/model.onnx").read_bytes() == source.read_bytes()
    assert (made.directory / "1/net.weights").exists() == external
    assert not (made.directory / "1/model.onnx").is_symlink()
    checked = check_repositories([tmp_path / "models"], BackendRegistry(), num_gpus=0)
    assert checked.models == ("net",) and not checked.problems


def test_hard_links(tmp_path: Path) -> None:
    source = save_matmul(tmp_path / "net.onnx")
    made = make(source, tmp_path / "models", link=True)
    assert (made.directory / "1/model.onnx").samefile(source)


def test_a_folder_that_is_there_stays(tmp_path: Path) -> None:
    source = save_matmul(tmp_path / "net.onnx")
    made = make(source, tmp_path / "models")
    (made.directory / "config.pbtxt").write_text("# mine\n")
    with pytest.raises(Unservable, match="is there already") as refused:
        make(source, tmp_path / "models")
    assert "--name" in refused.value.next_step
    assert (made.directory / "config.pbtxt").read_text() == "# mine\n"


def test_what_fails_leaves_nothing(tmp_path: Path) -> None:
    source = tmp_path / "bad.onnx"
    source.write_bytes(b"not onnx")
    with pytest.raises(Unservable, match="can not be read"):
        make(source, tmp_path / "models")
    assert list((tmp_path / "models").iterdir()) == []


def test_from_a_language_model(tmp_path: Path) -> None:
    folder = tmp_path / "Tiny"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps({"architectures": ["LlamaForCausalLM"]}))
    (folder / "model.safetensors").write_bytes(b"x")
    made = make(folder, tmp_path / "models")
    assert config_of(made).backend == "vllm"
    assert json.loads((made.directory / "1/model.json").read_text()) == {"model": str(folder)}


def test_from_code(tmp_path: Path) -> None:
    folder = tmp_path / "adder"
    folder.mkdir()
    (folder / "model.py").write_text("class TritonPythonModel: ...\n")
    (folder / "words.txt").write_text("w")
    made = make(folder / "model.py", tmp_path / "models")
    assert config_of(made).backend == "python"
    assert (made.directory / "1/words.txt").read_text() == "w"


@pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="torch is not installed")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_from_torch_script_that_does_not_run(tmp_path: Path) -> None:
    import torch

    class Picky(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x.view(7, 11, 13)

    torch.jit.save(torch.jit.script(Picky()), str(tmp_path / "picky.pt"))
    made = make(tmp_path / "picky.pt", tmp_path / "models")
    assert "guesses ran" in made.unknown
    text = (made.directory / "config.pbtxt").read_text()
    assert "# input [" in text and not config_of(made).inputs


def test_a_repository_is_not_one_model(tmp_path: Path) -> None:
    (tmp_path / "m/1").mkdir(parents=True)
    with pytest.raises(Unservable, match="a repository already"):
        find_one(tmp_path)


@pytest.mark.parametrize("backend", ["onnxruntime", "pytorch", "python", "openvino", "vllm", "tensorrt"])
def test_every_suggestion_is_a_configuration(backend: str) -> None:
    message = parse_pbtxt(f'name: "m" backend: "{backend}"')
    text = commented_config(ModelConfig(message), "m.x", unknown="why")
    parse_pbtxt(text)
    for line in text.splitlines():
        if line.startswith("# ") and " {" in line and line.endswith(("}", "]")):
            parse_pbtxt(line.removeprefix("# "))


def test_the_name_of_a_found_model_is_its_files(tmp_path: Path) -> None:
    found: FoundModel = find_one(save_matmul(tmp_path / "a.b.onnx"))
    assert found.name == "a.b"
