"""The voice activity detector with its states outside."""

from __future__ import annotations

import numpy as np
import pytest

from naiad.errors import Internal
from naiad.fleet import vad


def test_what_was_before_counts() -> None:
    model = vad.build().files["1/model.onnx"]
    sound = vad.known_sound()
    together = vad.speech_of(model, sound)
    apart = np.concatenate([vad.speech_of(model, piece[None]) for piece in sound])
    assert together[8] > 0.9
    assert np.abs(together - apart)[1:].min() > 1e-4


def test_an_altered_network_does_not_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vad, "KNOWN_SPEECH", (0.5, *vad.KNOWN_SPEECH[1:]))
    with pytest.raises(Internal, match="vad: of the known sound the network says 0.0017, 0.0069"):
        vad.build()
