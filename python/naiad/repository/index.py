"""What the repositories hold, as a list: of all models, and of those that are loaded at start."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping

from naiad.errors import NaiadError
from naiad.repository.entry import ModelEntry, check_version
from naiad.repository.namespaces import public_name
from naiad.repository.roots import Roots
from naiad.repository.scan import Scan
from naiad.repository.served import IndexEntry
from naiad.settings import RepositorySettings

LOADS_ON_DEMAND = "loads with its first request"
_ALL = "*"


def index_rows(
    found: Scan,
    elsewhere: Collection[str],
    entries: Mapping[str, ModelEntry],
    summonable: Collection[str],
    public: Callable[[Exception], str],
) -> list[IndexEntry]:
    """All models, by name, and the states of their versions. ``summonable``: those that are loaded when a
    request wants them. ``public``: the text of an error as clients may see it.
    """
    served = {name for name, entry in entries.items() if entry.served}
    rows: list[IndexEntry] = []
    here = {*found.models, *found.refused, *served}
    names = {public_name(key) for key in here}
    for name in sorted({*here, *(name for name in elsewhere if name not in names)}):
        entry = entries.get(name)
        if entry is not None and entry.rows:
            rows.extend(entry.index())
        elif name in found.refused:
            rows.append(IndexEntry(public_name(name), "", "UNAVAILABLE", public(found.refused[name])))
        elif name in summonable:
            rows.append(IndexEntry(name, "", "UNAVAILABLE", LOADS_ON_DEMAND))
        else:
            rows.append(IndexEntry(public_name(name), "", "", ""))
    return rows


def names_at_start(settings: RepositorySettings, roots: Roots) -> tuple[list[str], dict[str, NaiadError]]:
    """The models to be loaded at start, and why a directory is none of them."""
    if settings.control_mode in ("none", "poll") or _ALL in settings.load_models:
        # In poll mode its watch has brought them up to date.
        found = roots.scan(fresh=settings.control_mode != "poll")
        return list(found.models), dict(found.refused)
    keys = [key for name in settings.load_models for key in roots.keys(name, fresh=True)]
    return list(dict.fromkeys(keys)), {}


def versions_by_name(roots: Roots) -> Mapping[str, tuple[int, ...]]:
    """The models of all repositories; without versions those that are still elsewhere."""
    found = roots.scan().models
    return dict.fromkeys(roots.elsewhere(), ()) | {name: model.versions for name, model in found.items()}


def has_version(versions: Collection[int], version: str) -> bool:
    """Whether a version that a request names, or any for "", may be among these. Raises InvalidArgument."""
    number = check_version(version)
    return number is None or not versions or number in versions
