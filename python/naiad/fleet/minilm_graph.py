"""The sentence-embedding model: all-MiniLM-L6-v2 as one ONNX graph, exported from its weights without torch.

The network is BERT with 6 layers (Devlin et al. 2018, arXiv:1810.04805), then mean pooling over the tokens
that the mask keeps and L2 normalisation, as in the model's own ``modules.json``. The graph is written node by
node with the ``onnx`` package from the safetensors file, so an export takes a second and needs no
deep-learning framework; a test holds it against the torch model (largest difference 1e-5).

Two rewrites keep the result and save work: query, key and value are one product (their weights stand side by
side), and the token type, always 0 for a single sentence, is added to the position table once, here.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper
from safetensors.numpy import load_file

from naiad.errors import Unsupported

OPSET = 20  # the first with Gelu; every onnxruntime since 1.17 runs it
IR_VERSION = 9  # the one that belongs to opset 20
EXPECTED_CONFIG = {"model_type": "bert", "hidden_act": "gelu", "position_embedding_type": "absolute"}

Array = npt.NDArray[Any]


class GraphWriter:
    """Collects the nodes and weights of a graph; every method returns the name of the tensor that it adds."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.weights: list[onnx.TensorProto] = []

    def weight(self, name: str, value: Array) -> str:
        """Adds a constant tensor."""
        self.weights.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    def node(self, op: str, inputs: list[str], output: str, **attributes: Any) -> str:
        """Adds one operator with one output; its name is the output's."""
        self.nodes.append(helper.make_node(op, inputs, [output], name=output, **attributes))
        return output

    def linear(self, x: str, name: str, weight: Array, bias: Array) -> str:
        """``x @ weight.T + bias`` (weight as torch keeps it: [out, in])."""
        product = self.node("MatMul", [x, self.weight(f"{name}.weight", weight.T)], f"{name}.product")
        return self.node("Add", [product, self.weight(f"{name}.bias", bias)], name)

    def layer_norm(self, x: str, name: str, weight: Array, bias: Array, epsilon: float) -> str:
        """Layer normalisation over the last axis."""
        inputs = [x, self.weight(f"{name}.weight", weight), self.weight(f"{name}.bias", bias)]
        return self.node("LayerNormalization", inputs, name, axis=-1, epsilon=epsilon)


def export_minilm(model_directory: Path, *, tokens: bool = False) -> bytes:
    """Returns the serialised ONNX model made from that directory's ``model.safetensors`` and ``config.json``.

    Inputs ``input_ids`` and ``attention_mask``: INT64 [batch, sequence], sequence at most 512. Output
    ``sentence_embedding``: FP32 [batch, 384], of length 1; or, with ``tokens``, ``token_embeddings``: FP32
    [batch, sequence, 384], the state of each token brought to length 1, zeros for padding. Raises Unsupported
    when the directory holds another architecture.
    """
    config = json.loads((model_directory / "config.json").read_text(encoding="utf-8"))
    for key, expected in EXPECTED_CONFIG.items():
        if config.get(key) != expected:
            raise Unsupported(
                f"the model's config.json has {key} = {config.get(key)!r}; expected {expected!r}"
            )
    weights = load_file(model_directory / "model.safetensors")
    graph = GraphWriter()
    x = _embed(graph, weights, config)
    mask = _additive_mask(graph)
    for index in range(config["num_hidden_layers"]):
        x = _layer(graph, weights, config, index, x, mask)
    size = config["hidden_size"]
    if tokens:
        _token_states(graph, x)
        return _serialise(graph, "token_embeddings", ["batch", "sequence", size])
    _pool(graph, x)
    return _serialise(graph, "sentence_embedding", ["batch", size])


def _embed(graph: GraphWriter, weights: Mapping[str, Array], config: dict[str, Any]) -> str:
    table = "embeddings."
    position = (
        weights[f"{table}position_embeddings.weight"] + weights[f"{table}token_type_embeddings.weight"][0]
    )
    words = graph.node(
        "Gather",
        [graph.weight("words.table", weights[f"{table}word_embeddings.weight"]), "input_ids"],
        "words",
    )
    ids_shape = graph.node("Shape", ["input_ids"], "ids_shape")
    length = graph.node("Gather", [ids_shape, graph.weight("axis_1", np.array([1], np.int64))], "length")
    start = graph.weight("position.start", np.array([0], np.int64))
    positions = graph.node("Slice", [graph.weight("position.table", position), start, length], "positions")
    summed = graph.node("Add", [words, positions], "embedded")
    scale, shift = weights[f"{table}LayerNorm.weight"], weights[f"{table}LayerNorm.bias"]
    return graph.layer_norm(summed, "embedding", scale, shift, config["layer_norm_eps"])


def _additive_mask(graph: GraphWriter) -> str:
    """[batch, 1, 1, sequence]: 0 where a token counts, the lowest float where it is padding."""
    kept = graph.node("Cast", ["attention_mask"], "kept", to=TensorProto.FLOAT)
    one = graph.weight("one", np.array(1, np.float32))
    padding = graph.node("Sub", [one, kept], "padding")
    lowest = graph.weight("lowest", np.array(np.finfo(np.float32).min, np.float32))
    scaled = graph.node("Mul", [padding, lowest], "padding_scaled")
    return graph.node("Unsqueeze", [scaled, graph.weight("axes_1_2", np.array([1, 2], np.int64))], "mask")


