"""Versions of what is installed: Python, the core, frameworks and what they run on."""

from __future__ import annotations

import platform
import sys
from collections.abc import Callable, Sequence
from importlib import metadata

from naiad.doctor.finding import Finding
from naiad.errors import NaiadError

GROUP = "Software"
FRAMEWORKS = "Frameworks"

_LEAST_PYTHON = (3, 11)
_OPTIONAL = (
    ("torch", "naiad[torch]", "PyTorch models (.pt, .pt2)"),
    ("openvino", "naiad[openvino]", "OpenVINO models (.xml)"),
    ("tensorrt", "naiad[tensorrt]", "TensorRT engines (.plan)"),
    ("vllm", "naiad[vllm]", "language models"),
)
Version = Callable[[str], str | None]


def installed_version(package: str) -> str | None:
    """None: it is not installed."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def check_software(version: Version = installed_version) -> list[Finding]:
    """Python, naiad's core, numpy."""
    from naiad.engine import build_facts

    facts = ", ".join(f"{name} {fact}" for name, fact in sorted(build_facts().items()))
    python = platform.python_version()
    enough = sys.version_info >= _LEAST_PYTHON
    return [
        Finding(
            GROUP,
            "python",
            "ok" if enough else "problem",
            f"{python} at {sys.executable}",
            "" if enough else "use Python 3.11 or later",
        ),
        Finding(GROUP, "naiad", "ok", f"{version('naiad')} ({facts})"),
        _required("numpy", version),
    ]


def check_frameworks(
    *,
    gpu: bool,
    version: Version = installed_version,
    providers: Callable[[], Sequence[str]] | None = None,
    extras: Sequence[str] | None = None,
) -> list[Finding]:
    """``gpu``: whether there is one. ``providers``: of the installed library of ONNX Runtime. ``extras``:
    those that naiad has, to say what can be installed.
    """
    known = naiad_extras() if extras is None else extras
    found = [_onnxruntime(gpu, version, providers or onnxruntime_providers)]
    for package, extra, what_for in _OPTIONAL:
        own = version(package)
        if own is None:
            has_extra = extra.partition("[")[2].rstrip("]") in known
            mend = f"pip install '{extra if has_extra else package}'"
            found.append(Finding(FRAMEWORKS, package, "absent", f"not installed; for {what_for}", mend))
        elif package == "torch" and gpu and own.endswith("+cpu"):
            found.append(
                Finding(FRAMEWORKS, package, "warning", f"{own}: without CUDA", "pip install --force torch")
            )
        else:
            found.append(Finding(FRAMEWORKS, package, "ok", own))
    return found


def naiad_extras() -> list[str]:
    """Of the installed package."""
    try:
        return metadata.metadata("naiad").get_all("Provides-Extra") or []
    except metadata.PackageNotFoundError:
        return []


def onnxruntime_providers() -> Sequence[str]:
    """Raises NaiadError where there is no library, or one that does not load."""
    from naiad.backends.onnxruntime import find_library
    from naiad.engine import OnnxRuntime

    return list(OnnxRuntime(str(find_library())).providers)


def _onnxruntime(gpu: bool, version: Version, providers: Callable[[], Sequence[str]]) -> Finding:
    name = next(
        (one for one in ("onnxruntime-gpu", "onnxruntime-openvino", "onnxruntime") if version(one)), ""
    )
    if not name:
        return Finding(FRAMEWORKS, "onnxruntime", "problem", "not installed", "pip install onnxruntime")
    try:
        there = [one.removesuffix("ExecutionProvider") for one in providers()]
    except NaiadError as error:
        return Finding(FRAMEWORKS, name, "problem", str(error), f"pip install --force-reinstall {name}")
    what = f"{version(name)}, providers: {', '.join(there)}"
    if gpu and "CUDA" not in there:
        return Finding(FRAMEWORKS, name, "warning", f"{what}; not CUDA", "pip install 'naiad[gpu]'")
    return Finding(FRAMEWORKS, name, "ok", what)


def _required(package: str, version: Version) -> Finding:
    own = version(package)
    if own is None:
        return Finding(GROUP, package, "problem", "not installed", f"pip install {package}")
    return Finding(GROUP, package, "ok", own)
