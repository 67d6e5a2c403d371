"""The gRPC port against clients that say far too much of what is allowed: they are cut off, or refused call
by call; neither memory nor descriptors grow, and others are served meanwhile.
"""

from __future__ import annotations

import psutil
import pytest

from .conftest import ServerProcess, until
from .wire import floods
from .wire.client import check_served, connected
from .wire.floods import Flood

MAX_GROWTH_BYTES = 64 << 20
"""Of the server, while one client floods it; without bounds each would take a multiple."""


@pytest.mark.parametrize("flood", [*floods.ENDED, *floods.BOUNDED], ids=lambda flood: flood.what)
def test_flood(server: ServerProcess, flood: Flood) -> None:
    check_served(server.grpc)
    process = psutil.Process(server.process.pid)
    memory, files = process.memory_info().rss, process.num_fds()
    with connected(server.grpc) as client:
        client.start()
        floods.send(client, flood)
        check_served(server.grpc)
        client.until(lambda: any(each.verdict(client.seen) is not None for each in flood.allowed))
        seen = client.seen
        assert any(each.verdict(seen) for each in flood.allowed), seen
        assert process.memory_info().rss <= memory + MAX_GROWTH_BYTES
    check_served(server.grpc)
    until(lambda: process.num_fds() <= files + 1, "its descriptors are closed")
