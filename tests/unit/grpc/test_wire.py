"""Wrapping of serialized messages."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from naiad import protos
from naiad.grpc.wire import parse, stream_answer, stream_error, varint


@given(st.integers(0, 2**40))
def test_varint_is_what_protobuf_reads(value: int) -> None:
    kind = protos.message_class("inference.StatisticDuration")
    assert kind.FromString(b"\x08" + varint(value)).count == value


@pytest.mark.parametrize("size", [0, 1, 100, 127, 128, 20000])
def test_an_answer_is_wrapped_and_marked_final(size: int) -> None:
    response = protos.ModelInferResponse(model_name="m", model_version="1", id="7")
    response.parameters["mine"].int64_param = 3
    response.raw_output_contents.append(bytes(size))
    wrapped = protos.ModelStreamInferResponse.FromString(stream_answer(response.SerializeToString()))
    assert wrapped.error_message == ""
    assert wrapped.infer_response.parameters["triton_final_response"].bool_param is True
    del wrapped.infer_response.parameters["triton_final_response"]
    assert wrapped.infer_response == response


def test_an_error_carries_the_id() -> None:
    request = protos.ModelInferRequest(model_name="m", id="42").SerializeToString()
    message = protos.ModelStreamInferResponse.FromString(stream_error("no", request))
    assert (message.error_message, message.infer_response.id) == ("no", "42")


def test_an_error_of_bytes_that_are_no_request() -> None:
    message = protos.ModelStreamInferResponse.FromString(stream_error("no", b"\xff\xff\xff"))
    assert message.error_message == "no"
    assert message.HasField("infer_response") and message.infer_response.id == ""


def test_parse() -> None:
    kind = protos.ModelReadyRequest
    assert parse(kind, kind(name="m").SerializeToString()).name == "m"
    assert parse(kind, b"\xff") is None
