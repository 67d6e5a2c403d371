"""What a configuration says of an engine, and an engine of a configuration, in Triton's words."""

from __future__ import annotations

import re
from typing import Any

import pytest
from fake_tensorrt import FakeCuda, FakeEngine
from tensorrt_models import RESIZED, X, Y, configured, double_engine, made, profile, resize_engine

from naiad.backends.tensorrt.completion import complete
from naiad.backends.tensorrt.contracts import EngineTensor
from naiad.backends.tensorrt.options import server_wide_options, tensorrt_options
from naiad.config import ModelConfig, parse_pbtxt
from naiad.errors import ConfigError, InvalidArgument, NaiadError, Unsupported


@pytest.fixture
def cuda() -> FakeCuda:
    return FakeCuda()


def tensor(name: str, shape: tuple[int, ...] = (-1, -1), datatype: str = "FP32", **more: Any) -> EngineTensor:
    return EngineTensor(name, name == "X", datatype, shape, **more)


def engine_of(cuda: FakeCuda, *tensors: EngineTensor) -> FakeEngine:
    engine = double_engine(cuda)
    engine.tensors = tensors
    return engine


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (X.replace('"X"', '"Q"') + Y, "unexpected inference input 'Q', allowed inputs are: X"),
        (X + Y.replace('"Y"', '"Q"'), "unexpected inference output 'Q', allowed outputs are: Y"),
        (Y, "expected configuration for input 'X' for m"),
        (X + Y.replace("FP32", "INT8"),
         "unexpected datatype TYPE_FP32 for inference output 'Y', expecting TYPE_INT8 for m"),
        (X.replace("-1", "7, 7") + Y,
         "model 'm', tensor 'X': the model expects 2 dimensions (shape [-1,-1]) but the model configuration "
         "specifies 3 dimensions (an initial batch dimension because max_batch_size > 0 followed by the "
         "explicit tensor shape, making complete shape [-1,7,7])"),
        (X.replace("-1", "17") + Y,
         "model configuration specified invalid shape for input 'X' for model m. Error details: model "
         "expected the shape of dimension 1 to be between 1 and 16 but received 17"),
        (X.replace("]", "] is_shape_tensor: true") + Y,
         "input 'X' for model 'm' is incorrectly marked as a shape tensor in the model configuration."),
        (X + Y.replace("]", "] is_non_linear_format_io: true"),
         "output 'Y' for model 'm' uses a linear IO format, but 'is_non_linear_format_io' is incorrectly set "
         "to true in the model configuration."),
        (X.replace("]", "] optional: true") + Y,
         "model 'm': input 'X' is optional, which an engine's input can not be"),
    ],
)  # fmt: skip
def test_what_contradicts_the_engine_is_refused(text: str, message: str, cuda: FakeCuda) -> None:
    with pytest.raises(ConfigError) as raised:
        made(configured(text), double_engine(cuda), cuda)
    assert str(raised.value) == message


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (configured(batch=9), "specified max-batch 9 but TensorRT engine only supports max-batch 8"),
        (configured(batch=0), "specifies 1 dimensions (shape [-1])"),
        (configured(group='profile: "1"'), "Expected optimization profile index range 0-0"),
    ],
)  # fmt: skip
def test_batches_and_profiles_that_there_are_not(config: ModelConfig, message: str, cuda: FakeCuda) -> None:
    with pytest.raises(ConfigError, match=re.escape(message)):
        made(config, double_engine(cuda), cuda)


def test_shape_tensors_are_marked_and_leave_the_rows_out(cuda: FakeCuda) -> None:
    for text, message in (
        (RESIZED.replace("is_shape_tensor: true", "", 1), "input 'SIZE' for model 'm' is a shape tensor but"),
        (RESIZED.replace("dims: [ 2 ]", "dims: [ 3 ]", 1), "binding 'SIZE' shape expected by framework [3]"),
        (RESIZED.replace("INT32", "INT64"), "unexpected datatype TYPE_INT32 for shape input 'SIZE'"),
    ):
        with pytest.raises(ConfigError, match=re.escape(message)):
            made(configured(text), resize_engine(cuda, batches=True), cuda)


