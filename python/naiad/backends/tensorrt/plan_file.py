"""What the first bytes of an engine file say: which TensorRT has made it.

TensorRT has no call that tells it before an engine is deserialized, and then its own message leaves the
file's version out ("expecting library version 10.7.0.23 got ..", of several 10.x). The bytes are where NVIDIA
says that they are (github.com/NVIDIA/TensorRT/issues/3073): four of version from byte 24 on.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from naiad.errors import InvalidArgument, Unsupported

HEADER_SIZE = 32
_VERSION_AT = 24
_NAMES = {b"ftrt": "TensorRT", b"ptrt": "TensorRT", b"vtrt": "TensorRT for RTX"}
_OLD = b"ptrt"
"""Of TensorRT up to 8.5, whose files have no version."""
PACKAGES = {"TensorRT": "tensorrt", "TensorRT for RTX": "tensorrt-rtx-cu13"}


@dataclass(frozen=True)
class Maker:
    """A TensorRT: the one that has made a file, or the installed one."""

    product: str
    """"TensorRT" or "TensorRT for RTX": neither reads the files of the other."""
    version: tuple[int, ...]
    """Empty where it is not known."""

    def __str__(self) -> str:
        known = ".".join(map(str, self.version))
        return f"{self.product} {known}" if known else f"{self.product} 8.5 or older"


def maker_of(path: Path, model: str) -> Maker:
    """Raises InvalidArgument where the file is no engine."""
    with path.open("rb") as file:
        header = file.read(HEADER_SIZE)
    magic = header[:4]
    if magic not in _NAMES or len(header) < HEADER_SIZE:
        raise InvalidArgument(f"model '{model}': '{path.name}' is no engine of TensorRT")
    version = () if magic == _OLD else tuple(header[_VERSION_AT : _VERSION_AT + 4])
    return Maker(_NAMES[magic], version)


def require_product(made_by: Maker, installed: str, path: Path, model: str) -> None:
    """``installed``: the product. Raises Unsupported where the file is of the other one."""
    if made_by.product == installed:
        return
    raise Unsupported(
        f"model '{model}': '{path.name}' was made by {made_by}, which the installed {installed} does not "
        f"read: rebuild it with the installed one, or install {PACKAGES[made_by.product]} in its place"
    )


def version_mismatch(
    made_by: Maker, installed: Maker, path: Path, model: str, said: str
) -> Unsupported | None:
    """Why an engine was refused, where the versions tell. ``said``: by TensorRT."""
    if _same(made_by.version, installed.version):
        return None
    return Unsupported(
        f"model '{model}': '{path.name}' was made by {made_by}, but {installed} is installed, and an engine "
        "runs only with the version that has made it: rebuild it with that one (one that trtexec made with "
        f"--versionCompatible needs --backend-config=tensorrt,version-compatible=true). TensorRT says: {said}"
    )


def _same(in_file: tuple[int, ...], installed: tuple[int, ...]) -> bool:
    """As far as both are known: a package may leave its build number out, and the file has one byte of it."""
    length = min(len(in_file), len(installed))
    return length > 0 and all(a == b % 256 for a, b in zip(in_file, installed, strict=False))
