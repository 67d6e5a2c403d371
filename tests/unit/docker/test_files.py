"""The other files of docker/: images, compose, KServe, systemd."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from naiad.cli.app import command_line, serve_flags

from .chart import DOCKER
from .test_chart import SCHEMA_VERSION, refuse_unknown_flags

ROOT = DOCKER.parent
IMAGES = ["Dockerfile", "Dockerfile.cuda"]
# What KServe adds to the parts of a pod in a ServingRuntime.
OF_KSERVE = {"annotations", "labels", "protocolVersions", "supportedModelFormats"}


def instructions(image: str) -> list[tuple[str, str]]:
    """Those of a Dockerfile: name and the rest, continued lines joined."""
    text = re.sub(r"^\s*#.*\n", "", (DOCKER / image).read_text(), flags=re.MULTILINE)
    lines = re.sub(r"\\\n\s*", "", text).splitlines()
    return [(name, rest) for name, _, rest in (line.partition(" ") for line in lines if line)]


@pytest.mark.parametrize("image", IMAGES)
def test_images_take_files_that_are_there_and_let_in(image: str) -> None:
    copied = [
        rest.split()[:-1] for name, rest in instructions(image) if name == "COPY" and "--from" not in rest
    ]
    files = {file for each in copied for file in each}
    assert files and [file for file in files if not (ROOT / file).exists()] == []
    let_in = (ROOT / ".dockerignore").read_text().splitlines()
    assert {f"!{file}" for file in files} == {line for line in let_in if line.startswith("!")}
    # All that the build reads (tools/setup.sh).
    read = re.search(r"find (CMakeLists.*?) tests/cpp", (ROOT / "tools/setup.sh").read_text())
    assert read is not None and set(read[1].split()) == files


@pytest.mark.parametrize("image", IMAGES)
def test_images_run_without_rights_and_say_what_naiad_takes(image: str) -> None:
    last = instructions(image)[max(i for i, each in enumerate(instructions(image)) if each[0] == "FROM") :]
    said = dict(last)
    assert said["USER"] == "10001:10001"
    assert json.loads(said["ENTRYPOINT"]) == ["naiad"]
    refuse_unknown_flags(json.loads(said["CMD"]))
    settings = dict(part.split("=", 1) for part in shlex.split(said["ENV"]))
    flags = serve_flags(command_line()).aliases
    names = [
        "--" + name.removeprefix("NAIAD_").lower().replace("_", "-") for name in settings if "NAIAD" in name
    ]
    assert names == ["--http-address", "--grpc-address"] and set(names) <= set(flags)
    code = json.loads(said["HEALTHCHECK"].partition("CMD ")[2])
    compile(code[-1], "health check", "exec")
    assert "/v2/health/ready" in code[-1]


def test_compose_has_its_form_and_its_files() -> None:
    checked = subprocess.run(
        [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec", "compose.yml"],
        cwd=DOCKER,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr
    services = yaml.safe_load((DOCKER / "compose.yml").read_text())["services"]
    mounted = [
        volume.split(":")[0]
        for service in services.values()
        for volume in service["volumes"]
        if volume.startswith(".")
    ]
    assert len(mounted) == 5
    assert [path for path in mounted if not (DOCKER / path).is_file()] == []
    for service in services.values():
        assert service["read_only"] and service["cap_drop"] == ["ALL"]
    assert services["naiad"]["build"] == {"context": "..", "dockerfile": "docker/Dockerfile"}
    targets = yaml.safe_load((DOCKER / "prometheus.yml").read_text())["scrape_configs"][0]["static_configs"]
    assert targets == [{"targets": ["naiad:8002"]}]


def served_by_kserve() -> dict[str, Any]:
    runtime: dict[str, Any] = yaml.safe_load((DOCKER / "kserve/serving-runtime.yaml").read_text())
    return runtime


def test_the_runtime_of_kserve_is_a_pod_and_what_kserve_adds() -> None:
    runtime = served_by_kserve()
    pod = {name: value for name, value in runtime["spec"].items() if name not in OF_KSERVE}
    manifest = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "naiad"}, "spec": pod}
    kubernetes_validate.validate(manifest, SCHEMA_VERSION, strict=True)
    assert OF_KSERVE - {"labels"} <= set(runtime["spec"])
    assert [each["name"] for each in pod["containers"]] == ["kserve-container"]
    refuse_unknown_flags(pod["containers"][0]["args"])


def test_an_inference_service_asks_for_the_runtime() -> None:
    runtime = served_by_kserve()
    service = yaml.safe_load((DOCKER / "kserve/inference-service.yaml").read_text())
    model = service["spec"]["predictor"]["model"]
    assert model["runtime"] == runtime["metadata"]["name"]
    assert model["modelFormat"]["name"] in [each["name"] for each in runtime["spec"]["supportedModelFormats"]]
    assert model["protocolVersion"] in runtime["spec"]["protocolVersions"]


def test_the_unit_of_systemd(tmp_path: Path) -> None:
    unit = (DOCKER / "systemd/naiad.service").read_text()
    started = re.search(r"^ExecStart=(\S+) (.*)$", unit, re.MULTILINE)
    assert started is not None and started[2] == "serve"
    flags = set(re.findall(r"\bNAIAD_([A-Z_]+)=", unit))
    known = {name.removeprefix("--") for name in serve_flags(command_line()).aliases}
    assert flags and {flag.lower().replace("_", "-") for flag in flags} <= known | {"config"}
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        pytest.skip("systemd-analyze is not installed")
    # It asks whether the program is there.
    (tmp_path / "naiad.service").write_text(unit.replace(started[1], shutil.which("true") or ""))
    checked = subprocess.run(
        [analyze, "verify", str(tmp_path / "naiad.service")], capture_output=True, text=True, timeout=60
    )
    assert (checked.returncode, checked.stderr) == (0, "")
