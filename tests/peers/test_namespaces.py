"""Models of equal names in several repositories, on both servers."""

from __future__ import annotations

from functools import partial
from typing import Any

from .sides import Pair, Side

NAMESPACES = "namespaces"
AMBIGUOUS = (
    400,
    "There are 2 identifiers of model '{}' in global map, model namespace must be provided to resolve "
    "ambiguity.",
)


def refused(name: str) -> tuple[int, str]:
    return AMBIGUOUS[0], AMBIGUOUS[1].format(name)


def ask(side: Side, model: str) -> Any:
    """What a model makes of 1, or status and error."""
    tensor = {"name": "X", "shape": [1], "datatype": "INT32", "data": [1]}
    status, body = side.call("POST", f"/v2/models/{model}/infer", {"inputs": [tensor]})
    return body["outputs"][0]["data"][0] if status == 200 else (status, body["error"])


def control(side: Side, what: str, model: str) -> int:
    return side.call("POST", f"/v2/repository/models/{model}/{what}", {})[0]


def index(side: Side) -> list[tuple[str, str]]:
    _, rows = side.call("POST", "/v2/repository/index", {})
    return sorted((row["name"], row.get("state", "")) for row in rows)


def test_loads_and_requests(twin_pair: Pair) -> None:
    for what, scenario, expected in (
        (
            "load over_one, over_two",
            lambda side: [control(side, "load", n) for n in ("over_one", "over_two")],
            [200, 200],
        ),
        ("ask over_one, over_two", lambda side: [ask(side, n) for n in ("over_one", "over_two")], [11, 21]),
        ("ask twin", partial(ask, model="twin"), refused("twin")),
        ("load both", partial(control, what="load", model="both"), 200),
        ("ask both", partial(ask, model="both"), refused("both")),
        ("load, ask plain", lambda side: [control(side, "load", "plain"), ask(side, "plain")], [200, 4]),
        (
            "load reach, ask it and lone",
            lambda side: [control(side, "load", "reach"), ask(side, "reach"), ask(side, "lone")],
            [200, 2, 2],
        ),
        ("load twin", partial(control, what="load", model="twin"), 200),
        (
            "metadata of twin",
            lambda side: side.call("GET", "/v2/models/twin")[1]["error"],
            refused("twin")[1],
        ),
        (
            "config of twin",
            lambda side: side.call("GET", "/v2/models/twin/config")[1]["error"],
            refused("twin")[1],
        ),
        (
            "index",
            index,
            [("both", "READY")] * 2
            + [
                ("lone", "READY"),
                ("lost", ""),
                ("over_one", "READY"),
                ("over_two", "READY"),
                ("plain", "READY"),
                ("reach", "READY"),
            ]
            + [("twin", "READY")] * 2,
        ),
        ("unload twin", partial(control, what="unload", model="twin"), 200),
        ("ask over_one", lambda side: ask(side, "over_one")[0], 404),
    ):
        twin_pair.agree(NAMESPACES, what, scenario, expected)


def test_a_step_that_is_not_clear(twin_pair: Pair) -> None:
    def scenario(side: Side) -> tuple[int, str]:
        status, body = side.call("POST", "/v2/repository/models/lost/load", {})
        return status, body["error"].rpartition("lost contains ")[2].strip()

    expected = (400, "models that are not available or ambiguous: twin")
    twin_pair.agree(NAMESPACES, "load lost", scenario, expected)
