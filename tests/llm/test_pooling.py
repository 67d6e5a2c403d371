"""A real embedding model by vLLM: the vectors are those of the same weights elsewhere."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import openai
import pytest

from naiad.fleet.minilm import KNOWN_PAIRS
from naiad.fleet.source import MINILM

from ..integration.conftest import Start
from ..integration.fleet_requests import infer
from .conftest import CONFIG, LOADS_IN_S

pytestmark = pytest.mark.timeout(2 * LOADS_IN_S)


def test_vectors_of_minilm(start_server: Start, llm_home: Path, tmp_path: Path) -> None:
    version = tmp_path / "vectors" / "1"
    version.mkdir(parents=True)
    arguments = {
        "model": str(MINILM.file("model")),
        "task": "embed",
        "dtype": "float32",
        "enforce_eager": True,
        "kv_cache_memory_bytes": 1 << 26,  # without it vLLM takes most of the machine's memory
    }
    (version / "model.json").write_text(json.dumps(arguments))
    (tmp_path / "vectors" / "config.pbtxt").write_text(CONFIG % (llm_home / "venv"))
    server = start_server(tmp_path, patience_s=LOADS_IN_S)
    texts = [text for first, second, _ in KNOWN_PAIRS for text in (first, second)]
    with openai.OpenAI(base_url=f"http://{server.http}/v1", api_key="none", max_retries=0) as client:
        vectors = [each.embedding for each in client.embeddings.create(model="vectors", input=texts).data]
    for place, (_, _, cosine) in enumerate(KNOWN_PAIRS):
        assert np.dot(vectors[2 * place], vectors[2 * place + 1]) == pytest.approx(cosine, abs=2e-3)
    alone = infer(server, "vectors", {"text_input": [texts[0]]})["embedding"]
    assert alone == pytest.approx(vectors[0], abs=1e-4)
    # The next tests have an engine of their own.
    server.signal()
    assert server.wait() == 0
