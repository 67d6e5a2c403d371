"""The gate: what it lets through, and what it says."""

from __future__ import annotations

import asyncio
import hashlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from naiad.access.routes import (
    GRPC_ROUTES,
    HTTP_ROUTES,
    METRICS_ROUTES,
    Endpoint,
    grpc_table,
    http_table,
    openai_table,
)
from naiad.access.scopes import WITHOUT_KEY, permissions_of
from naiad.engine import API_GROUPS, AccessGate, GuessLimit, KeyRing, RouteTable
from naiad.errors import InvalidArgument
from naiad.grpc.methods import control_methods
from naiad.http.control import HttpControl
from naiad.http.routes import find_route
from naiad.openai.api import OpenAiApi
from naiad.settings import HttpSettings, RepositorySettings, ServerSettings
from naiad.ui.dashboard import Dashboard

KEYS = {"infer": "a-key-to-ask-models", "read": "a-key-to-look", "admin": "a-key-for-all"}
CLIENT = "192.0.2.1"


@pytest.fixture(scope="module")
def gate() -> AccessGate:
    ring = KeyRing()
    ring.replace(
        [
            (scope, hashlib.sha256(key.encode()).digest(), permissions_of([scope]))
            for scope, key in KEYS.items()
        ]
    )
    return AccessGate(
        http_table(), restrictions={}, what="API", keys=ring, guesses=None, without_key=WITHOUT_KEY
    )


def test_every_route_has_a_group_and_a_handler() -> None:
    assert {row.endpoint for row in HTTP_ROUTES} == set(Endpoint)
    assert {row.group for row in HTTP_ROUTES} <= set(API_GROUPS) - {"unknown"}
    assert {group for group, _ in GRPC_ROUTES.values()} <= set(API_GROUPS) - {"unknown"}
    assert {group for group, _ in METRICS_ROUTES.values()} <= set(API_GROUPS) - {"unknown"}
    nothing: Any = None
    settings = ServerSettings(RepositorySettings(()))
    dashboard = Dashboard(nothing, nothing, nothing, nothing, nothing, settings, nothing)
    assert {"/metrics", *dashboard._handlers} == set(METRICS_ROUTES)
    control: object = object()

    async def handlers() -> set[Endpoint]:
        return set(HttpControl(control, HttpSettings())._handlers)  # type: ignore[arg-type]

    assert asyncio.run(handlers()) == set(Endpoint)
    bridged = set(control_methods(control))  # type: ignore[arg-type]
    native = {f"/inference.GRPCInferenceService/{name}" for name in ("ModelInfer", "ModelStreamInfer")}
    assert bridged | native == set(GRPC_ROUTES)


@pytest.mark.parametrize(
    ("fields", "refusal", "words"),
    [
        ([], "no key", "An API key is needed, expecting header 'Authorization: Bearer <key>'"),
        ([("Authorization", "Bearer nobody's")], "unknown key", "The API key is not valid"),
        ([("Authorization", "Bearer ")], "unknown key", "The API key is not valid"),
        ([("Authorization", "")], "unknown key", "The API key is not valid"),
        ([("Authorization", f"Basic {KEYS['admin']}")], "unknown key", "The API key is not valid"),
        ([("Authorization", KEYS["admin"])], "unknown key", "The API key is not valid"),
        ([("Authorization", f"Bearer {KEYS['admin']}x")], "unknown key", "The API key is not valid"),
        ([("Authorization", f"Bearer {KEYS['admin'][:-1]}")], "unknown key", "The API key is not valid"),
        ([("Authorization", f"Bearer {KEYS['admin']}")] * 2, "unknown key", "The API key is not valid"),
        ([("X-Authorization", f"Bearer {KEYS['admin']}")], "no key", "An API key is needed"),
        (
            [("Authorization", f"Bearer {KEYS['infer']}")],
            "forbidden",
            "The API key 'infer' is not allowed to change 'logging'",
        ),
        ([("Authorization", f"Bearer {KEYS['read']}")], "forbidden", "The API key 'read' is not allowed to"),
        ([("Authorization", f"Bearer {KEYS['admin']}")], "", ""),
        ([("authorization", f"bearer   {KEYS['admin']}")], "", ""),
        ([("AUTHORIZATION", f"BEARER {KEYS['admin']}")], "", ""),
    ],
)
def test_keys(gate: AccessGate, fields: list[tuple[str, str]], refusal: str, words: str) -> None:
    got, _, message, _ = gate.check("POST", "/v2/logging", fields, CLIENT)
    assert got == refusal
    assert message.startswith(words)
    assert not any(key in message for key in KEYS.values())