@pytest.mark.parametrize(
    ("y", "error", "message"),
    [
        (tensor("Y", datatype="FP8"), Unsupported, "unsupported datatype FP8 for output 'Y'"),
        (tensor("Y", format="HWC"), ConfigError, "uses a non-linear IO format, but"),
    ],
)
def test_outputs_that_are_not_served(
    y: EngineTensor, error: type[NaiadError], message: str, cuda: FakeCuda
) -> None:
    with pytest.raises(error, match=message):
        made(configured(), engine_of(cuda, tensor("X"), y), cuda)


def test_non_linear_formats_whose_vectors_are_full(cuda: FakeCuda) -> None:
    marked = Y.replace("]", "] is_non_linear_format_io: true").replace("-1", "8")
    text = X.replace("-1", "8") + marked
    fits = tensor("Y", (-1, 8), format="CHW4", vectorized_dim=1, vector_size=4)
    made(configured(text), engine_of(cuda, tensor("X"), fits), cuda)
    for padded in (
        tensor("Y", (-1, 8), format="CHW32", vectorized_dim=1, vector_size=32),
        tensor("Y", (-1, 8), format="DLA_LINEAR"),
    ):
        with pytest.raises(Unsupported, match=f"format {padded.format}, in which a tensor .* is padded"):
            made(configured(text), engine_of(cuda, tensor("X"), padded), cuda)


def completed(engine: FakeEngine, text: str = "") -> Any:
    message = parse_pbtxt(f'name: "m" backend: "tensorrt" platform: "tensorrt_plan" {text}')
    complete(message, engine)
    return message


def test_an_engine_completes_a_configuration(cuda: FakeCuda) -> None:
    message = completed(double_engine(cuda))
    assert (message.max_batch_size, message.HasField("dynamic_batching")) == (8, True)
    assert [(io.name, list(io.dims)) for io in (*message.input, *message.output)] == [
        ("X", [-1]),
        ("Y", [-1]),
    ]
    assert completed(double_engine(cuda), "max_batch_size: 3 sequence_batching { }").max_batch_size == 3
    message = completed(double_engine(cuda), X.replace("-1", "-1, 4"))
    assert (message.max_batch_size, list(message.output[0].dims)) == (0, [-1, -1])


def test_the_largest_batch_is_that_of_the_profiles_in_use(cuda: FakeCuda) -> None:
    profiles = [profile((1, 1), (1, 1), (2, 2)), profile((1, 1), (1, 1), (6, 2))]
    assert completed(double_engine(cuda, profiles)).max_batch_size == 2
    both = 'instance_group { profile: [ "0", "1" ] }'
    assert completed(double_engine(cuda, profiles), both).max_batch_size == 6


def test_an_engine_that_does_not_batch(cuda: FakeCuda) -> None:
    engine = engine_of(cuda, tensor("X", (4,)), tensor("Y", ()))
    message = completed(engine)
    assert (message.max_batch_size, message.HasField("dynamic_batching")) == (0, False)
    assert [list(io.dims) for io in (*message.input, *message.output)] == [[4], [1]]


def test_shape_tensors_are_completed_without_the_rows(cuda: FakeCuda) -> None:
    message = completed(resize_engine(cuda, batches=True))
    assert message.max_batch_size == 8
    size, size_out = message.input[1], message.output[1]
    assert (size.name, list(size.dims), size.is_shape_tensor) == ("SIZE", [2], True)
    assert (size_out.name, list(size_out.dims), size_out.is_shape_tensor) == ("SIZE_OUT", [2], True)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("max_batch_size: 9", "autofill failed for model 'm': configuration specified max-batch 9 but "
                              "TensorRT engine only supports max-batch 8"),
        (X + Y.replace("-1", "-1, -1"), "unable to autofill for 'm', model tensor configurations are "
                                        "contradicting each other in terms of whether batching is supported"),
        (X.replace("]", "] is_shape_tensor: true"), "'X' is incorrectly specified as a shape tensor."),
        (X.replace("]", "] is_non_linear_format_io: true"),
         "'X' uses a linear IO format, but 'is_non_linear_format_io' is incorrectly set to true in the model "
         "configuration."),
    ],
)  # fmt: skip
def test_configurations_that_an_engine_can_not_complete(text: str, message: str, cuda: FakeCuda) -> None:
    with pytest.raises(ConfigError) as raised:
        completed(double_engine(cuda), text)
    assert str(raised.value) == message


