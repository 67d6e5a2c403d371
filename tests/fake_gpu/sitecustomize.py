"""Read by every Python that has this directory on its PYTHONPATH: the core is the one with GPUs of the tests.

``_fake_gpu``, in the same file, is what tests ask of them; NVML tells of the same two.
"""

from __future__ import annotations

import sys
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import spec_from_file_location
from pathlib import Path
from typing import Any

BUILT = Path(__file__).parents[2] / "build" / "release" / "fake_gpu"


class _OverFakeGpus(MetaPathFinder):
    """Finds the core, and what belongs to it, where it was built."""

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        if name in ("naiad._core", "_fake_gpu"):
            (file,) = BUILT.glob("_core.*.so")
            return spec_from_file_location(name, file)
        if name == "pynvml":
            return spec_from_file_location(name, Path(__file__).with_name("fake_nvml.py"))
        return None


sys.meta_path.insert(0, _OverFakeGpus())
