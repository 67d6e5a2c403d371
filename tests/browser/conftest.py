"""The dashboard in a real Chromium.

The browser is Debian's (`chromium`), or the one that NAIAD_CHROMIUM names; where there is none, these tests
are skipped and say so.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect, sync_playwright

from ..integration.conftest import ServerProcess, Start, start_server, write_model
from ..integration.openai_models import write_openai_models

__all__ = ["start_server"]

FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip
# Of a machine that does other things too.
PATIENCE_MS = 30_000
DESKTOP = {"width": 1360, "height": 900}
PHONE = {"width": 390, "height": 844}

NUMBERS = """
backend: "identity"
max_batch_size: 8
input [ { name: "INPUT0" data_type: TYPE_FP32 dims: [ -1 ] } ]
output [ { name: "OUTPUT0" data_type: TYPE_FP32 dims: [ -1 ] } ]
dynamic_batching { }
response_cache { enable: true }
"""
PICTURES = """
backend: "python"
max_batch_size: 4
input [ { name: "IMAGE" data_type: TYPE_FP32 dims: [ 3, 16, 16 ] } ]
output [
  { name: "CHANNELS" data_type: TYPE_FP32 dims: [ 12 ] label_filename: "labels.txt" },
  { name: "SEEN" data_type: TYPE_FP32 dims: [ 3, 16, 16 ] }
]
instance_group [ { kind: KIND_CPU count: 2 } ]
"""
# The mean of each channel, and the image itself.
PICTURES_MODEL = """
import numpy as np
import triton_python_backend_utils as pb_utils


class TritonPythonModel:
    def execute(self, requests):
        return [self.answer(request) for request in requests]

    def answer(self, request):
        image = pb_utils.get_input_tensor_by_name(request, "IMAGE").as_numpy()
        means = np.zeros((len(image), 12), np.float32)
        means[:, :3] = image.mean((2, 3))
        return pb_utils.InferenceResponse(
            [pb_utils.Tensor("CHANNELS", means), pb_utils.Tensor("SEEN", image)]
        )
"""
PIPELINE = """
platform: "ensemble"
max_batch_size: 8
input [ { name: "RAW" data_type: TYPE_FP32 dims: [ -1 ] } ]
output [ { name: "RESULT" data_type: TYPE_FP32 dims: [ -1 ] } ]
ensemble_scheduling { step [
  { model_name: "numbers" model_version: -1
    input_map { key: "INPUT0" value: "RAW" } output_map { key: "OUTPUT0" value: "BETWEEN" } },
  { model_name: "second" model_version: -1
    input_map { key: "INPUT0" value: "BETWEEN" } output_map { key: "OUTPUT0" value: "RESULT" } }
] }
"""
LABELS = ["red", "green", "blue", *(f"none {number}" for number in range(9))]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """While it lives Playwright's event loop runs in this thread, where no other can: not for longer than
    a module of these tests."""
    path = os.environ.get("NAIAD_CHROMIUM") or shutil.which("chromium")
    if not path:
        pytest.skip("there is no chromium here (apt-get install chromium, or NAIAD_CHROMIUM=PATH)")
    expect.set_options(timeout=PATIENCE_MS)
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield launched
        launched.close()


def write_models(repository: Path) -> None:
    """Numbers, an ensemble of them, pictures, language, and one that can't be loaded."""
    write_model(repository, "numbers", NUMBERS)
    write_model(repository, "second", NUMBERS.replace("response_cache { enable: true }", ""))
    write_model(repository, "pipeline", PIPELINE)
    write_model(repository, "pictures", PICTURES, PICTURES_MODEL)
    (repository / "pictures" / "labels.txt").write_text("\n".join(LABELS))
    write_model(repository, "broken", 'backend: "onnxruntime"\nmax_batch_size: 4\n')


@pytest.fixture(scope="session")
def ui_server(start_server: Start, tmp_path_factory: pytest.TempPathFactory) -> ServerProcess:
    """Serves them, models loaded and unloaded by hand."""
    repository = tmp_path_factory.mktemp("ui")
    write_models(repository)
    write_openai_models(repository)
    return start_server(
        repository, "--model-control-mode=explicit", "--exit-on-error=false",
        "--cache-config=local,size=1048576",
        *(f"--load-model={name}" for name in ("pipeline", "pictures", "broken", "language")),
    )  # fmt: skip


@dataclass
class Visitor:
    """Somebody who looks at a server's dashboard."""

    page: Page
    origin: str
    requests: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    def open(self, place: str = "#/") -> Page:
        """Goes to a place of the page."""
        self.page.goto(f"{self.origin}/ui/{place}")
        return self.page

    @property
    def strangers(self) -> list[str]:
        """Requests that left the origin."""
        own = urlsplit(self.origin).netloc
        return [
            url
            for url in self.requests
            if not url.startswith(("blob:", "data:")) and urlsplit(url).netloc != own
        ]


@pytest.fixture
def visit(browser: Browser) -> Iterator[object]:
    """Makes visitors, and at the end looks whether each one's browser had something to complain about."""
    made: list[Visitor] = []

    def make(server: ServerProcess, *, phone: bool = False, dark: bool = False) -> Visitor:
        context = browser.new_context(
            viewport=PHONE if phone else DESKTOP, color_scheme="dark" if dark else "light", has_touch=phone
        )
        context.set_default_timeout(PATIENCE_MS)
        page = context.new_page()
        visitor = Visitor(page, f"http://{server.metrics}")
        page.on("request", lambda request: visitor.requests.append(request.url))
        page.on("pageerror", lambda error: visitor.complaints.append(f"error: {error}"))
        page.on(
            "console",
            lambda message: visitor.complaints.append(message.text) if message.type == "error" else None,
        )
        made.append(visitor)
        return visitor

    yield make
    for visitor in made:
        visitor.page.context.close()
        assert visitor.strangers == []
        # What the server refuses is told by the page; that it was refused is no fault of the page.
        assert [each for each in visitor.complaints if "Failed to load resource" not in each] == []


def check_accessible(page: Page) -> None:
    """Has axe look for what keeps people out."""
    results = Axe().run(page)
    assert results.violations_count == 0, results.generate_report()


def infer(server: ServerProcess, model: str, tensor: str, count: int) -> None:
    """Asks a model of numbers some times."""
    body = {"inputs": [{"name": tensor, "shape": [1, 2], "datatype": "FP32", "data": [1.0, 2.0]}]}
    for _ in range(count):
        status, _, answer = server.call("POST", f"/v2/models/{model}/infer", json.dumps(body))
        assert status == 200, answer
