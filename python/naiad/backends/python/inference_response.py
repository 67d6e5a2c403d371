"""``pb_utils.InferenceResponse``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from naiad.backends.python.failure import TritonError
from naiad.backends.python.tensor import Tensor
from naiad.errors import InvalidArgument

ParameterValue = bool | int | float | str


class InferenceResponse:
    """The answer to one request: output tensors, or an error."""

    __slots__ = ("_error", "_parameters", "_tensors")

    def __init__(
        self,
        output_tensors: Sequence[Tensor] = (),
        error: TritonError | None = None,
        parameters: Mapping[str, ParameterValue] | None = None,
    ) -> None:
        """``parameters``: string keys to bool, int, float or str values, sent with the answer."""
        for tensor in output_tensors:
            if not isinstance(tensor, Tensor):
                raise TypeError(
                    f"InferenceResponse: output_tensors must be Tensors, got {type(tensor).__name__}"
                )
        if error is not None and not isinstance(error, TritonError):
            raise TypeError(f"InferenceResponse: error must be a TritonError, got {type(error).__name__}")
        self._tensors = output_tensors
        self._error = error
        self._parameters = _checked(parameters) if parameters else None

    def output_tensors(self) -> list[Tensor]:
        return list(self._tensors)

    def has_error(self) -> bool:
        return self._error is not None

    def error(self) -> TritonError | None:
        return self._error

    def parameters(self) -> dict[str, ParameterValue]:
        return dict(self._parameters or {})


def _checked(parameters: Mapping[str, ParameterValue]) -> dict[str, ParameterValue]:
    for key, value in parameters.items():
        if not isinstance(key, str) or not isinstance(value, (bool, int, float, str)):
            raise InvalidArgument(
                "InferenceResponse: parameters are str keys with bool, int, float or str values, "
                f"got {type(key).__name__} with {type(value).__name__}"
            )
    return dict(parameters)


def get_output_tensor_by_name(inference_response: InferenceResponse, name: str) -> Tensor | None:
    """The output tensor of that name, or None."""
    for tensor in inference_response._tensors:
        if tensor._name == name:
            return tensor
    return None
