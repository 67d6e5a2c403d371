"""The text recogniser, run by onnxruntime as it lies in the repository."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from PIL import Image, ImageDraw, ImageFont

from naiad.fleet.ocr_rec import picture_tensor, read


@pytest.fixture(scope="module")
def session(fleet) -> onnxruntime.InferenceSession:
    return onnxruntime.InferenceSession(fleet[0] / "ocr_rec/1/model.onnx", providers=["CPUExecutionProvider"])


@pytest.fixture(scope="module")
def characters(fleet) -> list[str]:
    return (fleet[0] / "ocr_rec/charset.txt").read_text(encoding="utf-8").split("\n")


def drawn(text: str) -> BytesIO:
    """A picture of the text in Pillow's own font."""
    font = ImageFont.load_default(32)
    image = Image.new("RGB", (round(font.getlength(text)) + 32, 48), "white")
    ImageDraw.Draw(image).text((16, 4), text, "black", font)
    file = BytesIO()
    image.save(file, "PNG")
    file.seek(0)
    return file


def test_inputs_and_outputs_can_be_completed_from_the_file(session):
    (image,) = session.get_inputs()
    assert (image.name, image.type, image.shape) == ("image", "tensor(float)", ["batch", 3, 48, "width"])
    outputs = {value.name: (value.type, value.shape) for value in session.get_outputs()}
    assert outputs == {
        "character_ids": ("tensor(int64)", ["batch", "steps"]),
        "confidences": ("tensor(float)", ["batch", "steps"]),
    }


def test_the_known_picture_reads_as_it_should(session, characters, repository: Path):
    ids, confidences = session.run(None, {"image": picture_tensor(repository / "hello.png")})
    assert read(ids[0], characters) == "Hello Triton 2026"
    assert ids.shape == confidences.shape
    assert 0.9 < confidences.min() <= confidences.max() <= 1.00001


@pytest.mark.parametrize("text", ["Invoice 48151", "twenty-three", "book keeper"])
def test_other_pictures_read_as_they_should(session, characters, text: str):
    ids, _ = session.run(None, {"image": picture_tensor(drawn(text))})
    assert read(ids[0], characters) == text


def test_a_batch_gives_each_picture_what_it_gets_alone(session):
    pictures = [picture_tensor(drawn(text)) for text in ("abcd", "1234")]
    width = min(picture.shape[3] for picture in pictures)
    pictures = [picture[..., :width] for picture in pictures]
    together, _ = session.run(None, {"image": np.concatenate(pictures)})
    for row, picture in enumerate(pictures):
        (alone,) = session.run(["character_ids"], {"image": picture})
        assert together[row].tolist() == alone[0].tolist()


def test_reading_counts_repeats_once_and_drops_blanks():
    assert read(np.array([0, 1, 1, 0, 1, 2, 2, 0]), ["", "a", "b"]) == "aab"
    assert read(np.array([2, 2]), ["", "a", "b"]) == "b"
    assert read(np.array([0, 0]), ["", "a", "b"]) == ""


def test_every_class_has_a_character(characters):
    assert len(characters) == 18710
    assert characters[0] == ""
    assert characters[-1] == " "
    assert len(set(characters)) == len(characters)
