"""Whether a model directory changed."""

from __future__ import annotations

import os
from pathlib import Path

from naiad.repository.fingerprint import fingerprint


def test_contents_and_configuration_count(tmp_path: Path) -> None:
    file = tmp_path / "1" / "model.py"
    file.parent.mkdir()
    file.write_text("a")
    before = fingerprint(tmp_path, None)
    assert fingerprint(tmp_path, None) == before
    assert fingerprint(tmp_path, "{}") != before
    os.utime(file, ns=(1, 1))
    touched = fingerprint(tmp_path, None)
    assert touched != before
    file.with_name("new").write_text("")
    assert fingerprint(tmp_path, None) != touched


def test_byte_code_and_broken_links_do_not_count(tmp_path: Path) -> None:
    before = fingerprint(tmp_path, None)
    (tmp_path / "__pycache__").mkdir()
    (tmp_path / "__pycache__" / "model.pyc").write_text("x")
    (tmp_path / "link").symlink_to(tmp_path / "absent")
    assert fingerprint(tmp_path, None) == before
