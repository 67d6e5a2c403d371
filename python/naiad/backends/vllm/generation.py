"""One request to generate text: what it says, and its answers."""

from __future__ import annotations

import base64
import binascii
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from typing import Any

import numpy as np

from naiad.backends.python.inference_request import ReceivedRequest
from naiad.backends.python.inference_response import InferenceResponse
from naiad.backends.python.tensor import Tensor
from naiad.backends.vllm.contract import RETURN_FLAGS
from naiad.errors import InvalidArgument

_LOWEST_LOGPROB = -9999.0
"""For minus infinity, which JSON has not; vLLM's own API gives this."""

UNFINISHED = "None"
"""The finish reason of what goes on, as Triton has it."""


@dataclass(frozen=True)
class Generation:
    """What a request wants."""

    text: str
    images: tuple[bytes, ...]
    """As they came: base64."""
    stream: bool
    prepends_text: bool
    """Whether an answer begins with ``text``."""
    parameters: str
    """The sampling parameters: JSON text."""
    returned: frozenset[str]
    """Those of ``RETURN_FLAGS`` that it asks for."""


def read_generation(request: ReceivedRequest) -> Generation:
    """Raises InvalidArgument."""
    stream = read_flag(request, "stream", False)
    prepends = not read_flag(request, "exclude_input_in_output", stream)
    if stream and prepends:
        raise InvalidArgument("When streaming, `exclude_input_in_output` = False is not allowed.")
    images = request.input("image")
    parameters = read_text(request, "sampling_parameters")
    return Generation(
        text=read_text(request, "text_input") or "",
        images=() if images is None else tuple(images.as_numpy().reshape(-1)),
        stream=stream,
        prepends_text=prepends,
        parameters=request.parameters() if parameters is None else parameters,
        returned=frozenset(name for name in RETURN_FLAGS if read_flag(request, name, False)),
    )


def read_flag(request: ReceivedRequest, name: str, default: bool) -> bool:
    """A BOOL input of one element."""
    tensor = request.input(name)
    return default if tensor is None else bool(tensor.as_numpy().reshape(-1)[0])


def read_text(request: ReceivedRequest, name: str) -> str | None:
    """A BYTES input of one element. Raises InvalidArgument where that is no UTF-8."""
    tensor = request.input(name)
    if tensor is None:
        return None
    try:
        return str(tensor.as_numpy().reshape(-1)[0], "utf-8")
    except UnicodeDecodeError:
        raise InvalidArgument(f"{name}: this is no UTF-8 text") from None


def read_images(images: Sequence[bytes]) -> list[Any]:
    """PIL images, RGB. Takes its time: not for an event loop. Raises InvalidArgument."""
    from PIL import Image

    read = []
    for index, text in enumerate(images):
        try:
            read.append(Image.open(BytesIO(base64.b64decode(text, validate=True))).convert("RGB"))
        except binascii.Error:
            raise InvalidArgument(f"image {index}: this is no base64") from None
        except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
            raise InvalidArgument(f"image {index}: this is no image that can be read") from None
    return read


class Answers:
    """Makes the responses to one request from what the engine gives.

    With ``stream`` those are deltas, of one or several of the ``n`` answers at a time; a response has a place
    for each of them.
    """

    def __init__(self, wanted: Generation, n: int) -> None:
        self._wanted = wanted
        self._n = n
        self._prefix = wanted.text if wanted.prepends_text else ""
        self._logprob_sums = [math.nan] * n

    def response(self, output: Any) -> InferenceResponse:
        """``output``: a ``vllm.RequestOutput``."""
        texts = [self._prefix] * self._n
        reasons = [UNFINISHED] * self._n
        logprobs = ["null"] * self._n
        counts = [0] * self._n
        for each in output.outputs:
            index = each.index
            texts[index] += each.text
            reasons[index] = str(each.finish_reason)
            counts[index] = len(each.token_ids)
            if each.cumulative_logprob is not None:
                self._logprob_sums[index] = each.cumulative_logprob
            if each.logprobs is not None:
                logprobs[index] = _logprobs_json(each.logprobs)
        tensors = [_strings("text_output", texts)]
        returned = self._wanted.returned
        if "return_finish_reason" in returned:
            tensors.append(_strings("finish_reason", reasons))
        if "return_cumulative_logprob" in returned:
            tensors.append(Tensor("cumulative_logprob", np.array(self._logprob_sums, np.float32)))
        if "return_logprobs" in returned:
            tensors.append(_strings("logprobs", logprobs))
        if "return_num_input_tokens" in returned:
            tensors.append(num_input_tokens(output))
        if "return_num_output_tokens" in returned:
            tensors.append(Tensor("num_output_tokens", np.array(counts, np.uint32)))
        return InferenceResponse(tensors)


def num_input_tokens(output: Any) -> Tensor:
    """Of any output of the engine."""
    return Tensor("num_input_tokens", np.array([len(output.prompt_token_ids or ())], np.uint32))


def _strings(name: str, texts: Sequence[str]) -> Tensor:
    return Tensor(name, np.array([text.encode("utf-8", "replace") for text in texts], np.object_))


def _logprobs_json(positions: Any) -> str:
    """One object for each token: the token's own entry first, then the likeliest others."""
    return json.dumps(
        [
            {
                token: {
                    "logprob": max(entry.logprob, _LOWEST_LOGPROB),
                    "rank": entry.rank,
                    "decoded_token": entry.decoded_token,
                }
                for token, entry in position.items()
            }
            for position in positions
        ]
    )
