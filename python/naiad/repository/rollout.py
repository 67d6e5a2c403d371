"""How the requests for a model are spread over its versions: labels, a weighted split, a shadow."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from naiad.config import ModelConfig
from naiad.engine import VersionRoutes
from naiad.errors import InvalidArgument

LABELS = "version_labels"
SPLIT = "version_split"
SHADOW = "version_shadow"
PARAMETERS = (LABELS, SPLIT, SHADOW)
"""Of a model's configuration: ``stable=1,canary=3``; ``stable=95,canary=5``; ``canary`` or ``canary=10``."""

MAX_ENTRIES = 64
MAX_WEIGHT = 1_000_000
_LABEL = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,63}\Z")
_NUMBER = re.compile(r"[0-9]{1,18}\Z")


def is_label(text: str) -> bool:
    """Whether a label may be called so."""
    return _LABEL.match(text) is not None


@dataclass(frozen=True, slots=True)
class Rollout:
    """Immutable. A version is named by its number or by a label."""

    labels: Mapping[str, int] = field(default_factory=dict)
    """What clients may say in place of a version's number."""
    split: Mapping[str, int] = field(default_factory=dict)
    """Version -> weight, of requests that name no version; without any the highest version gets all."""
    shadow: str = ""
    """The version that gets copies of those requests."""
    shadow_percent: int = 100

    def __bool__(self) -> bool:
        return bool(self.labels or self.split or self.shadow)

    def routes(self, versions: Iterable[int], model: str) -> VersionRoutes:
        """For the engine. Raises InvalidArgument when it names a version that is not among ``versions``."""
        served = set(versions)
        for label, version in self.labels.items():
            if version not in served:
                raise InvalidArgument(
                    f"label '{label}' of model '{model}' names version {version}, which is not served"
                )

        def number(named: str) -> int:
            version = int(named) if _NUMBER.match(named) else self.labels.get(named)
            if version is None or version not in served:
                raise InvalidArgument(
                    f"the rollout of model '{model}' names version '{named}', which is not served"
                )
            return version

        return VersionRoutes(
            labels=dict(self.labels),
            shares=[(number(named), weight) for named, weight in self.split.items()],
            shadow=number(self.shadow) if self.shadow else None,
            shadow_percent=self.shadow_percent,
        )

    def to_json(self) -> dict[str, Any]:
        """As ``from_json`` takes it."""
        shadow = {"version": self.shadow, "percent": self.shadow_percent} if self.shadow else None
        return {"labels": dict(self.labels), "split": dict(self.split), "shadow": shadow}


def configured_rollout(config: ModelConfig) -> Rollout:
    """What the parameters of a configuration say. Raises InvalidArgument."""
    labels = _pairs(LABELS, config.parameters.get(LABELS, ""))
    split = _pairs(SPLIT, config.parameters.get(SPLIT, ""))
    shadow = config.parameters.get(SHADOW, "")
    shadowed: dict[str, Any] | None = None
    if shadow:
        version, equals, percent = shadow.partition("=")
        shadowed = {"version": version.strip(), "percent": _number(SHADOW, percent) if equals else 100}
    return rollout_from_json({"labels": labels, "split": split, "shadow": shadowed})


def rollout_from_json(given: Mapping[str, Any]) -> Rollout:
    """``{"labels": {NAME: VERSION}, "split": {VERSION: WEIGHT}, "shadow": {"version": V, "percent": P}}``,
    each of which may be missing. Raises InvalidArgument.
    """
    for key in given:
        if key not in ("labels", "split", "shadow"):
            raise InvalidArgument(f"a rollout has no '{key}'; it has 'labels', 'split' and 'shadow'")
    labels = _mapping("labels", given.get("labels"))
    for label, version in labels.items():
        if not is_label(label):
            raise InvalidArgument(
                f"label {label[:80]!r} should be a letter and then at most 63 letters, digits, '_', '.', '-'"
            )
        if version < 1:
            raise InvalidArgument(f"label '{label}' should name a version > 0, got {version}")
    split = _mapping("split", given.get("split"))
    if any(weight < 0 or weight > MAX_WEIGHT for weight in split.values()):
        raise InvalidArgument(f"weights of 'split' should be from 0 to {MAX_WEIGHT}")
    if split and not any(split.values()):
        raise InvalidArgument("one weight of 'split' should be above 0")
    shadow = given.get("shadow")
    if shadow is None:
        return Rollout(labels, split)
    if not isinstance(shadow, dict) or set(shadow) - {"version", "percent"}:
        raise InvalidArgument('\'shadow\' should be {"version": VERSION OR LABEL, "percent": 1 to 100}')
    named, percent = shadow.get("version"), shadow.get("percent", 100)
    if not isinstance(named, str | int) or isinstance(named, bool):
        raise InvalidArgument("'version' of 'shadow' should be a label or the number of a version")
    if not isinstance(percent, int) or isinstance(percent, bool) or not 1 <= percent <= 100:
        raise InvalidArgument("'percent' of 'shadow' should be an integer from 1 to 100")
    return Rollout(labels, split, str(named), percent)


def _mapping(what: str, given: Any) -> dict[str, int]:
    if given is None:
        return {}
    if not isinstance(given, dict) or len(given) > MAX_ENTRIES:
        raise InvalidArgument(f"'{what}' should be an object of at most {MAX_ENTRIES} numbers")
    for key, value in given.items():
        if not isinstance(value, int) or isinstance(value, bool) or abs(value) >= 1 << 62:
            raise InvalidArgument(f"'{what}' should hold integers, got {value!r:.40} for {key!r:.80}")
    return dict(given)


def _pairs(parameter: str, text: str) -> dict[str, int]:
    pairs: dict[str, int] = {}
    for part in text.split(",") if text.strip() else ():
        name, _, number = part.partition("=")
        if name.strip() in pairs:
            raise InvalidArgument(f"parameter '{parameter}' names '{name.strip()}' twice")
        pairs[name.strip()] = _number(parameter, number)
    return pairs


def _number(parameter: str, text: str) -> int:
    if not _NUMBER.match(text.strip()):
        raise InvalidArgument(f"parameter '{parameter}' should be NAME=NUMBER,..., got {text[:40]!r}")
    return int(text)
