"""What can be set on a server, as plain frozen values. ``naiad.cli`` reads them from the command line.

The defaults are Triton's where Triton has the setting. Sizes are bytes and durations seconds unless a
name says otherwise.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

ControlMode = Literal["none", "explicit", "poll", "ondemand"]
LogFormat = Literal["default", "ISO8601", "json"]
TraceMode = Literal["triton", "opentelemetry"]

SERVER_VERSION = "2.73.0"
"""The Triton release whose protocol is spoken: what clients read as the server's version."""

DEFAULT_MAX_INPUT_SIZE_BYTES = 64 << 20


_MAX_CORES = 4096


@dataclass(frozen=True, slots=True)
class RepositorySettings:
    """Where models come from and which are loaded."""

    model_repositories: tuple[Path, ...]
    """Directories of this machine."""
    remote_repositories: tuple[str, ...] = ()
    """Addresses of others: s3://, gs://, as://, http://, https://."""
    cache_directory: Path | None = None
    """Where the models of these are kept; None: a temporary directory."""
    control_mode: ControlMode = "none"
    load_models: tuple[str, ...] = ()
    """Explicit and on-demand mode only: the models loaded at start; ``("*",)`` means all."""
    exit_on_error: bool = True
    strict_readiness: bool = True
    auto_complete: bool = True
    backend_config: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """Backend name -> key -> value; the name "" holds settings of all backends."""
    load_threads: int = 4
    load_retries: int = 0
    """How often a load that failed is tried again."""
    load_files: bool = True
    """Whether clients may send files of a model with a load: code that is run, among others."""
    runs_code: bool = True
    """Whether models that are code, or may bring some, are loaded: those in Python, for one."""
    config_name: str = ""
    """configs/<this>.pbtxt of a model is taken in place of its config.pbtxt, where there is one."""
    poll_s: float = 15.0
    """Poll and on-demand mode: the time between two looks at the repositories."""
    memory_limit_bytes: int = 0
    """Of main memory, that models may take together with headroom; 0: as much as they want."""
    gpu_limits: Mapping[int, float] = field(default_factory=dict)
    """Number of a GPU -> the part of its memory that may be in use when a model is loaded."""
    namespacing: bool = False
    """Whether repositories may have models of equal names."""
    linked_repository: Path | None = None
    """One of them, made of links to what the command line named: these may lead out of it."""


@dataclass(frozen=True, slots=True)
class TlsSettings:
    """TLS on one port: files in PEM, read again while the server runs."""

    certificate_chain: Path
    """The server's certificate, followed by those that lead to its root."""
    key: Path
    client_roots: Path | None = None
    """Clients have to show a certificate that leads to one of these."""


LOOPBACK = "127.0.0.1"
"""Where ports are open unless told otherwise: to this machine alone."""


@dataclass(frozen=True, slots=True)
class AccessSettings:
    """Which keys clients have to show."""

    keys_file: Path | None = None
    keys_text: str = field(default="", repr=False)
    """Keys beside those of the file, in the same form: from the environment."""
    max_wrong_keys: int = 20
    """Different wrong keys that a client's address may show in a minute; 0: any number."""

    @property
    def needs_keys(self) -> bool:
        """Whether clients have to show keys at all."""
        return self.keys_file is not None or bool(self.keys_text)


TritonGroup = Literal[
    "health",
    "metadata",
    "inference",
    "shared-memory",
    "model-config",
    "model-repository",
    "statistics",
    "trace",
    "logging",
]
"""The groups of the API that Triton knows: those that may be restricted."""
Restricted = Mapping[str, tuple[str, str]]
"""A group of the API -> the name and value of a header field that its requests have to carry."""


@dataclass(frozen=True, slots=True)
class HttpSettings:
    """The HTTP edge."""

    enabled: bool = True
    address: str = LOOPBACK
    port: int = 8000
    reuse_port: bool = False
    max_input_size_bytes: int = DEFAULT_MAX_INPUT_SIZE_BYTES
    """Bound of a request body, of its inflated form too."""
    header_forward: str = ""
    """A regular expression: models see the header fields in whose names it is found, as parameters."""
    tls: TlsSettings | None = None
    restricted: Restricted = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True)
