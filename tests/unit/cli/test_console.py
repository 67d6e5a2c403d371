"""What people see of a start."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich.console import Console

from naiad.cli.advice import next_step
from naiad.cli.console import TerminalAudience, models_table
from naiad.config import ModelConfig, parse_pbtxt
from naiad.errors import InvalidArgument
from naiad.repository.served import IndexEntry, LoadedVersion
from naiad.settings import GrpcSettings, HttpSettings, RepositorySettings, ServerSettings

SETTINGS = ServerSettings(RepositorySettings((Path("/models"),)))


def screen() -> tuple[Console, io.StringIO]:
    text = io.StringIO()
    return Console(file=text, width=100), text


def served(name: str, config: str) -> LoadedVersion:
    return LoadedVersion(name, 1, ModelConfig(parse_pbtxt(config)), None, 0.25, [1])  # type: ignore[arg-type]


def test_the_table_shows_state_version_backend_and_instances() -> None:
    console, text = screen()
    index = [
        IndexEntry("a", "1", "READY", ""),
        IndexEntry("b", "2", "UNAVAILABLE", "no such [file]"),
        IndexEntry("c", "", "", ""),
    ]
    console.print(models_table(index, [served("a", 'backend: "python" instance_group { count: 3 }')]))
    rows = [line.split() for line in text.getvalue().splitlines()]
    assert rows[0] == ["Model", "Version", "State", "Backend", "Instances", "Load"]
    assert rows[1] == ["a", "1", "READY", "python", "3", "0.2", "s"]
    assert rows[2] == ["b", "2", "UNAVAILABLE"]
    assert rows[3] == ["c", "-", "not", "loaded"]


def test_where_it_is_served() -> None:
    console, text = screen()
    audience = TerminalAudience(console, SETTINGS)
    audience.serving(
        [IndexEntry("a", "1", "READY", "")],
        [served("a", 'backend: "python"')],
        {"HTTP": "http://localhost:1", "gRPC": "localhost:2"},
    )
    assert "HTTP  http://localhost:1\n" in text.getvalue()
    assert "curl http://localhost:1/v2/models/a\n" in text.getvalue()


def test_a_model_that_is_not_served_has_its_reason_below() -> None:
    console, text = screen()
    index = [IndexEntry("b", "2", "UNAVAILABLE", "no such [file]")]
    TerminalAudience(console, SETTINGS).serving(index, [], {})
    assert "error: model 'b' can not be served: no such [file]" in text.getvalue()


def test_an_empty_repository_says_what_to_do() -> None:
    console, text = screen()
    TerminalAudience(console, SETTINGS).serving([], [], {})
    assert "naiad repo init" in text.getvalue()


def test_models_that_failed_are_listed_with_their_reasons() -> None:
    console, text = screen()
    audience = TerminalAudience(console, SETTINGS)
    rows = [IndexEntry("a", "1", "READY", ""), IndexEntry("b", "1", "UNAVAILABLE", "broken")]
    with audience.loading(lambda: rows):
        pass
    audience.failed(InvalidArgument("failed to load all models: b: broken"))
    assert "model 'b' can not be served: broken" in text.getvalue()
    assert "1 of 2 models did not load" in text.getvalue()
    assert "--exit-on-error=false" in text.getvalue()


@pytest.mark.parametrize(
    ("error", "step"),
    [
        (InvalidArgument("cannot listen on 0.0.0.0:9000: Address already in use"), "--http-port=9010"),
        (InvalidArgument("cannot listen on 0.0.0.0:9001: Address already in use"), "--grpc-port=9011"),
        (OSError(98, "while attempting to bind on address ('0.0.0.0', 8002): in use"), "--metrics-port=8012"),
        (InvalidArgument("cannot listen on 0.0.0.0:80: Permission denied"), "1024 or more"),
        (InvalidArgument("cannot listen on 9.9.9.9:9000: Cannot assign"), "--http-address"),
        (InvalidArgument("model repository 1 is not a directory"), "there is no '/models'"),
        (InvalidArgument("m/config.pbtxt:3:1: bad"), "naiad repo check /models"),
        (InvalidArgument("the pytorch backend needs torch: pip install 'naiad[torch]'"), ""),
        (InvalidArgument("who knows"), "naiad doctor"),
    ],
)
def test_the_next_step(error: Exception, step: str) -> None:
    settings = ServerSettings(
        RepositorySettings((Path("/models"),)), http=HttpSettings(port=9000), grpc=GrpcSettings(port=9001)
    )
    given = next_step(error, settings)
    assert step in given and bool(given) == bool(step)
