"""What a server costs in front of the same vLLM engine: vLLM's own beside naiad, for the same client.

Both are up, and one stands still (SIGSTOP) while the other one is asked, so that turns are short: each round
asks both at each concurrency, and the one that begins changes. A ratio is the median over rounds of naiad's
figure over vLLM's of the same round, so that a slow moment of the machine hits both. The steadiest figure is
the CPU time per token of what stands in front of the engine: all processes but the engine's own.

Prompts differ, so that no cache of prefixes helps. Answers have a fixed number of tokens::

    python bench/e2e/llm.py --llm build/llm --api openai --rounds 9 --out bench/results/NAME.md

``--llm``: a directory with ``venv`` (an environment with vLLM) and ``model``, as `make test-llm` makes it.
It needs 8 GB of memory.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
from run import common_facts, publish
from sidebyside.llm_server import LlmServer, write_llm
from sidebyside.report import format_figure

CONCURRENCIES = (1, 4, 16)
_VLLM, _NAIAD = "vLLM's own server", "naiad"


@dataclass(frozen=True)
class Api:
    """How a server is asked."""

    path: str
    speaks_openai: bool

    def body(self, prompt: str, num_tokens: int) -> dict[str, Any]:
        parameters = {"max_tokens": num_tokens, "temperature": 0, "ignore_eos": True}
        if self.path.endswith("chat/completions"):
            messages = [{"role": "user", "content": prompt}]
            return {"model": "llm", "messages": messages, "stream": True} | parameters
        if self.speaks_openai:
            return {"model": "llm", "prompt": prompt, "stream": True} | parameters
        return {"text_input": prompt, "stream": True, "sampling_parameters": json.dumps(parameters)}


APIS = {
    "openai": Api("/v1/completions", True),
    "chat": Api("/v1/chat/completions", True),
    "generate": Api("/v2/models/llm/generate_stream", False),
}


@dataclass(frozen=True)
class Figures:
    """Of one server at one concurrency in one round."""

    first_token_ms: float
    per_token_ms: float
    tokens_per_s: float
    front_us: float
    engine_us: float


COLUMNS: dict[str, Callable[[Figures], float]] = {
    "time to first token, ms": lambda figures: figures.first_token_ms,
    "time per token, ms": lambda figures: figures.per_token_ms,
    "tokens/s": lambda figures: figures.tokens_per_s,
    "front CPU us/token": lambda figures: figures.front_us,
    "engine CPU us/token": lambda figures: figures.engine_us,
}


async def _events(session: aiohttp.ClientSession, path: str, body: dict[str, Any]) -> AsyncIterator[float]:
    """The time of each event of an answer."""
    async with session.post(path, json=body) as answer:
        if answer.status != 200:
            raise SystemExit(f"{path} answered {answer.status}: {(await answer.text())[:300]}")
        async for line in answer.content:
            if line.startswith(b"data: ") and not line.startswith(b"data: [DONE]"):
                if b'"error"' in line[:20]:
                    raise SystemExit(f"{path} failed: {line.decode()[:300]}")
                yield time.perf_counter()


async def _ask(
    server: LlmServer, api: Api, concurrency: int, num_requests: int, num_tokens: int, mark: str
) -> tuple[list[float], list[float], float]:
    """Time to first token and time per token of each request, in ms; seconds for all."""
    first_ms: list[float] = []
    each_ms: list[float] = []
    numbers = iter(range(num_requests))

    async def worker(session: aiohttp.ClientSession) -> None:
        for number in numbers:
            prompt = f"{mark}-{concurrency}-{number}: write a long story about a river, a town and a bridge."
            begin = time.perf_counter()
            times = [at async for at in _events(session, api.path, api.body(prompt, num_tokens))]
            first_ms.append(1e3 * (times[0] - begin))
            each_ms.append(1e3 * (times[-1] - times[0]) / (num_tokens - 1))

    connector = aiohttp.TCPConnector(limit=0)
    timeout = aiohttp.ClientTimeout(total=None)
    base = f"http://127.0.0.1:{server.port}"
    async with aiohttp.ClientSession(base, connector=connector, timeout=timeout) as session:
        begin = time.perf_counter()
        await asyncio.gather(*(worker(session) for _ in range(concurrency)))
        return first_ms, each_ms, time.perf_counter() - begin


def _measure(server: LlmServer, api: Api, concurrency: int, num_tokens: int, mark: str) -> Figures:
    num_requests = 4 + 2 * concurrency
    before = server.cpu_s()
    first_ms, each_ms, seconds = asyncio.run(_ask(server, api, concurrency, num_requests, num_tokens, mark))
    front_s, engine_s = (after - then for after, then in zip(server.cpu_s(), before, strict=True))
    num = num_requests * num_tokens
    return Figures(
        statistics.median(first_ms),
        statistics.median(each_ms),
        num / seconds,
        1e6 * front_s / num,
        1e6 * engine_s / num,
    )


def _rows(concurrency: int, found: dict[str, list[Figures]]) -> list[str]:
    rows = []
    for name, figure in COLUMNS.items():
        ratios = [figure(n) / figure(v) for n, v in zip(found[_NAIAD], found[_VLLM], strict=True)]
        cells = [format_figure(statistics.median(map(figure, found[side]))) for side in (_VLLM, _NAIAD)]
        spread = f"{statistics.median(ratios):.3f} ({min(ratios):.2f} to {max(ratios):.2f})"
        rows.append(f"| {concurrency} | {name} | {cells[0]} | {cells[1]} | {spread} |")
    return rows


def main(arguments: list[str]) -> int:
    """Runs the bench and prints its table. Returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--llm", type=Path, required=True)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--tokens", type=int, default=64)
    parser.add_argument("--api", choices=tuple(APIS), default="openai")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args(arguments)
    llm = options.llm.resolve()
    # vLLM's own server has no /generate: it is asked for the same tokens by its completions.
    apis = {_VLLM: APIS["openai" if options.api == "generate" else options.api], _NAIAD: APIS[options.api]}
    lines = ["# naiad in front of vLLM's engine, beside vLLM's own server", ""]
    lines += [f"- {name}: {value}" for name, value in common_facts().items()]
    lines += [f"- rounds: {options.rounds}, in turns; {options.tokens} tokens in each answer", ""]
    found: dict[int, dict[str, list[Figures]]] = {
        concurrency: {side: [] for side in apis} for concurrency in CONCURRENCIES
    }
    with tempfile.TemporaryDirectory(prefix="naiad-bench-") as scratch, ExitStack() as stack:
        write_llm(Path(scratch) / "models", llm)
        servers = {}
        for side in apis:
            log = Path(scratch) / f"{side[:5]}.log"
            started = (
                LlmServer.vllm(side, llm, log)
                if side == _VLLM
                else LlmServer.naiad(side, Path(scratch) / "models", log)
            )
            servers[side] = stack.enter_context(started)
            with servers[side].awake():  # the first ones find the engine cold; it sleeps behind them
                asyncio.run(_ask(servers[side], apis[side], 16, 32, 8, "warm"))
        for number in range(options.rounds):
            for concurrency in CONCURRENCIES:
                for side in list(apis)[:: 1 if number % 2 == 0 else -1]:
                    with servers[side].awake():
                        mark = f"{side}-{number}"
                        figures = _measure(servers[side], apis[side], concurrency, options.tokens, mark)
                    found[concurrency][side].append(figures)
            print(f"round {number + 1} of {options.rounds}: done", file=sys.stderr, flush=True)
    lines += ["| streams | figure | vLLM's own server | naiad | naiad/vLLM, median of rounds (all) |"]
    lines += ["| --- | --- | --- | --- | --- |"]
    for concurrency in CONCURRENCIES:
        lines += _rows(concurrency, found[concurrency])
    publish(lines, options.out)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
