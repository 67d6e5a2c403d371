"""What a key opens: scopes, and the permissions that they stand for."""

from __future__ import annotations

from collections.abc import Iterable

from naiad.engine import API_GROUPS, permission_bit
from naiad.errors import InvalidArgument

# A group of Triton's that a client reads to know how to ask a model.
_TO_INFER = ("health", "metadata", "model-config")
_GROUPS = tuple(group for group in API_GROUPS if group != "unknown")


def _bits(groups: Iterable[str], *, read: bool = False, change: bool = False) -> int:
    bits = 0
    for group in groups:
        bits |= permission_bit(group, changes=False) if read else 0
        bits |= permission_bit(group, changes=True) if change else 0
    return bits


SCOPES: dict[str, int] = {
    "infer": _bits(("inference", "openai"), read=True, change=True) | _bits(_TO_INFER, read=True),
    "read": _bits((group for group in _GROUPS if group != "inference"), read=True),
    "admin": _bits(_GROUPS, read=True, change=True),
    **{group: _bits((group,), read=True, change=True) for group in _GROUPS},
}
"""By name. ``infer``: ask models, and read what that takes. ``read``: everything that changes nothing and
asks no model. ``admin``: everything. The name of a group: all of that group."""

WITHOUT_KEY = _bits(("health", "pages"), read=True)
"""What who shows no key may do where keys are needed: probes have none, a page is where one is entered."""

# Who has a key may learn that a path does not exist.
_WITH_ANY_KEY = WITHOUT_KEY | permission_bit("unknown", changes=False)


def permissions_of(scopes: Iterable[str]) -> int:
    """The permissions of a key with these scopes. Raises InvalidArgument for a scope that there is not."""
    permissions = _WITH_ANY_KEY
    for scope in scopes:
        if scope not in SCOPES:
            raise InvalidArgument(f"unknown scope '{scope}', expected one of {', '.join(SCOPES)}")
        permissions |= SCOPES[scope]
    return permissions
