"""LoRA adapters on a real engine."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from ..integration.conftest import ServerProcess, Start, exchange
from .conftest import LOADS_IN_S, started_alone, write_llm
from .engine_requests import GREEDY, PROMPT, generate

pytestmark = pytest.mark.timeout(2 * LOADS_IN_S)

RANK = 8


def write_adapter(folder: Path, model: Path, scale: float) -> None:
    """Of the queries of all layers: random ones in the form of PEFT, times ``scale``."""
    config = json.loads((model / "config.json").read_text())
    width = config["hidden_size"]
    queries = config["num_attention_heads"] * config["head_dim"]
    rng = np.random.default_rng(3)
    tensors = {}
    for layer in range(config["num_hidden_layers"]):
        name = f"base_model.model.model.layers.{layer}.self_attn.q_proj"
        tensors[f"{name}.lora_A.weight"] = rng.normal(size=(RANK, width)).astype(np.float32)
        tensors[f"{name}.lora_B.weight"] = scale * rng.normal(size=(queries, RANK)).astype(np.float32)
    folder.mkdir()
    save_file(tensors, folder / "adapter_model.safetensors")
    told = {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "r": RANK,
        "lora_alpha": RANK,
        "bias": "none",
        "target_modules": ["q_proj"],
    }
    (folder / "adapter_config.json").write_text(json.dumps(told))


@pytest.fixture(scope="module")
def server(
    start_server: Start, llm_home: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ServerProcess]:
    root = tmp_path_factory.mktemp("adapters")
    version = write_llm(
        root / "models",
        llm_home,
        max_model_len=256,
        kv_cache_memory_bytes=1 << 28,
        enable_lora=True,
        max_lora_rank=RANK,
        max_loras=2,
    )
    places = {}
    for name, scale in {"nothing": 0.0, "strong": 0.1}.items():
        write_adapter(root / name, llm_home / "model", scale)
        places[name] = str(root / name)
    (version / "multi_lora.json").write_text(json.dumps(places))
    with started_alone(start_server, root / "models") as server:
        yield server


def say(server: ServerProcess, adapter: str | None) -> str:
    more = {} if adapter is None else {"lora_name": adapter}
    answer = generate(server, PROMPT, sampling_parameters=json.dumps(GREEDY | more))
    return str(answer["text_output"])


def test_a_request_chooses_its_adapter(server: ServerProcess) -> None:
    plain = say(server, None)
    assert "Paris" in plain
    assert say(server, "nothing") == plain  # zeros change nothing
    assert say(server, "strong") != plain


def test_adapters_beside_each_other(server: ServerProcess) -> None:
    # Without one that has none: vLLM 0.32 for CPUs gives it the adapter of another in its batch.
    alone = {adapter: say(server, adapter) for adapter in ("nothing", "strong")}
    asked = [*alone] * 3
    with ThreadPoolExecutor(len(asked)) as pool:
        answers = list(pool.map(lambda adapter: say(server, adapter), asked))
    assert answers == [alone[adapter] for adapter in asked]


def test_an_unknown_adapter_is_refused(server: ServerProcess) -> None:
    body = {"text_input": PROMPT, "sampling_parameters": json.dumps({"lora_name": "nobody"})}
    connection = http.client.HTTPConnection(server.http, timeout=LOADS_IN_S)
    status, _, answer = exchange(connection, "POST", "/v2/models/llm/generate", json.dumps(body))
    connection.close()
    assert status == 400
    assert (
        "LoRA nobody is not supported, we currently support ['nothing', 'strong']"
        in json.loads(answer)["error"]
    )
