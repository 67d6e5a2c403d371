"""Parts of ``triton_python_backend_utils`` which this version does not serve: using one says so by name."""

from __future__ import annotations

from typing import Any, NoReturn

from naiad.errors import Unsupported


def refuse(feature: str) -> NoReturn:
    """Raises Unsupported for a part of Triton's Python API."""
    raise Unsupported(f"pb_utils: {feature} is not supported by this version of naiad")


def load_model(model_name: str, config: str = "", files: Any = None) -> None:
    """Loads another model of the server."""
    del model_name, config, files
    refuse("load_model")


def unload_model(model_name: str, unload_dependents: bool = False) -> None:
    """Unloads another model of the server."""
    del model_name, unload_dependents
    refuse("unload_model")


def is_model_ready(model_name: str, model_version: str = "") -> bool:
    """Whether another model of the server takes requests."""
    del model_name, model_version
    refuse("is_model_ready")
