"""``--cache-config``: where answers are kept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from naiad.cli.triton_flags import BOOLEAN_WORDS, TRUE_WORDS
from naiad.cli.values import refuse
from naiad.settings import RedisSettings

_refuse = partial(refuse, flag="--cache-config")
_ENVIRONMENT = {"TRITONCACHE_REDIS_USERNAME": "user", "TRITONCACHE_REDIS_PASSWORD": "password"}
"""Triton's variables: what stands on a command line can be read by others."""


def cache_config(entries: Sequence[str], environment: Mapping[str, str]) -> tuple[int, RedisSettings | None]:
    """``local,size=<bytes>``, and ``redis,<key>=<value>`` with Triton's keys: bytes in memory (0: none), and
    the Redis server. Other stores and keys are refused by name.
    """
    size = 0
    redis: dict[str, Any] = {}
    for entry in entries:
        cache, comma, setting = entry.partition(",")
        key, equals, value = setting.partition("=")
        if not comma or not equals or not cache or not key:
            _refuse(f"'{entry}' should be local,size=<bytes> or redis,<key>=<value>")
        if cache == "local":
            if key != "size":
                _refuse(f"unknown setting '{key}' of the local cache")
            size = _number(key, value, "of bytes")
        elif cache == "redis":
            redis.update([_redis_setting(key, value)])
        else:
            _refuse(f"the cache '{cache}' is not supported by this version")
    if not redis:
        return size, None
    for variable, name in _ENVIRONMENT.items():
        if environment.get(variable):
            redis.setdefault(name, environment[variable])
    if not redis.get("host"):
        _refuse("redis needs a host: redis,host=<host>")
    if redis.get("port") == 0 or redis.get("connections") == 0:
        _refuse("port and pool_size of redis should be 1 or more")
    if not redis.get("tls") and any(key in redis for key in ("certificate", "key", "roots")):
        _refuse("cert, key and cacert of redis need tls_enabled=true")
    return size, RedisSettings(**redis)


def _redis_setting(key: str, value: str) -> tuple[str, Any]:
    """The name of a field of RedisSettings, and its value."""
    if key in ("host", "user", "password"):
        return key, value
    if key in ("cert", "key", "cacert"):
        return {"cert": "certificate", "key": "key", "cacert": "roots"}[key], value
    if key in ("port", "db"):
        return key, _number(key, value)
    if key == "pool_size":
        return "connections", _number(key, value)
    if key == "ttl":
        return "ttl_s", _number(key, value, "of seconds")
    if key in ("connect_timeout", "socket_timeout"):
        milliseconds = _number(key, value, "of milliseconds")
        if milliseconds == 0:
            _refuse(f"{key} should be 1 or more: requests would wait for ever")
        return f"{key}_s", milliseconds / 1000
    if key != "tls_enabled":
        _refuse(f"unknown setting '{key}' of redis")
    if value.lower() not in BOOLEAN_WORDS:
        _refuse(f"tls_enabled should be true or false, got '{value}'")
    return "tls", value.lower() in TRUE_WORDS


def _number(key: str, value: str, what: str = "") -> int:
    if not value.isdecimal() or not value.isascii() or len(value) > 18:
        _refuse(f"{key} should be a number{' ' if what else ''}{what}, got '{value}'")
    return int(value)
