"""Parameters of torch models, and the kinds of their files; torch is not needed."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from naiad.backends.torch.archive import FileKind, kind_of
from naiad.backends.torch.options import OF_THE_PROCESS, TorchOptions, torch_options
from naiad.errors import ConfigError


def _options(isolation: str = "process", **parameters: str) -> TorchOptions:
    return torch_options("m", parameters, isolation=isolation)


def test_defaults() -> None:
    assert _options() == TorchOptions()
    assert _options(note="of the model's own").intra_op_threads == 1


def test_what_they_say() -> None:
    options = _options(
        INFERENCE_MODE="false",
        DISABLE_OPTIMIZED_EXECUTION="true",
        DISABLE_CUDNN="1",
        ENABLE_JIT_EXECUTOR="no",
        ENABLE_WEIGHT_SHARING="yes",
        READ_ONLY_INPUTS="yes",
        INTRA_OP_THREAD_COUNT="4",
        NUM_INTEROP_THREADS="2",
        MODEL_CLASS="Net",
    )
    assert not options.inference_mode and not options.optimized_execution and not options.cudnn
    assert not options.jit_executor and options.share_weights and options.read_only_inputs
    assert (options.intra_op_threads, options.inter_op_threads) == (4, 2)
    assert options.model_class == "Net"


def test_arguments_of_compile() -> None:
    name = "TORCH_COMPILE_OPTIONAL_PARAMETERS"
    assert _options(**{name: '{"dynamic": true}'}).compile == {"dynamic": True}
    assert _options(**{name: '{"disable": true}'}).compile is None
    assert _options(**{name: "{}"}).compile == {}
    for text in ("{", '{"model": 1}', "[]"):
        with pytest.raises(ConfigError, match=f"parameter {name} (is no JSON|must be a JSON object)"):
            _options(**{name: text})


@pytest.mark.parametrize(
    ("name", "text"), [("INFERENCE_MODE", "maybe"), ("INTRA_OP_THREAD_COUNT", "0"), ("NUM_THREADS", "many")]
)
def test_values_that_they_can_not_have(name: str, text: str) -> None:
    with pytest.raises(ConfigError, match=f"model 'm': parameter {name} must be .*, got '{text}'"):
        _options(**{name: text})


@pytest.mark.parametrize("name", OF_THE_PROCESS)
def test_settings_of_the_process_need_one(name: str) -> None:
    with pytest.raises(ConfigError, match=f"parameter {name} is a setting of the whole process"):
        _options("thread", **{name: "true"})


@pytest.mark.parametrize(
    ("kind", "names"),
    [
        (FileKind.SCRIPT, ["m/data.pkl", "m/constants.pkl", "m/code/__torch__.py"]),
        (FileKind.WEIGHTS, ["m/data.pkl", "m/data/0"]),
        (FileKind.EXPORTED, ["m/archive_format", "m/models/model.json"]),
        (FileKind.EXPORTED, ["serialized_exported_program.json", "x/serialized_exported_program.json"]),
        (FileKind.COMPILED, ["m/archive_format", "m/data/aotinductor/model/a.so"]),
        (FileKind.UNKNOWN, ["readme.txt"]),
    ],
)
def test_kinds_of_archives(kind: FileKind, names: list[str], tmp_path: Path) -> None:
    path = tmp_path / "model.pt"
    with zipfile.ZipFile(path, "w") as archive:
        for name in names:
            archive.writestr(name, b"")
    assert kind_of(path) is kind


def test_kinds_of_other_files(tmp_path: Path) -> None:
    (tmp_path / "model.pt").write_bytes(b"PK nothing")
    assert kind_of(tmp_path / "model.pt") is FileKind.UNKNOWN
    assert kind_of(tmp_path / "model.py") is FileKind.SOURCE
    assert kind_of(tmp_path / "model.safetensors") is FileKind.WEIGHTS
