"""What one line of the bench measures."""

from __future__ import annotations

from dataclasses import dataclass

CONCURRENCIES = (1, 8, 32)
# 64 bytes and 600 KB of float32.
NUM_FLOATS = (16, 150_000)
IDENTITY_MODELS = ("identity_native", "identity_batching", "identity_py", "identity_py_batching")
# Triton can't serve these here (its wheel has no onnxruntime backend): naiad alone, and the table says so.
NAIAD_ONLY_MODELS = ("simple",)
# Not a model: the liveness call, which costs the edge and nothing behind it.
EDGE = "edge_live"


@dataclass(frozen=True)
class Case:
    """One model (or the edge alone), protocol, tensor size and number of calls in flight."""

    model: str
    protocol: str
    num_floats: int
    concurrency: int

    @property
    def size(self) -> str:
        """The bytes of one input tensor, for people; "-" for the edge, which is sent no tensor."""
        size_bytes = self.num_floats * 4
        if size_bytes == 0:
            return "-"
        return f"{size_bytes // 1000} KB" if size_bytes >= 1000 else f"{size_bytes} B"

    @property
    def name(self) -> str:
        """A name to filter by, as in "identity_py/grpc/64B/c8"."""
        return f"{self.model}/{self.protocol}/{self.size.replace(' ', '')}/c{self.concurrency}"

    @property
    def num_inputs(self) -> int:
        """How many input tensors a request has."""
        return {EDGE: 0, "simple": 2}.get(self.model, 1)


def all_cases() -> list[Case]:
    """Every case of the bench, in the order of the table."""
    cases = []
    for model in (EDGE, *IDENTITY_MODELS, *NAIAD_ONLY_MODELS):
        for protocol in ("http", "grpc"):
            for num_floats in (0,) if model == EDGE else NUM_FLOATS:
                cases += [Case(model, protocol, num_floats, concurrency) for concurrency in CONCURRENCIES]
    return cases


def select_cases(pattern: str) -> list[Case]:
    """The cases whose name holds one of the comma-separated parts of `pattern`; all for an empty one.

    Raises ValueError when a part matches nothing: a misspelt filter must not look like a finished run.
    """
    parts = [part.strip() for part in pattern.split(",") if part.strip()]
    for part in parts:
        if not any(part in case.name for case in all_cases()):
            raise ValueError(f"no case has '{part}' in its name; a name looks like '{all_cases()[-1].name}'")
    return [case for case in all_cases() if not parts or any(part in case.name for part in parts)]
