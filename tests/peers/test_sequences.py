"""Sequences, as both servers run them: which rows lie in which batch, and what the model is told of them."""

from __future__ import annotations

import itertools
from typing import Any

from .sides import Pair, Side, until

AREA = "sequences"
_ids = itertools.count(1)


def told(side: Side, model: str, since: int, names: dict[int, str]) -> list[str]:
    """Each batch: name of the sequence, place of the request in it, and its controls."""
    batches = []
    for batch in side.seen(model, since=since):
        rows = zip(batch["tags"], batch["CORRID"], batch["START"], batch["END"], batch["READY"], strict=True)
        batches.append(
            " ".join(
                f"{names.get(name, name)}{tag}" + "S" * start + "E" * end if ready else "-"
                for tag, name, start, end, ready in rows
            )
        )
    return batches


class Play:
    """Requests of sequences, named by letters, of one side's model."""

    def __init__(self, side: Side, model: str) -> None:
        self.side, self.model, self.since = side, model, len(side.seen(model))
        self.ids: dict[str, int] = {}
        self.answers: list[Any] = []

    def add(self, request: str) -> None:
        """As ``a1S``: the first one of sequence a, with START (and END for E). Waits until it is queued."""
        flags = self._flags(request)
        self.answers.append(self.side.add(self.model, int(request[1]), **flags))

    def ask(self, request: str) -> int:
        return self.side.infer(self.model, int(request[1]), **self._flags(request))[0]

    def _flags(self, request: str) -> dict[str, Any]:
        key = self.ids.setdefault(request[0], next(_ids))
        return {"sequence_id": key, "sequence_start": "S" in request, "sequence_end": "E" in request}

    def batches(self) -> list[str]:
        assert [answer.result(60)[0] for answer in self.answers] == [200] * len(self.answers)
        return told(self.side, self.model, self.since, {key: name for name, key in self.ids.items()})


def behind_held(model: str, *requests: str) -> Any:
    """Requests that come while sequence h keeps the model at work with its only request but the last."""

    def scenario(side: Side) -> list[str]:
        play = Play(side, model)
        play.ids["h"] = key = next(_ids)
        tag = side.next_held()
        held = side.start(model, tag, sequence_id=key, sequence_start=True)
        until(lambda: side.has_seen(model, tag), f"{side.name} runs {tag} of {model}")
        for request in requests:
            play.add(request)
        side.release(model, tag)
        assert held.result(60)[0] == 200
        return play.batches()[1:]

    return scenario


REQUESTS = ("b1S", "h2", "c1SE", "b2", "b3E", "h3E")


def test_direct(pair: Pair) -> None:
    case = f"direct: 2 slots, {' '.join(REQUESTS)} come behind h1S"
    pair.agree(AREA, case, behind_held("direct", *REQUESTS), ["h2 b1S", "h3E b2", "c1SE b3E"])


def test_oldest(pair: Pair) -> None:
    def in_order(batches: list[str]) -> bool:
        """Of each sequence; c only in a slot that has become free; never more than 2 together."""
        ran = " ".join(batches).split()
        places = {request: ran.index(request) for request in REQUESTS}
        in_turn = all(
            places[first] < places[then] for first, then in (("b1S", "b2"), ("b2", "b3E"), ("h2", "h3E"))
        )
        free = min(places["b3E"], places["h3E"])
        return in_turn and free < places["c1SE"] and max(len(batch.split()) for batch in batches) <= 2

    pair.differ(
        AREA,
        f"oldest: 2 candidates, {' '.join(REQUESTS)} come behind h1S",
        behind_held("oldest", *REQUESTS),
        naiad=["b1S h2", "b2 h3E", "c1SE b3E"],
        triton=in_order,
        why="each sequence in its order is all that is promised; Triton's batches vary from run to run. "
        "naiad takes the candidate whose request has waited longest first",
    )


def test_rows_without_a_request(pair: Pair) -> None:
    def scenario(side: Side) -> list[str]:
        play = Play(side, "direct")
        for request in ("a1S", "b1S", "b2", "a2E", "b3E"):
            assert play.ask(request) == 200
        return play.batches()

    pair.agree(
        AREA, "direct: one by one a1S b1S b2 a2E b3E", scenario, ["a1S", "- b1S", "- b2", "a2E", "- b3E"]
    )


def test_what_a_sequence_must_have(pair: Pair) -> None:
    def scenario(side: Side) -> list[str]:
        flags = [{"sequence_id": 99999}, {}, {"sequence_id": 99999, "sequence_start": True, "rows": 2}]
        answers = [side.infer("direct", 1, **each) for each in flags]
        assert [status for status, _ in answers] == [400] * 3
        return [body["error"].partition("must specify ")[2] for _, body in answers]

    expected = [
        "the START flag on the first request of the sequence",
        "a non-zero or non-empty correlation ID",
        "batch-size 1 due to requirements of sequence batcher",
    ]
    pair.agree(AREA, "400: no START; no id; 2 rows", scenario, expected)


def test_statistics(pair: Pair) -> None:
    def scenario(side: Side) -> dict[str, int]:
        before = side.statistics("oldest")
        play = Play(side, "oldest")
        for request in ("a1S", "a2", "a3E"):
            assert play.ask(request) == 200
        names = ("success", "inferences", "executions", "queue")
        return {name: side.statistics("oldest")[name] - before[name] for name in names}

    expected = {"success": 3, "inferences": 3, "executions": 3, "queue": 3}
    pair.agree(AREA, "statistics of a1S a2 a3E", scenario, expected)
