"""Whether ports are free, and who has those that are not."""

from __future__ import annotations

import errno
import socket
from collections.abc import Callable, Iterator, Mapping

import psutil

from naiad.doctor.finding import Finding

GROUP = "Ports"


def port_owners(port: int) -> Iterator[str]:
    """``name, process 12`` of the processes that listen on a TCP port, as far as they may be looked at."""
    try:
        connections = psutil.net_connections("tcp")
    except (psutil.Error, OSError):
        return
    for connection in connections:
        listens = connection.status == psutil.CONN_LISTEN
        if listens and getattr(connection.laddr, "port", 0) == port and connection.pid:
            try:
                yield f"{psutil.Process(connection.pid).name()}, process {connection.pid}"
            except psutil.Error:
                continue


def try_port(port: int) -> OSError | None:
    """Why nobody can listen on it, on any address; None: it is free."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(("0.0.0.0", port))
            listener.listen(1)
        except OSError as error:
            return error
    return None


def check_ports(
    ports: Mapping[str, int],
    try_one: Callable[[int], OSError | None] = try_port,
    owners: Callable[[int], Iterator[str]] = port_owners,
) -> list[Finding]:
    """``ports``: by the flag that sets each."""
    found = []
    for flag, port in ports.items():
        error = try_one(port)
        if error is None:
            found.append(Finding(GROUP, f"{port}", "ok", f"free ({flag})"))
        elif error.errno == errno.EADDRINUSE:
            owner = next(owners(port), "")
            found.append(
                Finding(
                    GROUP,
                    f"{port}",
                    "warning",
                    f"in use{f' ({owner})' if owner else ''}",
                    f"end what listens there, or naiad serve {flag}={port + 10}",
                )
            )
        else:
            mend = f"naiad serve {flag}={port + 8000}"
            found.append(Finding(GROUP, f"{port}", "problem", f"not to be had: {error.strerror}", mend))
    return found
