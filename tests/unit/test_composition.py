"""What is taken of the machine's memory."""

from __future__ import annotations

from pathlib import Path

import psutil
import pytest

from naiad import composition
from naiad.composition import memory_share_bytes
from naiad.errors import InvalidArgument


def test_a_quarter_of_what_the_process_may_use(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    limit = tmp_path / "memory.max"
    monkeypatch.setattr(composition, "_CGROUP_LIMIT", limit)
    monkeypatch.setattr(
        composition.resource, "getrlimit", lambda which: (composition.resource.RLIM_INFINITY,) * 2
    )
    whole = psutil.virtual_memory().total
    assert memory_share_bytes() == whole // 4
    for text, expected in (("max\n", whole // 4), ("1073741824\n", 1 << 28)):
        limit.write_text(text)
        assert memory_share_bytes() == expected
    monkeypatch.setattr(composition.resource, "getrlimit", lambda which: (1 << 29, 1 << 29))
    assert memory_share_bytes() == 1 << 27


def test_pool_sizes_of_gpus_are_for_those_that_are_there(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(composition, "gpu_count", lambda: 2)
    assert composition._of_gpus_there({0: 1, 1: 0}) == {0: 1, 1: 0}
    with pytest.raises(InvalidArgument, match="names GPU 2, and there are 2, counted from 0"):
        composition._of_gpus_there({2: 1})
    monkeypatch.setattr(composition, "gpu_count", lambda: 0)
    monkeypatch.setattr(composition, "gpu_absence", lambda: "none is there")
    with caplog.at_level("WARNING", "naiad"):
        assert composition._of_gpus_there({2: 1}) == {}
    assert "has no effect, the core has no GPU here: none is there" in caplog.text
