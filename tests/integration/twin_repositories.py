"""Two repositories with models of equal names, and ensembles over them, for naiad and for Triton."""

from __future__ import annotations

from pathlib import Path

from .conftest import write_model

_IO = """
input [ { name: "X" data_type: TYPE_INT32 dims: [ 1 ] } ]
output [ { name: "Y" data_type: TYPE_INT32 dims: [ 1 ] } ]
"""
_PLAIN = (
    'backend: "python" instance_group [ { kind: KIND_CPU count: 1 } ] '
    'parameters { key: "isolation" value { string_value: "thread" } }' + _IO
)
_ADDING = """
import numpy as np
import triton_python_backend_utils as pb_utils


class TritonPythonModel:
    def execute(self, requests):
        given = [pb_utils.get_input_tensor_by_name(request, "X").as_numpy() for request in requests]
        return [pb_utils.InferenceResponse([pb_utils.Tensor("Y", each + np.int32(@))]) for each in given]
"""
_OVER = """
platform: "ensemble"
ensemble_scheduling { step [ {
  model_name: "@" model_version: -1
  input_map { key: "X" value: "X" }
  output_map { key: "Y" value: "Y" }
} ] }
"""


def write_adding(repository: Path, name: str, summand: int) -> None:
    """A model that adds ``summand`` to X."""
    write_model(repository, name, _PLAIN, _ADDING.replace("@", str(summand)))


def write_over(repository: Path, name: str, step: str) -> None:
    """An ensemble of one step."""
    write_model(repository, name, _OVER.replace("@", step) + _IO)


def write_twins(folder: Path) -> tuple[Path, Path, Path]:
    """``twin`` and the ensemble ``both`` over it lie in two repositories; in one each ``over_one`` and
    ``over_two`` over it, ``lone``, and ``reach`` over that from the other one. The third has ``lost``, an
    ensemble over ``twin``, which is not clear there, and ``plain``.
    """
    one, two, three = folder / "one", folder / "two", folder / "three"
    for repository, name, summand in ((one, "over_one", 10), (two, "over_two", 20)):
        write_adding(repository, "twin", summand)
        write_over(repository, name, "twin")
        write_over(repository, "both", "twin")
    write_adding(one, "lone", 1)
    write_over(two, "reach", "lone")
    write_adding(three, "plain", 3)
    write_over(three, "lost", "twin")
    return one, two, three
