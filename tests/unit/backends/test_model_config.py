"""pb_utils.ModelConfig in auto_complete_config."""

from __future__ import annotations

from typing import Any

import pytest

from naiad.backends.python.model_config import ModelConfig
from naiad.config import ModelConfig as Config
from naiad.config import from_dict, parse_pbtxt

X = {"name": "X", "data_type": "TYPE_INT32", "dims": [1]}


def given(text: str = "") -> ModelConfig:
    return ModelConfig(Config(parse_pbtxt('name: "m" ' + text)).to_json())


def test_what_is_added_is_in_the_dict_and_parses() -> None:
    config = given()
    config.set_max_batch_size(4)
    config.add_input(X)
    config.add_input({**X, "name": "O", "optional": True})
    config.add_output({**X, "name": "Y"})
    config.set_dynamic_batching()
    config.set_model_transaction_policy({"decoupled": False})
    message = from_dict(config.as_dict())
    assert message.max_batch_size == 4
    assert [(io.name, io.optional) for io in message.input] == [("X", False), ("O", True)]
    assert [io.name for io in message.output] == ["Y"]
    assert message.HasField("dynamic_batching")


def test_the_given_dict_is_not_changed() -> None:
    tree = Config(parse_pbtxt('name: "m"')).to_json()
    ModelConfig(tree).add_input(X)
    assert tree["input"] == []


def test_the_same_again_changes_nothing_and_gaps_are_filled() -> None:
    config = given('input [ { name: "X" } ]')
    config.add_input(X)
    config.add_input(X)
    (only,) = config.as_dict()["input"]
    assert only["data_type"] == "TYPE_INT32"
    assert only["dims"] == [1]


WRITTEN = 'max_batch_size: 4 input [ { name: "X" data_type: TYPE_INT32 dims: [ 1 ] } ]'


@pytest.mark.parametrize(
    ("tensor", "message"),
    [
        ({**X, "data_type": "TYPE_FP32"}, "configuration expects datatype TYPE_INT32 for input 'X'"),
        (
            {**X, "dims": [2]},
            r"the model expects dims \[2\] but the model configuration specifies dims \[1\]",
        ),
        ({"name": "Z"}, "input 'Z' in auto-complete-config function for model 'm' is missing 'data_type'"),
        ({"dims": [1]}, "missing 'name'"),
        ({**X, "foo": 1}, "property other than 'name', 'data_type', 'dims' and 'optional'"),
    ],
)
def test_contradictions_have_tritons_words(tensor: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        given(WRITTEN).add_input(tensor)


def test_outputs_are_not_optional() -> None:
    with pytest.raises(ValueError, match="property other than 'name', 'data_type' and 'dims'"):
        given().add_output({**X, "optional": True})


def test_a_written_batch_size_cannot_shrink() -> None:
    config = given(WRITTEN)
    with pytest.raises(
        ValueError,
        match="configuration specified max_batch_size 4, but in auto-complete-config function for model 'm' "
        "specified max_batch_size 2",
    ):
        config.set_max_batch_size(2)
    config.set_max_batch_size(8)
    assert config.as_dict()["max_batch_size"] == 8
    with pytest.raises(ValueError, match="int >= 0"):
        config.set_max_batch_size(True)


def test_schedulers_and_transaction_policies_do_not_change() -> None:
    with pytest.raises(ValueError, match="sequence_batching"):
        given("max_batch_size: 1 sequence_batching { }").set_dynamic_batching()
    with pytest.raises(ValueError, match="already set to 'True'"):
        given("model_transaction_policy { decoupled: true }").set_model_transaction_policy(
            {"decoupled": False}
        )
    with pytest.raises(ValueError, match="other than 'decoupled'"):
        given().set_model_transaction_policy({"x": True})
