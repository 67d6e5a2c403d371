"""Label files."""

from __future__ import annotations

from pathlib import Path

import pytest

from naiad.config import ModelConfig, parse_pbtxt
from naiad.errors import InvalidArgument
from naiad.repository.labels import read_labels
from naiad.repository.scan import read_model


def labels(root: Path, filename: str) -> dict[str, tuple[str, ...]]:
    text = f'output [ {{ name: "y" label_filename: "{filename}" }}, {{ name: "z" }} ]'
    return read_labels(read_model(root, "m"), ModelConfig.of(parse_pbtxt(text)))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("cat\ndog\n", ("cat", "dog")),
        ("cat\ndog", ("cat", "dog")),
        ("cat\n\nbird\n", ("cat", "", "bird")),
        ("a cat\nein Käfer\n", ("a cat", "ein Käfer")),
        ("cat\r\ndog\r\n", ("cat", "dog")),
        ("", ()),
    ],
)
def test_line_i_is_class_i(tmp_path: Path, text: str, expected: tuple[str, ...]) -> None:
    (tmp_path / "m").mkdir()
    (tmp_path / "m" / "labels.txt").write_bytes(text.encode())
    assert labels(tmp_path, "labels.txt") == {"y": expected}


def test_what_can_not_be_read_is_an_error_without_a_path(tmp_path: Path) -> None:
    (tmp_path / "m").mkdir()
    (tmp_path / "secret").write_text("x")
    (tmp_path / "m" / "binary").write_bytes(b"\xff\xfe")
    with pytest.raises(
        InvalidArgument, match="^label file 'none' of model 'm' can not be read: No such file"
    ):
        labels(tmp_path, "none")
    with pytest.raises(InvalidArgument, match="^label file 'binary' of model 'm' is not UTF-8$"):
        labels(tmp_path, "binary")
    with pytest.raises(InvalidArgument, match="outside of the model directory"):
        labels(tmp_path, "../secret")