class GrpcSettings:
    """The gRPC edge."""

    enabled: bool = True
    address: str = LOOPBACK
    port: int = 8001
    reuse_port: bool = False
    keepalive_time_ms: int = 7_200_000
    """A client that is silent so long is pinged."""
    keepalive_timeout_ms: int = 20_000
    """And cut off when it does not answer in this time."""
    header_forward: str = ""
    """As of HTTP, for metadata."""
    tls: TlsSettings | None = None
    restricted: Restricted = field(default_factory=dict, repr=False)
    """The name without the prefix that metadata has."""


@dataclass(frozen=True, slots=True)
class OpenAiSettings:
    """The OpenAI-compatible API, which is under the HTTP port too."""

    address: str = LOOPBACK
    port: int | None = None
    """A port of its own; None: it has none."""


@dataclass(frozen=True, slots=True)
class IoSettings:
    """The threads that serve HTTP and gRPC, and what all connections together may take."""

    threads: int = 0
    """0: by the number of processors."""
    spin_us: int = 0
    """How long a thread of them waits awake, where the last wait was no longer."""
    max_connections: int = 10_000
    max_in_flight_bytes: int = 0
    """Bound of the bodies of requests that are not answered yet; 0 takes a share of the machine's memory."""


@dataclass(frozen=True, slots=True)
class MetricsSettings:
    """The metrics edge and what it shows."""

    enabled: bool = True
    address: str = LOOPBACK
    port: int = 8002
    gpu: bool = True
    cpu: bool = True
    interval_ms: int = 2000
    """How old a reading of CPU and GPU may be when it is shown."""
    counter_latencies: bool = True
    """Cumulative durations of models."""
    summary_latencies: bool = False
    """Quantiles of their durations in the last minute."""
    histogram_latencies: bool = False
    """Triton's histogram of the time to the first response."""
    summary_quantiles: tuple[float, ...] = (0.5, 0.9, 0.95, 0.99, 0.999)
    dashboard: bool = True
    """Whether there is a page under ``/ui``."""


@dataclass(frozen=True, slots=True)
class LogSettings:
    """What is logged, and how."""

    info: bool = True
    warning: bool = True
    error: bool = True
    verbose: int = 0
    format: LogFormat = "default"
    file: Path | None = None
    access: bool = False
    """A line for each request of HTTP and gRPC."""


@dataclass(frozen=True, slots=True)
class TraceSettings:
    """Which requests are traced, and where traces go: to a file in Triton's form, or to a collector."""

    mode: TraceMode = "triton"
    timestamps: bool = False
    tensors: bool = False
    rate: int = 1000
    """Every so manieth request. 0, of mode opentelemetry: those alone that are part of a client's trace."""
    count: int = -1
    """So many, then no more; -1: without a bound."""
    file: Path | None = None
    log_frequency: int = 0
    """So many traces go together into a file of their own, numbered; 0: all into one."""
    url: str = "http://localhost:4318/v1/traces"
    """Where an OTLP/HTTP collector is."""
    resource: tuple[tuple[str, str], ...] = ()
    """Attributes of this server."""
    bsp_max_queue_size: int = 2048
    """Spans that wait to be exported; what is more is dropped."""
    bsp_schedule_delay_ms: int = 5000
    bsp_max_export_batch_size: int = 512


@dataclass(frozen=True, slots=True)
class CoreSettings:
    """The compiled core."""

    pool_bytes: int = 0
    """Bound of the tensor pool; 0 takes a share of the machine's memory."""
    pinned_bytes: int = 256 << 20
    """How much of the pool may be pinned for a GPU."""
    gpu_cache_bytes: Mapping[int, int] = field(default_factory=dict)
    """Number of a GPU -> how much of its memory is kept for further batches while nothing uses it."""


