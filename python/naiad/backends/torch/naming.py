"""Which input of a configuration is which argument of a model, and which output is which result.

Triton's conventions, in its order: names of the arguments of ``forward``; ``<name>__<index>``; else the
order of the configuration. A model whose one argument is a dictionary gets all inputs in it, by name. Results
are a tensor, a tuple or list, or a dictionary, nested as they like; ``ARGS[0]``, ``KWARGS[k]`` and
``RESULT[k][0]`` say where a tensor lies in them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from naiad.errors import BackendError, ConfigError

_INDEXED = re.compile(r".*?__(\d{1,4})\Z", re.DOTALL)
_PATH = re.compile(r"(ARGS|KWARGS|RESULT)((?:\[[^\[\]\"\s]+\])*)\Z")

Call = tuple[list[Any], dict[str, Any]]
"""Positional arguments, and those by name."""


@dataclass(frozen=True)
class Argument:
    """Of ``forward``."""

    name: str
    kind: str = "tensor"
    """"tensor", "dict" (of tensors by name), "strings", "int", "float", "bool", or "any": it is not known."""
    required: bool = True


@dataclass(frozen=True)
class InputPlan:
    """How the values of inputs become the arguments of a call."""

    arrange: Callable[[Mapping[str, Any]], Call]
    kinds: Mapping[str, str]
    """By input, what its argument takes: see ``Argument``."""
    by_order: bool = False
    """Neither names nor indices say it: the order of the configuration does."""

    def call(self, run: Callable[..., Any], values: Mapping[str, Any]) -> Any:
        """What ``run`` returns for them."""
        positional, named = self.arrange(values)
        return run(*positional, **named)


def index_of(name: str) -> int | None:
    """The index in ``INPUT__0``; None for another name."""
    match = _INDEXED.match(name)
    return int(match[1]) if match else None


def path_of(name: str) -> tuple[str, tuple[str, ...]] | None:
    """("ARGS", ("2", "keyA")) of ``ARGS[2][keyA]``; None for another name."""
    match = _PATH.match(name)
    return (match[1], tuple(re.findall(r"\[([^\]]+)\]", match[2]))) if match else None


def plan_inputs(
    model: str, names: Sequence[str], arguments: Sequence[Argument], *, any_count: bool = False
) -> InputPlan:
    """``names``: of the inputs, in the order of the configuration. ``any_count``: ``forward`` takes further
    positional arguments.

    Raises ConfigError where they do not fit the arguments.
    """
    if len(arguments) == 1 and arguments[0].kind == "dict":
        return InputPlan(lambda values: ([dict(values)], {}), dict.fromkeys(names, "tensor"))
    by_name = {argument.name: argument for argument in arguments}
    if all(name in by_name for name in names):
        _require(model, arguments, given=set(names))
        return InputPlan(
            lambda values: ([], {name: values[name] for name in names if name in values}),
            {name: by_name[name].kind for name in names},
        )
    indices = [index_of(name) for name in names]
    by_order = any(index is None for index in indices)
    places = list(range(len(names))) if by_order else [index or 0 for index in indices]
    if sorted(places) != list(range(len(places))):
        raise ConfigError(
            f"model '{model}': inputs {_listed(names)} need the indices 0 to {len(names) - 1}, each once",
            field="input",
        )
    if len(places) > len(arguments) and not any_count:
        raise ConfigError(
            f"model '{model}' takes {len(arguments)} arguments ({_listed(list(by_name))}), but the "
            f"configuration has {len(names)} inputs ({_listed(names)})",
            field="input",
        )
    _require(model, arguments, given={argument.name for argument in arguments[: len(places)]})
    ordered = [name for _, name in sorted(zip(places, names, strict=True))]
    kinds = [argument.kind for argument in arguments] + ["any"] * len(ordered)
    return InputPlan(
        lambda values: (_without_tail(ordered, values), {}),
        dict(zip(ordered, kinds, strict=False)),
        by_order,
    )


def _without_tail(ordered: Sequence[str], values: Mapping[str, Any]) -> list[Any]:
    """What is absent is None, or left out where nothing follows it."""
    arguments = [values.get(name) for name in ordered]
    while arguments and arguments[-1] is None:
        arguments.pop()
    return arguments


def _require(model: str, arguments: Sequence[Argument], *, given: set[str]) -> None:
    missing = [a.name for a in arguments if a.required and a.name not in given]
    if missing:
        raise ConfigError(
            f"model '{model}': no input is given for the arguments {_listed(missing)}", field="input"
        )


def plan_leaves(
    model: str, names: Sequence[str], leaves: Sequence[Sequence[str]], *, what: str = "input"
) -> list[int]:
    """Which leaf each name means. ``leaves``: the names of each tensor in the nested arguments, in order.

    Raises ConfigError for a name that means none, and for tensors without one.
    """
    known = {alias: index for index, aliases in enumerate(leaves) for alias in aliases}
    places = []
    for name in names:
        place = known.get(name)
        if place is None and (index := index_of(name)) is not None and index < len(leaves):
            place = index
        if place is None or place in places:
            raise ConfigError(
                f"model '{model}': {what} '{name}' is none of the model's, or a second name of one: "
                f"{'; '.join(' or '.join(aliases) for aliases in leaves)}",
                field=what,
            )
        places.append(place)
    return places


class OutputPlan:
    """Takes the outputs out of what a model returns."""

    def __init__(self, model: str, names: Sequence[str]) -> None:
        """``names``: of the outputs, in the order of the configuration."""
        self._model = model
        self._names = list(names)
        self._paths = {name: path[1] for name in names if (path := path_of(name)) and path[0] == "RESULT"}
        indices = {name: index_of(name) for name in names}
        by_order = any(indices[name] is None for name in names if name not in self._paths)
        self._indices = {
            name: place if by_order else indices[name] or 0 for place, name in enumerate(self._names)
        }

    def pick(self, result: Any, wanted: Sequence[str]) -> Iterator[tuple[str, Any]]:
        """Name and value of each wanted output. Raises BackendError where the result does not have it."""
        leaves: list[Any] | None = None
        for name in wanted:
            if name in self._paths:
                yield name, self._follow(result, name)
            elif isinstance(result, Mapping) and name in result:
                yield name, result[name]
            elif isinstance(result, tuple) and name in getattr(result, "_fields", ()):
                yield name, getattr(result, name)
            else:
                leaves = list(_leaves(result)) if leaves is None else leaves
                index = self._indices[name]
                if index >= len(leaves):
                    raise self._absent(name, f"the model has returned {len(leaves)} tensors")
                yield name, leaves[index]

    def _follow(self, result: Any, name: str) -> Any:
        for key in self._paths[name]:
            try:
                result = result[key] if isinstance(result, Mapping) else result[int(key)]
            except (KeyError, IndexError, ValueError, TypeError):
                raise self._absent(name, f"there is no '{key}' in a {type(result).__name__}") from None
        return result

    def _absent(self, name: str, why: str) -> BackendError:
        return BackendError(f"model '{self._model}': there is no output '{name}': {why}")


def _leaves(result: Any) -> Iterator[Any]:
    """Tensors, and lists of strings, in the order in which they stand."""
    if isinstance(result, Mapping):
        for value in result.values():
            yield from _leaves(value)
    elif isinstance(result, (tuple, list)) and not is_strings(result):
        for value in result:
            yield from _leaves(value)
    else:
        yield result


def is_strings(value: Any) -> bool:
    """Whether it is a list of strings, which is one output."""
    return isinstance(value, list) and all(isinstance(item, str) for item in value)


def _listed(names: Sequence[str]) -> str:
    return ", ".join(f"'{name}'" for name in names)
