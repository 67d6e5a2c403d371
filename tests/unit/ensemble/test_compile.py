"""Graphs of ensembles: what is refused, in which words, and the plan of what is not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest

from naiad.config import ModelConfig, complete_defaults, parse_pbtxt
from naiad.ensemble import compile, compile_ensemble, step_models
from naiad.errors import ConfigError, InvalidArgument, NaiadError, NotFound


@dataclass
class Served:
    config: ModelConfig

    @property
    def key(self) -> str:
        return self.config.name


class FakePlan:
    """The core's plan, written down."""

    def __init__(self, tensors: list[str], **named: Any) -> None:
        self.tensors = tensors
        self.named = named
        self.steps: list[Any] = []

    def add_step(self, model: str, version: str, **named: Any) -> None:
        self.steps.append((model, version, named))


@pytest.fixture(autouse=True)
def fake_plan(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compile, "EnsemblePlan", FakePlan)


def config(text: str, name: str = "e") -> ModelConfig:
    message = parse_pbtxt(f'name: "{name}" ' + text)
    complete_defaults(message, num_gpus=0)
    return ModelConfig(message)


def tensor(kind: str, name: str, data_type: str = "FP32", dims: str = "-1", more: str = "") -> str:
    return f'{kind} {{ name: "{name}" data_type: TYPE_{data_type} dims: [ {dims} ] {more} }}'


MODELS = {
    "inc": config("max_batch_size: 8 " + tensor("input", "X") + tensor("output", "Y"), "inc"),
    "join": config(
        "max_batch_size: 8 " + tensor("input", "P") + tensor("input", "Q") + tensor("output", "S"), "join"
    ),
    "some": config(
        "max_batch_size: 8 "
        + tensor("input", "A")
        + tensor("input", "B", more="optional: true")
        + tensor("output", "C"),
        "some",
    ),
    "flag": config("max_batch_size: 8 " + tensor("input", "X") + tensor("output", "F", "BOOL"), "flag"),
    "many": config(
        "max_batch_size: 8 model_transaction_policy { decoupled: true } "
        + tensor("input", "X")
        + tensor("output", "Y"),
        "many",
    ),
}


def find(name: str, version: str) -> Served:
    if name not in MODELS or version == "9":
        raise NotFound(name)
    return Served(MODELS[name])


def step(model: str, inputs: dict[str, str], outputs: dict[str, str], version: int = -1) -> str:
    maps = "".join(f' input_map {{ key: "{k}" value: "{v}" }}' for k, v in inputs.items())
    maps += "".join(f' output_map {{ key: "{k}" value: "{v}" }}' for k, v in outputs.items())
    return f'step {{ model_name: "{model}" model_version: {version}{maps} }}'


def ensemble(*steps: str, io: str | None = None, batch: int = 8, more: str = "") -> ModelConfig:
    io = tensor("input", "IN") + tensor("output", "OUT") if io is None else io
    text = f'platform: "ensemble" max_batch_size: {batch} {io} {more}'
    return config(text + "ensemble_scheduling { " + " ".join(steps) + " }")


def inc(source: str, target: str) -> str:
    return step("inc", {"X": source}, {"Y": target})


def test_a_chain() -> None:
    graph = ensemble(inc("IN", "mid"), step("inc", {"X": "mid"}, {"Y": "OUT"}, version=3))
    compiled = compile_ensemble(graph, find)
    plan: Any = compiled.plan
    assert not compiled.decoupled
    assert plan.tensors == ["IN", "mid", "OUT"]
    assert plan.named == {"inputs": [0], "outputs": [2], "max_inflight_requests": 0}
    assert plan.steps == [
        ("inc", "", {"inputs": [("X", 0, False)], "outputs": [("Y", 1, False)], "when": None}),
        ("inc", "3", {"inputs": [("X", 1, False)], "outputs": [("Y", 2, False)], "when": None}),
    ]
    assert step_models(graph) == ("inc",)
    assert step_models(MODELS["inc"]) == ()


