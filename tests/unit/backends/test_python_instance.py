"""What the Python backend does with a batch."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from fake_request import FakeRequest

import triton_python_backend_utils as pb_utils
from naiad.backends.python.instance import PythonModelInstance
from naiad.errors import BackendError


class Model:
    def __init__(self, execute: Callable[[Any], Any]) -> None:
        self.execute = execute


def run(execute: Callable[[Any], Any], *requests: FakeRequest) -> None:
    PythonModelInstance("m_0_0", Model(execute), ["Y", "Z"]).execute(list(requests))  # type: ignore[arg-type]


def request(**attributes: Any) -> FakeRequest:
    return FakeRequest({"X": np.array([[1.0, 2.0]], np.float32)}, **attributes)


def respond(**outputs: Any) -> pb_utils.InferenceResponse:
    return pb_utils.InferenceResponse([pb_utils.Tensor(name, array) for name, array in outputs.items()])


def test_the_model_is_called_once_per_batch_and_answers_in_order() -> None:
    calls = []

    def execute(requests: list[Any]) -> list[Any]:
        calls.append(len(requests))
        return [respond(Y=r.inputs()[0].as_numpy() * (i + 1)) for i, r in enumerate(requests)]

    batch = [request() for _ in range(3)]
    run(execute, *batch)
    assert calls == [3]
    assert [r.outputs["Y"][1].tolist() for r in batch] == [[[1, 2]], [[2, 4]], [[3, 6]]]
    assert [r.outputs["Y"][0] for r in batch] == ["FP32"] * 3


def test_only_wanted_outputs_are_answered(caplog: pytest.LogCaptureFixture) -> None:
    one = np.ones((1, 2), np.float32)
    all_of_them, some = request(), request(requested_outputs=["Z"])
    with caplog.at_level(logging.WARNING):
        run(lambda requests: [respond(Y=one, Z=one, EXTRA=one) for _ in requests], all_of_them, some)
    assert set(all_of_them.outputs) == {"Y", "Z"}
    assert set(some.outputs) == {"Z"}
    assert sum("EXTRA" in record.getMessage() for record in caplog.records) == 1


def test_an_error_of_one_request_fails_that_one() -> None:
    good, bad = request(), request()
    error = pb_utils.TritonError("no", pb_utils.TritonError.INVALID_ARG)
    run(lambda _: [respond(Y=np.ones((1, 2))), pb_utils.InferenceResponse(error=error)], good, bad)
    assert good.failure is None
    assert bad.failure == ("INVALID_ARGUMENT", "no")
    assert not bad.outputs


def test_parameters_of_a_response_are_passed_on() -> None:
    asked = request()
    run(lambda _: [pb_utils.InferenceResponse([], parameters={"n": 1, "s": "x"})], asked)
    assert asked.answer_parameters == {"n": 1, "s": "x"}


def test_an_output_that_the_core_refuses_fails_its_request_alone() -> None:
    good, bad = request(), request()
    run(lambda _: [respond(Y=np.ones(1)), respond(Y=np.ones(1, np.int8))], good, bad)
    assert good.failure is None
    assert bad.failure is not None
    assert bad.failure[0] == "INTERNAL"
    assert "model 'm_0_0', message: the configuration says otherwise" in bad.failure[1]


def test_an_exception_fails_the_batch_with_its_text_and_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    def execute(_: Any) -> Any:
        raise RuntimeError("boom")

    with pytest.raises(BackendError) as caught:
        run(execute, request())
    text = "Failed to process the request(s) for model 'm_0_0', message: RuntimeError: boom"
    assert str(caught.value) == text
    (record,) = caplog.records
    assert record.exc_info is not None


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        (None, "Expected a list in the execute return, found type '<class 'NoneType'>'."),
        ("a", "Expected a list in the execute return, found type '<class 'str'>'."),
        (
            [],
            "Number of InferenceResponse objects do not match the number of InferenceRequest objects. "
            "InferenceRequest(s) size is:1, and InferenceResponse(s) size is:0",
        ),
        (
            [None],
            "Expected an 'InferenceResponse' object in the execute function return list, "
            "found type '<class 'NoneType'>'.",
        ),
    ],
)
def test_wrong_answers_have_tritons_words(answer: Any, text: str) -> None:
    asked = request()
    with pytest.raises(BackendError) as caught:
        run(lambda _: answer, asked)
    assert str(caught.value) == f"Failed to process the request(s) for model 'm_0_0', message: {text}"
    assert not asked.outputs


def test_finalize_is_called_once_and_may_fail_or_be_absent(caplog: pytest.LogCaptureFixture) -> None:
    calls = []

    class Ending(Model):
        def finalize(self) -> None:
            calls.append(1)
            raise OSError("disk")

    PythonModelInstance("m", Ending(lambda _: []), []).finalize()
    assert calls == [1]
    assert "finalize" in caplog.text
    PythonModelInstance("m", Model(lambda _: []), []).finalize()