CPU = -1
"""The device of resources that instances on the CPU share."""
ALL_TOGETHER = -2
"""The device of resources that the instances on all devices share."""
EVERY_DEVICE = -3
"""In limits only: of each device that has no limit of its own."""


@dataclass(frozen=True, slots=True)
class HostPolicy:
    """Where on the machine instances run."""

    cpu_cores: tuple[int, ...] = ()
    """The processors; none: any."""
    numa_node: int | None = None
    """The node that their memory is of; without ``cpu_cores`` they run on its processors."""


def read_core_list(text: str) -> tuple[int, ...] | None:
    """``0-3,8`` as numbers, ascending; None for what is no such list."""
    numbers: set[int] = set()
    for part in text.split(","):
        first, dash, last = part.partition("-")
        last = last if dash else first
        if not first.isdecimal() or not last.isdecimal() or not 0 <= int(last) - int(first) < _MAX_CORES:
            return None
        numbers.update(range(int(first), int(last) + 1))
    return tuple(sorted(numbers))


@dataclass(frozen=True, slots=True)
class RedisSettings:
    """A Redis server that keeps answers, and how it is reached."""

    host: str
    port: int = 6379
    user: str = ""
    password: str = field(default="", repr=False)
    db: int = 0
    connect_timeout_s: float = 0.5
    socket_timeout_s: float = 0.5
    """How long an answer of Redis is waited for: a request whose look-up takes longer is run."""
    connections: int = 2
    ttl_s: int = 0
    """How long an answer is kept; 0: for as long as Redis has room."""
    tls: bool = False
    certificate: str | None = None
    key: str | None = None
    roots: str | None = None


@dataclass(frozen=True, slots=True)
class SchedulingSettings:
    """What models share beside the machine."""

    cache_bytes: int = 0
    """Bound of the answers that are kept in memory for models with ``response_cache``; 0: none are."""
    redis: RedisSettings | None = None
    """Where answers are kept too, for all servers that use it."""
    summaries: bool = False
    """Whether quantiles of their durations are kept, for the metrics that show them."""
    unbounded_queues: bool = False
    """Whether a queue whose model sets no bound has none, as with Triton; otherwise it has the core's."""
    host_policies: Mapping[str, HostPolicy] = field(default_factory=dict)
    """By their names; an instance that names none has that of its kind: "cpu" or "gpu_0"."""
    rate_limit: bool = False
    """Whether instances need their ``rate_limiter`` resources to run."""
    rate_limit_resources: Mapping[tuple[str, int], int] = field(default_factory=dict)
    """How much there is of a resource, by its name and device: the number of a GPU, CPU, ALL_TOGETHER
    (global) or EVERY_DEVICE. Of others there is as much as the instance with the largest need takes.
    """

    @property
    def keeps_answers(self) -> bool:
        """Whether answers are kept for models that want it."""
        return self.cache_bytes > 0 or self.redis is not None


@dataclass(frozen=True, slots=True)
class ServerSettings:
    """Everything about one server."""

    repository: RepositorySettings
    server_id: str = "triton"
    exit_timeout_s: float = 30.0
    """How long requests in flight may take to finish after a signal to stop."""
    lame_duck_s: float = 0.0
    """How long a server that is told to stop goes on serving while it says that it is not ready, so that who
    sends requests here learns of it first."""
    allow_client_shm: bool = False
    """Whether clients may pass tensors in shared memory. Who may register a region can have this process
    read and write every shared memory object that it is allowed to open."""
    http: HttpSettings = field(default_factory=HttpSettings)
    grpc: GrpcSettings = field(default_factory=GrpcSettings)
    openai: OpenAiSettings = field(default_factory=OpenAiSettings)
    io: IoSettings = field(default_factory=IoSettings)
    access: AccessSettings = field(default_factory=AccessSettings)
    metrics: MetricsSettings = field(default_factory=MetricsSettings)
    log: LogSettings = field(default_factory=LogSettings)
    trace: TraceSettings = field(default_factory=TraceSettings)
    core: CoreSettings = field(default_factory=CoreSettings)
    scheduling: SchedulingSettings = field(default_factory=SchedulingSettings)
