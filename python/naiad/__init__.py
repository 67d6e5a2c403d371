"""naiad, an inference server for models of many frameworks.

In one's own process, with no network::

    with naiad.Server(model_repository="models") as server:
        y = server.model("m").infer({"x": array})["y"]

``naiad serve`` starts the server with its HTTP, gRPC and metrics ports. Errors are in ``naiad.errors``.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from naiad.api import InferenceResult, Model, Server

__version__ = "0.1.0"

__all__ = ["InferenceResult", "Model", "Server", "__version__"]

_IN_API = ("InferenceResult", "Model", "Server")


def __getattr__(name: str) -> Any:
    # Late, so that what needs no engine (a command's --help, the protocol's messages) does not load it.
    if name in _IN_API:
        return getattr(import_module("naiad.api"), name)
    raise AttributeError(f"module 'naiad' has no attribute '{name}'")
