"""Small models of torch, written as files. Imported only where torch is installed."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import torch


class AddSub(torch.nn.Module):
    def forward(self, a: torch.Tensor, b: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return a + b, a - b


class InPlace(torch.nn.Module):
    def forward(self, a: torch.Tensor) -> torch.Tensor:
        return a.add_(1)


class ByName(torch.nn.Module):
    def forward(self, inputs: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        return {"sum": inputs["x"] + inputs["y"], "double": inputs["x"] * 2}


class Shout(torch.nn.Module):
    def forward(self, texts: list[str], times: int) -> list[str]:
        found: list[str] = []
        for text in texts:
            loud = ""
            for _ in range(times):
                loud += text.upper()
            found.append(loud)
        return found


class Linear(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear = torch.nn.Linear(4, 2)

    def forward(self, x: torch.Tensor) -> dict[str, Any]:
        y = self.linear(x)
        return {"y": y, "more": (y + 1, y * 2)}


LINEAR_SOURCE = """
import torch
from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(4, 2)

    def forward(self, x):
        return torch.relu(self.linear(x))
"""


def save_script(module: torch.nn.Module, path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        torch.jit.script(module).save(str(path))


def save_exported(module: torch.nn.Module, path: Path) -> None:
    """Of one input with rows of four numbers, any number of rows."""
    rows = torch.export.Dim("rows")
    program = torch.export.export(module.eval(), (torch.zeros(3, 4),), dynamic_shapes=({0: rows},))
    torch.export.save(program, path)
