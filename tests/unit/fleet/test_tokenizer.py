"""The tokenizer's model.py as it lies in the repository, with a stand-in for triton_python_backend_utils."""

from __future__ import annotations

import importlib.util
import json
import sys
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from tokenizers import Tokenizer


@dataclass
class Tensor:
    name: str
    array: np.ndarray

    def as_numpy(self) -> np.ndarray:
        return self.array


@dataclass
class TritonError:
    INVALID_ARG = 3
    message: str
    code: int


@dataclass
class InferenceResponse:
    output_tensors: list[Tensor] = field(default_factory=list)
    error: TritonError | None = None

    def array(self, name: str) -> np.ndarray:
        return next(tensor.array for tensor in self.output_tensors if tensor.name == name)


@pytest.fixture
def model(repository: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    backend: Any = ModuleType("triton_python_backend_utils")
    backend.Tensor, backend.TritonError, backend.InferenceResponse = Tensor, TritonError, InferenceResponse
    backend.get_input_tensor_by_name = lambda request, name: request[name]
    monkeypatch.setitem(sys.modules, "triton_python_backend_utils", backend)
    spec = importlib.util.spec_from_file_location("fleet_tokenizer", repository / "tokenizer/1/model.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    loaded = module.TritonPythonModel()
    parameters = {"max_tokens": {"string_value": "256"}, "pad_to_multiple_of": {"string_value": "8"}}
    loaded.initialize({"model_config": json.dumps({"parameters": parameters})})
    return loaded


def request(*texts: bytes) -> dict[str, Tensor]:
    return {"TEXT": Tensor("TEXT", np.array(texts, np.object_).reshape(-1, 1))}


def test_known_ids_padded_to_a_multiple_of_eight(model):
    (response,) = model.execute([request(b"Hello Triton")])
    assert response.error is None
    assert response.array("input_ids").tolist() == [[101, 7592, 13012, 2669, 102, 0, 0, 0]]
    assert response.array("attention_mask").tolist() == [[1, 1, 1, 1, 1, 0, 0, 0]]
    assert response.array("input_ids").dtype == response.array("attention_mask").dtype == np.int64


def test_rows_are_padded_to_the_longest_of_their_own_request(model):
    short, long = model.execute([request(b"a", b"b"), request(b"a", b"one two three four five six seven")])
    assert short.array("input_ids").shape == (2, 8)
    assert long.array("input_ids").shape == (2, 16)
    assert long.array("attention_mask").sum(axis=1).tolist() == [3, 9]


def test_requests_together_get_what_each_gets_alone(model):
    requests = [request(b"one"), request(b"two", "drei \u00fc \u4e09".encode()), request(b"")]
    for together, alone in zip(model.execute(requests), requests, strict=True):
        (expected,) = model.execute([alone])
        assert together.array("input_ids").tolist() == expected.array("input_ids").tolist()


def test_ids_are_those_of_the_tokenizers_package(model, repository: Path):
    text = "Stra\u00dfe caf\u00e9 \U0001f600 tokenization isn't hard"
    reference = Tokenizer.from_file(str(repository / "tokenizer/1/tokenizer.json"))
    reference.no_padding()
    (response,) = model.execute([request(text.encode())])
    ids, mask = response.array("input_ids")[0], response.array("attention_mask")[0]
    assert ids[mask == 1].tolist() == reference.encode(text).ids


def test_a_long_text_is_cut_at_256_tokens(model):
    (response,) = model.execute([request(b"word " * 1000)])
    assert response.array("input_ids").shape == (1, 256)
    assert response.array("input_ids")[0, -1] == 102  # [SEP] stays the last


def test_a_text_that_is_not_utf8_fails_its_own_request_only(model):
    good, bad, after = model.execute([request(b"one"), request(b"ok", b"\xff\xfe"), request(b"three")])
    assert bad.error == TritonError("TEXT is not valid UTF-8", TritonError.INVALID_ARG)
    assert good.error is None
    assert after.array("input_ids")[0, 1] == 2093  # "three"
