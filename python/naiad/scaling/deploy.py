"""Puts an application of naiad on a Ray cluster, shows what is there, and takes it away."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

from naiad.errors import AlreadyExists, InvalidArgument, NotFound, Unavailable, Unsupported
from naiad.scaling.options import SERVICERS, DeployOptions, deployment_arguments

INSTALL = "pip install 'naiad[ray]'"
ProxyLocation = Literal["HeadOnly", "EveryNode"]


@dataclass(frozen=True, slots=True)
class Ingress:
    """Where Serve's proxies listen. There is one set of them for a cluster, which all applications share."""

    address: str = "127.0.0.1"
    http_port: int = 8000
    grpc_port: int = 9000
    location: ProxyLocation = "EveryNode"


@contextmanager
def cluster(address: str) -> Iterator[None]:
    """Connected to a Ray cluster that runs; ``address``: host:port of its head, or "auto".

    Raises Unsupported without Ray, Unavailable where no cluster is found.
    """
    try:
        import ray
        from ray import serve  # noqa: F401
    except ImportError:
        raise Unsupported("Ray is not installed in this environment") from None
    if ray.is_initialized():
        yield
        return
    try:
        ray.init(address=address, namespace="serve", log_to_driver=False, logging_level=logging.ERROR)
    except (ConnectionError, ValueError, RuntimeError) as error:
        where = "on this machine" if address == "auto" else f"at {address}"
        raise Unavailable(f"there is no Ray cluster {where} ({_first_line(error)})") from error
    try:
        yield
    finally:
        ray.shutdown()


def deploy(options: DeployOptions, ingress: Ingress, *, wait: bool = True) -> None:
    """Starts the application, or brings the one of that name to these options without a pause: new replicas
    take over from old ones.

    Raises Unavailable with Serve's reason when it does not come up, AlreadyExists where Serve runs with other
    ports, InvalidArgument where the cluster has not what the replicas need.
    """
    from ray import serve
    from ray.serve.config import HTTPOptions, gRPCOptions

    _check_resources(options)
    _check_ingress(ingress, options.application)
    serve.start(
        proxy_location=ingress.location,
        logging_config={"enable_access_log": False},
        http_options=HTTPOptions(host=ingress.address, port=ingress.http_port),
        grpc_options=gRPCOptions(
            port=ingress.grpc_port,
            grpc_servicer_functions=list(SERVICERS),
            # Serve's own would name the services and not describe them.
            enable_reflection=False,
        ),
    )
    from naiad.scaling.replica import Replica

    bound = serve.deployment(**deployment_arguments(options))(Replica).bind(options.replica)
    target = serve.RunTarget(bound, name=options.application, route_prefix="/")
    try:
        serve.run_many([target], wait_for_applications_running=wait)
    except RuntimeError as error:
        raise Unavailable(_failure(options.application, error)) from error


def status() -> dict[str, Any]:
    """Applications with their states, and their replicas with node and state; ports of the proxies. Raises
    NotFound where Serve does not run.
    """
    details = _details()
    if details is None:
        raise NotFound("Ray Serve does not run on this cluster")
    return {
        "proxies": [
            {"node": proxy["node_ip"], "status": _word(proxy["status"])}
            for proxy in details["proxies"].values()
        ],
        "http_port": details["http_options"]["port"],
        "grpc_port": details["grpc_options"]["port"],
        "applications": {
            name: _application(application) for name, application in details["applications"].items()
        },
    }


def shutdown(application: str | None) -> None:
    """Takes an application away, or with None all of Serve with its proxies. Requests in flight finish.
    Raises NotFound for what is not there.
    """
    from ray import serve

    details = _details()
    if details is None:
        raise NotFound("Ray Serve does not run on this cluster")
    if application is None:
        serve.shutdown()
        return
    if application not in details["applications"]:
        there = ", ".join(details["applications"]) or "none"
        raise NotFound(f"there is no application '{application}'; there is: {there}")
    serve.delete(application)


def _application(details: Mapping[str, Any]) -> dict[str, Any]:
    replicas = [
        {
            "name": replica["replica_id"],
            "state": _word(replica["state"]),
            # One that starts has no node yet.
            "node": replica.get("node_ip") or "",
            "node_id": replica.get("node_id") or "",
        }
        for deployment in details["deployments"].values()
        for replica in deployment["replicas"]
    ]
    targets = [deployment["target_num_replicas"] for deployment in details["deployments"].values()]
    return {
        "status": _word(details["status"]),
        "message": details["message"],
        "wanted": sum(targets),
        "replicas": replicas,
    }


def _details() -> dict[str, Any] | None:
    """What Serve tells of itself; None: it does not run."""
    from ray.serve.context import _get_global_client

    client = _get_global_client(raise_if_no_controller_running=False)
    if client is None:
        return None
    details: dict[str, Any] = client.get_serve_details()
    return details


def _check_ingress(ingress: Ingress, application: str) -> None:
    """Serve takes no new ports and methods while it runs, and would say so in a log line only. Clients that
    name no application reach the only one there is.
    """
    details = _details()
    if details is None:
        return
    http, grpc = details["http_options"], details["grpc_options"]
    for flag, has, wanted in (
        ("--http-port", http["port"], ingress.http_port),
        ("--grpc-port", grpc["port"], ingress.grpc_port),
        ("--address", http["host"], ingress.address),
    ):
        if has != wanted:
            raise AlreadyExists(
                f"Ray Serve runs with {flag}={has} on this cluster, and this asks for {wanted}"
            )
    if not set(SERVICERS) <= set(grpc["grpc_servicer_functions"]):
        raise AlreadyExists("Ray Serve runs on this cluster without the gRPC methods of naiad")
    others = [name for name in details["applications"] if name != application]
    if others:
        raise AlreadyExists(f"application '{others[0]}' has the proxies of this cluster")


def _check_resources(options: DeployOptions) -> None:
    """What no node will ever have is said now; Serve would wait for it."""
    import ray

    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    for what, wanted in (("CPU", options.cpus), ("GPU", options.gpus)):
        most = max((node.get(what, 0.0) for node in nodes), default=0.0)
        if wanted > most:
            raise InvalidArgument(f"a replica needs {wanted:g} {what}, and the largest node has {most:g}")
    gpus = sum(node.get("GPU", 0.0) for node in nodes)
    if options.replica.engine_gpus > gpus:
        raise InvalidArgument(
            f"an engine needs {options.replica.engine_gpus} GPUs, and all nodes together have {gpus:g}"
        )


def _failure(application: str, error: Exception) -> str:
    details = _details() or {"applications": {}}
    found = details["applications"].get(application)
    messages = [found["message"]] if found else []
    messages += [each["message"] for each in found["deployments"].values()] if found else []
    for message in messages:
        # The last line of the traceback that Serve shows: the error of the replica itself.
        lines = [line.strip() for line in message.splitlines() if "naiad.errors." in line]
        if lines:
            return str(lines[-1].partition(": ")[2])
    return _first_line(error)


def _word(state: Any) -> str:
    """Of an enumeration of Serve's."""
    return str(getattr(state, "value", state))


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0]
