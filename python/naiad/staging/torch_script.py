"""What the tensors of a TorchScript file are: found by running it, in a process of its own."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

from naiad import protos
from naiad.config import FoundTensor, FoundTensors, complete_tensors, to_pbtxt
from naiad.staging.found import FoundModel
from naiad.staging.unservable import Unservable

_TIMEOUT_S = 300
_WRITE_IT = (
    "write its tensors down: `naiad repo init --from {path} --to models`, fill in "
    "models/{name}/config.pbtxt, `naiad serve models`"
)


def describe_script(model: FoundModel) -> str:
    """The configuration of a TorchScript model. Raises Unservable where running it does not show it."""
    path = model.source
    if importlib.util.find_spec("torch") is None:
        raise Unservable(
            f"'{path}' is a TorchScript file, and torch is not installed",
            next_step="pip install 'naiad[torch]'",
        )
    found = probe(path)
    message = protos.ModelConfig(name=model.name, backend="pytorch", platform="pytorch_libtorch")
    if isinstance(found, str):
        raise Unservable(
            f"the file '{path}' does not say what its tensors are, and it could not be found out: {found}",
            next_step=_WRITE_IT.format(path=path, name=model.name),
        )
    complete_tensors(message, found)
    return to_pbtxt(message)


def probe(path: Path) -> FoundTensors | str:
    """The tensors, or why they were not found."""
    command = [sys.executable, "-m", "naiad.staging.script_probe", str(path)]
    try:
        ran = subprocess.run(
            command, capture_output=True, text=True, timeout=_TIMEOUT_S, stdin=subprocess.DEVNULL
        )
    except subprocess.TimeoutExpired:
        return f"it ran for more than {_TIMEOUT_S} s"
    try:
        answer = json.loads(ran.stdout.splitlines()[-1])
    except (ValueError, IndexError):
        return f"the process that ran it ended with status {ran.returncode}"
    if "error" in answer:
        return str(answer["error"])
    return FoundTensors(
        inputs=tuple(_tensor(*one) for one in answer["inputs"]),
        outputs=tuple(_tensor(*one) for one in answer["outputs"]),
    )


def _tensor(name: str, data_type: str, shape: list[int]) -> FoundTensor:
    return FoundTensor(name, data_type, tuple(shape))
