"""One model repository on two servers, and what each of them was seen to do with the same requests."""

from __future__ import annotations

import concurrent.futures
import contextlib
import http.client
import itertools
import json
import queue
import shutil
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import tritonclient.grpc as grpc_client

PATIENCE_S = 90.0
HELD = 1000
"""Requests with tags from here on stay with the model until they are released."""

Answer = tuple[int, Any]
"""Status and body of a response."""


def until(true: Callable[[], bool], what: str) -> None:
    """Blocks until something is true; fails after PATIENCE_S."""
    end = time.monotonic() + PATIENCE_S
    while not true():
        assert time.monotonic() < end, f"not within {PATIENCE_S} s: {what}"
        time.sleep(0.005)


@dataclass
class Side:
    """One of the two servers, with a copy of the repository of its own."""

    name: str
    repository: Path
    http: str
    grpc: str
    metrics: str
    pool: concurrent.futures.ThreadPoolExecutor = field(
        default_factory=lambda: concurrent.futures.ThreadPoolExecutor(40)
    )
    _held: Iterator[int] = field(default_factory=lambda: itertools.count(HELD))

    def call(self, method: str, path: str, body: object = None) -> Answer:
        connection = http.client.HTTPConnection(self.http, timeout=60)
        try:
            connection.request(method, path, None if body is None else json.dumps(body))
            response = connection.getresponse()
            answer = response.read()
            return response.status, json.loads(answer) if answer else None
        finally:
            connection.close()

    def infer(self, model: str, tag: int, *, width: int = 1, rows: int = 1, **parameters: object) -> Answer:
        """One request with TAG of shape [rows, width]."""
        tensor = {"name": "TAG", "datatype": "INT32", "shape": [rows, width], "data": [tag] * width * rows}
        return self.call("POST", f"/v2/models/{model}/infer", {"inputs": [tensor], "parameters": parameters})

    def start(self, model: str, tag: int, **how: Any) -> concurrent.futures.Future[Answer]:
        return self.pool.submit(self.infer, model, tag, **how)

    def waiting(self, model: str) -> int:
        """Requests that have come and have not begun to run."""
        with urllib.request.urlopen(f"http://{self.metrics}/metrics") as scraped:
            text = scraped.read().decode()
        name = f'nv_inference_pending_request_count{{model="{model}",version="1"}} '
        return int(next(line for line in text.splitlines() if line.startswith(name)).removeprefix(name))

    def add(self, model: str, tag: int, **how: Any) -> concurrent.futures.Future[Answer]:
        """As start(), and waits until the server has queued it, or answered it."""
        before = self.waiting(model)
        answer = self.start(model, tag, **how)
        until(lambda: answer.done() or self.waiting(model) > before, f"{self.name} queues {tag} for {model}")
        return answer

    @contextlib.contextmanager
    def held(self, model: str) -> Iterator[concurrent.futures.Future[Answer]]:
        """Keeps one instance of the model at work as long as the block lasts."""
        tag = self.next_held()
        answer = self.start(model, tag)
        until(lambda: self.has_seen(model, tag), f"{self.name} runs {tag} of {model}")
        try:
            yield answer
        finally:
            self.release(model, tag)
        answer.result(PATIENCE_S)

    def next_held(self) -> int:
        """A tag of a request that stays with the model until release()."""
        return next(self._held)

    def release(self, model: str, tag: int) -> None:
        (self.repository / model / f"released-{tag}").touch()

    def seen(self, model: str, *, since: int = 0) -> list[dict[str, Any]]:
        """What the model was given, one entry for each of its executions."""
        path = self.repository / model / "seen.jsonl"
        lines = path.read_text().splitlines() if path.exists() else []
        return [json.loads(line) for line in lines[since:]]

    def has_seen(self, model: str, tag: int) -> bool:
        return any(tag in batch["tags"] for batch in self.seen(model))

    def batches(self, model: str, since: int = 0) -> list[list[int]]:
        """The tags of each execution, without those that were held."""
        batches = [batch["tags"] for batch in self.seen(model, since=since)]
        return [batch for batch in batches if batch[0] < HELD]

    def statistics(self, model: str) -> dict[str, Any]:
        status, body = self.call("GET", f"/v2/models/{model}/stats")
        assert status == 200, body
        stats = body["model_stats"][0]
        return {
            "inferences": stats.get("inference_count", 0),
            "executions": stats.get("execution_count", 0),
            **{
                name: stats["inference_stats"][name]["count"]
                for name in ("success", "fail", "queue", "compute_infer", "cache_hit", "cache_miss")
            },
            "batches": {each["batch_size"]: each["compute_infer"]["count"] for each in stats["batch_stats"]},
        }

    @contextlib.contextmanager
    def stream(self) -> Iterator[Stream]:
        with grpc_client.InferenceServerClient(self.grpc) as client:
            stream = Stream(client)
            yield stream
            client.stop_stream()


