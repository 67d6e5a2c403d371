"""What kind of model a file is, told by its name and by what its archive holds; torch is not needed."""

from __future__ import annotations

import zipfile
from enum import Enum
from pathlib import Path


class FileKind(Enum):
    """What torch can be asked to do with it."""

    SCRIPT = "TorchScript"
    EXPORTED = "torch.export program"
    COMPILED = "AOTInductor package"
    SOURCE = "Python source"
    WEIGHTS = "weights"
    UNKNOWN = "unknown"


def kind_of(path: Path) -> FileKind:
    """Reads the archive's list of contents alone. An archive that is broken is UNKNOWN."""
    if path.suffix == ".py":
        return FileKind.SOURCE
    if path.suffix == ".safetensors":
        return FileKind.WEIGHTS
    if not zipfile.is_zipfile(path):
        return FileKind.UNKNOWN
    try:
        with zipfile.ZipFile(path) as archive:
            # torch puts everything into one folder, of any name.
            inner = {name.partition("/")[2] for name in archive.namelist()}
    except (OSError, zipfile.BadZipFile):
        return FileKind.UNKNOWN
    if any(name.startswith("data/aotinductor/") for name in inner):
        return FileKind.COMPILED
    if "archive_format" in inner or any(name.endswith("serialized_exported_program.json") for name in inner):
        return FileKind.EXPORTED
    if "constants.pkl" in inner:
        return FileKind.SCRIPT
    return FileKind.WEIGHTS if "data.pkl" in inner else FileKind.UNKNOWN
