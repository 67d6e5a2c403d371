"""The same vLLM engine behind its own server and behind naiad: time to first token, time per token, tokens/s.

One engine at a time, in turns, started anew for each turn: two on one machine would measure each other.
Prompts differ, so that no cache of prefixes helps. Answers have a fixed number of tokens, and one client asks
for them all::

    python bench/e2e/llm.py --llm build/llm [--rounds 3] [--api generate|openai]

``--llm``: a directory with ``venv`` (an environment with vLLM) and ``model``, as `make test-llm` makes it.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
from sidebyside.server_process import free_ports

CONCURRENCIES = (1, 4, 16)
_MAX_MODEL_LEN = 1024
_CACHE_BYTES = 1 << 30
_STARTS_IN_S = 600


@dataclass
class Figures:
    """Of one turn at one concurrency."""

    first_token_ms: list[float] = field(default_factory=list)
    per_token_ms: list[float] = field(default_factory=list)
    tokens_per_s: float = 0.0


@dataclass(frozen=True)
class Side:
    """A server, and how it is asked."""

    command: list[str]
    port: int
    path: str
    speaks_openai: bool
    ready: str

    def body(self, prompt: str, num_tokens: int) -> dict[str, Any]:
        parameters = {"max_tokens": num_tokens, "temperature": 0, "ignore_eos": True}
        if self.speaks_openai:
            return {"model": "llm", "prompt": prompt, "stream": True} | parameters
        return {"text_input": prompt, "stream": True, "sampling_parameters": json.dumps(parameters)}


def _vllm(llm: Path) -> Side:
    (port,) = free_ports(1)
    command = [
        str(llm / "venv" / "bin" / "python"), "-m", "vllm.entrypoints.openai.api_server",
        "--model", str(llm / "model"), "--served-model-name", "llm", "--enforce-eager",
        "--max-model-len", str(_MAX_MODEL_LEN), "--kv-cache-memory-bytes", str(_CACHE_BYTES),
        "--host", "127.0.0.1", "--port", str(port), "--disable-log-stats", "--disable-uvicorn-access-log",
    ]  # fmt: skip
    return Side(command, port, "/v1/completions", True, "/health")


def _naiad(llm: Path, scratch: Path, api: str) -> Side:
    version = scratch / "llm" / "1"
    version.mkdir(parents=True, exist_ok=True)
    arguments = {
        "model": str(llm / "model"),
        "enforce_eager": True,
        "max_model_len": _MAX_MODEL_LEN,
        "kv_cache_memory_bytes": _CACHE_BYTES,
    }
    (version / "model.json").write_text(json.dumps(arguments))
    environment = f'parameters {{ key: "EXECUTION_ENV_PATH" value {{ string_value: "{llm / "venv"}" }} }}'
    (scratch / "llm" / "config.pbtxt").write_text(f'backend: "vllm" {environment}')
    (port,) = free_ports(1)
    command = [
        sys.executable, "-m", "naiad", "serve", f"--model-repository={scratch}", f"--http-port={port}",
        "--grpc-port=0", "--metrics-port=0", "--http-address=127.0.0.1",
    ]  # fmt: skip
    path = "/v1/completions" if api == "openai" else "/v2/models/llm/generate_stream"
    return Side(command, port, path, api == "openai", "/v2/models/llm/ready")


@contextmanager
def _running(side: Side, log: Path) -> Iterator[None]:
    with log.open("ab") as written:
        process = subprocess.Popen(
            side.command, stdout=written, stderr=written, env=os.environ | {"VLLM_NO_USAGE_STATS": "1"}
        )
        try:
            asyncio.run(_wait_ready(side, process, log))
            yield
        finally:
            process.terminate()
            process.wait(120)


async def _wait_ready(side: Side, process: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + _STARTS_IN_S
    async with aiohttp.ClientSession(f"http://127.0.0.1:{side.port}") as session:
        while time.monotonic() < end:
            if process.poll() is not None:
                raise SystemExit(f"{side.command[0]} ended at its start: see {log}")
            try:
                async with session.get(side.ready) as answer:
                    if answer.status == 200:
                        return
            except aiohttp.ClientError:
                pass
            await asyncio.sleep(0.5)
    raise SystemExit(f"{side.command[0]} was not ready within {_STARTS_IN_S} s: see {log}")


async def _events(session: aiohttp.ClientSession, side: Side, body: dict[str, Any]) -> AsyncIterator[float]:
    """The time of each event of an answer."""
    async with session.post(side.path, json=body) as answer:
        if answer.status != 200:
            raise SystemExit(f"{side.path} answered {answer.status}: {(await answer.text())[:300]}")
        async for line in answer.content:
            if line.startswith(b"data: ") and not line.startswith(b"data: [DONE]"):
                if b'"error"' in line[:20]:
                    raise SystemExit(f"{side.path} failed: {line.decode()[:300]}")
                yield time.perf_counter()


async def _measure(side: Side, concurrency: int, num_requests: int, num_tokens: int, turn: int) -> Figures:
    figures = Figures()
    numbers = iter(range(num_requests))

    async def worker(session: aiohttp.ClientSession) -> None:
        for number in numbers:
            prompt = f"{turn}-{concurrency}-{number}: write a long story about a river, a town and a bridge."
            begin = time.perf_counter()
            times = [at async for at in _events(session, side, side.body(prompt, num_tokens))]
            figures.first_token_ms.append(1e3 * (times[0] - begin))
            figures.per_token_ms.append(1e3 * (times[-1] - times[0]) / (num_tokens - 1))

    connector = aiohttp.TCPConnector(limit=0)
    timeout = aiohttp.ClientTimeout(total=None)
    base = f"http://127.0.0.1:{side.port}"
    async with aiohttp.ClientSession(base, connector=connector, timeout=timeout) as session:
        begin = time.perf_counter()
        await asyncio.gather(*(worker(session) for _ in range(concurrency)))
        figures.tokens_per_s = num_requests * num_tokens / (time.perf_counter() - begin)
    return figures


def _turn(side: Side, log: Path, turn: int, num_tokens: int) -> dict[int, Figures]:
    with _running(side, log):
        # The first ones find the engine cold.
        asyncio.run(_measure(side, 16, 32, 8, -1 - turn))
        return {
            concurrency: asyncio.run(_measure(side, concurrency, 8 + 4 * concurrency, num_tokens, turn))
            for concurrency in CONCURRENCIES
        }


def _row(name: str, concurrency: int, turns: list[dict[int, Figures]]) -> str:
    found = [turn[concurrency] for turn in turns]
    first = statistics.median(x for figures in found for x in figures.first_token_ms)
    each = statistics.median(x for figures in found for x in figures.per_token_ms)
    rates = [figures.tokens_per_s for figures in found]
    shown = ", ".join(f"{rate:.1f}" for rate in rates)
    median = statistics.median(rates)
    return f"| {concurrency} | {name} | {first:.1f} | {each:.2f} | {median:.1f} ({shown}) |"


def main(arguments: list[str]) -> int:
    """Runs the bench and prints its table. Returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--llm", type=Path, required=True)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--tokens", type=int, default=64)
    parser.add_argument("--api", choices=("generate", "openai"), default="generate")
    options = parser.parse_args(arguments)
    llm = options.llm.resolve()
    with tempfile.TemporaryDirectory(prefix="naiad-bench-") as scratch:
        log = Path(tempfile.gettempdir()) / "naiad-bench-llm.log"
        sides = {
            "vLLM's own server": lambda: _vllm(llm),
            f"naiad, {options.api}": lambda: _naiad(llm, Path(scratch), options.api),
        }
        turns: dict[str, list[dict[int, Figures]]] = {name: [] for name in sides}
        for turn in range(options.rounds):
            # Who begins changes, so that neither has the machine always before the other.
            for name in list(sides)[:: 1 if turn % 2 == 0 else -1]:
                turns[name].append(_turn(sides[name](), log, turn, options.tokens))
                print(f"turn {turn + 1}, {name}: done", file=sys.stderr)
    print("| streams | server | time to first token, ms | time per token, ms | tokens/s (each turn) |")
    print("| --- | --- | --- | --- | --- |")
    for concurrency in CONCURRENCIES:
        for name, found in turns.items():
            print(_row(name, concurrency, found))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
