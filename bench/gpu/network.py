"""The network that the GPU benches serve: bottleneck blocks as ResNet-50 has them, with random weights.

It is written into a repository as it stands, as the ``model.py`` of a model of the pytorch backend.
"""

from __future__ import annotations

import torch
from torch import nn

_STAGES = ((64, 3), (128, 4), (256, 6), (512, 3))
"""Width and number of blocks."""


class Block(nn.Module):
    def __init__(self, channels: int, width: int, stride: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(channels, width, 1, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(inplace=True),
            nn.Conv2d(width, width, 3, stride, 1, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(inplace=True),
            nn.Conv2d(width, width * 4, 1, bias=False),
            nn.BatchNorm2d(width * 4),
        )
        self.past: nn.Module = nn.Identity()
        if stride != 1 or channels != width * 4:
            self.past = nn.Sequential(
                nn.Conv2d(channels, width * 4, 1, stride, bias=False), nn.BatchNorm2d(width * 4)
            )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.relu(self.body(x) + self.past(x))


class Network(nn.Module):
    """Images [N, 3, side, side] of FP32 to scores [N, 1000] of FP32; computes in BF16, channels last, or in
    another type.
    """

    def __init__(self, dtype: torch.dtype = torch.bfloat16) -> None:
        super().__init__()
        self.dtype = dtype
        torch.manual_seed(0)
        layers: list[nn.Module] = [
            nn.Conv2d(3, 64, 7, 2, 3, bias=False),
            nn.BatchNorm2d(64),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(3, 2, 1),
        ]
        channels = 64
        for stage, (width, count) in enumerate(_STAGES):
            for index in range(count):
                layers.append(Block(channels, width, 2 if stage > 0 and index == 0 else 1))
                channels = width * 4
        self.body = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.head = nn.Linear(channels, 1000)
        self.to(dtype, memory_format=torch.channels_last)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x.to(self.dtype, memory_format=torch.channels_last)
        scores: torch.Tensor = self.head(self.body(x))
        return scores.float()
