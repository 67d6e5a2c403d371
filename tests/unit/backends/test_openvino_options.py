"""Parameters of OpenVINO models; the package is not needed."""

from __future__ import annotations

import pytest

from naiad.backends.openvino.options import REPLACED, OpenVinoOptions, openvino_options
from naiad.errors import ConfigError, Unsupported


def _options(num_streams: int = 1, **parameters: str) -> OpenVinoOptions:
    return openvino_options("m", parameters, num_streams=num_streams)


def test_each_instance_has_a_stream_and_a_thread() -> None:
    def given(options: OpenVinoOptions) -> tuple[str, str]:
        return options.properties["NUM_STREAMS"], options.properties["INFERENCE_NUM_THREADS"]

    assert given(_options(3)) == ("3", "3")
    assert given(_options(NUM_STREAMS="4")) == ("4", "4")
    assert given(_options(2, NUM_STREAMS="auto")) == ("AUTO", "2")
    assert _options(INFERENCE_NUM_THREADS="0").properties["INFERENCE_NUM_THREADS"] == "0"


def test_numbers_are_the_same_on_every_processor() -> None:
    assert _options().properties["INFERENCE_PRECISION_HINT"] == "f32"
    assert "INFERENCE_PRECISION_HINT" not in _options(TARGET_DEVICE="GPU").properties


def test_what_they_say() -> None:
    options = _options(
        PERFORMANCE_HINT="latency",
        COMPILATION_NUM_THREADS="2",
        HINT_BF16="YES",
        TARGET_DEVICE="AUTO",
        CPU_EXTENSION_PATH="/lib/x.so",
        SKIP_OV_DYNAMIC_BATCHSIZE="yes",
        ENABLE_BATCH_PADDING="YES",
        RESHAPE_IO_LAYERS="no",
    )
    assert options.properties["PERFORMANCE_HINT"] == "LATENCY"
    assert options.properties["INFERENCE_PRECISION_HINT"] == "bf16"
    assert options.properties["COMPILATION_NUM_THREADS"] == "2"
    assert (options.device, options.extension) == ("AUTO", "/lib/x.so")
    assert options.fixed_batch and options.pads_batches and not options.reshapes


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("PERFORMANCE_HINT", "FAST", "LATENCY or THROUGHPUT"),
        ("NUM_STREAMS", "0", "AUTO, NUMA or a number from 1"),
        ("INFERENCE_NUM_THREADS", "-1", "a number of threads"),
        ("RESHAPE_IO_LAYERS", "perhaps", "YES or NO"),
    ],
)
def test_values_that_they_can_not_have(name: str, text: str, said: str) -> None:
    with pytest.raises(ConfigError, match=f"model 'm': parameter {name} must be {said}, got '{text}'"):
        _options(**{name: text})


@pytest.mark.parametrize("name", REPLACED)
def test_parameters_that_are_no_more(name: str) -> None:
    with pytest.raises(Unsupported, match=f"no parameter {name} any more.*{REPLACED[name]}"):
        _options(**{name: "1"})
