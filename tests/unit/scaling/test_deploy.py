"""What is made of Serve's account of itself."""

from __future__ import annotations

from enum import Enum
from typing import Any

import pytest

from naiad.errors import AlreadyExists, NotFound
from naiad.scaling import deploy
from naiad.scaling.deploy import Ingress
from naiad.scaling.options import SERVICERS


class State(str, Enum):  # noqa: UP042 (Serve's are of this kind)
    RUNNING = "RUNNING"
    STARTING = "STARTING"


DETAILS: dict[str, Any] = {
    "proxies": {"n1": {"node_ip": "10.0.0.1", "status": "HEALTHY"}},
    "http_options": {"host": "127.0.0.1", "port": 8000},
    "grpc_options": {"port": 9000, "grpc_servicer_functions": list(SERVICERS)},
    "applications": {
        "naiad": {
            "status": State.RUNNING,
            "message": "",
            "deployments": {
                "replica": {
                    "target_num_replicas": 2,
                    "message": "",
                    "replicas": [
                        {"replica_id": "a", "state": State.RUNNING, "node_ip": "10.0.0.1", "node_id": "n1"},
                        # One that has no node yet.
                        {"replica_id": "b", "state": State.STARTING},
                    ],
                }
            },
        }
    },
}


@pytest.fixture
def details(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    monkeypatch.setattr(deploy, "_details", lambda: DETAILS)
    return DETAILS


def test_status(details: dict[str, Any]) -> None:
    found = deploy.status()
    assert found["proxies"] == [{"node": "10.0.0.1", "status": "HEALTHY"}]
    application = found["applications"]["naiad"]
    assert (application["status"], application["wanted"]) == ("RUNNING", 2)
    assert application["replicas"] == [
        {"name": "a", "state": "RUNNING", "node": "10.0.0.1", "node_id": "n1"},
        {"name": "b", "state": "STARTING", "node": "", "node_id": ""},
    ]


def test_where_serve_does_not_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deploy, "_details", lambda: None)
    with pytest.raises(NotFound, match="Ray Serve does not run"):
        deploy.status()
    deploy._check_ingress(Ingress(), "naiad")


@pytest.mark.parametrize(
    ("ingress", "said"),
    [
        (Ingress(http_port=81), "--http-port=8000 on this cluster, and this asks for 81"),
        (Ingress(grpc_port=82), "--grpc-port=9000 on this cluster, and this asks for 82"),
        (Ingress(address="0.0.0.0"), "--address=127.0.0.1 on this cluster"),
    ],
)
def test_ports_that_serve_has_stay(details: dict[str, Any], ingress: Ingress, said: str) -> None:
    deploy._check_ingress(Ingress(), "naiad")
    with pytest.raises(AlreadyExists, match=said):
        deploy._check_ingress(ingress, "naiad")


def test_one_application_has_the_proxies(details: dict[str, Any]) -> None:
    with pytest.raises(AlreadyExists, match="application 'naiad' has the proxies of this cluster"):
        deploy._check_ingress(Ingress(), "other")


def test_the_reason_is_that_of_the_replica(monkeypatch: pytest.MonkeyPatch) -> None:
    traceback = (
        "The deployment failed to start 3 times in a row. Error:\n"
        "ray.exceptions.RayTaskError: ray::ServeReplica:naiad:replica.initialize()\n"
        '  File "replica.py", line 1, in __init__\n'
        "naiad.errors.Unsupported: model 'm': keeps state"
    )
    failed = {"message": "", "deployments": {"replica": {"message": traceback}}}
    monkeypatch.setattr(deploy, "_details", lambda: {"applications": {"naiad": failed}})
    assert deploy._failure("naiad", RuntimeError("Deploying failed.\nMore.")) == "model 'm': keeps state"
    assert deploy._failure("other", RuntimeError("Deploying failed.\nMore.")) == "Deploying failed."
