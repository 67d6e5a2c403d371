"""The parts of the full fleet that need no server."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from naiad.errors import Internal, InvalidArgument, NotFound
from naiad.fleet import build, source, vad
from naiad.fleet.build import build_fleet
from naiad.fleet.fleet_model import BuiltModel
from naiad.fleet.rag import models
from naiad.fleet.rag.corpus import CORPUS, Passage, read_corpus


def tiny(name: str) -> BuiltModel:
    return BuiltModel(name, "python", "naiad", "Apache-2.0", "was run", "A model.", {"config.pbtxt": b"#"})


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tiny models in the place of those with weights."""
    monkeypatch.setattr(build, "_build_models", lambda progress: [tiny("minilm")])
    monkeypatch.setattr(vad, "build", lambda: tiny("vad"))
    monkeypatch.setattr(models, "build_models", lambda minilm: [tiny("retrieval")])


def test_the_corpus() -> None:
    passages = read_corpus(CORPUS.read_text(encoding="utf-8"))
    assert len(passages) > 30
    assert all(passage.text.endswith(".") and len(passage.text) < 400 for passage in passages)
    assert read_corpus("[a]\nOne\ntwo.\n\n[b]\nThree.\n") == [
        Passage("a", "One two."),
        Passage("b", "Three."),
    ]
    for wrong in ("no id", "[A b]\nx", "[a]\nx\n\n[a]\ny"):
        with pytest.raises(Internal):
            read_corpus(wrong)


def test_pipelines_are_built_where_a_language_model_is(tmp_path: Path) -> None:
    target, lines = tmp_path / "fleet", []
    names = [model.name for model in build_fleet(target, full=True, progress=lines.append)]
    assert names == ["minilm", "vad", "retrieval"]
    assert "rag, rag_bls: not built, for there is no model smollm2 to answer" in lines
    (target / "smollm2" / "1").mkdir(parents=True)
    names = [model.name for model in build_fleet(target, full=True)]
    assert names == ["minilm", "vad", "retrieval", "rag", "rag_bls"]
    assert (target / "rag_bls" / "1" / "model.py").is_file()
    lines.clear()
    build_fleet(target, full=True, progress=lines.append)
    assert "up to date" in lines[0]


def test_what_the_full_fleet_needs_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(source, "LIBRARIES_OF_FULL", {"no_such_module": "no-such-package"})
    with pytest.raises(NotFound, match="no-such-package"):
        build_fleet(tmp_path / "fleet", full=True)
    build_fleet(tmp_path / "fleet")


def test_a_language_model_of_a_folder(tmp_path: Path) -> None:
    home = tmp_path / "llm"
    (home / "model").mkdir(parents=True)
    (home / "model" / "config.json").write_text("{}")
    with pytest.raises(NotFound, match="holds no language model"):
        build_fleet(tmp_path / "fleet", full=True, llm=home)
    (home / "venv" / "bin").mkdir(parents=True)
    (home / "venv" / "bin" / "python").touch()
    with pytest.raises(InvalidArgument, match="no chat template"):
        build_fleet(tmp_path / "fleet", full=True, llm=home)
    (home / "model" / "chat_template.jinja").touch()
    names = [model.name for model in build_fleet(tmp_path / "fleet", full=True, llm=home)]
    assert names == ["minilm", "vad", "retrieval", "rag", "rag_bls", "smollm2"]
    written = tmp_path / "fleet" / "smollm2"
    assert json.loads((written / "1" / "model.json").read_text())["model"] == str(home / "model")
    assert f'"{home / "venv"}"' in (written / "config.pbtxt").read_text()
    build_fleet(tmp_path / "other", full=True, llm=home / "model")
    assert "EXECUTION_ENV_PATH" not in (tmp_path / "other" / "smollm2" / "config.pbtxt").read_text()
    with pytest.raises(InvalidArgument, match="full fleet"):
        build_fleet(tmp_path / "fleet", llm=home)
