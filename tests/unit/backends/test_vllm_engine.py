"""Requests to an engine: answers, streams, adapters, what fails, and an engine that dies."""

from __future__ import annotations

import base64
import io
import json
import math
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from vllm_fakes import RunningModel, fake_framework, until

from naiad.backends.vllm.framework import Framework
from naiad.errors import ConfigError, InvalidArgument

pytest.importorskip("pydantic", reason="vLLM's own dependency, which the backend reads values with")

FLAGS = {
    "return_finish_reason": True,
    "return_cumulative_logprob": True,
    "return_logprobs": True,
    "return_num_input_tokens": True,
    "return_num_output_tokens": True,
}

Start = Callable[..., RunningModel]


@pytest.fixture
def framework(monkeypatch: pytest.MonkeyPatch) -> Iterator[Framework]:
    monkeypatch.setattr("naiad.backends.vllm.framework.run_first_in_spawned", lambda: None)
    monkeypatch.setattr("naiad.backends.vllm.framework.log_to_server", lambda: None)
    with fake_framework() as framework:
        yield framework


@pytest.fixture
def start(framework: Framework) -> Iterator[Start]:
    started: list[RunningModel] = []

    def make(**options: Any) -> RunningModel:
        started.append(RunningModel(framework, **options))
        return started[-1]

    yield make
    for model in started:
        model.close()
        assert model.engine.is_shut_down


@pytest.fixture
def model(start: Start) -> RunningModel:
    return start()


def sampling(**values: Any) -> str:
    return json.dumps(values)


def test_one_answer_begins_with_the_text(model: RunningModel) -> None:
    assert model.ask("a b", sampling_parameters=sampling(max_tokens=3)) == [{"text_output": [b"a b a b a"]}]
    assert model.ask("a b", exclude_input_in_output=False, parameters={"max_tokens": 1}) == [
        {"text_output": [b"a b a"]}
    ]
    assert model.ask("a b", exclude_input_in_output=True, parameters={"max_tokens": 1}) == [
        {"text_output": [b" a"]}
    ]
    # Sixteen tokens where nothing is said, as with Triton.
    assert model.ask("a", exclude_input_in_output=True) == [{"text_output": [b" a" * 16]}]


def test_sampling_parameters_go_before_those_of_the_request(model: RunningModel) -> None:
    given = sampling(max_tokens=1)
    answer = model.ask("a", sampling_parameters=given, parameters={"max_tokens": 5, "any": "thing"})
    assert answer == [{"text_output": [b"a a"]}]


def test_a_stream_of_deltas(model: RunningModel) -> None:
    answers = model.ask("a b", stream=True, sampling_parameters=sampling(max_tokens=3), **FLAGS)
    assert [answer["text_output"] for answer in answers] == [[b" a"], [b" b"], [b" a"]]
    assert [answer["finish_reason"] for answer in answers] == [[b"None"], [b"None"], [b"length"]]
    assert [answer["num_output_tokens"] for answer in answers] == [[1], [1], [1]]
    assert [answer["num_input_tokens"] for answer in answers] == [[3], [3], [3]]
    assert [answer["logprobs"] for answer in answers] == [[b"null"]] * 3
    assert all(math.isnan(answer["cumulative_logprob"][0]) for answer in answers)


def test_several_answers_in_one_stream(model: RunningModel) -> None:
    answers = model.ask(
        "a b", stream=True, sampling_parameters=sampling(max_tokens=3, n=2, logprobs=1), **FLAGS
    )
    # The first of them is short: it has no text in what comes later, and its reason once.
    assert [answer["text_output"] for answer in answers] == [[b" a", b" a"], [b"", b" b"], [b"", b" a"]]
    assert [answer["finish_reason"] for answer in answers] == [
        [b"length", b"None"],
        [b"None", b"None"],
        [b"None", b"length"],
    ]
    assert [answer["cumulative_logprob"] for answer in answers] == [[-0.5, -0.5], [-0.5, -1], [-0.5, -1.5]]
    assert [answer["num_output_tokens"] for answer in answers] == [[1, 1], [0, 1], [0, 1]]
    assert answers[1]["logprobs"][0] == b"null"


def test_several_answers_at_once(model: RunningModel) -> None:
    (answer,) = model.ask("a", sampling_parameters=sampling(max_tokens=2, n=2), return_finish_reason=True)
    assert answer == {"text_output": [b"a a a", b"a a a"], "finish_reason": [b"length", b"length"]}


