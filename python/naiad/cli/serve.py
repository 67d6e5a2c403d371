"""``naiad serve``: Triton's flags, as far as they act."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from naiad.cli import model_flags
from naiad.cli.access_flags import access_settings, restricted_apis
from naiad.cli.caches import cache_config as parse_cache_config
from naiad.cli.flags import LOG_FORMATS, ControlMode, LogFormat, RateLimit
from naiad.cli.flags import file_flag as _file
from naiad.cli.flags import flag as _flag
from naiad.cli.flags import port_flag as _port
from naiad.cli.flags import switch_flag as _switch
from naiad.cli.launch import ConsoleMode, launch
from naiad.cli.metrics_flags import metrics_config as parse_metrics_config
from naiad.cli.sources import CONFIG_FLAG
from naiad.cli.trace_flags import trace_settings
from naiad.cli.values import (
    Switch,
    TlsFlags,
    gpu_limits,
    gpu_pool_sizes,
    host_policies,
    memory_limit,
    openai_settings,
    rate_limit_resources,
    repositories,
)
from naiad.cli.values import backend_config as parse_backend_config
from naiad.settings import (
    LOOPBACK,
    AccessSettings,
    CoreSettings,
    GrpcSettings,
    HttpSettings,
    IoSettings,
    LogSettings,
    MetricsSettings,
    RepositorySettings,
    SchedulingSettings,
    ServerSettings,
)

_MODELS, _SERVER, _HTTP, _GRPC, _IO = "Models", "Server", "HTTP", "gRPC", "Connections"
_METRICS, _LOG, _TRACE = "Metrics", "Log", "Traces"

_ON, _OFF = Switch(True), Switch(False)
_RESTRICTED = "API[,API]:HEADER=VALUE"
_HTTP_DEFAULTS = HttpSettings()
_GRPC_DEFAULTS = GrpcSettings()
_IO_DEFAULTS = IoSettings()
_METRICS_DEFAULTS = MetricsSettings()
_CORE_DEFAULTS = CoreSettings()


def serve(
    models: Annotated[
        list[Path] | None,
        typer.Argument(
            help="What to serve, with no configuration needed: model.onnx, model.pt, model.pt2, model.xml, "
            "model.py, a folder of such files, a model repository, a model of Hugging Face on disk.",
            show_default=False,
            metavar="[PATH]...",
        ),
    ] = None,
    model_repository: Annotated[
        list[str] | None,
        typer.Option(
            "--model-repository",
            "--model-store",
            rich_help_panel=_MODELS,
            help="Directory with the models, or s3://, gs://, as://, https://. Repeatable.",
            metavar="DIR",
        ),
    ] = None,
    model_control_mode: model_flags.ControlModeFlag = ControlMode.none,
    load_model: model_flags.LoadModel = None,
    repository_poll_secs: model_flags.PollSeconds = 15,
    repository_cache: model_flags.RepositoryCache = "",
    model_memory_limit: model_flags.MemoryLimit = "",
    model_load_gpu_limit: model_flags.GpuLimits = None,
    exit_on_error: model_flags.ExitOnError = _ON,
    strict_readiness: model_flags.StrictReadiness = _ON,
    disable_auto_complete_config: model_flags.NoAutoComplete = _OFF,
    model_load_thread_count: model_flags.LoadThreads = 4,
    model_load_retry_count: model_flags.LoadRetries = 0,
    allow_load_files: model_flags.LoadFiles = _ON,
    allow_repository_code: model_flags.RepositoryCode = _ON,
    model_config_name: model_flags.ConfigName = "",
    model_namespacing: model_flags.Namespacing = _OFF,
    cache_config: Annotated[
        list[str] | None,
        _flag(
            "--cache-config",
            _MODELS,
            "Keep answers for models with response_cache: local,size=BYTES or redis,host=HOST. Repeatable.",
            metavar="STORE,KEY=VALUE",
        ),
    ] = None,
    rate_limit: Annotated[
        RateLimit,
        _flag("--rate-limit", _MODELS, "Whether instances need their rate_limiter resources to run."),
    ] = RateLimit.off,
    rate_limit_resource: Annotated[
        list[str] | None,
        _flag(
            "--rate-limit-resource",
            _MODELS,
            "How much there is of a resource. Repeatable.",
            metavar="NAME:COUNT[:DEVICE]",
        ),
    ] = None,
    host_policy: Annotated[
        list[str] | None,
        _flag(
            "--host-policy",
            _MODELS,
            "Where instances of this policy run: cpu-cores=0-3,8 or numa-node=N. Repeatable.",
            metavar="NAME,KEY=VALUE",
        ),
    ] = None,
    unbounded_queues: Annotated[
        Switch, _switch("--unbounded-queues", _MODELS, "No bound for queues whose model sets none.")
    ] = _OFF,
    backend_directory: Annotated[
        str, _flag("--backend-directory", _MODELS, "Where backends lie: a folder with code for each.")
    ] = "/opt/tritonserver/backends",
    backend_config: Annotated[
        list[str] | None,
        _flag("--backend-config", _MODELS, "Setting of a backend. Repeatable.", metavar="NAME,KEY=VALUE"),
    ] = None,
    allow_http: Annotated[Switch, _switch("--allow-http", _HTTP, "Serve HTTP.")] = _ON,
    http_address: Annotated[str, _flag("--http-address", _HTTP, "Address to listen on.")] = LOOPBACK,
    http_port: Annotated[int, _port("--http-port", _HTTP, "Port to listen on; 0 takes a free one.")] = 8000,
    reuse_http_port: Annotated[
        Switch, _switch("--reuse-http-port", _HTTP, "Let several servers listen on the port.")
    ] = _OFF,
    http_max_input_size: Annotated[
        int, _flag("--http-max-input-size", _HTTP, "Largest request body in bytes, inflated too.", min=1)
    ] = _HTTP_DEFAULTS.max_input_size_bytes,
    http_header_forward_pattern: Annotated[
        str,
        _flag("--http-header-forward-pattern", _HTTP, "Models see fields with such names.", metavar="REGEX"),
    ] = "",
    http_use_ssl: Annotated[Switch, _switch("--http-use-ssl", _HTTP, "Serve over TLS.")] = _OFF,
    http_use_ssl_mutual: Annotated[
        Switch, _switch("--http-use-ssl-mutual", _HTTP, "Serve over TLS; clients have to show a certificate.")
    ] = _OFF,
    http_server_cert: Annotated[
        str, _file("--http-server-cert", _HTTP, "PEM: the certificate and those up to its root.")
    ] = "",
    http_server_key: Annotated[str, _file("--http-server-key", _HTTP, "PEM: the certificate's key.")] = "",
    http_root_cert: Annotated[
        str, _file("--http-root-cert", _HTTP, "PEM: roots of the certificates of clients.")
    ] = "",
    openai_port: Annotated[
        int | None,
        _port("--openai-port", _HTTP, "A port of its own for the OpenAI API. [default: the HTTP port alone]"),
    ] = None,
    openai_address: Annotated[
        str | None, _flag("--openai-address", _HTTP, "Its address. [default: as --http-address]")
    ] = None,
    http_restricted_api: Annotated[
        list[str] | None,
        _flag("--http-restricted-api", _HTTP, "APIs that need this field. Repeatable.", metavar=_RESTRICTED),
    ] = None,
    allow_grpc: Annotated[Switch, _switch("--allow-grpc", _GRPC, "Serve gRPC.")] = _ON,
    grpc_address: Annotated[str, _flag("--grpc-address", _GRPC, "Address to listen on.")] = LOOPBACK,
    grpc_port: Annotated[int, _port("--grpc-port", _GRPC, "Port to listen on; 0 takes a free one.")] = 8001,
    reuse_grpc_port: Annotated[
        Switch, _switch("--reuse-grpc-port", _GRPC, "Let several servers listen on the port.")
    ] = _OFF,
    grpc_keepalive_time: Annotated[
        int,
        _flag("--grpc-keepalive-time", _GRPC, "Milliseconds of silence before a client is pinged.", min=1),
    ] = _GRPC_DEFAULTS.keepalive_time_ms,
    grpc_keepalive_timeout: Annotated[
        int, _flag("--grpc-keepalive-timeout", _GRPC, "Milliseconds to wait for the answer to a ping.", min=1)
    ] = _GRPC_DEFAULTS.keepalive_timeout_ms,
    grpc_header_forward_pattern: Annotated[
        str,
        _flag(
            "--grpc-header-forward-pattern", _GRPC, "Models see metadata with such names.", metavar="REGEX"
        ),
    ] = "",
    grpc_use_ssl: Annotated[Switch, _switch("--grpc-use-ssl", _GRPC, "Serve over TLS.")] = _OFF,
    grpc_use_ssl_mutual: Annotated[
        Switch, _switch("--grpc-use-ssl-mutual", _GRPC, "Serve over TLS; clients have to show a certificate.")
    ] = _OFF,
    grpc_server_cert: Annotated[
        str, _file("--grpc-server-cert", _GRPC, "PEM: the certificate and those up to its root.")
    ] = "",
    grpc_server_key: Annotated[str, _file("--grpc-server-key", _GRPC, "PEM: the certificate's key.")] = "",
    grpc_root_cert: Annotated[
        str, _file("--grpc-root-cert", _GRPC, "PEM: roots of the certificates of clients.")
    ] = "",
    grpc_restricted_protocol: Annotated[
        list[str] | None,
        _flag("--grpc-restricted-protocol", _GRPC, "The same for gRPC. Repeatable.", metavar=_RESTRICTED),
    ] = None,
    api_keys_file: Annotated[
        str, _file("--api-keys-file", _IO, "Keys that clients have to show, and what each opens.")
    ] = "",
    max_wrong_keys: Annotated[
        int, _flag("--max-wrong-keys", _IO, "Wrong keys from one address a minute; 0: any number.", min=0)
    ] = AccessSettings().max_wrong_keys,
    io_threads: Annotated[
        int, _flag("--io-threads", _IO, "Threads of HTTP and gRPC; 0: by the number of processors.", min=0)
    ] = _IO_DEFAULTS.threads,
    io_spin_microseconds: Annotated[
        int,
        _flag(
            "--io-spin-microseconds",
            _IO,
            "How long such a thread waits for a request without sleeping, where the last one came as soon:"
            " answers a lone client sooner, and takes a processor meanwhile.",
            min=0,
            max=1000,
        ),
    ] = _IO_DEFAULTS.spin_us,
    max_connections: Annotated[
        int, _flag("--max-connections", _IO, "Connections of HTTP and gRPC at the same time.", min=1)
    ] = _IO_DEFAULTS.max_connections,
    max_in_flight_byte_size: Annotated[
        int, _flag("--max-in-flight-byte-size", _IO, "Bytes under way; 0: a quarter of memory.", min=0)
    ] = _IO_DEFAULTS.max_in_flight_bytes,
    allow_metrics: Annotated[Switch, _switch("--allow-metrics", _METRICS, "Serve metrics.")] = _ON,
    allow_gpu_metrics: Annotated[Switch, _switch("--allow-gpu-metrics", _METRICS, "Show GPUs.")] = _ON,
    allow_cpu_metrics: Annotated[
        Switch, _switch("--allow-cpu-metrics", _METRICS, "Show CPU and memory.")
    ] = _ON,
    metrics_address: Annotated[
        str | None, _flag("--metrics-address", _METRICS, "Address to listen on. [default: as --http-address]")
    ] = None,
    metrics_port: Annotated[
        int, _port("--metrics-port", _METRICS, "Port to listen on; 0 takes a free one.")
    ] = 8002,
    metrics_interval_ms: Annotated[
        int, _flag("--metrics-interval-ms", _METRICS, "How old a reading of the CPU may be.", min=1)
    ] = _METRICS_DEFAULTS.interval_ms,
    metrics_config: Annotated[
        list[str] | None,
        _flag("--metrics-config", _METRICS, "Which durations are shown. Repeatable.", metavar="KEY=VALUE"),
    ] = None,
    log_verbose: Annotated[int, _flag("--log-verbose", _LOG, "Level of detail.", min=0)] = 0,
    log_info: Annotated[Switch, _switch("--log-info", _LOG, "Log what happens.")] = _ON,
    log_warning: Annotated[Switch, _switch("--log-warning", _LOG, "Log warnings.")] = _ON,
    log_error: Annotated[Switch, _switch("--log-error", _LOG, "Log errors.")] = _ON,
    log_format: Annotated[LogFormat, _flag("--log-format", _LOG, "Form of lines.")] = LogFormat.default,
    log_file: Annotated[
        str, _flag("--log-file", _LOG, "File to log to instead of standard error.", metavar="FILE")
    ] = "",
    log_access: Annotated[Switch, _switch("--log-access", _LOG, "Log each request.")] = _OFF,
    trace_config: Annotated[
        list[str] | None,
        _flag(
            "--trace-config",
            _TRACE,
            "Which requests are traced, and where to. Repeatable.",
            metavar="[MODE,]KEY=VALUE",
        ),
    ] = None,
    config: Annotated[
        str,
        typer.Option(
            CONFIG_FLAG,
            rich_help_panel=_SERVER,
            help="YAML with flags by their names, as in http-port: 8001. Flags and NAIAD_<FLAG> in the "
            "environment are stronger.",
            show_default=False,
            metavar="FILE",
        ),
    ] = "",
    console: Annotated[
        ConsoleMode,
        _flag("--console", _SERVER, "What the start shows; auto: table on a terminal, else the log."),
    ] = ConsoleMode.auto,
    server_id: Annotated[str, _flag("--id", _SERVER, "Name of the server in its metadata.")] = "triton",
    exit_timeout_secs: Annotated[
        int, _flag("--exit-timeout-secs", _SERVER, "Time for requests in flight when stopping.", min=0)
    ] = 30,
    lame_duck_secs: Annotated[
        int,
        _flag("--lame-duck-secs", _SERVER, "When stopping: all is served so long, while not ready.", min=0),
    ] = 0,
    allow_client_shm: Annotated[
        Switch, _switch("--allow-client-shm", _SERVER, "Let clients pass tensors in shared memory.")
    ] = _OFF,
    pinned_memory_pool_byte_size: Annotated[
        int, _flag("--pinned-memory-pool-byte-size", _SERVER, "Tensor memory pinned for GPUs.", min=0)
    ] = _CORE_DEFAULTS.pinned_bytes,
    gpu_pools: model_flags.GpuPoolSizes = None,
    tensor_pool_byte_size: Annotated[
        int, _flag("--tensor-pool-byte-size", _SERVER, "Bound of tensor memory; 0: 1/4 of all memory.", min=0)
    ] = 0,
) -> None:
    """Serve models over HTTP, gRPC and metrics: files, folders, repositories.

    Flags are Triton's; further flags of Triton that do not act in this version are refused by name.
    """
    del config  # naiad.cli.sources made flags of it
    model_flags.check_modes(model_control_mode, load_model or (), model_namespacing.on)
    http_tls = TlsFlags(
        "http", http_use_ssl, http_use_ssl_mutual, http_server_cert, http_server_key, http_root_cert
    )
    grpc_tls = TlsFlags(
        "grpc", grpc_use_ssl, grpc_use_ssl_mutual, grpc_server_cert, grpc_server_key, grpc_root_cert
    )
    local, remote = repositories(model_repository or ())
    cache_bytes, redis = parse_cache_config(cache_config or (), os.environ)
    settings = ServerSettings(
        repository=RepositorySettings(
            model_repositories=local,
            remote_repositories=remote,
            cache_directory=Path(repository_cache) if repository_cache else None,
            control_mode=model_control_mode.value,
            load_models=tuple(load_model or ()),
            memory_limit_bytes=memory_limit(model_memory_limit),
            gpu_limits=gpu_limits(model_load_gpu_limit or ()),
            exit_on_error=exit_on_error.on,
            strict_readiness=strict_readiness.on,
            auto_complete=not disable_auto_complete_config.on,
            backend_config=parse_backend_config(backend_config or (), directory=backend_directory),
            load_threads=model_load_thread_count,
            load_retries=model_load_retry_count,
            load_files=allow_load_files.on,
            runs_code=allow_repository_code.on,
            config_name=model_config_name,
            namespacing=model_namespacing.on,
            poll_s=float(repository_poll_secs),
        ),
        server_id=server_id,
        exit_timeout_s=float(exit_timeout_secs),
        lame_duck_s=float(lame_duck_secs),
        allow_client_shm=allow_client_shm.on,
        http=HttpSettings(
            enabled=allow_http.on,
            address=http_address,
            port=http_port,
            reuse_port=reuse_http_port.on,
            max_input_size_bytes=http_max_input_size,
            header_forward=http_header_forward_pattern,
            tls=http_tls.settings(),
            restricted=restricted_apis(http_restricted_api or (), "--http-restricted-api"),
        ),
        openai=openai_settings(openai_address, openai_port, http_address, http_tls),
        grpc=GrpcSettings(
            enabled=allow_grpc.on,
            address=grpc_address,
            port=grpc_port,
            reuse_port=reuse_grpc_port.on,
            keepalive_time_ms=grpc_keepalive_time,
            keepalive_timeout_ms=grpc_keepalive_timeout,
            header_forward=grpc_header_forward_pattern,
            tls=grpc_tls.settings(),
            restricted=restricted_apis(grpc_restricted_protocol or (), "--grpc-restricted-protocol"),
        ),
        io=IoSettings(
            threads=io_threads,
            spin_us=io_spin_microseconds,
            max_connections=max_connections,
            max_in_flight_bytes=max_in_flight_byte_size,
        ),
        metrics=MetricsSettings(
            enabled=allow_metrics.on,
            address=metrics_address if metrics_address is not None else http_address,
            port=metrics_port,
            gpu=allow_gpu_metrics.on,
            cpu=allow_cpu_metrics.on,
            interval_ms=metrics_interval_ms,
            **parse_metrics_config(metrics_config or ()),
        ),
        log=LogSettings(
            info=log_info.on,
            warning=log_warning.on,
            error=log_error.on,
            verbose=log_verbose,
            format=LOG_FORMATS[log_format],
            access=log_access.on,
            file=Path(log_file) if log_file else None,
        ),
        access=access_settings(api_keys_file, max_wrong_keys, os.environ),
        trace=trace_settings(trace_config or ()),
        scheduling=SchedulingSettings(
            cache_bytes=cache_bytes,
            redis=redis,
            unbounded_queues=unbounded_queues.on,
            host_policies=host_policies(host_policy or ()),
            rate_limit=rate_limit is RateLimit.execution_count,
            rate_limit_resources=rate_limit_resources(rate_limit_resource or ()),
        ),
        core=CoreSettings(tensor_pool_byte_size, pinned_memory_pool_byte_size, gpu_pool_sizes(gpu_pools)),
    )
    raise typer.Exit(launch(settings, models or (), console))
