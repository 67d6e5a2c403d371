"""The site of docs/: built without a warning, of pages that are up to date, with nothing from elsewhere."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

ROOT = Path(__file__).parents[3]
SITE = ROOT / "tools/site"


def module(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, SITE / f"{name}.py")
    assert spec is not None and spec.loader is not None
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return loaded


def test_what_is_made_of_the_sources_is_up_to_date() -> None:
    stale = [file.name for file, text in module("reference").pages().items() if file.read_text() != text]
    assert stale == [], "run tools/site/reference.py"


def test_every_message_and_field_is_on_the_page_of_the_configuration() -> None:
    from naiad import protos

    text = (ROOT / "docs/reference/configuration.md").read_text()
    parts = dict(re.findall(r"^## (\S+)\n(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL))
    assert len(parts) > 40
    listed = re.findall(r"^\| `(\w+)` \|", parts["ModelConfig"], re.MULTILINE)
    assert listed == [field.name for field in protos.ModelConfig.DESCRIPTOR.fields]


def test_a_field_without_effect_is_marked() -> None:
    text = (ROOT / "docs/reference/configuration.md").read_text()
    (row,) = re.findall(r"^\| `eager_batching` .*$", text, re.MULTILINE)
    assert "no effect" in row
    (row,) = re.findall(r"^\| `model_repository_agents` .*$", text, re.MULTILINE)
    assert "refused" in row


@pytest.mark.parametrize(
    "written, shown",
    [
        ("[a](b.md)", "[a](b.md)"),
        ("[a](b.md#c) [d](#e) [f](https://g)", "[a](b.md#c) [d](#e) [f](https://g)"),
        ("[a](../bench/README.md)", "a (`bench/README.md`)"),
        ("[`docker/Dockerfile`](../docker/Dockerfile)", "`docker/Dockerfile`"),
        ("`[a](../x)`\n```\n[a](../x)\n```\n", "`[a](../x)`\n```\n[a](../x)\n```\n"),
    ],
)
def test_links_to_sources_become_names(written: str, shown: str) -> None:
    page = SimpleNamespace(file=SimpleNamespace(src_uri="page.md"))
    files = SimpleNamespace(get_file_from_path={"b.md": page}.get)
    assert module("links").on_page_markdown(written, page=page, config=None, files=files) == shown


def test_the_site_is_built_without_a_warning(tmp_path: Path) -> None:
    pytest.importorskip("material", reason="pip install 'naiad[docs]'")
    built = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "-f", SITE / "mkdocs.yml", "-d", tmp_path],
        capture_output=True,
        text=True,
        timeout=110,
    )
    assert built.returncode == 0, built.stderr
    pages = list(tmp_path.rglob("*.html"))
    assert len(pages) > 20
    loaded = re.compile(r"<(?:script|img|iframe)[^>]*\ssrc=\"?https?:|<link[^>]*\shref=\"?https?:")
    assert [page.name for page in pages if loaded.search(page.read_text())] == []
    assert "model_repository" in (tmp_path / "reference/python.html").read_text()
