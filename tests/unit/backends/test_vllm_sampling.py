"""sampling_parameters: JSON text, or the parameters of a request, to SamplingParams."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from vllm_fakes import fake_framework

from naiad.backends.vllm.sampling import Sampling, SamplingReader
from naiad.errors import InvalidArgument

pytest.importorskip("pydantic", reason="vLLM's own dependency, which the backend reads values with")


@pytest.fixture(scope="module")
def reader() -> Iterator[SamplingReader]:
    with fake_framework() as framework:
        yield SamplingReader(framework)


def read(reader: SamplingReader, stream: bool = False, **given: Any) -> Sampling:
    return reader.read(json.dumps(given), stream=stream)


def test_values_may_be_text(reader: SamplingReader) -> None:
    parameters = read(
        reader,
        temperature="0",
        max_tokens="7",
        ignore_eos="true",
        stop="end",
        stop_token_ids="[1, 2]",
        logit_bias='{"5": 1.5}',
    ).parameters
    assert (parameters.temperature, parameters.max_tokens, parameters.ignore_eos) == (0.0, 7, True)
    assert (parameters.stop, parameters.stop_token_ids) == ("end", [1, 2])
    assert parameters.logit_bias == {5: 1.5}
    assert parameters.output_kind.name == "FINAL_ONLY"


def test_values_may_be_json(reader: SamplingReader) -> None:
    parameters = read(
        reader, True, temperature=0.5, n=2, stop=["a", "b"], max_tokens=None, logit_bias={"5": 1}
    ).parameters
    assert (parameters.temperature, parameters.n, parameters.stop) == (0.5, 2, ["a", "b"])
    assert parameters.max_tokens is None
    assert parameters.logit_bias == {5: 1.0}
    assert parameters.output_kind.name == "DELTA"
    # Where null means nothing, it is as if it were not there.
    assert read(reader, temperature=None).parameters.temperature == 1.0


def test_what_is_not_of_the_engine(reader: SamplingReader) -> None:
    sampling = read(reader, lora_name="doll", add_special_tokens=False)
    assert (sampling.adapter, sampling.add_special_tokens) == ("doll", False)
    assert read(reader, add_special_tokens="false").add_special_tokens is False
    assert read(reader) == Sampling(read(reader).parameters, None, True)


@pytest.mark.parametrize("given", [{"regex": "a+"}, '{"regex": "a+"}'])
def test_constraints(reader: SamplingReader, given: Any) -> None:
    constraint = read(reader, structured_outputs=given).parameters.structured_outputs
    assert (constraint.regex, constraint.json) == ("a+", None)


def test_a_schema_stays_an_object(reader: SamplingReader) -> None:
    schema = {"type": "object"}
    assert read(reader, structured_outputs={"json": schema}).parameters.structured_outputs.json == schema


def test_defaults_of_the_model() -> None:
    with fake_framework() as framework:
        reader = SamplingReader(framework, {"max_tokens": 3, "temperature": 0.5})
        parameters = read(reader, temperature=0.25).parameters
        assert (parameters.max_tokens, parameters.temperature) == (3, 0.25)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "no JSON text"),
        ("[]", "a JSON object is expected"),
        ('{"best_of": 2}', "there is no 'best_of'"),
        ('{"output_kind": 1}', "there is no 'output_kind'"),
        ('{"_bad_words_token_ids": []}', "there is no '_bad_words_token_ids'"),
        ('{"prompt_logprobs": 1}', "there is no 'prompt_logprobs'"),
        ('{"read": 1}', "there is no 'read'"),
        ('{"max_tokens": "many"}', "max_tokens: .*valid integer.*, got 'many'"),
        ('{"max_tokens": 1.5}', "max_tokens: "),
        ('{"ignore_eos": "maybe"}', "ignore_eos: .*boolean"),
        ('{"logit_bias": {"x": 1}}', "logit_bias: .*integer"),
        ('{"temperature": -1}', "temperature must be non-negative, got -1"),
        ('{"lora_name": 7}', "lora_name must be text, got 7"),
        ('{"structured_outputs": 7}', "structured_outputs: an object is expected"),
        ('{"structured_outputs": {"xml": 1}}', "no 'xml'; there are: choice, grammar, json, regex"),
        ('{"structured_outputs": {"_backend": "x"}}', "no '_backend'"),
        ('{"structured_outputs": {"choice": "a"}}', "structured_outputs: .*list"),
    ],
)
def test_what_is_refused(reader: SamplingReader, text: str, words: str) -> None:
    with pytest.raises(InvalidArgument, match=words):
        reader.read(text, stream=False)
