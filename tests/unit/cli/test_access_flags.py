"""Flags of access and of metrics."""

from __future__ import annotations

from pathlib import Path

import pytest
import typer
from hypothesis import given
from hypothesis import strategies as st

from naiad.cli.access_flags import RESTRICTABLE, access_settings, restricted_apis
from naiad.cli.metrics_flags import metrics_config

FLAG = "--http-restricted-api"


def test_restricted_apis() -> None:
    assert restricted_apis([], FLAG) == {}
    assert restricted_apis(["health:k=v", "inference,logging:other=a=b:c"], FLAG) == {
        "health": ("k", "v"),
        "inference": ("other", "a=b:c"),
        "logging": ("other", "a=b:c"),
    }


@pytest.mark.parametrize(
    ("entries", "reason"),
    [
        (["health"], "entry 1 should be <api>[,<api>]:<header>=<value>"),
        (["health:a"], "entry 1 should be"),
        (["health:=b"], "entry 1 should be"),
        ([":a=b"], "entry 1 should be"),
        (["health:a="], "entry 1 should be"),
        (["bogus:a=b"], "unknown API 'bogus', expected one of health, "),
        (["metrics:a=b"], "unknown API 'metrics'"),
        (["health,:a=b"], "unknown API ''"),
        (["health,health:a=b"], "the API 'health' is restricted twice"),
        (["health:a=b", "health:c=d"], "the API 'health' is restricted twice"),
        (["health:a b=c"], "entry 1: the name of the header is none"),
        (["health:a= b"], "entry 1: the value of the header should be printable ASCII"),
        (["health:a=b\nc"], "entry 1: the value of the header should be printable ASCII"),
        (["health:a=ä"], "entry 1: the value of the header should be printable ASCII"),
    ],
)
def test_what_is_no_restriction(entries: list[str], reason: str) -> None:
    with pytest.raises(typer.BadParameter) as caught:
        restricted_apis(entries, FLAG)
    assert str(caught.value).startswith(reason)


@given(st.lists(st.text(max_size=60), max_size=4))
def test_any_text_is_a_restriction_or_refused(entries: list[str]) -> None:
    try:
        restricted = restricted_apis(entries, FLAG)
    except typer.BadParameter:
        return
    assert set(restricted) <= set(RESTRICTABLE)


@given(
    st.sets(st.sampled_from(RESTRICTABLE), min_size=1),
    st.from_regex(r"[a-z0-9-]{1,20}", fullmatch=True),
    st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1, max_size=40),
)
def test_what_is_written_is_read(groups: set[str], name: str, value: str) -> None:
    restricted = restricted_apis([f"{','.join(groups)}:{name}={value}"], FLAG)
    assert restricted == dict.fromkeys(groups, (name, value))


def test_keys_are_taken_out_of_the_environment() -> None:
    environment = {"NAIAD_API_KEYS": "a read a-key-of-the-tests", "HOME": "/"}
    settings = access_settings("/keys", 7, environment)
    assert (settings.keys_file, settings.keys_text) == (Path("/keys"), "a read a-key-of-the-tests")
    assert environment == {"HOME": "/"}
    assert "a-key-of-the-tests" not in repr(settings)
    assert settings.max_wrong_keys == 7
    assert access_settings("", 0, {}).needs_keys is False


def test_metrics_config() -> None:
    assert metrics_config([]) == {}
    assert metrics_config(
        ["counter_latencies=false", "summary_latencies=1", "histogram_latencies=true",
         "summary_quantiles=0.5:0.05,0.99:0.001,0.5:0.1", "dashboard=false"]
    ) == {
        "counter_latencies": False,
        "summary_latencies": True,
        "histogram_latencies": True,
        "summary_quantiles": (0.5, 0.99),
        "dashboard": False,
    }  # fmt: skip


@pytest.mark.parametrize(
    "entry",
    ["summary_quantiles=", "summary_quantiles=0.5", "summary_quantiles=2:0.1", "summary_quantiles=nan:0",
     "summary_quantiles=0.5:x", "bogus=1", "counter_latencies", "histogram_latencies=perhaps"],
)  # fmt: skip
def test_what_is_no_setting_of_metrics(entry: str) -> None:
    with pytest.raises(typer.BadParameter):
        metrics_config([entry])
