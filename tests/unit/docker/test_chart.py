"""What the chart makes is what Kubernetes takes, and what it says to naiad is what naiad takes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import pytest
import yaml

from naiad.cli.app import command_line
from naiad.cli.triton_flags import prepare

from .chart import CHART, DOCKER, default_values, merged, rendered

EVERYTHING: dict[str, Any] = {
    "imagePullSecrets": [{"name": "registry"}],
    "flags": {
        "log-access": True,
        "load-model": ["a", "b"],
        "model-control-mode": "explicit",
        "max-connections": 20000,
        "exit-timeout-secs": 60,
    },
    "env": [{"name": "AWS_REGION", "value": "eu-west-1"}],
    "envFrom": [{"secretRef": {"name": "s3"}}],
    "modelRepository": {"claim": {"storageClass": "fast", "accessModes": ["ReadWriteMany"]}},
    "apiKeys": {"existingSecret": "naiad-keys"},
    "service": {"type": "LoadBalancer", "annotations": {"a": "b"}},
    "serviceMonitor": {"enabled": True, "labels": {"release": "prometheus"}},
    "autoscaling": {"enabled": True},
    "disruptionBudget": {"enabled": True},
    "podAnnotations": {"a": "b"},
    "nodeSelector": {"gpu": "true"},
    "tolerations": [{"key": "gpu", "operator": "Exists"}],
    "affinity": {"nodeAffinity": {}},
}
WITHOUT_CLAIM = {"modelRepository": {"path": "s3://bucket/models", "claim": {"enabled": False}}}
OTHERS_CLAIM = {"modelRepository": {"claim": {"existing": "models"}}}
SETS = [{}, EVERYTHING, WITHOUT_CLAIM, OTHERS_CLAIM]
# Of the Prometheus operator: no schema of Kubernetes' own.
OF_OPERATORS = {"ServiceMonitor"}
SCHEMA_VERSION = "1.31"


def refuse_unknown_flags(arguments: list[str]) -> None:
    """Raises where ``naiad`` does not take this command line; nothing is served."""
    command, *rest = prepare(arguments)
    command_line().commands[command].make_context(command, rest)


@pytest.mark.parametrize("values", SETS)
def test_kubernetes_takes_what_the_chart_makes(values: dict[str, Any], tmp_path: Path) -> None:
    manifests = rendered(values, tmp_path)
    assert {"Deployment", "Service"} <= set(manifests)
    for kind, manifest in manifests.items():
        if kind not in OF_OPERATORS:
            kubernetes_validate.validate(manifest, SCHEMA_VERSION, strict=True)


@pytest.mark.parametrize("values", SETS)
def test_naiad_takes_what_the_chart_says(values: dict[str, Any], tmp_path: Path) -> None:
    pod = rendered(values, tmp_path)["Deployment"]["spec"]["template"]["spec"]
    refuse_unknown_flags(pod["containers"][0]["args"])


def test_a_wrong_flag_would_be_seen(tmp_path: Path) -> None:
    pod = rendered({"flags": {"no-such-flag": 1}}, tmp_path)["Deployment"]["spec"]["template"]["spec"]
    with pytest.raises(Exception, match="no-such-flag"):
        refuse_unknown_flags(pod["containers"][0]["args"])


def test_everything_that_is_asked_for_is_there(tmp_path: Path) -> None:
    manifests = rendered(EVERYTHING, tmp_path)
    assert set(manifests) == {
        "Deployment",
        "HorizontalPodAutoscaler",
        "PersistentVolumeClaim",
        "PodDisruptionBudget",
        "Service",
        "ServiceMonitor",
    }
    pod = manifests["Deployment"]["spec"]["template"]["spec"]
    assert pod["containers"][0]["args"] == [
        "serve",
        "--model-repository=/models",
        "--api-keys-file=/etc/naiad/keys",
        "--exit-timeout-secs=60",
        "--lame-duck-secs=10",
        "--load-model=a",
        "--load-model=b",
        "--log-access=true",
        "--max-connections=20000",
        "--model-control-mode=explicit",
    ]
    assert "replicas" not in manifests["Deployment"]["spec"]  # the autoscaler's
    metric = manifests["HorizontalPodAutoscaler"]["spec"]["metrics"][0]["pods"]["metric"]["name"]
    rules = yaml.safe_load((DOCKER / "kubernetes/prometheus-adapter.yaml").read_text())["rules"]["custom"]
    assert [rule["name"]["as"] for rule in rules] == [metric]


def test_nothing_that_is_not_asked_for(tmp_path: Path) -> None:
    assert set(rendered(WITHOUT_CLAIM, tmp_path)) == {"Deployment", "Service"}
    claimed = rendered(OTHERS_CLAIM, tmp_path)
    volumes = claimed["Deployment"]["spec"]["template"]["spec"]["volumes"]
    assert "PersistentVolumeClaim" not in claimed
    assert {"name": "models", "persistentVolumeClaim": {"claimName": "models"}} in volumes


def test_pods_are_guarded_and_stop_in_time(tmp_path: Path) -> None:
    pod = rendered(EVERYTHING, tmp_path)["Deployment"]["spec"]["template"]["spec"]
    container = pod["containers"][0]
    assert pod["securityContext"]["runAsNonRoot"] and not pod["automountServiceAccountToken"]
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    probes = {name: container[name]["httpGet"]["path"] for name in container if name.endswith("Probe")}
    assert probes == {
        "startupProbe": "/v2/health/ready",
        "readinessProbe": "/v2/health/ready",
        "livenessProbe": "/v2/health/live",
    }
    assert pod["terminationGracePeriodSeconds"] > 60 + 10
    readiness = container["readinessProbe"]
    assert readiness["periodSeconds"] * readiness["failureThreshold"] < 10  # --lame-duck-secs


@pytest.mark.parametrize("values", SETS)
def test_the_schema_of_the_values(values: dict[str, Any]) -> None:
    schema = yaml.safe_load((CHART / "values.schema.json").read_text())
    jsonschema.validate(merged(default_values(), values), schema)
    with pytest.raises(jsonschema.ValidationError, match="replica"):
        jsonschema.validate(merged(values, {"replica": 3}), schema)


def without_helm(value: Any) -> Any:
    """The same without what only helm reads."""
    if isinstance(value, list):
        return [without_helm(each) for each in value]
    if not isinstance(value, dict):
        return value
    kept = {
        key: without_helm(each)
        for key, each in value.items()
        if not key.startswith("helm.sh/") and key != "app.kubernetes.io/managed-by"
    }
    return {key: each for key, each in kept.items() if key != "annotations" or each}


def test_the_plain_manifests_are_the_charts(tmp_path: Path) -> None:
    plain = yaml.safe_load_all((DOCKER / "kubernetes/naiad.yaml").read_text())
    assert {each["kind"]: each for each in plain} == without_helm(rendered({}, tmp_path))
