"""Runs a TorchScript file on made-up inputs and says what its tensors are: ``python -m`` with the file.

Of each input it is known which weights it meets (``script_shapes``). What that leaves open is tried: the
program runs with one set of sizes, then each size is changed to see whether it is free, and where it comes
out again. Prints one line of JSON: inputs and outputs as [name, data type, shape], or an error.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import sys
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from naiad.backends.torch.script import arguments_of
from naiad.backends.torch.tensors import DATATYPES
from naiad.config import config_data_type
from naiad.staging.script_shapes import FREE, Demand, demands

_BATCH = 2
_OTHER_BATCH = 3
_SIZES = {1: (16, 32), 2: (224, 64, 32, 28, 128, 256, 384, 512), 3: (16, 32, 64)}
"""What is tried for free dimensions, by how many of them stand side by side."""
_MOST_TRIALS = 96

Results = dict[str, Any]
Sizes = tuple[int, ...]


class NotFoundOut(Exception):
    """Why nothing can be said."""


@dataclass(frozen=True)
class Guess:
    """An input to try."""

    dtype: torch.dtype
    shape: Sizes


def look_at(path: Path) -> dict[str, Any]:
    """What is printed. Raises NotFoundOut, and what torch raises for a file that it does not read."""
    module = torch.jit.load(str(path), map_location="cpu").eval()
    arguments = [argument for argument in arguments_of(module.forward.schema) if argument.required]
    if not arguments:
        raise NotFoundOut("its forward takes no arguments")
    for argument in arguments:
        if argument.kind != "tensor":
            raise NotFoundOut(
                f"argument '{argument.name}' of its forward is no tensor but {argument.kind}"
                if argument.kind != "any"
                else f"argument '{argument.name}' of its forward is no tensor"
            )
    wanted = demands(module)
    names = [argument.name for argument in arguments]
    guesses, results = _first_that_runs(module, names, wanted)
    return _vary(module, guesses, results)


def _first_that_runs(
    module: Any, names: list[str], wanted: Mapping[str, list[Demand]]
) -> tuple[dict[str, Guess], Results]:
    tried, refusal = 0, ""
    for guesses in itertools.islice(_guesses(names, wanted), _MOST_TRIALS):
        tried += 1
        try:
            return guesses, _run(module, guesses)
        except Exception as error:
            refusal = str(error).strip().splitlines()[-1]
    raise NotFoundOut(f"none of {tried} guesses ran; the last one: {refusal}")


def _guesses(names: list[str], wanted: Mapping[str, list[Demand]]) -> Iterator[dict[str, Guess]]:
    """Inputs of which nothing is known look like those of which something is."""
    known = {name: list(_of_demands(wanted[name])) for name in names if wanted.get(name)}
    open_names = [name for name in names if name not in known]
    for chosen in itertools.product(*known.values()):
        sure = dict(zip(known, chosen, strict=True))
        if not open_names:
            yield sure
            continue
        likely = list(sure.values()) or [Guess(torch.float32, (_BATCH, 4)), Guess(torch.int64, (_BATCH, 4))]
        for same in likely:
            for dtype in dict.fromkeys((same.dtype, torch.float32, torch.bool, torch.int64)):
                yield sure | dict.fromkeys(open_names, Guess(dtype, same.shape))


def _of_demands(wanted: list[Demand]) -> Iterator[Guess]:
    integer = any(one.integer for one in wanted)
    rank = next((one.rank for one in wanted if one.rank is not None), None)
    fixed = dict(place for one in wanted for place in one.fixed)
    for dims in (rank,) if rank is not None else (2, 3, 4):
        shape: list[int] = [FREE] * dims
        shape[0] = _BATCH
        for place, size in fixed.items():
            if -dims <= place < dims:
                shape[place] = size
        count = shape.count(FREE)
        for size in _SIZES.get(count, (16,)):
            filled = tuple(size if one == FREE else one for one in shape)
            yield Guess(torch.int64 if integer else torch.float32, filled)


def _run(module: Any, guesses: Mapping[str, Guess]) -> Results:
    """The results by the names that the pytorch backend gives them."""
    values = {name: torch.ones(guess.shape).to(guess.dtype) for name, guess in guesses.items()}
    with torch.inference_mode():
        return dict(_named(module(**values)))


def _named(result: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(result, torch.Tensor):
        yield "OUTPUT__0", result
    elif isinstance(result, Mapping):
        yield from result.items()
    elif isinstance(result, (list, tuple)):
        yield from ((f"OUTPUT__{index}", one) for index, one in enumerate(result))
    else:
        raise NotFoundOut(f"it gives a {type(result).__name__}, which is no tensor")


def _vary(module: Any, guesses: dict[str, Guess], first: Results) -> dict[str, Any]:
    """Changes one size at a time, wherever it stands: inputs that have it share it."""
    for name, value in first.items():
        if not isinstance(value, torch.Tensor):
            raise NotFoundOut(f"its result '{name}' is a {type(value).__name__}, which is no tensor")
    shapes: dict[str, list[int]] = {name: list(guess.shape) for name, guess in guesses.items()}
    outputs: dict[str, list[int]] = {name: list(value.shape) for name, value in first.items()}
    places = sorted({place for guess in guesses.values() for place in range(len(guess.shape))})
    for place in places:
        changed = {name: _changed(guess, place) for name, guess in guesses.items()}
        try:
            results = _run(module, changed)
        except Exception:
            continue  # not free
        for name, guess in changed.items():
            if guess != guesses[name]:
                shapes[name][place] = FREE
        for name, value in results.items():
            if name in first and value.dim() == first[name].dim():
                for index, (one, two) in enumerate(zip(first[name].shape, value.shape, strict=True)):
                    if one != two:
                        outputs[name][index] = FREE
    return {
        "inputs": [[name, _data_type(guess.dtype, name), shapes[name]] for name, guess in guesses.items()],
        "outputs": [[name, _data_type(value.dtype, name), outputs[name]] for name, value in first.items()],
    }


def _changed(guess: Guess, place: int) -> Guess:
    if place >= len(guess.shape):
        return guess
    size = guess.shape[place]
    other = _OTHER_BATCH if place == 0 else size + 32 if size > 16 else size + 1
    return Guess(guess.dtype, (*guess.shape[:place], other, *guess.shape[place + 1 :]))


def _data_type(dtype: torch.dtype, name: str) -> str:
    known = DATATYPES.get(dtype)
    if known is None:
        raise NotFoundOut(f"'{name}' is of {dtype}, which no request can carry")
    return config_data_type(known)


def main() -> None:
    """Prints the answer last; what the program prints itself goes to standard error."""
    warnings.simplefilter("ignore")
    answer: dict[str, Any]
    try:
        with contextlib.redirect_stdout(sys.stderr):
            answer = look_at(Path(sys.argv[1]))
    except NotFoundOut as reason:
        answer = {"error": str(reason)}
    except Exception as error:
        answer = {"error": str(error).strip().splitlines()[0]}
    print(json.dumps(answer))


if __name__ == "__main__":
    main()