def test_a_profile_is_a_number(cuda: FakeCuda) -> None:
    with pytest.raises(ConfigError, match="unable to parse profile 'best'"):
        completed(double_engine(cuda), 'instance_group { profile: "best" }')


def test_a_hint_for_batching_that_the_engine_does_not_do(cuda: FakeCuda) -> None:
    with pytest.raises(ConfigError, match="hints for dynamic batching but the underlying engine doesn't"):
        completed(engine_of(cuda, tensor("X", (4, 4)), tensor("Y", (4, 4))), X)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("batch_size: 9", "graph spec expects 'batch_size' to be >= 1 and <= 8"),
        ("batch_size: 4 graph_lower_bound { batch_size: 5 }",
         "graph lower bound spec expects 'batch_size' to be <= graph spec 'batch_size'"),
        ("batch_size: 4 %s graph_lower_bound { batch_size: 1 }",
         "graph lower bound spec expects shape for input 'X'"),
        ("batch_size: 4 %s graph_lower_bound { batch_size: 1 input { key: 'X' value { dim: [ 9 ] } } }",
         "graph lower bound spec expects input 'X' to have dimension <= 4"),
    ],
)  # fmt: skip
def test_graph_specs_that_can_not_be(spec: str, message: str) -> None:
    spec = spec.replace("%s", "input { key: 'X' value { dim: [ 4 ] } }")
    config = configured(X + Y + f"optimization {{ cuda {{ graphs: true graph_spec {{ {spec} }} }} }}")
    with pytest.raises(ConfigError, match=re.escape(message)):
        tensorrt_options(config)


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ("input { key: 'Q' value { dim: [ 4 ] } }", "unknown input 'Q' for m"),
        ("input { key: 'X' value { dim: [ 40 ] } }", "graph spec can not be captured: request specifies"),
    ],
)
def test_graph_specs_that_do_not_fit_the_engine(inputs: str, message: str, cuda: FakeCuda) -> None:
    spec = f"graph_spec {{ batch_size: 4 {inputs} }}"
    with pytest.raises(ConfigError, match=message):
        made(
            configured(X + Y + f"optimization {{ cuda {{ graphs: true {spec} }} }}"),
            double_engine(cuda),
            cuda,
        )
    assert cuda.is_empty


def test_usual_graphs_are_of_the_preferred_sizes() -> None:
    batching = "dynamic_batching { preferred_batch_size: [ 2, 5 ] } optimization { cuda { graphs: true } }"
    assert [spec.most.num_rows for spec in tensorrt_options(configured(X + Y + batching)).graphs] == [
        1,
        2,
        5,
        8,
    ]
    graphs = "optimization { cuda { graphs: true } }"
    assert [s.most.num_rows for s in tensorrt_options(configured(X + Y + graphs, batch=0)).graphs] == [0]
    assert tensorrt_options(configured()).graphs == ()


def test_options_of_the_server() -> None:
    options = server_wide_options({"plugins": "/a.so;/b.so", "version-compatible": "true"})
    assert (options.plugins, options.version_compatible) == (("/a.so", "/b.so"), True)
    for name, value in (("version-compatible", "maybe"), ("execution-policy", "NEVER")):
        with pytest.raises(ConfigError, match=f"--backend-config=tensorrt,{name} must be"):
            server_wide_options({name: value})
    with pytest.raises(ConfigError, match="Supported values are 'STATIC' and 'ON_PROFILE_CHANGE'"):
        tensorrt_options(configured(execution_context_allocation_strategy="USER"))


def test_a_plugin_that_is_not_there() -> None:
    from naiad.backends.tensorrt.options import load_plugins

    with pytest.raises(InvalidArgument, match=r"plugin 'none.so' .* can not be loaded") as raised:
        load_plugins(("/not/there/none.so",))
    assert "/not/there" not in str(raised.value)
