"""Images on a real engine. What it says means nothing (random weights): what it saw can be told."""

from __future__ import annotations

import base64
import json
import subprocess
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import openai
import pytest
from PIL import Image

from ..integration.conftest import ServerProcess, Start
from .conftest import LOADS_IN_S, started_alone, write_llm
from .engine_requests import generate

pytestmark = pytest.mark.timeout(2 * LOADS_IN_S)

TOKENS_OF_AN_IMAGE = 16  # as make_image_model.py has it
WORDS = "What is this?"


@pytest.fixture(scope="module")
def server(
    start_server: Start, llm_home: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ServerProcess]:
    root = tmp_path_factory.mktemp("images")
    maker = Path(__file__).with_name("make_image_model.py")
    python = llm_home / "venv" / "bin" / "python"
    subprocess.run([python, maker, llm_home / "model", root / "weights"], check=True, timeout=LOADS_IN_S)
    weights = str(root / "weights")
    write_llm(root / "models", llm_home, model=weights, max_model_len=256, kv_cache_memory_bytes=1 << 28)
    with started_alone(start_server, root / "models") as server:
        yield server


def picture(seed: int) -> str:
    """A PNG of noise, in base64."""
    pixels = np.random.default_rng(seed).integers(0, 256, (80, 60, 3), np.uint8)
    file = BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return base64.b64encode(file.getvalue()).decode()


def say(server: ServerProcess, text: str, *images: str) -> Any:
    sampling = json.dumps({"temperature": 0, "max_tokens": 8, "ignore_eos": True})
    more: dict[str, Any] = {"image": list(images)} if images else {}
    return generate(server, text, sampling_parameters=sampling, return_num_input_tokens=True, **more)


def test_an_image_is_seen(server: ServerProcess) -> None:
    without = say(server, WORDS)
    first, again, other = (say(server, WORDS, picture(seed)) for seed in (1, 1, 2))
    assert first["num_input_tokens"] == without["num_input_tokens"] + TOKENS_OF_AN_IMAGE
    assert first["text_output"] == again["text_output"]
    assert first["text_output"] != other["text_output"]


def test_an_image_in_a_chat(server: ServerProcess) -> None:
    url = f"data:image/png;base64,{picture(1)}"
    content: Any = [
        {"type": "text", "text": "What is this?"},
        {"type": "image_url", "image_url": {"url": url}},
    ]
    with openai.OpenAI(base_url=f"http://{server.http}/v1", api_key="none", max_retries=0) as client:
        stream = client.chat.completions.create(
            model="llm",
            messages=[{"role": "user", "content": content}],
            max_tokens=4,
            stream=True,
            stream_options={"include_usage": True},
        )
        chunks = list(stream)
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.prompt_tokens > TOKENS_OF_AN_IMAGE


def test_what_is_no_image_is_refused(server: ServerProcess) -> None:
    with openai.OpenAI(base_url=f"http://{server.http}/v1", api_key="none", max_retries=0) as client:
        content: Any = [{"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}]
        with pytest.raises(openai.BadRequestError, match="no image"):
            client.chat.completions.create(model="llm", messages=[{"role": "user", "content": content}])