def test_logprobs_are_json(model: RunningModel) -> None:
    (answer,) = model.ask("a", sampling_parameters=sampling(max_tokens=2, logprobs=2), **FLAGS)
    entry = {
        "7": {"logprob": -0.5, "rank": 1, "decoded_token": " a"},
        "8": {"logprob": -9999.0, "rank": 2, "decoded_token": "x"},
    }
    assert json.loads(answer["logprobs"][0]) == [entry, entry]
    assert (answer["cumulative_logprob"], answer["num_output_tokens"]) == ([-1.0], [2])


def test_special_tokens_may_be_left_out(model: RunningModel) -> None:
    def count(**values: Any) -> int:
        given = sampling(max_tokens=1, **values)
        (answer,) = model.ask("a b", sampling_parameters=given, return_num_input_tokens=True)
        return int(answer["num_input_tokens"][0])

    assert (count(), count(add_special_tokens=False)) == (3, 2)


def test_images(model: RunningModel) -> None:
    image = pytest.importorskip("PIL.Image", reason="pillow comes with vLLM")
    written = io.BytesIO()
    image.new("L", (2, 2)).save(written, "PNG")
    text = base64.b64encode(written.getvalue())
    (answer,) = model.ask("a", image=[text, text], sampling_parameters=sampling(max_tokens=3))
    assert answer == {"text_output": [b"a a image image"]}
    assert model.ask("a", image=[b"!"]) == [("INVALID_ARGUMENT", "image 0: this is no base64")]
    (refused,) = model.ask("a", image=[text, base64.b64encode(b"GIF89a")])
    assert refused == ("INVALID_ARGUMENT", "image 1: this is no image that can be read")


def test_adapters(start: Start) -> None:
    model = start(adapters={"doll": "/dolls", "bear": "/bears"})
    model.ask("a", sampling_parameters=sampling(lora_name="bear"))
    model.ask("a")
    bear, none = model.engine.adapters
    assert (bear.lora_name, bear.lora_int_id, bear.lora_path, none) == ("bear", 2, "/bears", None)
    assert model.ask("a", sampling_parameters=sampling(lora_name="ball")) == [
        ("INVALID_ARGUMENT", "LoRA ball is not supported, we currently support ['doll', 'bear']")
    ]


@pytest.mark.parametrize(
    ("text", "inputs", "code", "words"),
    [
        ("a", {"sampling_parameters": "{"}, "INVALID_ARGUMENT", "no JSON text"),
        ("a", {"parameters": {"bogus": 1}}, "INVALID_ARGUMENT", "there is no 'bogus'"),
        ("a", {"parameters": {"lora_name": "x"}}, "INVALID_ARGUMENT", "LoRA feature is not enabled."),
        ("a", {"stream": True, "exclude_input_in_output": False}, "INVALID_ARGUMENT", "When streaming"),
        (b"\xff", {}, "INVALID_ARGUMENT", "text_input: this is no UTF-8 text"),
        ("!full", {}, "UNAVAILABLE", "the queue is full"),
        ("!break", {}, "INTERNAL", "the engine failed: RuntimeError: out of luck"),
    ],
)
def test_what_fails(model: RunningModel, text: Any, inputs: Any, code: str, words: str) -> None:
    (answer,) = model.ask(text, **inputs)
    assert answer[0] == code
    assert words in answer[1]
    assert model.ask("a", parameters={"max_tokens": 1}) == [{"text_output": [b"a a"]}]


def test_a_client_that_goes_takes_its_request_out_of_the_engine(model: RunningModel) -> None:
    requests = [model.send("!hang"), model.send("a !wait", stream=True, parameters={"max_tokens": 10000})]
    until(lambda: len(model.engine.running) == 2 and requests[1].sender.given)  # type: ignore[union-attr]
    for request in requests:
        assert request.sender is not None
        request.sender.cancelled = True
    until(lambda: not model.engine.running)
    for request in requests:
        until(lambda sender=request.sender: sender.ended)
        assert request.sender.given[-1] == (("CANCELLED", "Request was cancelled"), True)  # type: ignore[union-attr]


def test_who_reads_slowly_does_not_hold_up_the_others(model: RunningModel) -> None:
    slow = model.send("a !wait", stream=True, parameters={"max_tokens": 10000})
    assert slow.sender is not None
    slow.sender.is_full = True
    assert len(model.ask("b", stream=True, parameters={"max_tokens": 20})) == 20
    assert slow.sender.given == []
    tokens = model.engine.tokens
    until(lambda: tokens._value.get() > 25)
    slow.sender.is_full = False
    until(lambda: slow.sender.given)  # type: ignore[union-attr]
    ((joined, _), last), *_ = slow.sender.given
    assert set(joined["text_output"][0].split()) == {b"a"}
    assert len(joined["text_output"][0].split()) >= 5
    assert not last
    slow.sender.cancelled = True
    until(lambda: slow.sender.ended)  # type: ignore[union-attr]