def test_optional_inputs_and_conditions() -> None:
    graph = ensemble(
        step("flag", {"X": "IN"}, {"F": "f"}),
        step("inc", {"X": "IN"}, {"Y": "maybe"}),
        step("some", {"A": "IN", "B": "maybe"}, {"C": "OUT"}),
        more='parameters { key: "when:1" value { string_value: "!f" } } ',
    )
    plan: Any = compile_ensemble(graph, find).plan
    assert plan.steps[1][2]["when"] == (1, False)
    assert plan.steps[2][2]["inputs"] == [("A", 0, False), ("B", 2, True)]


def test_a_decoupled_step_makes_the_ensemble_decoupled() -> None:
    assert compile_ensemble(ensemble(step("many", {"X": "IN"}, {"Y": "OUT"})), find).decoupled


@pytest.mark.parametrize(
    ("graph", "kind", "words"),
    [
        (
            lambda: ensemble(inc("IN", "OUT"), inc("b", "a"), inc("a", "b")),
            ConfigError,
            "has a cycle: steps 1",
        ),
        (
            lambda: ensemble(inc("IN", "OUT"), inc("IN", "OUT")),
            ConfigError,
            "'OUT' can appear in an output map only",
        ),
        (lambda: ensemble(inc("IN", "IN")), ConfigError, "'IN' can appear in an output map only once"),
        (
            lambda: ensemble(inc("IN", "mid")),
            ConfigError,
            "ensemble output 'OUT' for ensemble e' is not used",
        ),
        (
            lambda: ensemble(inc("ghost", "OUT")),
            ConfigError,
            "ensemble input 'IN' for ensemble e' is not used",
        ),
        (
            lambda: ensemble(inc("IN", "OUT"), inc("ghost", "x")),
            ConfigError,
            "step 1 .'inc'. reads tensor 'ghost'",
        ),
        (
            lambda: ensemble(step("nope", {"X": "IN"}, {"Y": "OUT"})),
            InvalidArgument,
            "models that are not available or ambiguous: nope",
        ),
        (
            lambda: ensemble(step("inc", {"X": "IN"}, {"Y": "OUT"}, version=9)),
            InvalidArgument,
            "not available or ambiguous: inc",
        ),
        (
            lambda: ensemble(step("inc", {"Q": "IN"}, {"Y": "OUT"})),
            ConfigError,
            "ensemble tensor IN is mapping to non-existing input Q in model inc",
        ),
        (
            lambda: ensemble(step("inc", {"X": "IN"}, {"Q": "OUT"})),
            ConfigError,
            "ensemble tensor OUT is mapped from non-existing output Q in model inc",
        ),
        (
            lambda: ensemble(step("join", {"P": "IN"}, {"S": "OUT"})),
            ConfigError,
            "input Q in model join is not mapped to any ensemble tensors",
        ),
        (lambda: ensemble(inc("IN", "OUT"), batch=64), ConfigError, "allows maximum batch size 64.*to be 8"),
        (
            lambda: ensemble(inc("IN", "OUT"), io=tensor("input", "IN", "INT32") + tensor("output", "OUT")),
            ConfigError,
            "IN: inconsistent data type: TYPE_INT32 is inferred from model e while TYPE_FP32",
        ),
        (
            lambda: ensemble(
                inc("IN", "OUT"), io=tensor("input", "IN", dims="-1, 2") + tensor("output", "OUT")
            ),
            ConfigError,
            r"IN: inconsistent shape: \[-1,-1,2\] is inferred from model e while \[-1,-1\]",
        ),
        (
            lambda: ensemble(
                inc("IN", "OUT"), more='parameters { key: "when:7" value { string_value: "f" } } '
            ),
            ConfigError,
            "expected a step from 0 to 0",
        ),
        (
            lambda: ensemble(
                step("many", {"X": "IN"}, {"Y": "a"}),
                step("many", {"X": "IN"}, {"Y": "b"}),
                step("join", {"P": "a", "Q": "b"}, {"S": "OUT"}),
            ),
            ConfigError,
            "step 2 of ensemble 'e' receives inputs originated from different decoupled models",
        ),
        (
            lambda: ensemble(step("many", {"X": "IN"}, {"Y": "OUT"}), step("many", {"X": "IN"}, {"Y": "b"})),
            ConfigError,
            "beside one another",
        ),
    ],
)
def test_what_is_refused(graph: Any, kind: type[NaiadError], words: str) -> None:
    with pytest.raises(kind, match=words):
        compile_ensemble(graph(), find)
