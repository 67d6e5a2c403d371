"""Lines of fields."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from naiad.config.positions import field_lines, line_of

TEXT = """# name: "no" {
name: "m"
input [
  { name: "a"  # dims: [ 1 ]
    dims: [ 1,
            2 ] },
  {
    name: "b } input {"
    dims: 3
  }
]
input { name: 'c' }
output: < name: "d"
          data_type: TYPE_FP32 >
dynamic_batching { preferred_batch_size: 4
  preferred_batch_size: 8
  default_queue_policy { max_queue_size: -1 } }
parameters { key: "x" value { string_value: "1" } }
"""


def test_lines() -> None:
    lines = field_lines(TEXT)
    expected = {
        "name": 2,
        "input": 3,
        "input[0]": 4,
        "input[0].name": 4,
        "input[0].dims": 5,
        "input[0].dims[1]": 6,
        "input[1]": 7,
        "input[1].name": 8,
        "input[1].dims": 9,
        "input[2].name": 12,
        "input.dims": 5,
        "output[0].data_type": 14,
        "output.name": 13,
        "dynamic_batching.preferred_batch_size": 15,
        "dynamic_batching.preferred_batch_size[1]": 16,
        "dynamic_batching.default_queue_policy.max_queue_size": 17,
        "parameters[0].value.string_value": 18,
    }
    assert {field: lines.get(field) for field in expected} == expected


def test_the_nearest_line_is_taken() -> None:
    lines = field_lines(TEXT)
    assert line_of("input[1].reshape.shape", lines) == 7
    assert line_of("dynamic_batching.priority_levels", lines) == 15
    assert line_of("instance_group[0].gpus", lines) is None
    assert line_of("", lines) is None


def test_a_text_that_breaks_off() -> None:
    assert field_lines('input [ { name: "a"')["input[0].name"] == 1
    assert field_lines("a: 1\nb {\n c: [ {")["b.c[0]"] == 3


@given(st.text(alphabet='ab:{}[]<>,;"\\# \n1', max_size=40))
def test_any_text_is_read_to_its_end(text: str) -> None:
    assert all(line >= 1 for line in field_lines(text).values())
