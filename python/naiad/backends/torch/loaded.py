"""A model that torch has loaded, whatever it came from."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch


@dataclass(frozen=True)
class LoadedModel:
    """Weights on their device, and how to call what uses them."""

    call: Callable[[Mapping[str, Any]], Any]
    """From tensors (or texts, or numbers: see ``kinds``) by input to what the model returns."""
    kinds: Mapping[str, str]
    """By input: "tensor", "strings", "int", "float", "bool", "any"."""
    device: torch.device
    """Where inputs are expected."""
    writes_inputs: bool
    """Whether it may write to the memory of its inputs."""
    owner: Any = None
    """What lives as long."""
