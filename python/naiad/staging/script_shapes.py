"""What the graph of a TorchScript program tells about its inputs: by the weights that they meet first."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

FREE = -1

_PASSES_ON = re.compile(
    r"aten::(relu|gelu|silu|sigmoid|tanh|dropout|to|type_as|contiguous|clone|detach|float|half|add|sub|mul|div"
    r"|clamp|clamp_min|hardtanh|leaky_relu|elu|neg|abs|exp|log)_?\Z"
)
"""Operators whose result has the shape of their first argument."""


@dataclass(frozen=True)
class Demand:
    """What an operator wants of a tensor."""

    rank: int | None
    """None: any."""
    fixed: tuple[tuple[int, int], ...] = ()
    """Dimension (from the end where negative) and its size."""
    integer: bool = False
    """Indices, below the size of a table."""


def demands(module: Any) -> dict[str, list[Demand]]:
    """By argument of ``forward``: of each operator that it reaches with its shape as it is."""
    graph = module.inlined_graph
    found: dict[str, list[Demand]] = {}
    for value in list(graph.inputs())[1:]:
        name = value.debugName().partition(".")[0]
        found[name] = list(_follow(module, graph, value, set()))
    return found


def _follow(module: Any, graph: Any, value: Any, seen: set[str]) -> Iterator[Demand]:
    if value.debugName() in seen:
        return
    seen.add(value.debugName())
    for use in value.uses():
        node, kind = use.user, use.user.kind()
        inputs = list(node.inputs())
        if _PASSES_ON.match(kind) and use.offset == 0:
            yield from _follow(module, graph, node.output(), seen)
        elif (demand := _demand(module, graph, kind, use.offset, inputs)) is not None:
            yield demand
            if kind.endswith("_norm"):
                yield from _follow(module, graph, node.output(), seen)


def _demand(module: Any, graph: Any, kind: str, offset: int, inputs: list[Any]) -> Demand | None:
    if kind == "aten::embedding" and offset == 1:
        return Demand(None, integer=True)
    if offset != 0 or len(inputs) < 2:
        return None
    if kind == "aten::layer_norm":
        sizes = inputs[1].toIValue()
        if sizes is None and inputs[1].node().kind() == "prim::ListConstruct":
            sizes = [one.toIValue() for one in inputs[1].node().inputs()]
        if not sizes or None in sizes:
            return None
        return Demand(None, tuple((index - len(sizes), size) for index, size in enumerate(sizes)))
    weight = _tensor_of(module, graph, inputs[1])
    if weight is None:
        return None
    if kind == "aten::linear":
        return Demand(None, ((-1, weight.shape[-1]),))
    if kind == "aten::matmul" and weight.dim() >= 2:
        return Demand(None, ((-1, weight.shape[-2]),))
    if kind == "aten::batch_norm":
        return Demand(None, ((1, weight.shape[0]),))
    if kind in ("aten::conv1d", "aten::conv2d", "aten::conv3d"):
        groups = inputs[-1].toIValue() or 1
        return Demand(weight.dim(), ((1, weight.shape[1] * groups),))
    if kind == "aten::_convolution":
        transposed, groups = inputs[6].toIValue(), inputs[8].toIValue() or 1
        channels = weight.shape[0] if transposed else weight.shape[1] * groups
        return Demand(weight.dim(), ((1, channels),))
    return None


def _tensor_of(module: Any, graph: Any, value: Any) -> Any | None:
    """The weight that a value of the graph is."""
    import torch

    constant = value.toIValue() if value.node().kind() == "prim::Constant" else None
    if isinstance(constant, torch.Tensor):
        return constant
    names: list[str] = []
    transposed = False
    if value.node().kind() == "aten::t":
        transposed, value = True, next(iter(value.node().inputs()))
    while value.node().kind() == "prim::GetAttr":
        names.append(value.node().s("name"))
        value = next(iter(value.node().inputs()))
    if not names or value.debugName() != next(iter(graph.inputs())).debugName():
        return None
    found: Any = module
    for name in reversed(names):
        found = getattr(found, name)
    if not isinstance(found, torch.Tensor):
        return None
    return found.t() if transposed else found
