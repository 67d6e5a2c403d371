"""Which TensorRT is installed."""

from __future__ import annotations

import importlib
import importlib.util
import re
from types import ModuleType

from naiad.backends.tensorrt.plan_file import Maker
from naiad.errors import Unsupported

MODULES = {"tensorrt": "TensorRT", "tensorrt_rtx": "TensorRT for RTX"}
"""Looked for in this order -> what it is."""

CUDA_MODULE = "cuda.bindings.runtime"


def find_module(product: str = "") -> str | None:
    """The name of the installed one that is this product, or else of the first one; it is not imported."""
    there = [name for name in MODULES if importlib.util.find_spec(name) is not None]
    return next((name for name in there if MODULES[name] == product), next(iter(there), None))


def require_packages(product: str = "") -> str:
    """The module's name. Raises Unsupported with the line that installs what is missing."""
    found = find_module(product)
    if found is None:
        raise Unsupported(
            "the tensorrt backend needs the tensorrt package: pip install 'naiad[tensorrt]' (or, for "
            "TensorRT for RTX, 'naiad[tensorrt-rtx]')"
        )
    if not _has_cuda():
        extra = found.replace("_", "-")
        raise Unsupported(f"the tensorrt backend needs cuda-bindings: pip install 'naiad[{extra}]'")
    return found


def _has_cuda() -> bool:
    try:
        return importlib.util.find_spec(CUDA_MODULE) is not None
    except ModuleNotFoundError:
        return False  # there is nothing at all by the name of cuda


def load_module(name: str) -> ModuleType:
    """Raises Unsupported where the installed package is broken."""
    try:
        return importlib.import_module(name)
    except (ImportError, OSError) as error:
        raise Unsupported(f"the installed {name} can not be imported: {error}") from error


def installed(module: ModuleType) -> Maker:
    """What the imported module is."""
    numbers = re.match(r"\d+(\.\d+)*", str(module.__version__))
    version = tuple(int(part) for part in numbers.group().split(".")) if numbers else ()
    return Maker(MODULES[module.__name__], version)
