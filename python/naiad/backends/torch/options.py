"""What the ``parameters`` of a configuration say to torch, under Triton's names."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from naiad.backends.words import YES_NO
from naiad.errors import ConfigError

OF_THE_PROCESS = ("DISABLE_CUDNN", "ENABLE_JIT_EXECUTOR", "ENABLE_JIT_PROFILING")
"""Settings that torch has once per process: not for models that share one."""


@dataclass(frozen=True)
class TorchOptions:
    """Of one model."""

    inference_mode: bool = True
    """Without: ``torch.no_grad``."""
    optimized_execution: bool = True
    """Of TorchScript: whether graphs are specialized to what they have seen."""
    cudnn: bool = True
    jit_executor: bool = True
    jit_profiling: bool = True
    share_weights: bool = False
    """Instances on one device use one module."""
    clean_cache: bool = False
    """Gives cached GPU memory back after every batch."""
    intra_op_threads: int = 1
    inter_op_threads: int | None = None
    """None: torch's own, one per core."""
    read_only_inputs: bool | None = None
    """Whether the model leaves its inputs as they are; None: what the model's file tells."""
    compile: Mapping[str, Any] | None = None
    """The arguments of ``torch.compile``; None: it is not called."""
    model_class: str = ""
    """The ``nn.Module`` of model.py, where it has several."""


def torch_options(model: str, parameters: Mapping[str, str], *, isolation: str) -> TorchOptions:
    """Raises ConfigError, naming the parameter, for a value that it can not have, or one that needs a process
    of the model's own where ``isolation`` is "thread".
    """
    reader = _Reader(model, parameters)
    if isolation == "thread":
        for name in OF_THE_PROCESS:
            if name in parameters:
                raise reader.error(name, "is a setting of the whole process, and needs isolation 'process'")
    return TorchOptions(
        inference_mode=reader.flag("INFERENCE_MODE", True),
        optimized_execution=not reader.flag("DISABLE_OPTIMIZED_EXECUTION", False),
        cudnn=not reader.flag("DISABLE_CUDNN", False),
        jit_executor=reader.flag("ENABLE_JIT_EXECUTOR", True),
        jit_profiling=reader.flag("ENABLE_JIT_PROFILING", True),
        share_weights=reader.flag("ENABLE_WEIGHT_SHARING", False),
        clean_cache=reader.flag("ENABLE_CACHE_CLEANING", False),
        intra_op_threads=reader.count("INTRA_OP_THREAD_COUNT", "NUM_THREADS") or 1,
        inter_op_threads=reader.count("INTER_OP_THREAD_COUNT", "NUM_INTEROP_THREADS"),
        read_only_inputs=reader.given_flag("READ_ONLY_INPUTS"),
        compile=reader.compile_arguments(),
        model_class=parameters.get("MODEL_CLASS", ""),
    )


class _Reader:
    def __init__(self, model: str, parameters: Mapping[str, str]) -> None:
        self._model = model
        self._parameters = parameters

    def error(self, name: str, what: str) -> ConfigError:
        return ConfigError(f"model '{self._model}': parameter {name} {what}", field="parameters")

    def flag(self, name: str, default: bool) -> bool:
        given = self.given_flag(name)
        return default if given is None else given

    def given_flag(self, name: str) -> bool | None:
        text = self._parameters.get(name)
        if text is None:
            return None
        if text.lower() not in YES_NO:
            raise self.error(name, f"must be 'true' or 'false', got '{text}'")
        return YES_NO[text.lower()]

    def count(self, *names: str) -> int | None:
        """The first of these names that is given: Triton's two runtimes call it differently."""
        for name in names:
            text = self._parameters.get(name)
            if text is None:
                continue
            if not re.fullmatch(r"[0-9]{1,4}", text) or int(text) == 0:
                raise self.error(name, f"must be a number of threads from 1 to 9999, got '{text}'")
            return int(text)
        return None

    def compile_arguments(self) -> Mapping[str, Any] | None:
        name = "TORCH_COMPILE_OPTIONAL_PARAMETERS"
        text = self._parameters.get(name)
        if text is None:
            return None
        try:
            arguments = json.loads(text)
        except ValueError as error:
            raise self.error(name, f"is no JSON: {error}") from None
        known = {"fullgraph", "dynamic", "backend", "mode", "options", "disable"}
        if not isinstance(arguments, dict) or not set(arguments) <= known:
            raise self.error(name, f"must be a JSON object of no other keys than {', '.join(sorted(known))}")
        return None if arguments.get("disable") is True else arguments
