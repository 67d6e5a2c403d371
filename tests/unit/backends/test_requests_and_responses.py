"""pb_utils.InferenceRequest, InferenceResponse, TritonError and the names beside them."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from fake_request import FakeRequest

import triton_python_backend_utils as pb_utils
from naiad.backends.python.inference_request import ReceivedRequest
from naiad.errors import InvalidArgument, NotFound


def received(**attributes: Any) -> ReceivedRequest:
    view = FakeRequest({"X": np.ones((1, 2), np.float32)}, **attributes)
    return ReceivedRequest(view, ["Y", "Z"], True)  # type: ignore[arg-type]


def test_a_received_request_tells_what_the_client_sent() -> None:
    request = received(
        id="r1", sequence_id=7, sequence_start=True, timeout_us=500, parameters={"a": 1, "b": "x", "c": True}
    )
    assert request.request_id() == "r1"
    assert request.correlation_id() == 7
    assert request.flags() == pb_utils.TRITONSERVER_REQUEST_FLAG_SEQUENCE_START
    assert request.timeout() == 500
    assert request.parameters() == '{"a":1,"b":"x","c":true}'
    assert not request.is_cancelled()
    assert received(cancelled=True).is_cancelled()
    assert received(sequence_name="s", sequence_end=True).correlation_id() == "s"
    assert received(sequence_start=True, sequence_end=True).flags() == 3


def test_its_place_in_a_trace() -> None:
    assert received().trace().get_context() is None
    parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    context = received(trace_parent=parent).trace().get_context()
    assert context == f'{{"traceparent":"{parent}"}}'
    context = received(trace_parent=parent, trace_state="a=b").trace().get_context()
    assert json.loads(context or "") == {"traceparent": parent, "tracestate": "a=b"}


def test_requested_outputs_are_all_unless_some_are_named() -> None:
    assert received().requested_output_names() == {"Y", "Z"}
    assert received(requested_outputs=["Z"]).requested_output_names() == {"Z"}


def test_inputs_are_read_once_and_stay_the_same_objects() -> None:
    view = FakeRequest({"X": np.ones(2, np.float32), "W": np.zeros(1, np.float32)})
    request = ReceivedRequest(view, [], True)  # type: ignore[arg-type]
    first = pb_utils.get_input_tensor_by_name(request, "X")
    assert first is not None
    first.as_numpy()[0] = 5
    assert pb_utils.get_input_tensor_by_name(request, "X") is first
    assert [tensor.name() for tensor in request.inputs()] == ["X", "W"]
    assert pb_utils.get_input_tensor_by_name(request, "absent") is None
    assert view.reads == 1


def test_a_request_of_the_models_own() -> None:
    tensor = pb_utils.Tensor("A", np.ones(1))
    request = pb_utils.InferenceRequest(
        model_name="other", inputs=[tensor], requested_output_names=["B"], parameters={"k": 1}
    )
    assert pb_utils.get_input_tensor_by_name(request, "A") is tensor
    assert request.requested_output_names() == {"B"}
    assert json.loads(request.parameters()) == {"k": 1}
    with pytest.raises(TypeError, match="Tensors"):
        pb_utils.InferenceRequest(inputs=[1])  # type: ignore[list-item]


def test_a_response() -> None:
    tensor = pb_utils.Tensor("Y", np.ones(1))
    response = pb_utils.InferenceResponse(output_tensors=[tensor], parameters={"n": 1})
    assert pb_utils.get_output_tensor_by_name(response, "Y") is tensor
    assert pb_utils.get_output_tensor_by_name(response, "N") is None
    assert response.output_tensors() == [tensor]
    assert response.parameters() == {"n": 1}
    assert not response.has_error()
    error = pb_utils.TritonError("why", pb_utils.TritonError.NOT_FOUND)
    failed = pb_utils.InferenceResponse(error=error)
    assert failed.has_error()
    assert failed.error() is error
    assert (error.message(), int(error.code())) == ("why", 5 - 3)


def test_wrong_parts_of_a_response_are_refused_where_they_are_made() -> None:
    with pytest.raises(TypeError, match="Tensors"):
        pb_utils.InferenceResponse([1])  # type: ignore[list-item]
    with pytest.raises(TypeError, match="TritonError"):
        pb_utils.InferenceResponse([], error="x")  # type: ignore[arg-type]
    with pytest.raises(Exception, match="parameters"):
        pb_utils.InferenceResponse([], parameters={"a": [1]})  # type: ignore[dict-item]
    with pytest.raises(TypeError, match="message"):
        pb_utils.TritonError(1)  # type: ignore[arg-type]


def test_error_codes_have_tritons_numbers() -> None:
    names = [
        "UNKNOWN",
        "INTERNAL",
        "NOT_FOUND",
        "INVALID_ARG",
        "UNAVAILABLE",
        "UNSUPPORTED",
        "ALREADY_EXISTS",
        "CANCELLED",
    ]
    assert [int(getattr(pb_utils.TritonError, name)) for name in names] == list(range(8))
    assert pb_utils.TritonError("m").code() == pb_utils.TritonError.INTERNAL


def test_only_a_request_of_an_iterative_model_can_be_rescheduled() -> None:
    request = received()
    request.set_release_flags(pb_utils.TRITONSERVER_REQUEST_RELEASE_ALL)
    with pytest.raises(InvalidArgument, match="iterative_sequence"):
        request.set_release_flags(pb_utils.TRITONSERVER_REQUEST_RELEASE_RESCHEDULE)
    with pytest.raises(InvalidArgument, match="no release flags 3"):
        request.set_release_flags(3)
    with pytest.raises(InvalidArgument, match="received"):
        pb_utils.InferenceRequest().set_release_flags(pb_utils.TRITONSERVER_REQUEST_RELEASE_ALL)
    received(can_reschedule=True).set_release_flags(pb_utils.TRITONSERVER_REQUEST_RELEASE_RESCHEDULE)


@pytest.mark.parametrize(
    "use",
    [
        lambda: pb_utils.InferenceRequest().exec(),
        lambda: pb_utils.InferenceRequest().exec(decoupled=True),
        lambda: pb_utils.load_model("m"),
        lambda: pb_utils.unload_model("m"),
        lambda: pb_utils.is_model_ready("m"),
    ],
)
def test_only_a_models_code_may_ask_for_other_models(use: Callable[[], Any]) -> None:
    with pytest.raises(pb_utils.TritonModelException, match="from the code of a model only"):
        use()


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: pb_utils.InferenceRequest(correlation_id=1.5), "Correlation ID must be integer or string"),
        (lambda: pb_utils.InferenceRequest(parameters="{}"), "to be a dict"),
        (lambda: pb_utils.InferenceRequest(parameters={"a": [1]}), "bool/int/str, found type <class 'list'>"),
        (lambda: received().exec(), "cannot be sent on"),
    ],
)
def test_wrong_parts_of_a_request_are_refused_where_they_are_made(
    make: Callable[[], Any], words: str
) -> None:
    with pytest.raises(pb_utils.TritonModelException, match=words):
        make()


def test_types_by_their_names_and_numbers() -> None:
    assert pb_utils.triton_string_to_numpy("TYPE_STRING") is np.object_
    assert pb_utils.triton_string_to_numpy("TYPE_BOOL") is bool
    assert pb_utils.triton_string_to_numpy("TYPE_FP16") is np.float16
    with pytest.raises(KeyError):
        pb_utils.triton_string_to_numpy("TYPE_BF16")
    assert pb_utils.triton_to_numpy_type(11) is np.float32
    assert pb_utils.triton_to_numpy_type(14) is None
    assert pb_utils.numpy_to_triton_type(np.bytes_) == 13
    assert pb_utils.numpy_to_triton_type(np.int64) == 9
    assert pb_utils.numpy_to_triton_type(np.str_) is None


def test_parts_of_a_configuration_by_name() -> None:
    config = {"input": [{"name": "X", "dims": [1]}], "output": [{"name": "Y"}]}
    assert pb_utils.get_input_config_by_name(config, "X") == {"name": "X", "dims": [1]}
    assert pb_utils.get_input_config_by_name(config, "Y") is None
    assert pb_utils.get_output_config_by_name(config, "Y") == {"name": "Y"}
    assert not pb_utils.using_decoupled_model_transaction_policy(config)
    assert pb_utils.using_decoupled_model_transaction_policy(
        {"model_transaction_policy": {"decoupled": True}}
    )


def test_get_model_dir_belongs_to_models() -> None:
    with pytest.raises(NotFound, match="get_model_dir"):
        pb_utils.get_model_dir()


def test_all_public_names_are_there() -> None:
    assert len(set(pb_utils.__all__)) == len(pb_utils.__all__)
    for name in pb_utils.__all__:
        assert hasattr(pb_utils, name)
