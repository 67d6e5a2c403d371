"""Tensors in the memory of a GPU, which a model has made with whatever framework it likes."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
from numpy.typing import NDArray

from naiad.backends.python import dlpack
from naiad.backends.python.failure import TritonModelException
from naiad.errors import Unsupported

_NO_SYNCHRONIZATION = -1
"""A ``stream`` of ``__dlpack__``: who asks does not read the elements."""


class DeviceMemory:
    """A tensor of a GPU: an object with ``__dlpack__``, or a capsule, which serves once. The model's thread.

    Its framework copies it to the host, on the stream that is the thread's own then: so what the model has
    started there is done before.
    """

    __slots__ = ("_capsule", "_source", "datatype", "device", "shape")

    def __init__(self, source: Any) -> None:
        """Raises InvalidArgument for what is none, or of a type that the protocol lacks."""
        self._source: Any = None
        if hasattr(source, "__dlpack__"):
            self._source = source
            head = dlpack.head_of(source.__dlpack__(stream=_NO_SYNCHRONIZATION))
            self._capsule = None
        else:
            head = dlpack.head_of(source)
            self._capsule = source
        self.device = head.device
        """As ``__dlpack_device__`` gives it."""
        self.shape = head.shape
        self.datatype = head.datatype
        """The wire name."""

    def to_dlpack(self, stream: Any = None) -> Any:
        """A capsule over the same memory. TritonModelException where it was made of a capsule, and that is
        taken.
        """
        if self._source is not None:
            return self._source.__dlpack__() if stream is None else self._source.__dlpack__(stream=stream)
        if self._capsule is None:
            raise TritonModelException("the DLPack capsule of this tensor was taken already")
        capsule, self._capsule = self._capsule, None
        return capsule

    def on_host(self) -> NDArray[Any]:
        """A copy of it in CPU memory; BF16 as UINT16, its bits. Unsupported where no framework that could
        copy it is imported.
        """
        source = self._source
        if source is None:
            source = _Capsule(self.to_dlpack(), self.device)
        torch = sys.modules.get("torch")
        if torch is not None:
            tensor = torch.from_dlpack(source).detach().cpu().contiguous()
            array, _ = dlpack.from_dlpack(tensor)
            return array
        cupy = sys.modules.get("cupy")
        if cupy is not None:
            taken: NDArray[Any] = np.ascontiguousarray(cupy.asnumpy(cupy.from_dlpack(source)))
            return taken
        raise Unsupported(
            "a tensor in GPU memory is copied by PyTorch or CuPy, and the model has imported neither: move "
            "it to CPU memory, or import one of them"
        )


class _Capsule:
    """An object around a capsule: what ``from_dlpack`` of frameworks takes."""

    def __init__(self, capsule: Any, device: tuple[int, int]) -> None:
        self._capsule = capsule
        self._device = device

    def __dlpack__(self, **_: Any) -> Any:
        return self._capsule

    def __dlpack_device__(self) -> tuple[int, int]:
        return self._device


def is_on_gpu(source: Any) -> bool:
    """Whether a capsule, or an object with ``__dlpack__``, is a tensor of a GPU."""
    if hasattr(source, "__dlpack_device__"):
        kind = int(source.__dlpack_device__()[0])
    elif hasattr(source, "__dlpack__"):
        return False  # numpy says what is wrong
    else:
        kind = dlpack.device_kind_of(source)
    if kind in dlpack.GPU_KINDS:
        return True
    if kind not in dlpack.HOST_KINDS:
        raise Unsupported(
            f"tensors are taken from CPU memory and from CUDA devices, not from the DLPack device type {kind}"
        )
    return False
