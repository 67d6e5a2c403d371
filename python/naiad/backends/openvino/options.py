"""What the ``parameters`` of a configuration say to OpenVINO, under the names of Triton's backend."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from naiad.backends.words import YES_NO
from naiad.errors import ConfigError, Unsupported

REPLACED = {
    "CPU_THREADS_NUM": "INFERENCE_NUM_THREADS",
    "CPU_THROUGHPUT_STREAMS": "NUM_STREAMS",
    "ENFORCE_BF16": "HINT_BF16",
    "SKIP_DYNAMIC_BATCHSIZE": "SKIP_OV_DYNAMIC_BATCHSIZE",
    "CPU_BIND_THREAD": "",
}
"""Parameters of earlier versions, which OpenVINO has no more, and what they are called now."""


@dataclass(frozen=True)
class OpenVinoOptions:
    """Of one model."""

    device: str = "CPU"
    """Of OpenVINO: CPU, GPU, NPU, AUTO, or one of those with a number or a list."""
    properties: Mapping[str, str] = field(default_factory=dict)
    """For ``compile_model``, by OpenVINO's names."""
    extension: str = ""
    """A shared library with further operators."""
    fixed_batch: bool = False
    """A batch dimension that the file fixes stays: batches have ``max_batch_size`` rows."""
    pads_batches: bool = False
    """Rows of zeros are added to batches that have fewer."""
    reshapes: bool = False
    """The inputs take the dims of the configuration."""


def openvino_options(model: str, parameters: Mapping[str, str], *, num_streams: int) -> OpenVinoOptions:
    """``num_streams``: how many instances use one compiled model, where the configuration does not say how
    many run at once.

    Raises ConfigError, naming the parameter, for a value that it can not have; Unsupported for one that there
    is no more.
    """
    for name, now in REPLACED.items():
        if name in parameters:
            raise Unsupported(
                f"model '{model}': OpenVINO has no parameter {name} any more"
                + (f"; it is called {now} now" if now else "")
            )
    reader = _Reader(model, parameters)
    streams = reader.matching("NUM_STREAMS", r"AUTO|NUMA|[1-9][0-9]{0,3}", "AUTO, NUMA or a number from 1")
    threads = reader.count("INFERENCE_NUM_THREADS")
    properties = {
        "NUM_STREAMS": streams or str(num_streams),
        # One thread per instance: the instances are the parallelism.
        "INFERENCE_NUM_THREADS": threads or (streams if streams.isdecimal() else str(num_streams)),
        "COMPILATION_NUM_THREADS": reader.count("COMPILATION_NUM_THREADS"),
        "PERFORMANCE_HINT": reader.matching(
            "PERFORMANCE_HINT", "LATENCY|THROUGHPUT", "LATENCY or THROUGHPUT"
        ),
        "INFERENCE_PRECISION_HINT": "bf16" if reader.flag("HINT_BF16") else "",
    }
    device = parameters.get("TARGET_DEVICE", "CPU")
    if device == "CPU" and not properties["INFERENCE_PRECISION_HINT"]:
        # OpenVINO would take BF16 by itself on the processors that have it: results would differ by machine.
        properties["INFERENCE_PRECISION_HINT"] = "f32"
    return OpenVinoOptions(
        device=device,
        properties={name: value for name, value in properties.items() if value},
        extension=parameters.get("CPU_EXTENSION_PATH", ""),
        fixed_batch=reader.flag("SKIP_OV_DYNAMIC_BATCHSIZE"),
        pads_batches=reader.flag("ENABLE_BATCH_PADDING"),
        reshapes=reader.flag("RESHAPE_IO_LAYERS"),
    )


class _Reader:
    def __init__(self, model: str, parameters: Mapping[str, str]) -> None:
        self._model = model
        self._parameters = parameters

    def matching(self, name: str, pattern: str, said: str) -> str:
        text = self._parameters.get(name)
        if text is None:
            return ""
        if not re.fullmatch(pattern, text.upper()):
            raise ConfigError(
                f"model '{self._model}': parameter {name} must be {said}, got '{text}'", field="parameters"
            )
        return text.upper()

    def count(self, name: str) -> str:
        """0 is OpenVINO's own number, and is passed on."""
        return self.matching(name, r"[0-9]{1,4}", "a number of threads")

    def flag(self, name: str) -> bool:
        word = self.matching(name, "|".join(YES_NO).upper(), "YES or NO")
        return YES_NO[word.lower()] if word else False