def test_what_can_not_be_sent_fails_its_request_alone(model: RunningModel) -> None:
    broken = model.send("a !wait", stream=True, parameters={"max_tokens": 10000})
    other = model.send("b !wait", stream=True, parameters={"max_tokens": 10000})
    until(lambda: broken.sender.given and other.sender.given)  # type: ignore[union-attr]
    assert broken.sender is not None and other.sender is not None

    def refuse(*_: Any, **__: Any) -> None:
        raise InvalidArgument("no room")

    broken.sender.send = refuse  # type: ignore[method-assign]
    until(lambda: len(model.engine.running) == 1)
    assert broken.sender.given[-1] == (("INVALID_ARGUMENT", "no room"), True)
    num_given = len(other.sender.given)
    until(lambda: len(other.sender.given) > num_given)  # type: ignore[union-attr]
    other.sender.cancelled = True
    until(lambda: not model.engine.running)


def test_an_engine_that_dies_fails_its_requests_and_ends_the_process(model: RunningModel) -> None:
    waits = model.send("!hang")
    until(lambda: model.engine.running)
    (answer,) = model.ask("!die")
    died = ("UNAVAILABLE", "model 'm': its engine has died and is started again")
    assert answer == died
    until(lambda: model.left)
    assert waits.sender is not None
    assert waits.sender.given == [(died, True)]
    assert model.left[0] == 70


def test_an_engine_that_dies_in_silence_ends_the_process(model: RunningModel) -> None:
    model.engine.is_dead = True
    until(lambda: model.left)


def test_metrics_that_can_not_be_reported_do_no_harm(start: Start) -> None:
    class Metrics:
        num_reports = 0

        def report(self) -> None:
            self.num_reports += 1
            raise InvalidArgument("of another kind already")

    metrics = Metrics()
    model = start(metrics=metrics)
    until(lambda: metrics.num_reports)
    assert model.ask("a", parameters={"max_tokens": 1}) == [{"text_output": [b"a a"]}]
    assert model.left == []


def test_unloading_fails_what_still_runs(framework: Framework) -> None:
    model = RunningModel(framework)
    waits = model.send("!hang")
    until(lambda: model.engine.running)
    model.close()
    assert waits.sender is not None
    assert waits.sender.given == [(("UNAVAILABLE", "model 'm' is being unloaded"), True)]
    assert model.engine.is_shut_down


def test_pooling(start: Start) -> None:
    model = start(task="embed")
    assert model.ask("ab c") == [{"embedding": [3.0, 2.0, 1.0]}]
    answer = model.ask("ab c", pooling_parameters='{"dimensions": 2}', return_num_input_tokens=True)
    assert answer == [{"embedding": [3.0, 2.0], "num_input_tokens": [3]}]
    parameters = model.engine.parameters[-1]
    assert (parameters.task, parameters.dimensions) == ("embed", 2)
    for given, words in (
        ('{"size": 2}', "no 'size' for a model whose task is 'embed'; there are: dimensions, use_activation"),
        ('{"dimensions": "2"}', "dimensions must be int, got str"),
        ("2", "a JSON object is expected"),
    ):
        (refused,) = model.ask("a", pooling_parameters=given)
        assert refused[0] == "INVALID_ARGUMENT"
        assert words in refused[1]


def test_classes(start: Start) -> None:
    model = start(task="classify", arguments={"convert": "classify"})
    assert model.ask("ab") == [{"probabilities": [3.0, 2.0]}]


def test_the_task_is_one_that_the_engine_has(framework: Framework) -> None:
    with pytest.raises(InvalidArgument, match="task is 'embed', but the engine supports generate"):
        RunningModel(framework, task="embed", arguments={"runner": "generate"})


def test_arguments_that_vllm_does_not_have(framework: Framework) -> None:
    with pytest.raises(
        ConfigError, match="no engine argument 'max_model_length'; did you mean 'max_model_len'"
    ):
        framework.start({"max_model_length": 1}, "model.json")
    with pytest.raises(ConfigError, match="no engine argument 'zzz'$"):
        framework.start({"zzz": 1}, "model.json")
