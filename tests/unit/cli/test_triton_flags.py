"""Triton's command line forms."""

from __future__ import annotations

import pytest

from naiad.cli.triton_flags import BOOLEANS, DEPRECATED, UNSUPPORTED, FlagRefused, prepare


@pytest.mark.parametrize(
    ("given", "prepared"),
    [
        (["--allow-http"], ["--allow-http=true"]),
        (["--allow-http=false"], ["--allow-http=false"]),
        (["--allow-http=True"], ["--allow-http=True"]),
        (["--allow-http", "0"], ["--allow-http=0"]),
        (["--allow-http", "--log-verbose", "1"], ["--allow-http=true", "--log-verbose", "1"]),
        (["--http-port=1"], ["--http-port=1"]),
        (["--http-port", "1"], ["--http-port", "1"]),
        (["--model-repository=a=b"], ["--model-repository=a=b"]),
    ],
)
def test_every_form_becomes_one(given: list[str], prepared: list[str]) -> None:
    assert prepare(["serve", *given]) == ["serve", *prepared]


def test_other_commands_are_left_alone() -> None:
    assert prepare(["fleet", "build", "--rate-limit=on"]) == ["fleet", "build", "--rate-limit=on"]
    assert prepare([]) == []


@pytest.mark.parametrize("name", sorted(UNSUPPORTED))
def test_a_flag_that_does_not_act_is_dropped_or_refused_by_name(name: str) -> None:
    for value in UNSUPPORTED[name]:
        assert prepare(["serve", f"{name}={value}", "--http-port=1"]) == ["serve", "--http-port=1"]
    with pytest.raises(FlagRefused, match=name + " is not supported"):
        prepare(["serve", f"{name}=something"])


def test_the_value_of_a_dropped_flag_goes_with_it() -> None:
    assert prepare(["serve", "--http-thread-count", "8", "--http-port", "1"]) == [
        "serve",
        "--http-port",
        "1",
    ]


def test_a_bare_switch_that_asks_for_something_is_refused() -> None:
    with pytest.raises(FlagRefused, match="--allow-sagemaker"):
        prepare(["serve", "--allow-sagemaker"])


@pytest.mark.parametrize("name", sorted(DEPRECATED))
def test_deprecated_flags_name_what_took_their_place(name: str) -> None:
    with pytest.raises(FlagRefused, match=f"{name} is deprecated.*{DEPRECATED[name]}"):
        prepare(["serve", f"{name}=1"])


def test_no_flag_is_both_live_and_refused() -> None:
    assert not BOOLEANS & set(UNSUPPORTED)
    assert not set(DEPRECATED) & set(UNSUPPORTED)
