"""``torch.export`` programs and AOTInductor packages: both are ``.pt2`` archives."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch.utils import _pytree as pytree

from naiad.backends.torch.loaded import LoadedModel
from naiad.backends.torch.naming import plan_leaves
from naiad.backends.torch.options import TorchOptions
from naiad.backends.torch.script import device_of
from naiad.backends.torch.tensors import DATATYPES
from naiad.config import FoundTensor, FoundTensors, config_data_type
from naiad.errors import ConfigError

_ROOTS = ("ARGS", "KWARGS")


def load_exported(
    path: Path, model: str, names: Sequence[str], device: torch.device | None, options: TorchOptions
) -> LoadedModel:
    """A program, which runs operator by operator, or as ``torch.compile`` makes it.

    Raises what torch raises, and ConfigError where the inputs do not fit the arguments.
    """
    program = torch.export.load(str(path))
    if device is not None and device.type != "cpu":
        program = torch.export.passes.move_to_device_pass(program, device)
    inputs = _ProgramInputs(program)
    places = plan_leaves(model, names, [inputs.aliases[leaf] for leaf in inputs.tensors])
    leaf_of = {name: inputs.tensors[place] for name, place in zip(names, places, strict=True)}
    missing = set(inputs.tensors) - set(leaf_of.values())
    if missing:
        listed = ", ".join(inputs.aliases[leaf][0] for leaf in sorted(missing))
        raise ConfigError(f"model '{model}': no input is given for {listed}", field="input")
    module = program.module()
    run = module if options.compile is None else torch.compile(module, **options.compile)

    def call(values: Mapping[str, Any]) -> Any:
        leaves = list(inputs.constants)
        for name, leaf in leaf_of.items():
            leaves[leaf] = values.get(name)
        positional, named = pytree.tree_unflatten(leaves, inputs.spec)
        return run(*positional, **named)

    return LoadedModel(
        call,
        dict.fromkeys(names, "tensor"),
        device or device_of(module),
        writes_inputs=bool(program.graph_signature.user_inputs_to_mutate),
        owner=module,
    )


def load_compiled(path: Path, model: str, names: Sequence[str], device: torch.device | None) -> LoadedModel:
    """An AOTInductor package: it was compiled for a kind of device, and runs on no other."""
    index = device.index if device is not None and device.type == "cuda" else -1
    package = torch._inductor.aoti_load_package(str(path), device_index=index)
    in_spec, out_spec = (pytree.treespec_loads(text) for text in package.loader.get_call_spec())
    paths = _paths(in_spec, _ROOTS)
    places = plan_leaves(model, names, [[leaf] for leaf in paths])
    if len(places) != len(paths):
        raise ConfigError(
            f"model '{model}' takes {len(paths)} tensors ({', '.join(paths)}), but the configuration has "
            f"{len(places)} inputs",
            field="input",
        )
    ordered = [name for _, name in sorted(zip(places, names, strict=True))]

    def call(values: Mapping[str, Any]) -> Any:
        results = package.loader.run([values[name] for name in ordered])
        return pytree.tree_unflatten(results, out_spec)

    return LoadedModel(
        call,
        dict.fromkeys(names, "tensor"),
        torch.device("cuda", index) if index >= 0 else torch.device("cpu"),
        # Its code was made for inputs that may be written to, and says nothing about it.
        writes_inputs=True,
        owner=package,
    )


def found_tensors(path: Path) -> FoundTensors:
    """What an exported program says about its inputs and outputs, for auto-completion. Inputs are called like
    the arguments of ``forward``, outputs ``OUTPUT__<i>`` or by the one key of a dictionary.
    """
    program = torch.export.load(str(path))
    inputs = _ProgramInputs(program)
    outputs = [value for value in _output_values(program) if isinstance(value, torch.Tensor)]
    names = [f"OUTPUT__{index}" for index in range(len(outputs))]
    return FoundTensors(
        inputs=tuple(_found(inputs.aliases[leaf][-1], inputs.values[leaf]) for leaf in inputs.tensors),
        outputs=tuple(_found(name, value) for name, value in zip(names, outputs, strict=True)),
    )


class _ProgramInputs:
    """The nested arguments of a program: which leaves are tensors, and what the others are always."""

    def __init__(self, program: Any) -> None:
        self.spec = program.call_spec.in_spec
        fake = {node.name: node.meta.get("val") for node in program.graph.nodes if node.op == "placeholder"}
        user = [spec.arg for spec in program.graph_signature.input_specs if spec.kind.name == "USER_INPUT"]
        self.values = [fake.get(argument.name) for argument in user]
        self.tensors = [leaf for leaf, value in enumerate(self.values) if isinstance(value, torch.Tensor)]
        self.constants = [getattr(argument, "value", None) for argument in user]
        self.aliases = [
            [path, argument.name] for path, argument in zip(_paths(self.spec, _ROOTS), user, strict=True)
        ]


def _output_values(program: Any) -> list[Any]:
    fake = {node.name: node.meta.get("val") for node in program.graph.nodes}
    user = [spec.arg for spec in program.graph_signature.output_specs if spec.kind.name == "USER_OUTPUT"]
    return [fake.get(argument.name) for argument in user]


def _found(name: str, value: torch.Tensor) -> FoundTensor:
    shape = tuple(size if isinstance(size, int) else -1 for size in value.shape)
    return FoundTensor(name, config_data_type(DATATYPES.get(value.dtype, "")), shape)


def _paths(spec: Any, roots: Sequence[str]) -> list[str]:
    """``ARGS[0]``, ``KWARGS[k]`` ... of each leaf, in order."""
    tree = pytree.tree_unflatten(list(range(spec.num_leaves)), spec)
    paths = []
    for path, _ in pytree.tree_flatten_with_path(tree)[0]:
        root = roots[path[0].idx]
        paths.append(root + "".join(f"[{_key(entry)}]" for entry in path[1:]))
    return paths


def _key(entry: Any) -> str:
    return str(entry.idx if hasattr(entry, "idx") else entry.key)