def test_what_does_not_exist_is_refused_too(gate: AccessGate) -> None:
    for path in ("/", "/v2/", "/v2/health/live/", "//v2/health/live", "/V2/health/live", "/v2/./health/live"):
        assert gate.check("GET", path, [], CLIENT)[0] == "no key", path
    assert gate.check("GET", "/nowhere", [("Authorization", f"Bearer {KEYS['infer']}")], CLIENT)[0] == ""


def test_restrictions() -> None:
    gate = AccessGate(
        grpc_table(),
        restrictions={"logging": ("triton-grpc-protocol-k", "v=1"), "health": ("h", "w")},
        what="protocol",
        keys=None,
        guesses=None,
        without_key=0,
    )
    log = "/inference.GRPCInferenceService/LogSettings"
    words = "This protocol is restricted, expecting header 'triton-grpc-protocol-k'"
    for fields in ([], [("triton-grpc-protocol-k", "v")], [("triton-grpc-protocol-k", "V=1")], [("k", "v=1")],
                   [("h", "w")], [("triton-grpc-protocol-k", "v=1")] * 2):  # fmt: skip
        assert gate.check("POST", log, fields, CLIENT) == ("restricted", "", words, 0)
    assert gate.check("POST", log, [("triton-grpc-protocol-k", "v=1")], CLIENT) == ("", "", "", 0)
    assert gate.check("POST", "/inference.GRPCInferenceService/TraceSetting", [], CLIENT)[0] == ""
    assert gate.check("POST", "/grpc.health.v1.Health/Watch", [], CLIENT)[0] == "restricted"


def test_openai_is_of_its_group() -> None:
    table = openai_table()
    api = OpenAiApi(
        object(),
        object(),
        object(),
        max_body_bytes=1,  # type: ignore[arg-type]
    )
    for path in [*api._posts, "/v1/models", "/v1/models/a/b", "/v1", "/v1/nothing"]:
        assert api.serves(path)
        assert table.find(path) is not None, path
        assert find_route(path) is None, path


def test_who_guesses_has_to_wait() -> None:
    ring = KeyRing()
    ring.replace([("ops", hashlib.sha256(b"a-good-key").digest(), permissions_of(["admin"]))])
    guesses = GuessLimit(2)
    gates = [
        AccessGate(table(), restrictions={}, what="API", keys=ring, guesses=guesses, without_key=WITHOUT_KEY)
        for table in (http_table, grpc_table)
    ]

    def show(key: str, client: str, gate: AccessGate = gates[0]) -> tuple[str, bool]:
        reason, _, words, seconds = gate.check("GET", "/v2", [("Authorization", f"Bearer {key}")], client)
        assert key not in words
        return reason, 0 < seconds <= 30

    assert show("a-good-key", CLIENT) == ("", False)
    assert show("wrong-1", CLIENT) == ("unknown key", False)
    # Of all ports together.
    assert show("wrong-2", CLIENT, gates[1]) == ("unknown key", False)
    assert show("wrong-3", CLIENT) == ("guessing", True)
    assert show("wrong-3", f"::ffff:{CLIENT}") == ("guessing", True)
    assert show("a-good-key", CLIENT) == ("", False)
    assert show("wrong-3", "192.0.2.2") == ("unknown key", False)
    # Without a key all is as it was.
    assert gates[0].check("GET", "/v2/health/live", [], CLIENT)[0] == ""
    with pytest.raises(InvalidArgument, match="should be 1 or more"):
        GuessLimit(0)


def test_bad_tables() -> None:
    with pytest.raises(InvalidArgument, match="should begin with a slash"):
        RouteTable([("v2", "health", [])])
    with pytest.raises(InvalidArgument, match="unknown API group 'nothing'"):
        RouteTable([("/v2", "nothing", [])])


_SEGMENTS = st.sampled_from(
    ["", "v2", "V2", "health", "live", "ready", "models", "m", "versions", "1", "x", "infer", "generate",
     "stats",
     "repository", "index", "load", ".", "..", "%2e", "infer;x", "trace", "setting", "logging", "region",
     "systemsharedmemory", "status"]
)  # fmt: skip


@given(st.lists(_SEGMENTS, max_size=7), st.sampled_from(["GET", "POST", "PUT", "BREW"]))
def test_only_health_is_open(gate: AccessGate, segments: list[str], method: str) -> None:
    path = "/" + "/".join(segments)
    route = find_route(path)
    refusal, *_ = gate.check(method, path, [], CLIENT)
    health = {Endpoint.LIVE, Endpoint.READY, Endpoint.MODEL_READY}
    assert (refusal == "") == (route is not None and route.endpoint in health)
