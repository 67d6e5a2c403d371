"""What a model may take, by the sizes of its files."""

from __future__ import annotations

from naiad.config import ModelConfig, parse_pbtxt
from naiad.repository.expected_size import size_by_files
from naiad.settings import CPU

FILES = [("1/model.onnx", 1000, 1), ("1/model.py", 10, 1), ("1/weights.pt", 500, 1)]


def config(text: str) -> ModelConfig:
    return ModelConfig(parse_pbtxt(text.encode(), file="m/config.pbtxt"))


def test_each_instance_has_weights_of_its_own() -> None:
    text = 'backend: "onnxruntime" instance_group [ { name: "a" kind: KIND_CPU count: 3 } ]'
    assert size_by_files(config(text), FILES) == {CPU: 3 * 1510}


def test_instances_on_gpus_count_there() -> None:
    text = (
        'backend: "onnxruntime" instance_group [ { name: "a" kind: KIND_GPU gpus: [ 0, 2 ] count: 2 }, '
        '{ name: "b" kind: KIND_CPU count: 1 } ]'
    )
    assert size_by_files(config(text), FILES) == {0: 2 * 1510, 2: 2 * 1510, CPU: 1510}


def test_of_a_model_in_python_weights_alone_count() -> None:
    text = 'backend: "python" instance_group [ { name: "a" kind: KIND_CPU count: 1 } ]'
    assert size_by_files(config(text), FILES) == {CPU: 1500}


def test_an_ensemble_takes_nothing() -> None:
    assert size_by_files(config('platform: "ensemble"'), FILES) == {}
