"""Builds ``tokenizer``: the WordPiece tokenizer of all-MiniLM-L6-v2 behind a model written in Python."""

from __future__ import annotations

from pathlib import Path

from tokenizers import Tokenizer

from naiad.errors import Internal
from naiad.fleet.fleet_model import BuiltModel
from naiad.fleet.source import MINILM

# [CLS] hello tri ##ton [SEP]
KNOWN_TEXT = "Hello Triton"
KNOWN_IDS = [101, 7592, 13012, 2669, 102]

ROOM = Path(__file__).parent


def build() -> BuiltModel:
    """Copies the tokenizer and its model file, and checks the ids of a known text."""
    content = tokenizer_json()
    ids = load_tokenizer(content).encode(KNOWN_TEXT).ids
    if ids != KNOWN_IDS:
        raise Internal(f"tokenizer: {KNOWN_TEXT!r} gave the ids {ids}, expected {KNOWN_IDS}")
    return BuiltModel(
        name="tokenizer",
        backend="python",
        source=f"{MINILM.distribution} {MINILM.version()}",
        licence=MINILM.licence,
        checked=f"{KNOWN_TEXT!r} gives the ids {KNOWN_IDS}",
        summary="Text (`TEXT`, a string a row) to `input_ids` and `attention_mask` for `minilm`. "
        "A Python model: `1/model.py` uses `triton_python_backend_utils`, as any Triton Python model does.",
        files={
            "config.pbtxt": (ROOM / "tokenizer.config.pbtxt").read_bytes(),
            "1/model.py": (ROOM / "tokenizer_model.py").read_bytes(),
            "1/tokenizer.json": content,
        },
    )


def tokenizer_json() -> bytes:
    """The file of MiniLM's tokenizer."""
    return MINILM.file("model/tokenizer.json").read_bytes()


def load_tokenizer(content: bytes) -> Tokenizer:
    """The tokenizer, cutting at 256 tokens and padding a batch to its longest text."""
    tokenizer = Tokenizer.from_buffer(content)
    tokenizer.enable_truncation(256)
    tokenizer.enable_padding()
    return tokenizer
