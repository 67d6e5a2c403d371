"""One process of the generator: a Scenario on standard input, a Window per line on standard output, until
standard input ends.
"""

from __future__ import annotations

import asyncio
import json
import sys
from typing import TYPE_CHECKING

import uvloop

from naiad.loadgen.recorder import Recorder
from naiad.loadgen.scenario import Scenario
from naiad.loadgen.windows import Window

if TYPE_CHECKING:
    from naiad.loadgen.grpc_load import GrpcLoad
    from naiad.loadgen.http_load import HttpLoad

_LAST_REQUESTS_S = 3.0


def _tell(window: Window) -> None:
    print(window.to_json(), flush=True)


async def _run(scenario: Scenario) -> None:
    recorder = Recorder(scenario.start_at_s, scenario.window_s, _tell)
    generator: HttpLoad | GrpcLoad
    if scenario.protocol == "http":
        from naiad.loadgen.http_load import HttpLoad

        generator = HttpLoad(scenario, recorder)
    else:
        from naiad.loadgen.grpc_load import GrpcLoad

        generator = GrpcLoad(scenario, recorder)
    load = asyncio.ensure_future(generator.run())
    stopped = asyncio.ensure_future(asyncio.to_thread(sys.stdin.read))
    await asyncio.wait({load, stopped}, return_when=asyncio.FIRST_COMPLETED)
    if load.done():
        await load
    load.cancel()
    if scenario.sequence_length:
        await generator.end_sequences(_LAST_REQUESTS_S)


def main() -> None:
    """Ends with status 1 and a line of JSON with "error" where there is no server."""
    scenario = Scenario.from_json(sys.stdin.readline())
    try:
        uvloop.run(_run(scenario))
    except OSError as error:
        print(json.dumps({"error": error.strerror or str(error)}), flush=True)
        raise SystemExit(1) from None


if __name__ == "__main__":
    main()
