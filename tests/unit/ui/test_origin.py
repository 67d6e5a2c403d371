"""Which requests can be the dashboard's own."""

from __future__ import annotations

import re

import pytest
from aiohttp.test_utils import make_mocked_request

from naiad.ui.origin import PAGE_FIELDS, foreign_reason, is_json, is_own_name

JSON = {"Content-Type": "application/json"}


@pytest.mark.parametrize(
    ("method", "headers", "words"),
    [
        ("GET", {}, ""),
        ("GET", {"Sec-Fetch-Site": "same-origin"}, ""),
        ("GET", {"Sec-Fetch-Site": "none"}, ""),
        ("GET", {"Sec-Fetch-Site": "cross-site"}, "another site"),
        ("GET", {"Sec-Fetch-Site": "same-site"}, "another site"),
        ("POST", JSON | {"Origin": "http://a:1"}, ""),
        ("POST", JSON | {"Origin": "https://A:1"}, ""),
        ("POST", JSON | {"Origin": "http://a:2"}, "another origin"),
        ("POST", JSON | {"Origin": "null"}, "another origin"),
    ],
)
def test_requests_of_other_sites(method: str, headers: dict[str, str], words: str) -> None:
    reason = foreign_reason(make_mocked_request(method, "/ui/api/fleet", headers=headers | {"Host": "a:1"}))
    assert (words in reason) if words else reason == ""


@pytest.mark.parametrize(
    ("content_type", "expected"),
    [
        ("application/json", True),
        ("Application/JSON; charset=utf-8", True),
        ("text/plain", False),
        ("application/x-www-form-urlencoded", False),
        ("text/plain; application/json", False),
    ],
)
def test_what_a_form_of_another_site_can_send_is_no_json(content_type: str, expected: bool) -> None:
    assert is_json(make_mocked_request("POST", "/", headers={"Content-Type": content_type})) == expected
    assert not is_json(make_mocked_request("POST", "/"))


@pytest.mark.parametrize(
    "host", ["localhost", "localhost:8002", "x.localhost:1", "127.0.0.1:8002", "[::1]:8002", "10.0.0.1"]
)
def test_names_of_this_machine(host: str) -> None:
    assert is_own_name(host)


@pytest.mark.parametrize(
    "host", ["", "evil.example", "localhost.evil.example:8002", "127.0.0.1.evil.example", "127.1.evil"]
)
def test_names_that_could_be_anybodys(host: str) -> None:
    assert not is_own_name(host)


def test_the_policy_lets_the_page_reach_its_own_origin_alone() -> None:
    policy = PAGE_FIELDS["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'")
    assert not re.search(r"https?:|\*|unsafe|data:", policy)
