"""Flags that say who may ask what: Triton's restricted APIs, and the keys of clients."""

from __future__ import annotations

from collections.abc import MutableMapping, Sequence
from pathlib import Path
from typing import get_args

from naiad.cli.values import refuse
from naiad.settings import AccessSettings, TritonGroup

KEYS_VARIABLE = "NAIAD_API_KEYS"
"""Keys beside those of the file: what stands on a command line can be read by others."""

RESTRICTABLE: tuple[str, ...] = get_args(TritonGroup)


def restricted_apis(entries: Sequence[str], flag: str) -> dict[str, tuple[str, str]]:
    """``group[,group]:header=value``, each group once: as Triton reads it."""
    restricted: dict[str, tuple[str, str]] = {}
    for number, entry in enumerate(entries, 1):
        groups, colon, field = entry.partition(":")
        name, equals, value = field.partition("=")
        if not colon or not equals or not groups or not name or not value:
            # The entry holds a secret: errors end up in logs.
            refuse(f"entry {number} should be <api>[,<api>]:<header>=<value>", flag)
        if not _is_token(name):
            refuse(f"entry {number}: the name of the header is none", flag)
        if not value.isascii() or not value.isprintable() or value != value.strip():
            refuse(f"entry {number}: the value of the header should be printable ASCII", flag)
        for group in groups.split(","):
            if group not in RESTRICTABLE:
                refuse(f"unknown API '{group}', expected one of {', '.join(RESTRICTABLE)}", flag)
            if group in restricted:
                refuse(f"the API '{group}' is restricted twice", flag)
            restricted[group] = (name, value)
    return restricted


def access_settings(
    keys_file: str, max_wrong_keys: int, environment: MutableMapping[str, str]
) -> AccessSettings:
    """The keys; those of the environment are taken out of it, so that no worker inherits them."""
    return AccessSettings(
        keys_file=Path(keys_file) if keys_file else None,
        keys_text=environment.pop(KEYS_VARIABLE, ""),
        max_wrong_keys=max_wrong_keys,
    )


def _is_token(name: str) -> bool:
    # RFC 9110, section 5.6.2
    return name.isascii() and all(each.isalnum() or each in "!#$%&'*+-.^_`|~" for each in name)
