"""What CUDA and TensorRT say when something fails, and what of it is for clients."""

from __future__ import annotations

import re

from naiad.errors import BackendError, NaiadError, Unsupported

NO_GPU = frozenset(
    {
        "cudaErrorInitializationError",
        "cudaErrorInsufficientDriver",
        "cudaErrorNoDevice",
        "cudaErrorStubLibrary",
        "cudaErrorSystemDriverMismatch",
        "cudaErrorSystemNotReady",
    }
)
"""There is no GPU that could be used, or no driver for it."""

BROKEN = frozenset(
    {
        "cudaErrorAssert",
        "cudaErrorContextIsDestroyed",
        "cudaErrorECCUncorrectable",
        "cudaErrorExternalDevice",
        "cudaErrorHardwareStackError",
        "cudaErrorIllegalAddress",
        "cudaErrorIllegalInstruction",
        "cudaErrorInvalidAddressSpace",
        "cudaErrorInvalidPc",
        "cudaErrorLaunchFailure",
        "cudaErrorLaunchTimeout",
        "cudaErrorMisalignedAddress",
        "cudaErrorNvlinkUncorrectable",
        "cudaErrorTensorMemoryLeak",
        "cudaErrorUnknown",
    }
)
"""After these every further call of the process fails, on this GPU: only another process can use it again."""

_CAUSE = re.compile(r"\(In [\w:~]+ at [\w/.-]+:\d+ (\(.*\))\)")
_PLACES = (
    re.compile(r"\[[\w/.-]+\.(?:cpp|cu|h|hpp)(?:::[\w~]+)?(?:::\d+)?\]\s*"),
    re.compile(r"\s*\(?In [\w:~]+ at [\w/.-]+:\d+\)?"),
)
"""TensorRT's own sources, within what it says."""


class CudaError(BackendError):
    """A call of CUDA has failed."""

    def __init__(self, call: str, name: str, text: str) -> None:
        """``name``: of the error, like "cudaErrorMemoryAllocation". ``text``: what CUDA says of it."""
        super().__init__(f"CUDA: {call}: {text} ({name})")
        self.call = call
        self.name = name
        self.text = text

    @property
    def is_lasting(self) -> bool:
        return self.name in BROKEN


def no_gpu(model: str, error: CudaError) -> NaiadError:
    """What a model is told that cannot have its GPU; any other failure stays what it is."""
    if error.name not in NO_GPU:
        return error
    return Unsupported(
        f"model '{model}' needs an NVIDIA GPU and its driver, which TensorRT runs on; CUDA says: {error.text}"
    )


def said_by(text: str) -> str:
    """What TensorRT says, in one line, without the places in its own sources."""
    text = _CAUSE.sub(r"\1", text)
    for pattern in _PLACES:
        text = pattern.sub("", text)
    return " ".join(text.split())
