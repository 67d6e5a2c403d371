"""The metrics of the I/O threads: connections and what is under way on them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

from grpc import StatusCode
from prometheus_client import Metric
from prometheus_client.registry import Collector

from naiad.metrics.families import add, counter, gauge

_GRPC_NAMES = {code.value[0]: code.name for code in StatusCode}


class ConnectionCollector(Collector):
    """Readings of the data plane."""

    def __init__(self, usage: Callable[[], Mapping[str, int]]) -> None:
        self._usage = usage

    def collect(self) -> Iterator[Metric]:
        """One reading."""
        usage = self._usage()
        families = (
            (gauge, "open_connections", "Open connections of HTTP and gRPC"),
            (gauge, "in_flight", "Inference requests that were taken and not answered yet"),
            (gauge, "in_flight_bytes", "Bytes of requests that are under way"),
            (counter, "accepted_connections", "Connections that were accepted"),
            (counter, "refused_connections", "Connections that were refused because too many were open"),
            (counter, "failed_handshakes", "Connections that ended because their TLS handshake failed"),
        )
        for make, key, words in families:
            name = "naiad_in_flight_requests" if key == "in_flight" else f"naiad_{key}"
            family = make(name, words)
            add(family, {}, usage[key])
            yield family


class AnswerCollector(Collector):
    """How requests were answered, by what they asked for and their status."""

    def __init__(self, answered: Callable[[], Mapping[str, Sequence[tuple[str, int, int]]]]) -> None:
        self._answered = answered

    def collect(self) -> Iterator[Metric]:
        """One reading."""
        answered = self._answered()
        http = counter(
            "naiad_http_requests", "HTTP requests that were answered; 499: the client did not wait"
        )
        for group, status, count in answered["http"]:
            add(http, {"group": group, "code": str(status)}, count)
        yield http
        grpc = counter("naiad_grpc_calls", "gRPC calls that have ended")
        for group, status, count in answered["grpc"]:
            add(grpc, {"group": group, "code": _GRPC_NAMES[status]}, count)
        yield grpc
