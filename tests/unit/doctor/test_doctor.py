"""What a machine has and lacks."""

from __future__ import annotations

import errno
import io
import socket
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from naiad.cli.doctor import show
from naiad.doctor.finding import Finding
from naiad.doctor.gpus import Gpus, check_gpus
from naiad.doctor.limits import Limits, check_limits, read_limits, size
from naiad.doctor.ports import check_ports, port_owners, try_port
from naiad.doctor.software import check_frameworks, check_software
from naiad.errors import Unsupported

GIB = 1 << 30
ROOMY = Limits(
    descriptors=None,
    locked_bytes=None,
    shm_bytes=8 * GIB,
    memory_bytes=16 * GIB,
    cgroup_memory_bytes=None,
    processors=8,
    cgroup_processors=None,
)


def by_name(findings: list[Finding]) -> dict[str, Finding]:
    return {finding.name: finding for finding in findings}


def states(findings: list[Finding]) -> set[str]:
    return {finding.state for finding in findings}


def test_a_roomy_machine_is_in_order() -> None:
    found = check_limits(ROOMY, gpu=True)
    assert states(found) == {"ok"} and not any(one.mend for one in found)


@pytest.mark.parametrize(
    ("limits", "name", "mend"),
    [
        (replace(ROOMY, descriptors=1024), "file descriptors", "ulimit -Hn 31024"),
        (replace(ROOMY, locked_bytes=64 << 10), "memlock", "ulimit -l unlimited"),
        (replace(ROOMY, shm_bytes=64 << 20), "/dev/shm", "--shm-size"),
        (replace(ROOMY, shm_bytes=None), "/dev/shm", "mount -t tmpfs"),
        (replace(ROOMY, cgroup_memory_bytes=512 << 20), "memory", "--memory="),
        (replace(ROOMY, cgroup_processors=2.5), "processors", "intra_op_thread_count=2"),
    ],
)
def test_what_is_tight_has_a_line_that_mends_it(limits: Limits, name: str, mend: str) -> None:
    found = by_name(check_limits(limits, gpu=True))
    assert found[name].state == "warning" and mend in found[name].mend
    assert {one.name for one in found.values() if one.state != "ok"} == {name}


def test_locked_memory_counts_with_a_gpu_only() -> None:
    found = by_name(check_limits(replace(ROOMY, locked_bytes=64 << 10), gpu=False))
    assert found["memlock"].state == "ok"


def test_control_groups_are_read(tmp_path: Path) -> None:
    (tmp_path / "memory.max").write_text("1073741824\n")
    (tmp_path / "cpu.max").write_text("150000 100000\n")
    limits = read_limits(tmp_path, tmp_path / "none")
    assert (limits.cgroup_memory_bytes, limits.cgroup_processors) == (GIB, 1.5)
    assert limits.shm_bytes is None
    (tmp_path / "memory.max").write_text("max\n")
    (tmp_path / "cpu.max").write_text("max 100000\n")
    limits = read_limits(tmp_path)
    assert (limits.cgroup_memory_bytes, limits.cgroup_processors) == (None, None)


def test_a_port_in_use_names_who_has_it() -> None:
    with socket.socket() as listener:
        listener.bind(("0.0.0.0", 0))
        listener.listen(1)
        port = listener.getsockname()[1]
        error = try_port(port)
        assert error is not None and error.errno == errno.EADDRINUSE
        assert any("process" in owner for owner in port_owners(port))
    assert try_port(port) is None


def test_ports() -> None:
    errors = {1: None, 2: OSError(errno.EADDRINUSE, "in use"), 3: OSError(errno.EACCES, "denied")}
    found = check_ports(
        {"--http-port": 1, "--grpc-port": 2, "--metrics-port": 3},
        errors.__getitem__,
        lambda port: iter(["nginx, process 7"]),
    )
    assert [one.state for one in found] == ["ok", "warning", "problem"]
    assert "nginx, process 7" in found[1].what and "--grpc-port=12" in found[1].mend


def test_frameworks() -> None:
    installed = {"onnxruntime": "1.32.0", "torch": "2.13.0+cpu", "openvino": "1"}
    found = by_name(
        check_frameworks(
            gpu=True,
            version=installed.get,
            providers=lambda: ["CPUExecutionProvider"],
            extras=["torch", "vllm"],
        )
    )
    assert found["onnxruntime"].state == "warning" and "naiad[gpu]" in found["onnxruntime"].mend
    assert found["torch"].state == "warning" and "without CUDA" in found["torch"].what
    assert found["openvino"].state == "ok"
    assert found["vllm"].mend == "pip install 'naiad[vllm]'"
    assert found["tensorrt"].mend == "pip install 'tensorrt'"


def test_a_server_without_onnxruntime_is_a_problem() -> None:
    def broken() -> list[str]:
        raise Unsupported("does not load")

    (missing, *_) = check_frameworks(gpu=False, version=lambda name: None, extras=[])
    assert (missing.state, missing.mend) == ("problem", "pip install onnxruntime")
    (bad, *_) = check_frameworks(gpu=False, version={"onnxruntime": "1"}.get, providers=broken, extras=[])
    assert bad.state == "problem"


def test_software_of_this_process() -> None:
    found = by_name(check_software())
    assert found["python"].state == found["numpy"].state == "ok"


def test_gpus() -> None:
    (none,) = check_gpus(Gpus(error="no library"))
    assert none.state == "absent"
    (silent,) = check_gpus(Gpus(error="no library", device_files=True))
    assert silent.state == "problem" and "docker run --gpus all" in silent.mend
    there = Gpus("550.1", "12.4", (("H100", 80 * GIB),), device_files=True)
    assert states(check_gpus(there, lambda: (1, ""))) == {"ok"}
    assert check_gpus(there, lambda: (0, "built without CUDA"))[-1].state == "warning"


def test_sizes() -> None:
    assert [size(n) for n in (5, 1536, 8 << 20, 24 * GIB)] == ["5 B", "1.5 KiB", "8 MiB", "24 GiB"]


@pytest.mark.parametrize(
    ("of", "last"),
    [
        ("ok", "Ready to serve"),
        ("warning", "Ready to serve, with 1 warning"),
        ("problem", "1 problem: the lines with > mend them"),
    ],
)
def test_what_is_shown_ends_with_how_it_is(of: str, last: str) -> None:
    text = io.StringIO()
    finding = Finding("Limits", "x[y]", of, "what " * 40, "run [this]")  # type: ignore[arg-type]
    show(Console(file=text, width=60), [finding])
    lines = text.getvalue().splitlines()
    assert lines[-1] == last
    assert any(line.endswith("> run [this]") for line in lines)
