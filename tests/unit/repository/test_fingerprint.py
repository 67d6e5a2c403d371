"""Whether a model directory changed."""

from __future__ import annotations

import os
from pathlib import Path

from naiad.repository.fingerprint import content_digest, fingerprint


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


def test_the_content_of_a_version_is_its_files_and_its_configuration(tmp_path: Path) -> None:
    def model(name: str) -> Path:
        directory = tmp_path / name
        for file in ("1/model.py", "1/more/weights", "2/model.py", "labels.txt", "config.pbtxt"):
            (directory / file).parent.mkdir(parents=True, exist_ok=True)
            (directory / file).write_text(file)
        return directory

    first, second = model("first"), model("second")
    digest = content_digest(first, 1, b"config")
    assert content_digest(second, 1, b"config") == digest
    (second / "2" / "model.py").write_text("another version is another matter")
    (second / "config.pbtxt").write_text("and so is how the configuration was written")
    (second / "1" / "__pycache__").mkdir()
    (second / "1" / "__pycache__" / "model.pyc").write_bytes(b"byte code")
    assert content_digest(second, 1, b"config") == digest
    assert content_digest(second, 1, b"other") != digest
    assert content_digest(second, 2, b"config") != digest
    for file in ("1/more/weights", "labels.txt"):
        changed = model(f"changed {file.replace('/', ' ')}")
        (changed / file).write_text("x")
        assert content_digest(changed, 1, b"config") != digest
    (first / "1" / "new").touch()
    assert content_digest(first, 1, b"config") != digest
