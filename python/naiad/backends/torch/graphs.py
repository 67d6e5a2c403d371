"""CUDA graphs of a torch model: captured when an instance is made, replayed for batches of their shapes."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from naiad.backends.gpu_options import GraphShape, GraphSpec
from naiad.backends.model_tensors import ModelTensor
from naiad.backends.torch.device import DeviceRun
from naiad.backends.torch.loaded import LoadedModel
from naiad.backends.torch.tensors import dtype_of
from naiad.config import ModelConfig
from naiad.errors import ConfigError

_FIELD = "optimization.cuda.graph_spec"
_WARM_UP_RUNS = 3
"""Before a capture: what libraries do once must not be in it."""

_log = logging.getLogger("naiad.backends.pytorch")

Shapes = dict[str, tuple[int, ...]]


@dataclass(frozen=True)
class PlannedGraph:
    """What is to be captured: the shapes of all inputs."""

    shapes: Shapes
    least_rows: int
    """It serves batches from so many rows on, zeros behind them; 0: of a model that does not batch."""


@dataclass(frozen=True)
class CapturedGraph:
    """A run that can be repeated. Its inputs and results are always the same tensors."""

    plan: PlannedGraph
    graph: Any
    inputs: Mapping[str, torch.Tensor]
    result: Any

    @property
    def num_rows(self) -> int:
        """Of its batch; 0 of a model that does not batch."""
        return next(iter(self.plan.shapes.values()))[0] if self.plan.least_rows else 0

    def serves(self, shapes: Shapes) -> bool:
        """Whether a batch of these shapes fits: all alike, but for rows."""
        own = self.plan.shapes
        if shapes.keys() != own.keys():
            return False
        if not self.plan.least_rows:
            return shapes == own
        rows = {shape[0] for shape in shapes.values()}
        if len(rows) != 1 or not self.plan.least_rows <= rows.pop() <= self.num_rows:
            return False
        return all(shape[1:] == own[name][1:] for name, shape in shapes.items())


def plan_graphs(
    config: ModelConfig,
    specs: Sequence[GraphSpec],
    inputs: Sequence[ModelTensor],
    kinds: Mapping[str, str],
) -> list[PlannedGraph]:
    """The largest first. ``kinds``: ``LoadedModel.kinds``. Raises ConfigError where a spec does not fit the
    inputs.
    """
    if not specs:
        return []
    unfit = [
        tensor.name
        for tensor in inputs
        if tensor.datatype == "BYTES"
        or tensor.optional
        or tensor.is_shape_tensor
        or kinds.get(tensor.name, "any") not in ("any", "tensor")
    ]
    if unfit:
        _log.warning(
            "model '%s': no CUDA graph is captured: inputs must be tensors that each request has, not so: %s",
            config.name,
            ", ".join(unfit),
        )
        return []
    planned = []
    for spec in specs:
        if spec.most.shapes:
            _check_names(config, spec.most, inputs)
        shapes = _shapes(spec.most, inputs)
        if shapes is None:
            _log.warning(
                "model '%s': no CUDA graph is captured: dims of inputs are free, and there is no graph_spec",
                config.name,
            )
            return []
        planned.append(PlannedGraph(shapes, _least_rows(config, spec)))
    return sorted(planned, key=lambda plan: -sum(map(_size, plan.shapes.values())))


class Graphs:
    """Those of one instance. Its thread, with its stream entered."""

    def __init__(self, name: str, run: DeviceRun, cuda: Any = torch.cuda) -> None:
        """``name``: of the model. ``cuda``: ``torch.cuda``, or a stand-in."""
        self._name = name
        self._run = run
        self._cuda = cuda
        self._captured: list[CapturedGraph] = []
        self._memory: Any = None

    def __len__(self) -> int:
        return len(self._captured)

    def capture(
        self, model: LoadedModel, planned: Sequence[PlannedGraph], inputs: Sequence[ModelTensor]
    ) -> None:
        """A model that does what can not be captured runs without, and the log says why."""
        dtypes = {tensor.name: dtype_of(tensor.datatype) for tensor in inputs}
        for plan in planned:
            given = {
                name: torch.zeros(shape, dtype=dtypes[name], device=self._run.device)
                for name, shape in plan.shapes.items()
            }
            for _ in range(_WARM_UP_RUNS):
                model.call(given)
            self._run.wait()
            # What cuBLAS works with must be the graph's own: that of the stream may be freed while it lives.
            self._run.free_workspaces()
            graph = self._cuda.CUDAGraph()
            if self._memory is None:
                # Of all of them: one runs at a time, and what it gave is copied before the next one.
                self._memory = self._cuda.graph_pool_handle()
            try:
                # Other threads of this process may use CUDA meanwhile.
                with self._cuda.graph(
                    graph, pool=self._memory, stream=self._run.stream, capture_error_mode="thread_local"
                ):
                    result = model.call(given)
            except Exception as error:
                _log.warning(
                    "model '%s': no CUDA graph is captured for %s: %s", self._name, plan.shapes, error
                )
                return
            finally:
                self._run.free_workspaces()
            self._captured.append(CapturedGraph(plan, graph, given, result))
            _log.debug("model '%s': captured a CUDA graph for %s", self._name, plan.shapes)

    def find(self, shapes: Shapes) -> CapturedGraph | None:
        """The smallest one that serves a batch of these shapes."""
        serving = [captured for captured in self._captured if captured.serves(shapes)]
        return serving[-1] if serving else None

    def replay(
        self,
        captured: CapturedGraph,
        views: Mapping[str, torch.Tensor],
        fill: Callable[[torch.Tensor, torch.Tensor], object],
    ) -> Any:
        """Queues the batch, whose tensors ``fill`` copies to those of the graph. What the model returns,
        which has as many rows as the graph and stays until the next one is queued.
        """
        for name, view in views.items():
            given = captured.inputs[name]
            if captured.num_rows and view.shape[0] < captured.num_rows:
                given[view.shape[0] :].zero_()
                given = given[: view.shape[0]]
            fill(view, given)
        captured.graph.replay()
        return captured.result

    def close(self) -> None:
        """Frees their memory."""
        self._captured.clear()
        self._memory = None


def _check_names(config: ModelConfig, shape: GraphShape, inputs: Sequence[ModelTensor]) -> None:
    names = {tensor.name for tensor in inputs}
    unknown, lacking = set(shape.shapes) - names, names - set(shape.shapes)
    if unknown or lacking:
        wrong = f"an unknown input '{min(unknown)}'" if unknown else f"no shape for input '{min(lacking)}'"
        raise ConfigError(f"model '{config.name}': graph spec has {wrong}", field=_FIELD)
    for tensor in inputs:
        own = tensor.shape[1:] if tensor.has_rows else tensor.shape
        given = shape.shapes[tensor.name]
        if len(own) != len(given) or any(dim not in (-1, size) for dim, size in zip(own, given, strict=True)):
            raise ConfigError(
                f"model '{config.name}': graph spec has shape {list(given)} for input '{tensor.name}', whose "
                f"dims are {list(own)}",
                field=_FIELD,
            )


def _shapes(wanted: GraphShape, inputs: Sequence[ModelTensor]) -> Shapes | None:
    shapes = {}
    for tensor in inputs:
        lead = (wanted.num_rows,) if tensor.has_rows else ()
        own = wanted.shapes.get(tensor.name, tensor.shape[len(lead) :])
        if -1 in own:
            return None
        shapes[tensor.name] = (*lead, *own)
    return shapes


def _least_rows(config: ModelConfig, spec: GraphSpec) -> int:
    if spec.least is None:
        return spec.most.num_rows
    for name, dims in spec.most.shapes.items():
        if spec.least.shapes[name] != dims:
            raise ConfigError(
                f"model '{config.name}': graph_lower_bound of input '{name}' must be its shape in the graph: "
                "the pytorch backend fills up rows alone",
                field=_FIELD,
            )
    return spec.least.num_rows


def _size(shape: tuple[int, ...]) -> int:
    return int(torch.Size(shape).numel())
