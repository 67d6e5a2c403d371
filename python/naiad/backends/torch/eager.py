"""An ``nn.Module`` from a file model.py, with its weights from a file of the same name beside it."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import torch

from naiad.backends.torch.loaded import LoadedModel
from naiad.backends.torch.naming import Argument, plan_inputs
from naiad.backends.torch.options import TorchOptions
from naiad.backends.torch.script import device_of
from naiad.errors import InvalidArgument

_WEIGHTS = (".safetensors", ".pt")


def load_eager(
    source: ModuleType,
    path: Path,
    model: str,
    names: Sequence[str],
    device: torch.device | None,
    options: TorchOptions,
) -> LoadedModel:
    """``source``: the imported model.py, which lies at ``path``.

    Raises what the module's code and torch raise, and ConfigError where the inputs do not fit the arguments.
    """
    module = _module_class(source, model, options.model_class)()
    weights = _weights_beside(path, model)
    if weights is not None:
        module.load_state_dict(_read_weights(weights, model))
    module.to(device if device is not None else device_of(module))
    module.eval()
    arguments, any_count = _arguments_of(module)
    plan = plan_inputs(model, names, arguments, any_count=any_count)
    run = module if options.compile is None else torch.compile(module, **options.compile)

    return LoadedModel(
        partial(plan.call, run),
        plan.kinds,
        device or device_of(module),
        writes_inputs=True,  # it may: who knows that it does not says READ_ONLY_INPUTS
        owner=module,
    )


def _module_class(source: ModuleType, model: str, wanted: str) -> Any:
    """The one ``nn.Module`` class that the file itself defines, or the one that is named."""
    found = {
        name: value
        for name, value in vars(source).items()
        if isinstance(value, type) and issubclass(value, torch.nn.Module)
    }
    if wanted:
        if wanted not in found:
            raise InvalidArgument(
                f"model '{model}': its Python file has no nn.Module class '{wanted}' (parameter MODEL_CLASS)"
            )
        return found[wanted]
    own = {name: value for name, value in found.items() if value.__module__ == source.__name__}
    candidates = own or found
    if len(candidates) != 1:
        listed = ", ".join(sorted(candidates)) or "none"
        raise InvalidArgument(
            f"model '{model}': its Python file must have one nn.Module class, or the parameter MODEL_CLASS "
            f"name one of them; there are: {listed}"
        )
    return next(iter(candidates.values()))


def _weights_beside(path: Path, model: str) -> Path | None:
    found = [path.with_suffix(suffix) for suffix in _WEIGHTS if path.with_suffix(suffix).is_file()]
    if len(found) > 1:
        raise InvalidArgument(
            f"model '{model}': there are weights in both '{found[0].name}' and '{found[1].name}'"
        )
    return found[0] if found else None


def _read_weights(path: Path, model: str) -> Any:
    """A state dictionary. No code of the file's is run."""
    if path.suffix == ".safetensors":
        try:
            from safetensors.torch import load_file
        except ImportError:
            raise InvalidArgument(
                f"model '{model}': '{path.name}' needs the safetensors package: pip install 'naiad[torch]'"
            ) from None
        return load_file(path)
    state = torch.load(path, map_location="cpu", weights_only=True)
    if not isinstance(state, dict):
        raise InvalidArgument(
            f"model '{model}': '{path.name}' holds a {type(state).__name__}, expected a state dictionary "
            f"(torch.save(module.state_dict(), ...))"
        )
    return state


def _arguments_of(module: torch.nn.Module) -> tuple[list[Argument], bool]:
    """Those of ``forward``, and whether there may be any number of further ones."""
    parameters = inspect.signature(module.forward).parameters.values()
    arguments = [
        Argument(p.name, _kind(p.annotation), required=p.default is inspect.Parameter.empty)
        for p in parameters
        if p.kind in (p.POSITIONAL_OR_KEYWORD, p.POSITIONAL_ONLY, p.KEYWORD_ONLY)
    ]
    return arguments, any(p.kind == p.VAR_POSITIONAL for p in parameters)


def _kind(annotation: Any) -> str:
    text = annotation if isinstance(annotation, str) else str(annotation)
    name = getattr(annotation, "__name__", text)
    if name in ("int", "float", "bool"):
        return str(name)
    lowered = text.lower().replace("typing.", "")
    if lowered.startswith(("dict[str", "mapping[str")):
        return "dict"
    return "strings" if lowered.startswith(("list[str", "sequence[str")) else "any"
