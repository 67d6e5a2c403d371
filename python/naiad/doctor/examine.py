"""All that is looked at. The file to read first in this room."""

from __future__ import annotations

from collections.abc import Mapping

from naiad.doctor.finding import Finding
from naiad.doctor.gpus import check_gpus, read_gpus
from naiad.doctor.limits import check_limits, read_limits
from naiad.doctor.ports import check_ports
from naiad.doctor.software import check_frameworks, check_software


def examine(ports: Mapping[str, int]) -> list[Finding]:
    """``ports``: by the flag that sets each. Takes a second; changes nothing."""
    gpus = read_gpus()
    has_gpu = bool(gpus.devices)
    return [
        *check_software(),
        *check_gpus(gpus),
        *check_frameworks(gpu=has_gpu),
        *check_limits(read_limits(), gpu=has_gpu),
        *check_ports(ports),
    ]
