"""One prompt through a language model, on fakes."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from naiad.config import ModelConfig
from naiad.errors import Internal
from naiad.openai.errors import ApiError
from naiad.openai.generation import Delta, Generation, Prompt, TokenLogprob, check_usage
from naiad.openai.logprobs import chat_logprobs, completion_logprobs
from naiad.openai.merge import merged
from naiad.openai.sampling import Sampling

from .conftest import FULL, FakeRequests, config, entry, language, tensor


def run(requests: FakeRequests, prompt: Prompt, model: ModelConfig = FULL) -> tuple[list[Delta], Generation]:
    async def collect() -> tuple[list[Delta], Generation]:
        generation = Generation(requests, entry(model), prompt)
        return [delta async for delta in generation.deltas()], generation

    return asyncio.run(collect())


def sampled(**values: Any) -> Sampling:
    sampling = Sampling()
    for name, value in values.items():
        sampling.choose(name, value, name)
    return sampling


def test_the_tensors() -> None:
    requests = FakeRequests([{"text_output": ["a"]}])
    run(requests, Prompt("hi", sampled(temperature=0.5), True, images=["QQ=="], logprobs=0))
    asked = {name: value.tolist() for name, value in requests.asked[0].items()}
    assert json.loads(asked.pop("sampling_parameters")[0]) == {"temperature": 0.5}
    assert asked == {
        "text_input": ["hi"], "stream": [True], "exclude_input_in_output": [True], "image": ["QQ=="],
        "return_finish_reason": [True], "return_logprobs": [True], "return_num_input_tokens": [True],
        "return_num_output_tokens": [True],
    }  # fmt: skip


def test_tokens_that_nobody_counts_are_not_asked_for() -> None:
    requests = FakeRequests([{"text_output": ["a"]}])
    _, generation = run(requests, Prompt("hi", Sampling(), True, counts=False))
    for name in ("return_num_input_tokens", "return_num_output_tokens"):
        assert requests.asked[0][name].tolist() == [False]
    assert generation.usage.to_json() is None


def test_a_model_that_batches_gets_a_row() -> None:
    rows = (
        f"input [ {tensor('text_input', 'STRING', '1')} ] output [ {tensor('text_output', 'STRING', '1')} ]"
    )
    requests = FakeRequests([{"text_output": ["a"]}])
    run(requests, Prompt("hi", Sampling(), False), config(rows + "max_batch_size: 2"))
    assert requests.asked[0]["text_input"].tolist() == [["hi"]]


def test_deltas_and_what_they_cost() -> None:
    requests = FakeRequests(
        [
            {"text_output": ["a", "b"], "finish_reason": ["None", ""], "num_input_tokens": [3],
             "num_output_tokens": [1, 1]},
            {"text_output": ["", "c"], "finish_reason": ["None", "length"], "num_input_tokens": [3],
             "num_output_tokens": [0, 1]},
            {"text_output": ["d", "no"], "finish_reason": ["stop", "length"], "num_output_tokens": [1, 0]},
        ]
    )  # fmt: skip
    deltas, generation = run(requests, Prompt("x", sampled(n=2), True))
    assert deltas == [
        Delta(0, "a"), Delta(1, "b"), Delta(1, "c", "length"), Delta(0, "d", "stop"),
    ]  # fmt: skip
    assert generation.usage.to_json() == {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}
    assert requests.closed == 1


def test_a_model_that_tells_little() -> None:
    deltas, generation = run(
        FakeRequests([{"text_output": ["a"]}]), Prompt("x", Sampling(), True), language()
    )
    assert deltas == [Delta(0, "a"), Delta(0, "", "stop")]
    assert generation.usage.to_json() is None
    with pytest.raises(ApiError, match="num_input_tokens"):
        check_usage(entry(language()), "stream_options.include_usage")
    check_usage(entry(), "stream_options.include_usage")


@pytest.mark.parametrize(
    ("prompt", "param"),
    [
        (Prompt("x", sampled(temperature=1), True), "temperature"),
        (Prompt("x", sampled(n=2), True), "n"),
        (Prompt("x", Sampling(), True, images=["a"]), "messages"),
        (Prompt("x", Sampling(), True, logprobs=1), "logprobs"),
    ],
)
def test_what_needs_an_input_is_refused_by_name(prompt: Prompt, param: str) -> None:
    with pytest.raises(ApiError) as caught:
        Generation(FakeRequests(), entry(language()), prompt)
    assert caught.value.param == param


def test_n_of_one_and_defaults_need_no_input() -> None:
    sampling = sampled(n=1)
    sampling.default("max_tokens", 16)
    Generation(FakeRequests(), entry(language()), Prompt("x", sampling, True))


def test_answers_that_are_missing_or_cut_off() -> None:
    with pytest.raises(ApiError, match="gave 1 of 2 answers"):
        run(FakeRequests([{"text_output": ["a"]}]), Prompt("x", sampled(n=2), True))
    with pytest.raises(ApiError) as caught:
        run(FakeRequests([{"text_output": ["a"], "finish_reason": ["abort"]}]), Prompt("x", Sampling(), True))
    assert caught.value.status == 503


STEPS = json.dumps(
    [
        {
            "5": {"logprob": -2.0, "rank": 2, "decoded_token": "é"},
            "6": {"logprob": -1.0, "decoded_token": "b"},
        },
        {"7": {"logprob": float("-inf"), "rank": 1, "decoded_token": None}},
    ]
)


def test_log_probabilities() -> None:
    response = {"text_output": ["éx"], "logprobs": [STEPS]}
    deltas, _ = run(FakeRequests([response]), Prompt("x", Sampling(), True, logprobs=1))
    tokens = deltas[0].logprobs
    assert tokens[0] == TokenLogprob("é", -2.0, (("b", -1.0), ("é", -2.0)))
    assert tokens[1].token == "token_id:7"
    content = chat_logprobs(tokens, 1)["content"]
    assert content[0] == {
        "token": "é", "logprob": -2.0, "bytes": [195, 169],
        "top_logprobs": [{"token": "b", "logprob": -1.0, "bytes": [98]}],
    }  # fmt: skip
    assert content[1]["logprob"] == -9999.0
    told = completion_logprobs(tokens, 1, 10)
    assert told["text_offset"] == [10, 11]
    assert told["top_logprobs"][0] == {"b": -1.0, "é": -2.0}
    assert chat_logprobs(tokens, 0)["content"][0]["top_logprobs"] == []


def test_streams_are_merged_and_ended_together() -> None:
    good, bad = FakeRequests([{"text_output": ["a"]}] * 3), FakeRequests(failure=Internal("broken"))

    async def go(*all_requests: FakeRequests) -> list[tuple[int, Delta]]:
        prompt = Prompt("x", Sampling(), True)
        streams = [Generation(each, entry(), prompt).deltas() for each in all_requests]
        return [told async for told in merged(streams)]

    told = asyncio.run(go(good, good))
    assert sorted(place for place, _ in told) == [0] * 4 + [1] * 4
    with pytest.raises(Internal, match="broken"):
        asyncio.run(go(good, bad))
    assert (good.closed, bad.closed) == (3, 1)
