"""Clients that break the rules of HTTP/2, gRPC and HTTP/1.1 (tests/integration/wire), on both servers.

What naiad does is asserted; what Triton does is counted: with ``NAIAD_WIRE_TABLE`` the tables of
docs/beside_triton.md are written to that file. Takes three minutes, for Triton leaves many without an answer.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path

import pytest

from ..integration.wire import connection_cases, floods, frame_cases, grpc_cases, http1_cases, message_cases
from ..integration.wire.cases import Case, NotApplicableError, answered, run
from ..integration.wire.client import Seen, check_served, connected
from ..integration.wire.floods import Flood
from ..integration.wire.http1_cases import Http1Case
from .sides import Pair, Side

PATIENCE_S = 2.0
RIGHT = "right"
ON_PURPOSE = "differs on purpose"
NO_LIMIT = "has no such limit"
OTHERWISE = "refused in another way"
TOO_STRICT = "refused though it is right"
SERVED = "served as if it were right"
IGNORED = "neither refused nor answered"
SECOND = "the second request was answered"
LEFT_OPEN = "no second one was answered, but the connection left open, or the last request not answered"

HTTP2 = {
    "RFC 9113, 3 to 5: preface, frames, streams": connection_cases.CASES,
    "RFC 9113, 6 and 7: types of frames": frame_cases.CASES,
    "RFC 9113, 8, and RFC 7541: requests, HPACK": message_cases.CASES,
    "gRPC": grpc_cases.CASES,
}
FLOODS = {
    "floods that are to be cut off": floods.ENDED,
    "floods that may be borne": floods.BOUNDED,
}
BORNE = "borne to the end"
HTTP1 = "HTTP/1.1: what might hide a second request"

Outcomes = dict[str, list[str]]
"""Names of cases by what the server did."""


def outcome(side: Side, case: Case) -> str:
    """What a server did with a case."""
    try:
        seen = run(side.grpc, case, PATIENCE_S)
    except NotApplicableError:
        return NO_LIMIT
    finally:
        check_served(side.grpc)
    if answered(case, seen):
        return RIGHT
    if case.instead is not None and side.name == "naiad" and case.instead.verdict(seen):
        return ON_PURPOSE
    return wrong(case, seen)


def wrong(case: Case, seen: Seen) -> str:
    """The kind of an answer that is not the right one."""
    statuses = {seen.grpc_status(stream) for stream in seen.fields}
    if statuses - {"0", None} or any(seen.resets.values()) or seen.goaways or seen.closed:
        words = [each.words for each in case.allowed]
        errors = any(bad in each for each in words for bad in ("error", "reset", "HTTP status"))
        errors = errors or any("grpc-status" in each and "(0" not in each for each in words)
        return OTHERWISE if errors else TOO_STRICT
    return SERVED if "0" in statuses else IGNORED


def outcome_of_flood(side: Side, flood: Flood) -> str:
    with connected(side.grpc) as client:
        client.start()
        floods.send(client, flood)
        client.until(lambda: any(each.verdict(client.seen) is not None for each in flood.allowed), PATIENCE_S)
        right = any(each.verdict(client.seen) for each in flood.allowed)
    check_served(side.grpc)
    return RIGHT if right else BORNE


def outcome_of_http1(side: Side, case: Http1Case) -> str:
    said = http1_cases.run(side.http, case, PATIENCE_S)
    second = b"smuggled" in said.content
    if http1_cases.right(case, said) or (second and case.strict and side.name == "triton"):
        return RIGHT
    return SECOND if second else LEFT_OPEN


def sorted_out(names: Iterable[tuple[str, Callable[[], str]]]) -> Outcomes:
    found: Outcomes = defaultdict(list)
    for name, ask in names:
        found[ask()].append(name)
    return found


def outcomes(side: Side) -> dict[str, Outcomes]:
    """All cases, area by area."""
    areas = {
        area: sorted_out((case.name, partial(outcome, side, case)) for case in cases)
        for area, cases in HTTP2.items()
    }
    for area, some in FLOODS.items():
        areas[area] = sorted_out((flood.what, partial(outcome_of_flood, side, flood)) for flood in some)
    areas[HTTP1] = sorted_out(
        (case.what, partial(outcome_of_http1, side, case)) for case in http1_cases.CASES
    )
    return areas


def section(naiad: dict[str, Outcomes], triton: dict[str, Outcomes]) -> str:
    """The tables of the document."""
    lines = ["| | cases | naiad | Triton |", "|---|---|---|---|"]
    for area, ours in naiad.items():
        count = sum(map(len, ours.values()))
        right, passed = len(ours[RIGHT]), len(triton[area][RIGHT])
        lines.append(f"| {area} | {count} | {right} | {passed} |")
    lines += ["", "Those that are not right, by what the server did:", "", "| | | cases |", "|---|---|---|"]
    for name, sides in (("naiad", naiad), ("Triton", triton)):
        for found in sides.values():
            for what, cases in found.items():
                if what != RIGHT:
                    lines.append(f"| {name} | {what} ({len(cases)}) | {'; '.join(cases)} |")
    return "\n".join(lines) + "\n"


@pytest.mark.timeout(900)
def test_wire(small_pair: Pair) -> None:
    naiad, triton = outcomes(small_pair.naiad), outcomes(small_pair.triton)
    for area, found in naiad.items():
        assert not found.keys() - {RIGHT, ON_PURPOSE}, area
    assert sum(len(found[RIGHT]) for found in triton.values()) > 100, "Triton was not asked what naiad was"
    if named := os.environ.get("NAIAD_WIRE_TABLE"):
        Path(named).write_text(section(naiad, triton))
