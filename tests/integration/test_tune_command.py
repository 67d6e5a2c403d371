"""naiad tune on servers of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from naiad.config import parse_pbtxt

from .conftest import IDENTITY, write_model

QUICK = (
    *("--instances=2", "--batch-sizes=4", "--delays=0", "--concurrency-range=1:1"),
    *("--measurement-interval=100", "--max-trials=3", "--shape=INPUT0:4"),
)


def tune(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "naiad", "tune", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=100)


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    write_model(tmp_path / "models", "m", IDENTITY)
    return tmp_path / "models"


def test_the_best_configuration_is_written(repository: Path, tmp_path: Path) -> None:
    path = tmp_path / "best.pbtxt"
    ran = tune(repository, *QUICK, "--search=brute", "--json", f"--output={path}")
    assert ran.returncode == 0, ran.stderr
    tree = json.loads(ran.stdout)
    now, tried = ({key: outcome["candidate"][key] for key in tree["now"]} for outcome in tree["outcomes"])
    assert now == tree["now"] and (now["instances"], now["max_batch_size"]) == (1, 8)
    assert tried == {"instances": 2, "max_batch_size": 4, "delay_us": 0}
    for outcome in tree["outcomes"]:
        assert outcome["loads"][0]["per_second"] > 0 and not outcome["failure"]
    written = parse_pbtxt(path.read_text())
    best = tree["chosen"]
    assert (written.max_batch_size, written.instance_group[0].count) == (
        best["max_batch_size"],
        best["instances"],
    )
    assert written.metric_tags["team"] == 'a"b', "what is not tuned stays"
    assert tune(repository, *QUICK, f"--output={path}").stderr.startswith("error: --output")


def test_limits_that_nothing_keeps(repository: Path) -> None:
    ran = tune(repository, *QUICK, "--latency-budget=0.0001")
    assert ran.returncode == 1
    assert "nothing keeps the limits" in ran.stdout and "ms at best" in ran.stdout


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--model=x",), "--model 'x' is not there; there are broken, m"),
        ((), "there are several models: name one with --model: broken, m"),
        (("--model=broken",), "backend"),
        (("--model=m", "--instances=0"), "--instances '0' should be"),
        (("--model=m", "--memory-budget=8 apples"), "'8 apples' should be a number"),
    ],
)
def test_mistakes_get_a_sentence(repository: Path, arguments: tuple[str, ...], sentence: str) -> None:
    write_model(repository, "broken", 'backend: "nothing" max_batch_size: 1')
    ran = tune(repository, *arguments)
    assert ran.returncode == 2
    assert sentence in ran.stderr and "Traceback" not in ran.stderr
