"""The full fleet with its real language model: every model is asked, and the pipelines answer and stream."""

from __future__ import annotations

from pathlib import Path

import openai
import pytest

from naiad.fleet.build import build_fleet

from ..integration.conftest import Start
from ..integration.fleet_requests import ask_every_model
from .conftest import LOADS_IN_S

pytestmark = pytest.mark.timeout(2 * LOADS_IN_S)


def test_every_model_answers(start_server: Start, llm_home: Path, tmp_path: Path) -> None:
    built = build_fleet(tmp_path / "fleet", full=True, llm=llm_home)
    server = start_server(tmp_path / "fleet", patience_s=LOADS_IN_S)
    _, index = server.json("POST", "/v2/repository/index", {})
    assert isinstance(index, list)
    assert {model["name"]: model["state"] for model in index} == {model.name: "READY" for model in built}
    said = ask_every_model(server, tmp_path / "fleet")
    assert all("Paris" in text for text in said.values()), said
    with openai.OpenAI(base_url=f"http://{server.http}/v1", api_key="none", max_retries=0) as client:
        for model in ("rag", "rag_bls"):
            stream = client.chat.completions.create(
                model=model,
                messages=[{"role": "user", "content": "How high is Mount Everest?"}],
                stream=True,
                temperature=0,
                max_tokens=40,
            )
            pieces = [chunk.choices[0].delta.content or "" for chunk in stream]
            assert len(pieces) > 8
            assert "8,849" in "".join(pieces)
    # The next tests have an engine of their own.
    server.signal()
    assert server.wait() == 0
