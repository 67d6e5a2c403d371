"""``--cache-config`` to settings."""

from __future__ import annotations

import pytest
import typer

from naiad.cli.caches import cache_config
from naiad.settings import RedisSettings

HOST = "redis,host=h"


def test_without_a_cache() -> None:
    assert cache_config((), {"TRITONCACHE_REDIS_PASSWORD": "p"}) == (0, None)


def test_both_at_once() -> None:
    assert cache_config(("local,size=12", HOST), {}) == (12, RedisSettings("h"))


def test_every_setting_of_redis() -> None:
    given = ["port=1", "user=u", "password=p=,", "db=2", "pool_size=3", "ttl=60", "connect_timeout=250"]
    given += ["socket_timeout=1500", "tls_enabled=true", "cert=/c", "key=/k", "cacert=/r"]
    size, redis = cache_config((HOST, *(f"redis,{each}" for each in given)), {})
    assert size == 0
    assert redis == RedisSettings(
        "h", 1, "u", "p=,", 2, 0.25, 1.5, 3, 60, tls=True, certificate="/c", key="/k", roots="/r"
    )
    assert "p=," not in repr(redis)


def test_what_the_environment_says() -> None:
    environment = {"TRITONCACHE_REDIS_USERNAME": "u", "TRITONCACHE_REDIS_PASSWORD": "p"}
    assert cache_config((HOST,), environment) == (0, RedisSettings("h", user="u", password="p"))
    assert cache_config((HOST, "redis,password=q"), environment)[1] == RedisSettings(
        "h", user="u", password="q"
    )


@pytest.mark.parametrize(
    ("entries", "words"),
    [
        (["redis,port=1"], "redis needs a host"),
        (["redis"], "redis,<key>=<value>"),
        (["memcached,host=h"], "'memcached' is not supported"),
        ([HOST, "redis,wait_timeout=5"], "unknown setting 'wait_timeout' of redis"),
        ([HOST, "redis,port=x"], "port should be a number, got 'x'"),
        ([HOST, "redis,port=0"], "should be 1 or more"),
        ([HOST, "redis,socket_timeout=0"], "socket_timeout should be 1 or more"),
        ([HOST, "redis,tls_enabled=maybe"], "true or false"),
        ([HOST, "redis,cacert=/r"], "need tls_enabled=true"),
    ],
)
def test_what_is_refused(entries: list[str], words: str) -> None:
    with pytest.raises(typer.BadParameter, match=words):
        cache_config(entries, {})