def _layer(
    graph: GraphWriter, weights: Mapping[str, Array], config: dict[str, Any], index: int, x: str, mask: str
) -> str:
    source, name, epsilon = f"encoder.layer.{index}.", f"layer{index}", config["layer_norm_eps"]

    def of(part: str, kind: str) -> Array:
        return weights[f"{source}{part}.{kind}"]

    attended = _attention(graph, of, config, name, x, mask)
    output = "attention.output."
    mixed = graph.linear(
        attended, f"{name}.mixed", of(f"{output}dense", "weight"), of(f"{output}dense", "bias")
    )
    summed = graph.node("Add", [mixed, x], f"{name}.attention_sum")
    scale, shift = of(f"{output}LayerNorm", "weight"), of(f"{output}LayerNorm", "bias")
    middle = graph.layer_norm(summed, f"{name}.attention", scale, shift, epsilon)

    wide = graph.linear(
        middle, f"{name}.wide", of("intermediate.dense", "weight"), of("intermediate.dense", "bias")
    )
    active = graph.node("Gelu", [wide], f"{name}.active")
    narrow = graph.linear(active, f"{name}.narrow", of("output.dense", "weight"), of("output.dense", "bias"))
    summed = graph.node("Add", [narrow, middle], f"{name}.sum")
    scale, shift = of("output.LayerNorm", "weight"), of("output.LayerNorm", "bias")
    return graph.layer_norm(summed, f"{name}.out", scale, shift, epsilon)


def _attention(graph: GraphWriter, of: Any, config: dict[str, Any], name: str, x: str, mask: str) -> str:
    heads, hidden = config["num_attention_heads"], config["hidden_size"]
    size = hidden // heads
    parts = [f"attention.self.{part}" for part in ("query", "key", "value")]
    weight = np.concatenate([of(part, "weight") for part in parts])
    bias = np.concatenate([of(part, "bias") for part in parts])
    # The scores' 1/sqrt(size) goes into the query's own weights.
    weight[:hidden] /= np.float32(math.sqrt(size))
    bias[:hidden] /= np.float32(math.sqrt(size))
    joined = graph.linear(x, f"{name}.qkv", weight, bias)
    thirds = [f"{name}.{part}" for part in ("q", "k", "v")]
    graph.nodes.append(
        helper.make_node("Split", [joined], thirds, name=f"{name}.split", axis=-1, num_outputs=3)
    )
    by_head = graph.weight(f"{name}.by_head", np.array([0, 0, heads, size], np.int64))
    split = [graph.node("Reshape", [third, by_head], f"{third}.heads") for third in thirds]
    q = graph.node("Transpose", [split[0]], f"{name}.q.first", perm=[0, 2, 1, 3])
    k = graph.node("Transpose", [split[1]], f"{name}.k.first", perm=[0, 2, 3, 1])
    v = graph.node("Transpose", [split[2]], f"{name}.v.first", perm=[0, 2, 1, 3])
    scores = graph.node("MatMul", [q, k], f"{name}.scores")
    masked = graph.node("Add", [scores, mask], f"{name}.scores_masked")
    shares = graph.node("Softmax", [masked], f"{name}.shares", axis=-1)
    heads_out = graph.node("MatMul", [shares, v], f"{name}.context")
    back = graph.node("Transpose", [heads_out], f"{name}.context.last", perm=[0, 2, 1, 3])
    whole = graph.weight(f"{name}.whole", np.array([0, 0, hidden], np.int64))
    return graph.node("Reshape", [back, whole], f"{name}.context.joined")


def _pool(graph: GraphWriter, x: str) -> None:
    """Mean over the tokens that the mask keeps, then length 1."""
    last = graph.weight("axis_last", np.array([-1], np.int64))
    middle = graph.weight("axis_tokens", np.array([1], np.int64))
    column = graph.node("Unsqueeze", ["kept", last], "kept_column")
    total = graph.node(
        "ReduceSum", [graph.node("Mul", [x, column], "kept_states"), middle], "total", keepdims=0
    )
    count = graph.node("ReduceSum", ["kept", middle], "count", keepdims=1)
    floor = graph.weight("count_floor", np.array(1e-9, np.float32))
    mean = graph.node("Div", [total, graph.node("Max", [count, floor], "count_or_floor")], "mean")
    _unit_length(graph, mean, last, "sentence_embedding")


def _token_states(graph: GraphWriter, x: str) -> None:
    """The last states of the tokens that the mask keeps, each of length 1."""
    last = graph.weight("axis_last", np.array([-1], np.int64))
    column = graph.node("Unsqueeze", ["kept", last], "kept_column")
    _unit_length(graph, graph.node("Mul", [x, column], "kept_states"), last, "token_embeddings")


def _unit_length(graph: GraphWriter, x: str, axis: str, output: str) -> None:
    norm = graph.node("ReduceL2", [x, axis], "norm", keepdims=1)
    norm_floor = graph.weight("norm_floor", np.array(1e-12, np.float32))
    graph.node("Div", [x, graph.node("Max", [norm, norm_floor], "norm_or_floor")], output)


def _serialise(graph: GraphWriter, output: str, shape: list[str | int]) -> bytes:
    def tensor(name: str, kind: int, shape: list[str | int]) -> onnx.ValueInfoProto:
        return helper.make_tensor_value_info(name, kind, shape)

    inputs = [
        tensor(name, TensorProto.INT64, ["batch", "sequence"]) for name in ("input_ids", "attention_mask")
    ]
    outputs = [tensor(output, TensorProto.FLOAT, shape)]
    model = helper.make_model(
        helper.make_graph(graph.nodes, "all-MiniLM-L6-v2", inputs, outputs, initializer=graph.weights),
        producer_name="naiad fleet build",
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
    )
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())
