"""Models of the benches that are not one of run.py's: stages that take a time, and ensembles."""

from __future__ import annotations

import shutil
from pathlib import Path

_STAGE = Path(__file__).resolve().parent.parent / "models" / "stage_py" / "1" / "model.py"
_TENSORS = """input [ { name: "INPUT0" data_type: TYPE_FP32 dims: [ -1 ] } ]
output [ { name: "OUTPUT0" data_type: TYPE_FP32 dims: [ -1 ] } ]
"""


def write_stage(
    repository: Path, name: str, *, sleep_ms: float, row_us: float, max_batch_size: int, batching: str = ""
) -> None:
    """A Python model that sleeps. `batching`: what stands in its `dynamic_batching`."""
    folder = repository / name
    (folder / "1").mkdir(parents=True)
    shutil.copyfile(_STAGE, folder / "1" / "model.py")
    (folder / "config.pbtxt").write_text(
        f'backend: "python"\nmax_batch_size: {max_batch_size}\n{_TENSORS}'
        "instance_group [ { count: 1 kind: KIND_CPU } ]\n"
        f"dynamic_batching {{ {batching} }}\n"
        f'parameters {{ key: "sleep_ms" value {{ string_value: "{sleep_ms}" }} }}\n'
        f'parameters {{ key: "row_us" value {{ string_value: "{row_us}" }} }}\n'
    )


def write_chain(repository: Path, name: str, steps: list[str], max_batch_size: int) -> None:
    """An ensemble of `steps`, one behind the other, each from INPUT0 to OUTPUT0."""
    folder = repository / name
    (folder / "1").mkdir(parents=True)
    tensors = ["INPUT0", *(f"between_{index}" for index in range(1, len(steps))), "OUTPUT0"]
    written = ",\n".join(
        f'  {{ model_name: "{step}" model_version: -1\n'
        f'    input_map {{ key: "INPUT0" value: "{tensors[index]}" }}\n'
        f'    output_map {{ key: "OUTPUT0" value: "{tensors[index + 1]}" }} }}'
        for index, step in enumerate(steps)
    )
    (folder / "config.pbtxt").write_text(
        f'platform: "ensemble"\nmax_batch_size: {max_batch_size}\n{_TENSORS}'
        f"ensemble_scheduling {{ step [\n{written}\n] }}\n"
    )
