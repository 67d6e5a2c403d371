"""From the sizes of models to GPUs that hold them all, and what these cost."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from naiad.planning.model_size import ModelSize
from naiad.planning.prices import Gpu, Prices
from naiad.repository.memory_budget import HEADROOM

GB = 10**9
Workload = Literal["realtime", "batch"]

_LARGE_GB = 40
_LARGE_CARD_GB = 80
"""A model above 40 GB needs a card of 80 GB: on one of 48 nothing is left for its requests."""
RESTART_S = 200
"""What it may take until a large model serves again on another machine: more than so long."""


@dataclass(frozen=True)
class Choice:
    """A kind of GPU, and how many of it hold all models."""

    gpu: Gpu
    cards: int
    used_share: float
    """Of the memory of all cards, headroom included."""

    @property
    def on_demand(self) -> float | None:
        """Of all cards, for one hour."""
        return None if self.gpu.on_demand is None else self.gpu.on_demand * self.cards

    @property
    def spot(self) -> float | None:
        """Of all cards, for one hour."""
        return None if self.gpu.spot is None else self.gpu.spot * self.cards


@dataclass(frozen=True)
class Plan:
    """All models on one kind of GPU."""

    models: tuple[ModelSize, ...]
    choices: tuple[Choice, ...]
    """Those that fit, fewest cards first, then the cheapest on demand."""
    too_small: tuple[Gpu, ...]
    prices: Prices
    workload: Workload

    @property
    def resident_bytes(self) -> float:
        """The sum."""
        return sum(model.resident_bytes for model in self.models)

    @property
    def total_bytes(self) -> float:
        """With headroom."""
        return self.resident_bytes * (1 + HEADROOM)

    @property
    def cheapest_on_demand(self) -> Choice | None:
        """None: nothing fits that has a price."""
        return min((one for one in self.choices if one.on_demand is not None), key=_on_demand, default=None)

    @property
    def cheapest_spot(self) -> Choice | None:
        """None: nothing fits that is to be had so."""
        return min(
            (one for one in self.choices if one.spot is not None), key=lambda one: one.spot or 0, default=None
        )

    @property
    def best(self) -> Choice | None:
        """The cheapest that suits the workload."""
        spot, on_demand = self.cheapest_spot, self.cheapest_on_demand
        if self.workload == "realtime" or spot is None:
            return on_demand
        if on_demand is None or (spot.spot or 0) < (on_demand.on_demand or 0):
            return spot
        return on_demand

    @property
    def best_is_spot(self) -> bool:
        """Whether ``best`` is meant at its spot price."""
        best = self.best
        if best is None or self.workload == "realtime" or best.spot is None:
            return False
        return best.on_demand is None or best.spot < best.on_demand

    @property
    def warnings(self) -> tuple[str, ...]:
        """What one should know before renting."""
        found = []
        unknown = [model.name for model in self.models if not model.known]
        if unknown:
            found.append(
                f"the size of {', '.join(unknown)} is not known and not counted: give --add NAME,size=..., "
                "or --measure"
            )
        if self.cheapest_spot is not None and self.workload == "realtime":
            found.append(
                "spot does not suit real-time serving: when the machine is taken away, requests fail until "
                f"the models are loaded elsewhere, which may take more than {RESTART_S} s. It suits work "
                "that can be interrupted (--workload batch)"
            )
        if self.best_is_spot:
            found.append("spot machines are taken away at any time: keep work that can be repeated")
        return tuple(found)

    def to_json(self) -> dict[str, Any]:
        """For programs. Bytes, and prices for one hour."""
        best = self.best
        return {
            "models": [
                {
                    "name": model.name,
                    "weights_bytes": round(model.weights_bytes),
                    "instances": model.instances,
                    "kv_cache_bytes": round(model.kv_bytes),
                    "resident_bytes": round(model.resident_bytes),
                    "basis": model.basis,
                    "detail": model.detail,
                }
                for model in self.models
            ],
            "resident_bytes": round(self.resident_bytes),
            "headroom": HEADROOM,
            "total_bytes": round(self.total_bytes),
            "fits": [_choice_json(choice) for choice in self.choices],
            "too_small": [gpu.name for gpu in self.too_small],
            "cheapest_on_demand": None
            if self.cheapest_on_demand is None
            else self.cheapest_on_demand.gpu.name,
            "cheapest_spot": None if self.cheapest_spot is None else self.cheapest_spot.gpu.name,
            "best": None if best is None else best.gpu.name,
            "workload": self.workload,
            "warnings": list(self.warnings),
            "prices": {
                "date": self.prices.date.isoformat(),
                "source": self.prices.source,
                "currency": self.prices.currency,
            },
        }


def make_plan(models: Sequence[ModelSize], prices: Prices, workload: Workload = "realtime") -> Plan:
    """All ``models`` at the same time."""
    total_gb = sum(model.resident_bytes for model in models) * (1 + HEADROOM) / GB
    choices, too_small = [], []
    for gpu in prices.gpus:
        cards = _cards(gpu, models, total_gb)
        if cards is None:
            too_small.append(gpu)
        else:
            choices.append(Choice(gpu, cards, total_gb / (cards * gpu.memory_gb)))
    choices.sort(key=lambda one: (one.cards, _on_demand(one), one.gpu.memory_gb))
    return Plan(tuple(models), tuple(choices), tuple(too_small), prices, workload)


def _cards(gpu: Gpu, models: Sequence[ModelSize], total_gb: float) -> int | None:
    """How many cards hold all models; None: no number does."""
    parts: list[float] = []
    for model in models:
        size_gb = model.resident_bytes * (1 + HEADROOM) / GB
        if size_gb > gpu.memory_gb:
            if not model.can_shard:
                return None
            # Tensor parallelism: a power of two of equal parts.
            shards = 2 ** math.ceil(math.log2(size_gb / gpu.memory_gb))
            parts += [size_gb / shards] * shards
            continue
        if size_gb > _LARGE_GB and gpu.memory_gb < _LARGE_CARD_GB:
            return None
        parts.append(size_gb)
    if total_gb <= gpu.memory_gb:
        return 1
    free: list[float] = []
    for part in sorted(parts, reverse=True):
        place = next((index for index, room in enumerate(free) if room >= part), None)
        if place is None:
            free.append(gpu.memory_gb - part)
        else:
            free[place] -= part
    return len(free)


def _on_demand(choice: Choice) -> float:
    return math.inf if choice.on_demand is None else choice.on_demand


def _choice_json(choice: Choice) -> dict[str, Any]:
    return {
        "gpu": choice.gpu.name,
        "memory_gb": choice.gpu.memory_gb,
        "cards": choice.cards,
        "used_share": round(choice.used_share, 4),
        "on_demand": choice.on_demand,
        "spot": choice.spot,
    }
