"""The file of GPUs and prices."""

from __future__ import annotations

import datetime
import tomllib
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from naiad.errors import InvalidArgument

_SHIPPED = "prices.toml"
_HEAD = {"date", "source", "currency", "gpu"}
_GPU = {"name", "memory_gb", "on_demand", "spot"}


@dataclass(frozen=True)
class Gpu:
    """A kind of GPU that can be rented."""

    name: str
    memory_gb: float
    """10^9 bytes."""
    on_demand: float | None
    """For one hour; None: not known."""
    spot: float | None


@dataclass(frozen=True)
class Prices:
    """What a file says."""

    date: datetime.date
    source: str
    currency: str
    gpus: tuple[Gpu, ...]


def shipped_text() -> str:
    """The file that comes with naiad, to be edited."""
    return (resources.files("naiad.planning") / _SHIPPED).read_text(encoding="utf-8")


def read_prices(path: Path | None = None) -> Prices:
    """None: those that come with naiad. Raises InvalidArgument for a file that can not be read or used."""
    name = _SHIPPED if path is None else str(path)
    try:
        tree = tomllib.loads(shipped_text() if path is None else path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InvalidArgument(f"prices: '{name}' can not be read: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InvalidArgument(f"prices: '{name}' is not TOML: {error}") from None
    _refuse_unknown(name, tree, _HEAD)
    date = tree.get("date")
    if not isinstance(date, datetime.date):
        raise InvalidArgument(f"prices: '{name}' needs date = YYYY-MM-DD: when the prices were so")
    if not isinstance(tree.get("gpu"), list) or not tree["gpu"]:
        raise InvalidArgument(f"prices: '{name}' has no [[gpu]]")
    gpus = tuple(_gpu(name, index, entry) for index, entry in enumerate(tree["gpu"]))
    return Prices(date, str(tree.get("source", "")), str(tree.get("currency", "USD")), gpus)


def _gpu(file: str, index: int, entry: Any) -> Gpu:
    place = f"{file}: gpu[{index}]"
    if not isinstance(entry, dict) or not isinstance(entry.get("name"), str):
        raise InvalidArgument(f"prices: '{place}' needs a name")
    _refuse_unknown(place, entry, _GPU)
    memory, on_demand, spot = (_number(place, entry, key) for key in ("memory_gb", "on_demand", "spot"))
    if memory is None:
        raise InvalidArgument(f"prices: '{place}' needs memory_gb")
    return Gpu(entry["name"], memory, on_demand, spot)


def _number(place: str, entry: dict[str, Any], key: str) -> float | None:
    value = entry.get(key)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not value > 0:
        raise InvalidArgument(f"prices: '{place}': {key} should be a number above 0, got {value!r}")
    return float(value)


def _refuse_unknown(place: str, tree: dict[str, Any], known: set[str]) -> None:
    for key in tree:
        if key not in known:
            raise InvalidArgument(f"prices: '{place}' has an unknown key '{key}'")
