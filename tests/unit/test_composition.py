"""What is taken of the machine's memory."""

from __future__ import annotations

from pathlib import Path

import psutil
import pytest

from naiad import composition
from naiad.composition import memory_share_bytes


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
