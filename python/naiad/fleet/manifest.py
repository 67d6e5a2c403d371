"""``fleet.json`` in the fleet's directory: what was built from what, so that a second build can rest."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field
from pathlib import Path

from naiad.errors import InvalidArgument
from naiad.fleet.fleet_model import BuiltModel, FleetModel

FILE_NAME = "fleet.json"


@dataclass(frozen=True)
class Manifest:
    """The models, the SHA-256 of every file that the build wrote, and the recipe that they came from."""

    recipe: str
    models: list[FleetModel] = field(default_factory=list)
    files: dict[str, str] = field(default_factory=dict)

    def holds(self, directory: Path) -> bool:
        """Whether every file is there as it was built. A config.pbtxt may be edited."""
        return all(
            (directory / path).is_file()
            and (is_config(path) or digest((directory / path).read_bytes()) == expected)
            for path, expected in self.files.items()
        )

    def to_json(self) -> bytes:
        """The content of the file."""
        return json.dumps(asdict(self), indent=2).encode() + b"\n"


def read_manifest(directory: Path) -> Manifest | None:
    """The manifest of that directory, None when it has none. Raises InvalidArgument for an alien one."""
    path = directory / FILE_NAME
    if not path.exists():
        return None
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        models = [FleetModel(**model) for model in content["models"]]
        return Manifest(str(content["recipe"]), models, dict(content["files"]))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InvalidArgument(
            f"{FILE_NAME} in the fleet's directory was not written by naiad ({error}); remove it"
        ) from None


def make_manifest(recipe: str, built: list[BuiltModel], files: dict[str, bytes]) -> Manifest:
    """The manifest of these models and of all files of the fleet (path inside it to content)."""
    models = [
        FleetModel(model.name, model.backend, model.source, model.licence, model.checked, model.size_bytes)
        for model in built
    ]
    return Manifest(recipe, models, {path: digest(content) for path, content in files.items()})


def is_config(path: str) -> bool:
    """Whether the path inside a fleet is a model's configuration."""
    return Path(path).name == "config.pbtxt"


def digest(content: bytes) -> str:
    """SHA-256 in hexadecimal."""
    return hashlib.sha256(content).hexdigest()
