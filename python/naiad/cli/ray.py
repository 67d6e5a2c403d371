"""``naiad ray``: the same repository served by many replicas, over Ray Serve."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from typing import Annotated

import typer
from rich.console import Console

from naiad.cli.console import print_line, show_error
from naiad.cli.launch import USAGE
from naiad.cli.values import backend_config as parse_backend_config
from naiad.cli.values import repositories
from naiad.errors import AlreadyExists, InvalidArgument, NaiadError, NotFound, Unavailable, Unsupported
from naiad.scaling.deploy import INSTALL, Ingress, cluster
from naiad.scaling.options import DEFAULT_APPLICATION, DeployOptions, ReplicaSettings, Scaling

ray_app = typer.Typer(
    help="Many replicas of a model repository over a cluster, by Ray Serve.", no_args_is_help=True
)

_REPLICAS, _SCALING, _INGRESS = "Replicas", "Autoscaling", "Ingress"
_DEPLOY = DeployOptions(ReplicaSettings(remote_repositories=("s3://",)))
_SCALE = Scaling()
_OPEN = Ingress()
_Cluster = Annotated[
    str,
    typer.Option(
        "--cluster", help="Head of the Ray cluster; auto: the one of this machine.", metavar="HOST:PORT"
    ),
]
_Json = Annotated[bool, typer.Option("--json", help="For programs.")]


class Location(StrEnum):
    """Which nodes have proxies."""

    every_node = "EveryNode"
    head_only = "HeadOnly"


@ray_app.command("deploy")
def deploy(
    model_repository: Annotated[
        list[str],
        typer.Argument(
            help="Model repositories: directories that every node has at the same place, or s3://, gs://, "
            "as://, https://.",
            metavar="DIR...",
        ),
    ],
    address: _Cluster = "auto",
    name: Annotated[str, typer.Option("--name", help="Of the application.")] = DEFAULT_APPLICATION,
    replicas: Annotated[
        int, typer.Option("--replicas", min=1, rich_help_panel=_REPLICAS, help="How many there are.")
    ] = _SCALE.replicas,
    cpus: Annotated[
        float, typer.Option("--cpus-per-replica", min=0, rich_help_panel=_REPLICAS, help="Reserved.")
    ] = _DEPLOY.cpus,
    gpus: Annotated[
        float, typer.Option("--gpus-per-replica", min=0, rich_help_panel=_REPLICAS, help="Reserved.")
    ] = _DEPLOY.gpus,
    llm_gpus: Annotated[
        int,
        typer.Option(
            "--llm-gpus",
            min=0,
            rich_help_panel=_REPLICAS,
            help="GPUs of the repository's one model of vLLM, on as many nodes as it takes: its "
            "tensor_parallel_size * pipeline_parallel_size.",
        ),
    ] = 0,
    models_per_replica: Annotated[
        int,
        typer.Option(
            "--models-per-replica",
            min=0,
            rich_help_panel=_REPLICAS,
            help="Load models when they are asked for, and hold so many; 0: all, from the start.",
        ),
    ] = 0,
    load_threads: Annotated[
        int,
        typer.Option(
            "--model-load-thread-count",
            min=1,
            rich_help_panel=_REPLICAS,
            help="Models that load at the same time.",
        ),
    ] = 4,
    poll: Annotated[
        float | None,
        typer.Option(
            "--repository-poll-secs",
            min=1,
            rich_help_panel=_REPLICAS,
            help="Each replica follows changes of the repositories. [default: it does not]",
        ),
    ] = None,
    backend_config: Annotated[
        list[str] | None,
        typer.Option(
            "--backend-config",
            rich_help_panel=_REPLICAS,
            help="Setting of a backend. Repeatable.",
            metavar="NAME,KEY=VALUE",
        ),
    ] = None,
    metrics_address: Annotated[
        str | None,
        typer.Option(
            "--metrics-address",
            rich_help_panel=_REPLICAS,
            help="Where replicas serve their metrics, each on a free port. [default: the loopback]",
        ),
    ] = None,
    max_ongoing: Annotated[
        int,
        typer.Option(
            "--max-ongoing-requests",
            min=1,
            rich_help_panel=_REPLICAS,
            help="Of a replica; beyond this requests wait at the proxies.",
        ),
    ] = _DEPLOY.max_ongoing_requests,
    max_queued: Annotated[
        int,
        typer.Option(
            "--max-queued-requests",
            min=-1,
            rich_help_panel=_REPLICAS,
            help="So many wait at each proxy, and what is more is refused; -1: without a bound.",
        ),
    ] = _DEPLOY.max_queued_requests,
    max_replicas: Annotated[
        int | None,
        typer.Option(
            "--max-replicas",
            min=1,
            rich_help_panel=_SCALING,
            help="As many replicas as the load needs, up to this; --replicas does not count then.",
        ),
    ] = None,
    min_replicas: Annotated[
        int, typer.Option("--min-replicas", min=1, rich_help_panel=_SCALING, help="At least.")
    ] = _SCALE.min_replicas,
    target_ongoing: Annotated[
        float,
        typer.Option(
            "--target-ongoing-requests",
            min=0.01,
            rich_help_panel=_SCALING,
            help="Requests under way that a replica should have: those that run and those that wait.",
        ),
    ] = _SCALE.target_ongoing_requests,
    target_queue: Annotated[
        float | None,
        typer.Option(
            "--target-queue-depth",
            min=0.01,
            rich_help_panel=_SCALING,
            help="Requests that may wait in the queues of a replica's models; more need more replicas.",
        ),
    ] = None,
    upscale_delay: Annotated[
        float, typer.Option("--upscale-delay-secs", min=0, rich_help_panel=_SCALING, help="Before more.")
    ] = _SCALE.upscale_delay_s,
    downscale_delay: Annotated[
        float, typer.Option("--downscale-delay-secs", min=0, rich_help_panel=_SCALING, help="Before fewer.")
    ] = _SCALE.downscale_delay_s,
    listen: Annotated[
        str, typer.Option("--address", rich_help_panel=_INGRESS, help="Address the proxies listen on.")
    ] = _OPEN.address,
    http_port: Annotated[
        int, typer.Option("--http-port", min=1, max=65535, rich_help_panel=_INGRESS, help="Of each proxy.")
    ] = _OPEN.http_port,
    grpc_port: Annotated[
        int, typer.Option("--grpc-port", min=1, max=65535, rich_help_panel=_INGRESS, help="Of each proxy.")
    ] = _OPEN.grpc_port,
    proxies: Annotated[
        Location, typer.Option("--proxies", rich_help_panel=_INGRESS, help="Which nodes have one.")
    ] = Location.every_node,
    own_node_first: Annotated[
        bool,
        typer.Option(
            "--own-node-first",
            rich_help_panel=_INGRESS,
            help="A proxy sends to the replicas of its own node until these take no more; else to all.",
        ),
    ] = False,
    wait: Annotated[bool, typer.Option("--wait/--no-wait", help="Until all replicas serve.")] = True,
) -> None:
    """Deploy model repositories on a Ray cluster that runs, or update the application of that name.

    Clients of Triton speak to the proxies as to one server.
    """
    from naiad.scaling import deploy as deploying

    with _shown():
        local, remote = repositories(model_repository)
        options = DeployOptions(
            replica=ReplicaSettings(
                model_repositories=tuple(path.absolute() for path in local),
                remote_repositories=remote,
                backend_config=parse_backend_config(backend_config or (), directory=""),
                load_threads=load_threads,
                models_per_replica=models_per_replica,
                several=(max_replicas or replicas) > 1,
                engine_gpus=llm_gpus,
                poll_s=poll,
                metrics_address=metrics_address,
            ),
            scaling=Scaling(
                replicas=replicas,
                min_replicas=min_replicas,
                max_replicas=max_replicas,
                target_ongoing_requests=target_ongoing,
                target_queue_depth=target_queue,
                upscale_delay_s=upscale_delay,
                downscale_delay_s=downscale_delay,
            ),
            application=name,
            max_ongoing_requests=max_ongoing,
            max_queued_requests=max_queued,
            own_node_first=own_node_first,
            cpus=cpus,
            gpus=gpus,
        )
        ingress = Ingress(listen, http_port, grpc_port, proxies.value)
        with cluster(address), Console(stderr=True).status("Starting replicas"):
            deploying.deploy(options, ingress, wait=wait)
        print_line(
            Console(),
            f"'{name}' {'serves' if wait else 'starts'}: HTTP on port {http_port}, gRPC on port {grpc_port}",
        )


@ray_app.command("status")
def status(address: _Cluster = "auto", as_json: _Json = False) -> None:
    """Show applications and their replicas. Exit status: 0 when all run, 1 when one does not."""
    from naiad.scaling.deploy import status as read_status

    with _shown(), cluster(address):
        found = read_status()
    if as_json:
        typer.echo(json.dumps(found, indent=2))
    else:
        screen = Console()
        nodes = ", ".join(f"{proxy['node']} {proxy['status']}" for proxy in found["proxies"])
        print_line(screen, f"proxies (HTTP {found['http_port']}, gRPC {found['grpc_port']}): {nodes}")
        for name, application in found["applications"].items():
            replicas = application["replicas"]
            print_line(
                screen,
                f"{name}: {application['status']}, {len(replicas)} of {application['wanted']} replicas",
            )
            for replica in replicas:
                print_line(screen, f"  {replica['name']}  {replica['state']}  {replica['node']}")
            if application["message"]:
                print_line(screen, f"  {application['message'].strip().splitlines()[-1]}")
    running = [each["status"] == "RUNNING" for each in found["applications"].values()]
    raise typer.Exit(0 if running and all(running) else 1)


@ray_app.command("shutdown")
def shutdown(
    address: _Cluster = "auto",
    name: Annotated[str, typer.Option("--name", help="Of the application.")] = DEFAULT_APPLICATION,
    everything: Annotated[
        bool, typer.Option("--all", help="All applications, and Serve with its proxies.")
    ] = False,
) -> None:
    """Take an application away. Requests in flight finish."""
    from naiad.scaling.deploy import shutdown as take_away

    with _shown(), cluster(address):
        take_away(None if everything else name)


_STEPS: dict[type[NaiadError], str] = {
    Unsupported: INSTALL,
    Unavailable: "`ray start --head` starts a cluster; `naiad ray status` shows what runs, and `ray logs` "
    "what it said",
    AlreadyExists: "use its ports and name, or end Serve with all applications: `naiad ray shutdown --all`",
    NotFound: "`naiad ray deploy DIR` starts an application; `naiad ray status` shows what is there",
    InvalidArgument: "`naiad ray deploy --help` shows what there is",
}


@contextmanager
def _shown() -> Iterator[None]:
    """Errors in the form of all commands."""
    try:
        yield
    except NaiadError as error:
        step = next((step for kind, step in _STEPS.items() if isinstance(error, kind)), "")
        show_error(Console(stderr=True), str(error), step)
        raise typer.Exit(USAGE if isinstance(error, InvalidArgument) else 1) from None
