"""What a flood on a language model does to an embedding model in the same server, and what limits are worth.

An embedding of one sentence is asked for at a steady rate (open loop) over HTTP: alone, then while clients
flood the language model with completions. Servers differ by how the language model is limited: not at all; a
few sequences at a time; cores of its own by a host policy; and both::

    python bench/e2e/llm_beside.py --llm build/llm --rounds 3 --out bench/results/NAME.md

``--llm``: a directory with ``venv`` (an environment with vLLM) and ``model``, as `make test-llm` makes it.
Latencies are counted from when a request was due, so none is left out while the server is slow. One server is
up at a time.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import statistics
import sys
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
from run import common_facts, publish
from sidebyside.llm_server import LlmServer, write_llm
from sidebyside.report import format_figure

from naiad.fleet.build import build_fleet

_CORES = sorted(os.sched_getaffinity(0))
_HALF = len(_CORES) // 2
_TOKENS = 32
_SENTENCE = "A man is playing a guitar on stage."
_EMBEDDINGS = ("tokenizer", "minilm")


@dataclass(frozen=True)
class Limit:
    """How the language model is held back. ``shown``: in the table."""

    shown: str
    sequences: int | None = None
    cores: bool = False

    def arguments(self) -> dict[str, object]:
        """For model.json."""
        return {} if self.sequences is None else {"max_num_seqs": self.sequences}

    def config(self, policy: str) -> str:
        """For a config.pbtxt."""
        return f'instance_group [ {{ kind: KIND_CPU host_policy: "{policy}" }} ]' if self.cores else ""

    def flags(self) -> list[str]:
        """For the server: half of the cores for each."""
        if not self.cores:
            return []
        halves = {"llm": _CORES[:_HALF], "rest": _CORES[_HALF:]}
        return [f"--host-policy={name},cpu-cores={','.join(map(str, part))}" for name, part in halves.items()]


LIMITS = (
    Limit("none"),
    Limit("`max_num_seqs` 2", sequences=2),
    Limit("half of the cores (`host_policy`)", cores=True),
    Limit("both", sequences=2, cores=True),
)


@dataclass
class Figures:
    """Of one limit in one round."""

    alone_ms: list[float] = field(default_factory=list)
    beside_ms: list[float] = field(default_factory=list)
    tokens_per_s: float = 0.0


def _write(repository: Path, llm: Path, limit: Limit) -> None:
    build_fleet(repository)
    write_llm(repository, llm, config=limit.config("llm"), **limit.arguments())
    for model in _EMBEDDINGS if limit.cores else ():
        path = repository / model / "config.pbtxt"
        text = path.read_text(encoding="utf-8")
        assert text.count("kind: KIND_CPU") == 1
        path.write_text(text.replace("kind: KIND_CPU", 'kind: KIND_CPU host_policy: "rest"'))


async def _embed(
    session: aiohttp.ClientSession, body: dict[str, Any], due: float, took_ms: list[float]
) -> None:
    async with session.post("/v2/models/minilm/infer", json=body) as answer:
        if answer.status != 200:
            raise SystemExit(f"minilm answered {answer.status}: {(await answer.text())[:300]}")
        await answer.read()
    took_ms.append(1e3 * (time.perf_counter() - due))


async def _steady(session: aiohttp.ClientSession, rate: float, seconds: float) -> list[float]:
    """Latencies in ms of embeddings that are due every 1 / rate seconds."""
    text = {"name": "TEXT", "datatype": "BYTES", "shape": [1, 1], "data": [_SENTENCE]}
    async with session.post("/v2/models/tokenizer/infer", json={"inputs": [text]}) as answer:
        body = {"inputs": (await answer.json())["outputs"]}
    took_ms: list[float] = []
    begin = time.perf_counter()
    tasks = []
    for number in range(int(rate * seconds)):
        due = begin + number / rate
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        tasks.append(asyncio.create_task(_embed(session, body, due, took_ms)))
    await asyncio.gather(*tasks)
    return took_ms


async def _flood(session: aiohttp.ClientSession, client: int, counted: list[float]) -> None:
    """Completions, one behind the other; the time at which each one is there."""
    number = 0
    while True:
        number += 1
        body = {
            "model": "llm", "prompt": f"{client}-{number}: once upon a time", "max_tokens": _TOKENS,
            "ignore_eos": True,
        }  # fmt: skip
        async with session.post("/v1/completions", json=body) as answer:
            if answer.status != 200:
                raise SystemExit(
                    f"the language model answered {answer.status}: {(await answer.text())[:300]}"
                )
            await answer.read()
        counted.append(time.perf_counter())


async def _measure(port: int, options: argparse.Namespace) -> Figures:
    figures = Figures()
    connector = aiohttp.TCPConnector(limit=0)
    timeout = aiohttp.ClientTimeout(total=None)
    base = f"http://127.0.0.1:{port}"
    async with aiohttp.ClientSession(base, connector=connector, timeout=timeout) as session:
        await _steady(session, options.rate, 1)
        figures.alone_ms = await _steady(session, options.rate, options.seconds)
        counted: list[float] = []
        clients = [asyncio.create_task(_flood(session, client, counted)) for client in range(options.clients)]
        # The flood is there when the first ones have been answered.
        while len(counted) < options.clients and not any(client.done() for client in clients):
            await asyncio.sleep(0.05)
        begin = time.perf_counter()
        figures.beside_ms = await _steady(session, options.rate, options.seconds)
        end = time.perf_counter()
        figures.tokens_per_s = _TOKENS * sum(begin < at <= end for at in counted) / (end - begin)
        for client in clients:
            client.cancel()
        for client in clients:
            with suppress(asyncio.CancelledError):
                await client
    return figures


def _percentile(values: list[float], percent: int) -> float:
    return statistics.quantiles(values, n=100, method="inclusive")[percent - 1]


def _row(limit: Limit, rounds: list[Figures]) -> str:
    def over_rounds(took: str, percent: int) -> float:
        return statistics.median(_percentile(getattr(each, took), percent) for each in rounds)

    cells = [limit.shown]
    cells += [format_figure(over_rounds("alone_ms", percent)) for percent in (50, 99)]
    cells += [format_figure(over_rounds("beside_ms", percent)) for percent in (50, 99)]
    ratios = [_percentile(each.beside_ms, 99) / _percentile(each.alone_ms, 99) for each in rounds]
    cells.append(f"{statistics.median(ratios):.1f}")
    cells.append(format_figure(statistics.median(each.tokens_per_s for each in rounds)))
    return "| " + " | ".join(cells) + " |"


def main(arguments: list[str]) -> int:
    """Runs the bench and prints its table. Returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--llm", type=Path, required=True)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=15)
    parser.add_argument("--rate", type=float, default=20, help="embeddings per second")
    parser.add_argument("--clients", type=int, default=16, help="of the flood")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args(arguments)
    if not _HALF:
        raise SystemExit("this needs two cores")
    lines = ["# An embedding model beside a flooded language model", ""]
    lines += [f"- {name}: {value}" for name, value in common_facts().items()]
    lines += [
        f"- rounds: {options.rounds} of {options.seconds:g} s; {options.rate:g} embeddings (`minilm`) "
        f"a second, {options.clients} clients that ask for {_TOKENS} tokens each, again and again",
        "",
        "| limit of the language model | alone p50 ms | p99 ms | beside the flood p50 ms | p99 ms "
        "| p99 beside/alone | LLM tokens/s |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    found: dict[Limit, list[Figures]] = {limit: [] for limit in LIMITS}
    with tempfile.TemporaryDirectory(prefix="naiad-bench-") as scratch:
        for number in range(options.rounds):
            for place, limit in enumerate(LIMITS):
                repository = Path(scratch) / f"models-{number}-{place}"
                _write(repository, options.llm.resolve(), limit)
                log = Path(scratch) / "naiad.log"
                with LlmServer.naiad(limit.shown, repository, log, *limit.flags()) as server:
                    found[limit].append(asyncio.run(_measure(server.port, options)))
                print(f"round {number + 1}, {limit.shown}: done", file=sys.stderr, flush=True)
    lines += [_row(limit, rounds) for limit, rounds in found.items()]
    publish(lines, options.out)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
