"""Ports that others can reach although nobody has to say who he is."""

from __future__ import annotations

import ipaddress

from naiad.logs import log
from naiad.settings import ServerSettings


def warn_of_open_ports(settings: ServerSettings) -> None:
    """Says in the log which ports other machines can reach, where no API keys are needed."""
    if settings.access.needs_keys:
        return
    ports = {
        "HTTP": settings.http.address if settings.http.enabled else None,
        "gRPC": settings.grpc.address if settings.grpc.enabled else None,
        "OpenAI": settings.openai.address if settings.openai.port is not None else None,
        "metrics": settings.metrics.address if settings.metrics.enabled else None,
    }
    wide = [name for name, address in ports.items() if address is not None and not is_loopback(address)]
    if wide:
        log.warning(
            "%s can be reached from other machines, and no API keys are needed (--api-keys-file)",
            ", ".join(wide),
        )


def is_loopback(address: str) -> bool:
    """Whether only this machine reaches a port that listens there."""
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return address == "localhost"
