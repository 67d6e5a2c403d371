"""Builds ``vad``: Silero VAD as a sequence. A client sends a sound in pieces; what came before is a state."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

from naiad.errors import Internal
from naiad.fleet.fleet_model import BuiltModel
from naiad.fleet.source import SILERO_VAD

WEIGHTS = "data/silero_vad_16k_op15.onnx"
RATE = 16000
PIECE = 512
"""Samples in a request: 32 ms."""
CONTEXT = 64
"""Samples of the piece before that the network sees in front of each piece."""
STATE = 128

# By the TorchScript of the same package with torch 2.13.0, for the pieces of ``known_sound``.
KNOWN_SPEECH = (
    0.0017, 0.0069, 0.0089, 0.9088, 0.9806, 0.9952, 0.9939, 0.9910, 0.9877, 0.0331, 0.0108, 0.0125,
)  # fmt: skip
TOLERANCE = 1e-3

Array = npt.NDArray[np.float32]


def build() -> BuiltModel:
    """Gives the network states with the batch in front, and checks what it says of a known sound."""
    model = _with_states(onnx.load(SILERO_VAD.file(WEIGHTS))).SerializeToString()
    told = speech_of(model, known_sound())
    if np.abs(told - np.array(KNOWN_SPEECH)).max() > TOLERANCE:
        shown = ", ".join(f"{each:.4f}" for each in told)
        raise Internal(f"vad: of the known sound the network says {shown}")
    return BuiltModel(
        name="vad",
        backend="onnxruntime",
        source=f"{SILERO_VAD.distribution} {SILERO_VAD.version()}",
        licence=SILERO_VAD.licence,
        checked=f"silence is no speech ({told[2]:.2f}), a sung vowel is ({told[8]:.2f})",
        summary="Voice activity: Silero VAD for 16 kHz, as a sequence. `audio` (FP32 [512], from -1 to 1, "
        "the next 32 ms) in, `speech` (how sure the network is that somebody speaks, from 0 to 1) out. Each "
        "sound is a sequence of its own; the server keeps the state of the network and the end of the piece "
        "before.",
        files={
            "config.pbtxt": Path(__file__).with_name("vad.config.pbtxt").read_bytes(),
            "1/model.onnx": model,
        },
    )


def known_sound() -> Array:
    """FP32 [pieces, 512]: silence, a vowel at 150 Hz, silence."""
    seconds = np.arange(6 * PIECE) / RATE
    vowel = np.zeros_like(seconds)
    for k in range(1, 30):
        # How strong a harmonic is depends on how near it is to a formant of the vowel.
        near = sum(1 / (1 + ((150 * k - formant) / 90) ** 2) for formant in (300, 2200, 3000))
        vowel += near * np.sin(2 * np.pi * 150 * k * seconds)
    silence = np.zeros(3 * PIECE)
    sound = np.concatenate([silence, 0.3 * vowel / np.abs(vowel).max(), silence])
    return sound.astype(np.float32).reshape(-1, PIECE)


def speech_of(model: bytes, pieces: Array) -> Array:
    """What the built model says of each piece of one sound, on the CPU."""
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    context, state = np.zeros((1, CONTEXT), np.float32), np.zeros((1, 2, STATE), np.float32)
    told = []
    for piece in pieces:
        feed = {"audio": piece[None], "context": context, "memory": state}
        speech, context, state = session.run(["speech", "next_context", "next_memory"], feed)
        told.append(float(speech[0, 0]))
    return np.array(told, np.float32)


def _with_states(network: onnx.ModelProto) -> onnx.ModelProto:
    """The same network between inputs and outputs whose first size is the batch.

    Its own input is the context and the piece in one, its own state has the batch in the middle.
    """
    graph = network.graph

    def tensor(name: str, *sizes: int) -> Any:
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", *sizes])

    def constant(name: str, *values: int) -> Any:
        return numpy_helper.from_array(np.array(values, np.int64), name)

    rate = numpy_helper.from_array(np.array(RATE, np.int64), "sr")
    graph.initializer.extend(
        [rate, constant("from", PIECE - CONTEXT), constant("to", PIECE), constant("axis", 1)]
    )
    nodes: list[Any] = [
        helper.make_node("Concat", ["context", "audio"], ["input"], axis=1),
        helper.make_node("Transpose", ["memory"], ["state"], perm=[1, 0, 2]),
        *graph.node,
        helper.make_node("Transpose", ["stateN"], ["next_memory"], perm=[1, 0, 2]),
        helper.make_node("Slice", ["audio", "from", "to", "axis"], ["next_context"]),
        helper.make_node("Identity", ["output"], ["speech"]),
    ]
    states = [(CONTEXT,), (2, STATE)]
    inputs = [tensor("audio", PIECE), tensor("context", *states[0]), tensor("memory", *states[1])]
    outputs = [tensor("speech", 1), tensor("next_context", *states[0]), tensor("next_memory", *states[1])]
    fields: list[tuple[Any, list[Any]]] = [
        (graph.node, nodes),
        (graph.input, inputs),
        (graph.output, outputs),
    ]
    for field, values in fields:
        del field[:]
        field.extend(values)
    onnx.checker.check_model(network)
    return network
