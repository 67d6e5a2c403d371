from __future__ import annotations

import pytest

from naiad import protos
from naiad.scaling.grpc_ingress import METHODS
from naiad.scaling.model_names import first_field, model_of_message, model_of_path


@pytest.mark.parametrize(
    ("path", "model"),
    [
        ("/v2/models/m/infer", "m"),
        ("/v2/models/a%20b/versions/3/ready", "a b"),
        ("/v2/models/m", "m"),
        ("/v2/models/stats", ""),
        ("/v2/health/ready", ""),
        ("/elsewhere", ""),
    ],
)
def test_of_a_path(path: str, model: str) -> None:
    assert model_of_path(path) == model


@pytest.mark.parametrize("name", ["m", "x" * 300, "größe"])
def test_of_every_message_that_has_one(name: str) -> None:
    with_model = 0
    for method in METHODS[protos.INFERENCE_SERVICE]:
        request = protos.message_class(method.input_type.full_name)()
        field = next((f for f in ("model_name", "name") if f in request.DESCRIPTOR.fields_by_name), None)
        if field is None:
            continue
        setattr(request, field, name)
        packed = request.SerializeToString()
        if method.name in ("ModelReady", "ModelMetadata", "ModelInfer", "ModelConfig", "ModelStatistics"):
            assert model_of_message(method.name, packed) == name
            with_model += 1
        else:
            assert model_of_message(method.name, packed) == ""
    assert with_model == 5


def test_of_a_large_request_only_the_beginning_counts() -> None:
    request = protos.ModelInferRequest(model_name="m", raw_input_contents=[bytes(1 << 16)])
    assert model_of_message("ModelInfer", request.SerializeToString()) == "m"


@pytest.mark.parametrize(
    "message", [b"", b"\x0a", b"\x0a\xff", b"\x12\x01m", b"\x0a" + b"\xff" * 12, b"\x0a\x05ab"]
)
def test_what_is_cut_off_or_something_else_is_no_fault(message: bytes) -> None:
    assert isinstance(first_field(message), str)
