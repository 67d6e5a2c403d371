"""Names of inputs and outputs, by Triton's conventions; torch is not needed."""

from __future__ import annotations

from collections import namedtuple
from typing import Any

import pytest

from naiad.backends.torch.naming import (
    Argument,
    OutputPlan,
    index_of,
    path_of,
    plan_inputs,
    plan_leaves,
)
from naiad.errors import BackendError, ConfigError

AB = [Argument("a"), Argument("b", "int", required=False)]


def _call(names: list[str], arguments: list[Argument], values: dict[str, Any]) -> Any:
    return plan_inputs("m", names, arguments).arrange(values)


def test_names_that_hold_an_index_or_a_path() -> None:
    assert index_of("INPUT__0") == 0
    assert index_of("a__b__12") == 12
    assert index_of("INPUT_0") is None
    assert index_of("INPUT__x") is None
    assert path_of("ARGS[2][keyA]") == ("ARGS", ("2", "keyA"))
    assert path_of("RESULT") == ("RESULT", ())
    assert path_of("RESULTS[0]") is None


def test_names_of_arguments_go_first() -> None:
    assert _call(["b", "a"], AB, {"a": 1, "b": 2}) == ([], {"a": 1, "b": 2})
    assert _call(["a"], AB, {"a": 1}) == ([], {"a": 1})
    assert plan_inputs("m", ["b", "a"], AB).kinds == {"a": "tensor", "b": "int"}


def test_an_optional_input_that_is_absent_is_left_out() -> None:
    assert _call(["a", "b"], AB, {"a": 1}) == ([], {"a": 1})
    assert _call(["x__0", "x__1"], AB, {"x__0": 1}) == ([1], {})
    assert _call(["x__0", "x__1"], AB, {"x__1": 1}) == ([None, 1], {})


def test_indices_say_the_position() -> None:
    plan = plan_inputs("m", ["x__1", "x__0"], AB)
    assert plan.arrange({"x__0": 1, "x__1": 2}) == ([1, 2], {})
    assert plan.kinds == {"x__0": "tensor", "x__1": "int"}
    assert not plan.by_order


@pytest.mark.parametrize("names", [["x__1", "x__2"], ["x__0", "x__0"], ["x__1"]])
def test_indices_that_leave_a_gap_are_refused(names: list[str]) -> None:
    with pytest.raises(ConfigError, match="need the indices 0 to"):
        plan_inputs("m", names, AB)


def test_else_the_order_of_the_configuration_counts() -> None:
    plan = plan_inputs("m", ["p", "q"], AB)
    assert plan.by_order
    assert plan.arrange({"q": 2, "p": 1}) == ([1, 2], {})


def test_more_inputs_than_arguments_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"takes 2 arguments \('a', 'b'\), but .* has 3 inputs"):
        plan_inputs("m", ["p", "q", "r"], AB)
    assert plan_inputs("m", ["p", "q", "r"], AB, any_count=True).arrange({"p": 1, "q": 2, "r": 3}) == (
        [1, 2, 3],
        {},
    )


def test_arguments_without_an_input_are_refused() -> None:
    with pytest.raises(ConfigError, match="no input is given for the arguments 'a'"):
        plan_inputs("m", ["b"], AB)


def test_a_dictionary_takes_them_all() -> None:
    assert _call(["x", "y"], [Argument("inputs", "dict")], {"x": 1, "y": 2}) == ([{"x": 1, "y": 2}], {})


def test_leaves_by_path_by_name_and_by_index() -> None:
    leaves = [["ARGS[0]", "x"], ["KWARGS[k]", "k"]]
    assert plan_leaves("m", ["KWARGS[k]", "ARGS[0]"], leaves) == [1, 0]
    assert plan_leaves("m", ["x", "k"], leaves) == [0, 1]
    assert plan_leaves("m", ["INPUT__1", "INPUT__0"], leaves) == [1, 0]
    with pytest.raises(
        ConfigError, match=r"input 'z' is none of the model's.*ARGS\[0\] or x; KWARGS\[k\] or k"
    ):
        plan_leaves("m", ["z"], leaves)
    with pytest.raises(ConfigError, match="a second name"):
        plan_leaves("m", ["x", "INPUT__0"], leaves)


def test_outputs_of_tuples_lists_and_single_values() -> None:
    assert dict(OutputPlan("m", ["OUTPUT__1", "OUTPUT__0"]).pick((1, 2), ["OUTPUT__1"])) == {"OUTPUT__1": 2}
    assert dict(OutputPlan("m", ["Y"]).pick(5, ["Y"])) == {"Y": 5}
    assert dict(OutputPlan("m", ["Y", "Z"]).pick([1, (2, 3)], ["Z", "Y"])) == {"Y": 1, "Z": 2}


def test_outputs_of_dictionaries_and_named_tuples() -> None:
    result = {"z": 1, "y": (2, 3)}
    assert dict(OutputPlan("m", ["y", "z"]).pick({"z": 1, "y": 2}, ["y", "z"])) == {"y": 2, "z": 1}
    assert dict(OutputPlan("m", ["RESULT[y][1]"]).pick(result, ["RESULT[y][1]"])) == {"RESULT[y][1]": 3}
    assert dict(OutputPlan("m", ["O__2"]).pick(result, ["O__2"])) == {"O__2": 3}
    pair = namedtuple("pair", "left right")
    assert dict(OutputPlan("m", ["right"]).pick(pair(1, 2), ["right"])) == {"right": 2}


def test_a_list_of_strings_is_one_output() -> None:
    assert dict(OutputPlan("m", ["S"]).pick(["a", "b"], ["S"])) == {"S": ["a", "b"]}


def test_results_that_are_not_there() -> None:
    with pytest.raises(BackendError, match="no output 'O__2': the model has returned 2 tensors"):
        list(OutputPlan("m", ["O__2"]).pick((1, 2), ["O__2"]))
    with pytest.raises(BackendError, match="there is no 'q' in a dict"):
        list(OutputPlan("m", ["RESULT[q]"]).pick({}, ["RESULT[q]"]))
