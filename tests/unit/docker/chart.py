"""The Helm chart, rendered: by helm where it is installed, else by its templates' like in Python."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

DOCKER = Path(__file__).parents[3] / "docker"
CHART = DOCKER / "helm/naiad"


def default_values() -> dict[str, Any]:
    values: dict[str, Any] = yaml.safe_load((CHART / "values.yaml").read_text())
    return values


def merged(base: Mapping[str, Any], more: Mapping[str, Any]) -> dict[str, Any]:
    """Values as helm puts a user's over those of the chart: mappings key by key, all else replaced."""
    result = dict(base)
    for key, value in more.items():
        old = result.get(key)
        result[key] = merged(old, value) if isinstance(value, Mapping) and isinstance(old, Mapping) else value
    return result


def rendered(values: Mapping[str, Any], folder: Path) -> dict[str, dict[str, Any]]:
    """The manifests of a release called "naiad" with ``values`` over the chart's, by their kinds."""
    text = _by_helm(values, folder) if shutil.which("helm") else _by_gotpl(values)
    return {manifest["kind"]: manifest for manifest in yaml.safe_load_all(text) if manifest is not None}


def _by_helm(values: Mapping[str, Any], folder: Path) -> str:
    (folder / "values.json").write_text(json.dumps(values))
    command = ["helm", "template", "naiad", str(CHART), "--values", str(folder / "values.json")]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout


def _by_gotpl(values: Mapping[str, Any]) -> str:
    from gotpl.exts.helm import HelmTemplateEngine

    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    context = {
        "Values": merged(default_values(), values),
        # Go's names.
        "Chart": {name[0].upper() + name[1:]: value for name, value in chart.items()},
        "Release": {"Name": "naiad", "Service": "Helm", "Namespace": "default"},
    }
    sources = {file.name: file.read_text() for file in (CHART / "templates").iterdir()}
    texts = HelmTemplateEngine(sources).render(dict.fromkeys(sorted(sources), context))
    return "\n---\n".join(text for name, text in texts.items() if name.endswith(".yaml"))
