"""TorchScript models."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch

from naiad.backends.torch.loaded import LoadedModel
from naiad.backends.torch.naming import Argument, plan_inputs

_KINDS = {
    "TensorType": "tensor",
    "DictType": "dict",
    "IntType": "int",
    "FloatType": "float",
    "BoolType": "bool",
}
_WRITES = re.compile(r"Tensor\([a-z*]+!")
"""Of an operator's schema: an argument that it writes to."""


def load_script(path: Path, model: str, names: Sequence[str], device: torch.device | None) -> LoadedModel:
    """``names``: of the inputs. ``device``: None leaves every tensor where the file says.

    Raises what torch raises, and ConfigError where the inputs do not fit the arguments.
    """
    with warnings.catch_warnings():
        # That torch.jit is deprecated concerns who makes the file.
        warnings.simplefilter("ignore", DeprecationWarning)
        module = torch.jit.load(str(path), map_location=device)
    module.eval()
    plan = plan_inputs(model, names, arguments_of(module.forward.schema))

    return LoadedModel(
        partial(plan.call, module),
        plan.kinds,
        device or device_of(module),
        writes_inputs=any(_WRITES.search(schema) for schema in _schemas(module.inlined_graph)),
        owner=module,
    )


def device_of(module: Any) -> torch.device:
    """That of its first parameter or buffer; the CPU where it has none."""
    for tensors in (module.parameters(), module.buffers()):
        for tensor in tensors:
            found: torch.device = tensor.device
            return found
    return torch.device("cpu")


def arguments_of(schema: Any) -> list[Argument]:
    """Of a TorchScript function schema, without ``self``."""
    return [
        Argument(argument.name, _kind(argument.type), required=not argument.has_default_value())
        for argument in schema.arguments
        if argument.name != "self"
    ]


def _kind(type_: Any) -> str:
    kind = type_.kind()
    if kind == "OptionalType":
        return _kind(type_.getElementType())
    if kind == "ListType" and type_.getElementType().kind() == "StringType":
        return "strings"
    return _KINDS.get(kind, "any")


def _schemas(graph: Any) -> Iterator[str]:
    """Of every operator, also those of nested blocks; calls that were not inlined may do anything."""
    for node in graph.nodes():
        if node.kind() in ("prim::CallMethod", "prim::CallFunction"):
            yield "Tensor(a!)"
        yield str(node.schema())
        if node.hasAttribute("Subgraph"):
            yield from _schemas(node.g("Subgraph"))
        for block in node.blocks():
            yield from _schemas(block)
