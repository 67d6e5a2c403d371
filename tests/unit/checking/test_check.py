"""All that is wrong with a repository, with its place."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from naiad.backends.registry import BackendRegistry
from naiad.checking.check import Checked, check_repositories

GOOD = """backend: "identity"
max_batch_size: 4
input { name: "x" data_type: TYPE_FP32 dims: [ 4 ] }
output { name: "y" data_type: TYPE_FP32 dims: [ 4 ] }
"""
ENSEMBLE = """platform: "ensemble"
input { name: "I" data_type: TYPE_FP32 dims: [ 1, 4 ] }
output { name: "O" data_type: TYPE_FP32 dims: [ 1, 4 ] }
ensemble_scheduling {
  step {
    model_name: "@MODEL@"
    model_version: -1
    input_map { key: "@KEY@" value: "I" }
    output_map { key: "y" value: "O" }
  }
}
"""


def model(root: Path, name: str, config: str | None, *files: str) -> None:
    (root / name).mkdir()
    if config is not None:
        (root / name / "config.pbtxt").write_text(config)
    for file in files:
        (root / name / file).parent.mkdir(exist_ok=True)
        (root / name / file).write_text("x")


def check(root: Path) -> Checked:
    return check_repositories([root], BackendRegistry(), num_gpus=0)


def lines(root: Path) -> list[str]:
    return [str(problem) for problem in check(root).problems]


def test_a_good_repository(tmp_path: Path) -> None:
    model(tmp_path, "good", GOOD, "1/x")
    model(tmp_path, "net", None, "1/model.onnx")
    model(tmp_path, "all", ENSEMBLE.replace("@MODEL@", "good").replace("@KEY@", "x"))
    checked = check(tmp_path)
    assert checked.models == ("all", "good", "net") and not checked.problems


def test_all_problems_of_all_models_in_one_run(tmp_path: Path) -> None:
    wrong = GOOD.replace("max_batch_size: 4", "max_batch_size: -1").replace(
        "[ 4 ] }\noutput", "[ 0 ] }\noutput"
    )
    model(tmp_path, "a", 'name: "b"\n' + wrong + "dynamic_batching { preferred_batch_size: 8 }\n", "1/x")
    model(tmp_path, "syntax", "max_batch_size:\n  4 }\n", "1/x")
    model(tmp_path, "nobody", 'backend: "nobody"\n', "1/x")
    model(tmp_path, "hollow", GOOD)
    model(tmp_path, "-x", GOOD)
    found = lines(tmp_path)
    assert [line.partition(" ")[0] for line in found] == [
        "-x:",
        "a/config.pbtxt:1:name:",
        "a/config.pbtxt:3:max_batch_size:",
        "a/config.pbtxt:4:input[0].dims:",
        "a/config.pbtxt:6:dynamic_batching.preferred_batch_size:",
        "hollow:",
        "nobody/config.pbtxt:1:backend:",
        "syntax/config.pbtxt:2:",
    ]
    assert check(tmp_path).errors == len(found)


@pytest.mark.parametrize(
    ("config", "files", "line"),
    [
        (
            GOOD.replace("dims: [ 4 ] }\n", 'dims: [ 4 ] label_filename: "no.txt" }\n', 2).replace(
                ' label_filename: "no.txt"', "", 1
            ),
            ("1/x",),
            "m/config.pbtxt:4:output.label_filename: label file 'no.txt'",
        ),
        ('backend: "onnxruntime"\n', ("1/other.onnx",), "there is no file 'm/1/model.onnx'"),
        ('backend: "python"\n', ("1/model.txt",), "there is no file 'm/1/model.py'"),
        (
            GOOD + "version_policy { specific { versions: [ 1, 3 ] } }\n",
            ("1/x",),
            "warning: there is no version 3",
        ),
        (GOOD + "version_policy { specific { versions: 3 } }\n", ("1/x",), "at least one version"),
        (GOOD + "runtime: 'x.so'\n", ("1/x",), "m/config.pbtxt:5:runtime: 'runtime' is not supported"),
        (
            GOOD + "optimization { priority: PRIORITY_MAX }\n",
            ("1/x",),
            "m/config.pbtxt:5:optimization.priority: warning",
        ),
        ("instance_group { kind: KIND_GPU }\n" + GOOD, ("1/x",), "m/config.pbtxt:1:instance_group[0].gpus: "),
    ],
)  # fmt: skip
def test_a_problem_and_its_place(tmp_path: Path, config: str, files: tuple[str, ...], line: str) -> None:
    model(tmp_path, "m", config, *files)
    assert any(line in one for one in lines(tmp_path)), lines(tmp_path)


@pytest.mark.parametrize(
    ("step", "key", "line"),
    [
        ("gone", "x", "e/config.pbtxt:6:ensemble_scheduling.step[0].model_name: "),
        ("good", "z", "e/config.pbtxt:8:ensemble_scheduling.step[0].input_map: "),
    ],
)
def test_ensembles(tmp_path: Path, step: str, key: str, line: str) -> None:
    model(tmp_path, "good", GOOD, "1/x")
    model(tmp_path, "e", ENSEMBLE.replace("@MODEL@", step).replace("@KEY@", key))
    (found,) = lines(tmp_path)
    assert found.startswith(line)


def test_what_an_exported_program_says_itself_is_not_missing(tmp_path: Path) -> None:
    model(tmp_path, "m", None, "1/model.pt2")
    with zipfile.ZipFile(tmp_path / "m/1/model.pt2", "w") as archive:
        archive.writestr("m/archive_format", b"pt2")
    assert check(tmp_path).errors == 0


def test_a_language_model_needs_no_tensors(tmp_path: Path) -> None:
    model(tmp_path, "m", 'backend: "vllm"\n')
    (tmp_path / "m/1").mkdir()
    (tmp_path / "m/1/model.json").write_text('{"model": "org/name"}')
    assert check(tmp_path).errors == 0
    (tmp_path / "m/1/model.json").write_text("{")
    assert check(tmp_path).errors > 0


def test_an_ensemble_of_models_that_say_themselves_what_they_take(tmp_path: Path) -> None:
    model(tmp_path, "net", None, "1/model.onnx")
    model(tmp_path, "e", ENSEMBLE.replace("@MODEL@", "net").replace("@KEY@", "anything"))
    assert lines(tmp_path) == []