class Stream:
    """One gRPC stream."""

    def __init__(self, client: grpc_client.InferenceServerClient) -> None:
        self._client = client
        self._answers: queue.Queue[tuple[Any, Any]] = queue.Queue()
        client.start_stream(lambda result, error: self._answers.put((result, error)))

    def send(self, model: str, name: str, values: list[int], **how: Any) -> None:
        array = np.array(values, np.int32)
        tensor = grpc_client.InferInput(name, list(array.shape), "INT32")
        tensor.set_data_from_numpy(array)
        self._client.async_stream_infer(model, [tensor], **how)

    def take(self) -> dict[str, Any]:
        """The next message: request id, first output or error, whether it is marked as the last one."""
        result, error = self._answers.get(timeout=PATIENCE_S)
        if error is not None:
            return {"error": error.message()}
        response = result.get_response()
        out = result.as_numpy(response.outputs[0].name).ravel().tolist() if response.outputs else []
        final = response.parameters.get("triton_final_response")
        return {"id": response.id, "out": out, "final": None if final is None else final.bool_param}


@dataclass
class Row:
    """One line of the table of results."""

    area: str
    case: str
    naiad: str
    triton: str
    why: str
    """Why they differ; empty where they agree."""


@dataclass
class Pair:
    """The two servers, and the table of what they did."""

    naiad: Side
    triton: Side
    rows: list[Row]

    def both(self, scenario: Callable[[Side], Any]) -> tuple[Any, Any]:
        return scenario(self.naiad), scenario(self.triton)

    def agree(self, area: str, case: str, scenario: Callable[[Side], Any], expected: Any) -> None:
        """Both do the same, and it is what is expected."""
        naiad, triton = self.both(scenario)
        assert (naiad, triton) == (expected, expected), f"naiad {naiad}, Triton {triton}"
        self.rows.append(Row(area, case, str(naiad), str(triton), ""))

    def differ(
        self, area: str, case: str, scenario: Callable[[Side], Any], *, naiad: Any, triton: Any, why: str
    ) -> None:
        """They differ on purpose; ``triton``: what is expected, or whether a result is (for what is not
        always the same there)."""
        ours, theirs = self.both(scenario)
        assert ours == naiad, f"naiad {ours}"
        assert triton(theirs) if callable(triton) else theirs == triton, f"Triton {theirs}"
        self.rows.append(Row(area, case, str(ours), str(theirs), why))


def copy_repository(source: Path, target: Path) -> Path:
    shutil.copytree(source, target)
    return target


def table(rows: list[Row]) -> str:
    """The rows as Markdown."""
    lines = ["| | what is asked | naiad | Triton | why they differ |", "|---|---|---|---|---|"]
    for row in rows:
        cells = (row.area, row.case, f"`{row.naiad}`", f"`{row.triton}`" if row.why else "same", row.why)
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"
