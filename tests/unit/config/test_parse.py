"""config.pbtxt and JSON to messages: every spelling that users have, and where an error points."""

from __future__ import annotations

import pytest

from naiad import protos
from naiad.config import from_dict, parse_json, parse_pbtxt, to_pbtxt
from naiad.config.parse import MAX_CONFIG_BYTES
from naiad.errors import ConfigError


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("input { name: 'a' } input { name: 'b' }", "input [ { name: 'a' }, { name: 'b' } ]"),
        ("input [ { name: 'a' } ] input [ { name: 'b' } ]", "input: [ { name: 'a' }, { name: 'b' } ]"),
        ("input { dims: 1 dims: 2 }", "input { dims: [ 1, 2 ] }"),
        ("input { dims: -1 }", "input { dims: [ -1 ] }"),
        ("max_batch_size: 8;name: 'm',", "name: \"m\"\n# a comment\nmax_batch_size: 0x8 # another"),
        ("parameters { key: 'a' value: { string_value: 'b' } }",
         "parameters { key: 'a', value { string_value: 'b' } }"),
        ("parameters: { key: 'a' value < string_value: 'b' > }",
         "parameters [ { key: 'a' value { string_value: 'b' } } ]"),
        ("input { data_type: TYPE_FP32 }", "input { data_type: 11 }"),
        ("dynamic_batching { }", "dynamic_batching: {}"),
        ("version_policy: { specific: { versions: [1,3] } }",
         "version_policy { specific { versions: 1 versions: 3 } }"),
        ("response_cache { enable: true }", "response_cache { enable: True }"),
        ("name: 'a' 'b'", "name: 'ab'"),
        ("name: '\\u00fc'", "name: 'ü'"),
        (r"name: '\x41\102\\\'\t\0'", 'name: "AB\\\\\'\\t\\000"'),
    ],
)  # fmt: skip
def test_two_spellings_of_one_configuration(one: str, other: str) -> None:
    assert parse_pbtxt(one) == parse_pbtxt(other)
    assert parse_pbtxt(one.encode()) == parse_pbtxt(other.encode())
    assert parse_pbtxt(one) != protos.ModelConfig()


@pytest.mark.parametrize(
    ("text", "place", "part"),
    [
        ('name: "m"\n  foo: 1', "2:3", 'no field named "foo"'),
        ('name: "m"\nname: "n"', "2:7", 'should not have multiple "name" fields'),
        ("input [\n { dims: [ 1, ] }\n]", "2:15", "integer"),
        ("max_batch_size: 4294967296", "1:17", "out of range"),
        ("input { data_type: TYPE_FP8 }", "1:20", "TYPE_FP8"),
        ('name: "m', "1:7", "ending quote"),
        ('# "\\q"\nname: "a\\n\\q"', "2:11", "escape"),
        ("name: '\\N{BULLET}'", "1:8", "escape"),
        ("name: '\\777'", "1:8", "escape"),
        ("name: '\\?'", "1:8", "escape"),
        ("input {", "1:7", "Expected"),
        ('dynamic_batching {}\nsequence_batching {}', "2:1", "oneof"),
    ],
)  # fmt: skip
def test_an_error_names_file_line_and_column(text: str, place: str, part: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_pbtxt(text, file="m/config.pbtxt")
    error = caught.value
    assert f"{error.line}:{error.column}" == place, str(error)
    assert str(error).startswith(f"m/config.pbtxt:{place}: ")
    assert part in error.reason
    assert error.code == "INVALID_ARGUMENT"


def test_bytes_that_are_not_utf8_are_refused_where_they_stand() -> None:
    with pytest.raises(ConfigError, match=r"^m/config\.pbtxt:2:8: not UTF-8$"):
        parse_pbtxt(b'# fine\nname: "\xff"', file="m/config.pbtxt")


def test_a_huge_text_is_refused_before_it_is_parsed() -> None:
    with pytest.raises(ConfigError, match="at most"):
        parse_pbtxt("#" * (MAX_CONFIG_BYTES + 1))
    with pytest.raises(ConfigError, match="at most"):
        parse_json(" " * (MAX_CONFIG_BYTES + 1))


def test_json_takes_what_load_overrides_send() -> None:
    message = parse_json(
        '{"backend":"onnxruntime","max_batch_size":8,'
        '"input":[{"name":"x","data_type":"TYPE_FP32","dims":["-1",4]}],'
        '"parameters":{"a":{"string_value":"b"}},"instance_group":[{"kind":"KIND_CPU","count":2}]}'
    )
    assert to_pbtxt(message) == to_pbtxt(
        parse_pbtxt(
            'backend: "onnxruntime" max_batch_size: 8 input { name: "x" data_type: TYPE_FP32 dims: [-1, 4] } '
            'parameters { key: "a" value { string_value: "b" } } instance_group { kind: KIND_CPU count: 2 }'
        )
    )


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("{", "not JSON"),
        ("[]", "JSON object, got list"),
        ('"text"', "JSON object, got str"),
        ('{"foo": 1}', "foo"),
        ('{"max_batch_size": "many"}', "max_batch_size"),
        ('{"max_batch_size": 1.5}', "max_batch_size"),
        ('{"input": {"name": "x"}}', "input"),
        ('{"input": [{"data_type": "TYPE_FP8"}]}', "TYPE_FP8"),
        ("[" * 100_000, "nested too deeply"),
        ('{"max_batch_size": ' + "9" * 5000 + "}", "number too long"),
    ],
)
def test_wrong_json_is_a_config_error(text: str, part: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_json(text, file="config of the load request")
    assert part in str(caught.value)


def test_json_errors_have_a_place() -> None:
    with pytest.raises(ConfigError) as caught:
        parse_json('{"name": "m",\n "x"}')
    assert (caught.value.line, caught.value.column) == (2, 5)


def test_a_dict_is_not_kept() -> None:
    tree = {"name": "m", "input": [{"name": "x", "dims": [1]}]}
    message = from_dict(tree)
    tree["name"] = "n"
    assert message.name == "m"
