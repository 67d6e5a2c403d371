"""Flags from the command line, the environment and a file."""

from __future__ import annotations

from pathlib import Path

import pytest

from naiad.cli.app import command_line, serve_flags
from naiad.cli.sources import KnownFlags, gather
from naiad.cli.triton_flags import FlagRefused


@pytest.fixture(scope="module")
def flags() -> KnownFlags:
    return serve_flags(command_line())


def file(folder: Path, text: str) -> str:
    path = folder / "naiad.yaml"
    path.write_text(text)
    return str(path)


def added(arguments: list[str], environment: dict[str, str], flags: KnownFlags) -> list[str]:
    gathered = gather(arguments, environment, flags)
    assert gathered.arguments[: len(arguments)] == arguments
    return gathered.arguments[len(arguments) :]


def test_a_flag_is_stronger_than_the_environment_and_that_than_the_file(
    tmp_path: Path, flags: KnownFlags
) -> None:
    path = file(tmp_path, "http-port: 1\ngrpc-port: 2\nmetrics-port: 3\nallow-metrics: false\n")
    environment = {"NAIAD_GRPC_PORT": "22", "NAIAD_HTTP_PORT": "11", "NAIAD_FLEET": "else"}
    given = ["--config", path, "--http-port=111"]
    assert added(given, environment, flags) == [
        "--grpc-port=22", "--metrics-port=3", "--allow-metrics=false",
    ]  # fmt: skip


def test_origins_are_known(tmp_path: Path, flags: KnownFlags) -> None:
    path = file(tmp_path, "# ports\nhttp-port: 1\n")
    gathered = gather([], {"NAIAD_CONFIG": path, "NAIAD_ID": "me"}, flags)
    assert gathered.origins == {"--http-port": f"{path}:2", "--id": "NAIAD_ID"}


def test_flags_that_may_be_given_several_times(tmp_path: Path, flags: KnownFlags) -> None:
    path = file(tmp_path, "load-model: [a, b]\nbackend-config: x,y=1\n")
    assert added([f"--config={path}"], {}, flags) == [
        "--load-model=a", "--load-model=b", "--backend-config=x,y=1",
    ]  # fmt: skip
    environment = {"NAIAD_LOAD_MODEL": "c 'd e'"}
    assert added([f"--config={path}"], environment, flags)[:2] == ["--load-model=c", "--load-model=d e"]
    assert added([f"--config={path}", "--load-model", "z"], {}, flags) == ["--backend-config=x,y=1"]


def test_what_is_served_counts_as_one(tmp_path: Path, flags: KnownFlags) -> None:
    path = file(tmp_path, "models: [a.onnx, b.pt]\nmodel-repository: /m\n")
    assert added([f"--config={path}"], {}, flags) == ["a.onnx", "b.pt", "--model-repository=/m"]
    assert added([f"--config={path}", "c.onnx"], {}, flags) == []
    assert added([f"--config={path}", "--allow-http", "false", "--model-store=/n"], {}, flags) == []
    assert added([f"--config={path}"], {"NAIAD_MODEL_REPOSITORY": "/e"}, flags) == ["--model-repository=/e"]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("id: x\nhttp_port: 1\n", r"naiad\.yaml:2: unknown key 'http_port'; did you mean 'http-port'\?"),
        ("id: x\n\nnonsense: 1\n", r"naiad\.yaml:3: unknown key 'nonsense'$"),
        ("config: x\n", r"naiad\.yaml:1: unknown key 'config'"),
        ("id: x\nid: y\n", r"naiad\.yaml:2: 'id' is there twice"),
        ("id: [a, b]\n", r"naiad\.yaml:1: 'id' takes one value"),
        ("load-model: [[a]]\n", r"naiad\.yaml:1: a value of 'load-model'"),
        ("- a\n", r"naiad\.yaml:1: expected flags by their names"),
        ("a: 'b\n", r"naiad\.yaml:\d: not YAML"),
        ("id: !!python/object:os.system x\nlog-file: {a: b}\n", r"naiad\.yaml:2: a value of 'log-file'"),
    ],
)
def test_a_file_that_is_wrong_is_refused_with_its_line(
    tmp_path: Path, flags: KnownFlags, text: str, reason: str
) -> None:
    with pytest.raises(FlagRefused, match=reason):
        gather(["--config", file(tmp_path, text)], {}, flags)


def test_a_file_that_is_not_there(flags: KnownFlags) -> None:
    with pytest.raises(FlagRefused, match="/nope can not be read"):
        gather(["--config=/nope"], {}, flags)
    with pytest.raises(FlagRefused, match="NAIAD_LOAD_MODEL can not be read"):
        gather([], {"NAIAD_LOAD_MODEL": "'a"}, flags)


def test_an_empty_file_says_nothing(tmp_path: Path, flags: KnownFlags) -> None:
    assert added(["--config", file(tmp_path, "# nothing\n")], {}, flags) == []
