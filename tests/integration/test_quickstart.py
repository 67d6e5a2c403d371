"""docs/quickstart.md against a live server: what is asked on the page is answered as the page shows."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import tritonclient.grpc
import tritonclient.http
from tokenizers import Tokenizer

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/quickstart.md").read_text(encoding="utf-8")
NUMBER = re.compile(r"-?\d+\.\d+")


@dataclass(frozen=True)
class Example:
    """A script that the page quotes: path, arguments with {names} to fill in, text and output."""

    path: str
    arguments: str
    code: str
    output: str


QUOTED = re.compile(
    r"<!-- example: (\S+) (.+?) -->\n```python\n(.+?)```\n\nprints\n\n```text\n(.+?)```", re.DOTALL
)
EXAMPLES = [Example(*found) for found in QUOTED.findall(PAGE)]
COMMANDS = re.findall(r"```bash\n(curl [^`]+)```\n\n```json\n(.+?)```", PAGE, re.DOTALL)


def address(url: str) -> str:
    """host:port, as Triton's clients take it."""
    return url.rpartition("://")[2].split("/")[0]


def check_close(got: Any, shown: Any, where: str = "answer") -> None:
    """What is shown has to be there, numbers to within 1e-5; "..." stands for the rest of a list."""
    if isinstance(shown, dict):
        assert shown.keys() <= got.keys(), where
        for key, value in shown.items():
            check_close(got[key], value, f"{where}.{key}")
    elif isinstance(shown, list):
        if shown and shown[-1] == "...":
            shown, got = shown[:-1], got[: len(shown) - 1]
        assert len(got) == len(shown), where
        for index, value in enumerate(shown):
            check_close(got[index], value, f"{where}[{index}]")
    elif isinstance(shown, float):
        assert got == pytest.approx(shown, abs=1e-5), where
    else:
        assert got == shown, where


def test_the_page_has_the_examples_and_commands_that_are_checked_here():
    assert len(EXAMPLES) == PAGE.count("```python") == 4
    assert len(COMMANDS) == PAGE.count("```json") == 3


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.path)
def test_the_page_quotes_the_file(example: Example):
    assert example.code == (ROOT / example.path).read_text(encoding="utf-8")


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.path)
def test_an_example_prints_what_the_page_shows(example: Example, fleet_server: Any):
    arguments = example.arguments.format(
        http=address(fleet_server.http_url),
        grpc=address(fleet_server.grpc_url),
        repository=fleet_server.repository,
    )
    done = subprocess.run(
        [sys.executable, str(ROOT / example.path), *shlex.split(arguments)],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert NUMBER.sub("#", done.stdout) == NUMBER.sub("#", example.output)
    got, shown = (np.array(NUMBER.findall(text), float) for text in (done.stdout, example.output))
    np.testing.assert_allclose(got, shown, atol=0.011)  # a last digit may round the other way elsewhere


@pytest.mark.parametrize(("command", "shown"), COMMANDS, ids=range(len(COMMANDS)))
def test_a_curl_command_answers_what_the_page_shows(command: str, shown: str, fleet_server: Any):
    _, _, url, *data = shlex.split(command)  # curl -s URL [-d BODY], sent as curl sends it
    url = url.replace("localhost:8000", f"http://{address(fleet_server.http_url)}")
    request = urllib.request.Request(url)
    if data:
        request.data = data[1].encode()
        request.add_header("Content-Type", "application/x-www-form-urlencoded")
    with urllib.request.urlopen(request, timeout=30) as response:
        answer = json.load(response)
    check_close(answer, json.loads(shown.replace(", ...]", ', "..."]')))


def embed(client: Any, module: Any, sentences: list[str]) -> np.ndarray:
    def tensor(name: str, array: np.ndarray, datatype: str) -> Any:
        wrapped = module.InferInput(name, list(array.shape), datatype)
        wrapped.set_data_from_numpy(array)
        return wrapped

    text = np.array([[sentence.encode()] for sentence in sentences], np.object_)
    tokens = client.infer("tokenizer", [tensor("TEXT", text, "BYTES")])
    inputs = [tensor(name, tokens.as_numpy(name), "INT64") for name in ("input_ids", "attention_mask")]
    return client.infer("minilm", inputs).as_numpy("sentence_embedding")


def embed_without_a_server(repository: Path, sentences: list[str]) -> np.ndarray:
    tokenizer = Tokenizer.from_file(str(repository / "tokenizer/1/tokenizer.json"))
    tokenizer.enable_padding()
    model = repository / "minilm/1/model.onnx"
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    rows = tokenizer.encode_batch(sentences)
    ids = np.array([row.ids for row in rows], np.int64)
    mask = np.array([row.attention_mask for row in rows], np.int64)
    return session.run(None, {"input_ids": ids, "attention_mask": mask})[0]


@pytest.mark.parametrize("module", [tritonclient.http, tritonclient.grpc], ids=["http", "grpc"])
def test_known_sentence_pairs_rank_as_they_should(module: Any, fleet_server: Any):
    url = fleet_server.http_url if module is tritonclient.http else fleet_server.grpc_url
    anchors = [
        "A dog runs on the beach.",
        "The bank raised its interest rates.",
        "She bakes bread every Sunday.",
    ]
    partners = [
        "A puppy is running by the sea.",
        "Loans have become dearer.",
        "Each weekend she makes a loaf.",
    ]
    with module.InferenceServerClient(address(url)) as client:
        likeness = embed(client, module, anchors) @ embed(client, module, partners).T
    assert likeness.argmax(axis=1).tolist() == [0, 1, 2]
    assert likeness.argmax(axis=0).tolist() == [0, 1, 2]


def test_many_clients_at_once_get_the_vectors_that_onnxruntime_gives(fleet_server: Any):
    sentences = [f"Number {n} " + "and so on " * (n % 7) for n in range(48)]
    expected = embed_without_a_server(Path(fleet_server.repository), sentences)

    def ask(part: range) -> list[np.ndarray]:
        with tritonclient.grpc.InferenceServerClient(address(fleet_server.grpc_url)) as client:
            return [embed(client, tritonclient.grpc, [sentences[n]])[0] for n in part]

    parts = [range(start, len(sentences), 8) for start in range(8)]
    with ThreadPoolExecutor(len(parts)) as pool:
        for part, vectors in zip(parts, pool.map(ask, parts), strict=True):
            np.testing.assert_allclose(vectors, expected[list(part)], atol=1e-5)


def test_the_metrics_count_the_requests_of_a_model(fleet_server: Any):
    def successes() -> float:
        with urllib.request.urlopen(
            f"http://{address(fleet_server.metrics_url)}/metrics", timeout=30
        ) as page:
            text = page.read().decode()
        counts = re.findall(r'^nv_inference_request_success\{.*model="minilm".*\} (\S+)$', text, re.MULTILINE)
        return sum(float(count) for count in counts)

    before = successes()
    with tritonclient.http.InferenceServerClient(address(fleet_server.http_url)) as client:
        embed(client, tritonclient.http, ["one"])
    assert successes() == before + 1
