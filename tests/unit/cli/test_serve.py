"""From flags to settings."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from naiad import server
from naiad.cli import main
from naiad.settings import (
    HostPolicy,
    IoSettings,
    LogSettings,
    RepositorySettings,
    ServerSettings,
    TlsSettings,
)


@pytest.fixture
def parsed(monkeypatch: pytest.MonkeyPatch) -> list[ServerSettings]:
    """The settings that a server would have been started with."""
    taken: list[ServerSettings] = []

    def serve(settings: ServerSettings, audience: object = None) -> int:
        taken.append(settings)
        return 0

    monkeypatch.setattr(server, "serve", serve)
    return taken


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int | str | None:
    monkeypatch.setattr(sys, "argv", ["naiad", "serve", *arguments])
    with pytest.raises(SystemExit) as exit_:
        main()
    return exit_.value.code


def test_the_defaults_are_tritons(monkeypatch: pytest.MonkeyPatch, parsed: list[ServerSettings]) -> None:
    assert run(monkeypatch, "--model-repository=/m") == 0
    (settings,) = parsed
    assert settings.repository.model_repositories == (Path("/m"),)
    assert (settings.http.port, settings.grpc.port, settings.metrics.port) == (8000, 8001, 8002)
    assert settings.http.max_input_size_bytes == 64 << 20
    assert settings.exit_timeout_s == 30
    assert settings.repository.control_mode == "none"
    assert settings.repository.strict_readiness and settings.repository.exit_on_error
    assert settings.core.pinned_bytes == 268435456
    assert not settings.allow_client_shm
    assert settings.http.tls is None and settings.grpc.tls is None
    assert not settings.access.needs_keys
    assert {settings.http.address, settings.grpc.address, settings.metrics.address} == {"127.0.0.1"}


def test_where_models_come_from(monkeypatch: pytest.MonkeyPatch, parsed: list[ServerSettings]) -> None:
    code = run(
        monkeypatch,
        "--model-repository=/a", "--model-repository=s3://http://h:1/b", "--model-repository=gs://b/c",
        "--model-control-mode=poll", "--repository-poll-secs=3", "--repository-cache-directory=/c",
        "--model-load-retry-count=2", "--model-config-name=gpu", "--lame-duck-secs=7",
        "--model-namespacing", "--allow-repository-code", "false",
    )  # fmt: skip
    assert code == 0
    (settings,) = parsed
    assert settings.repository.model_repositories == (Path("/a"),)
    assert settings.repository.remote_repositories == ("s3://http://h:1/b", "gs://b/c")
    assert settings.repository.cache_directory == Path("/c")
    assert (settings.repository.control_mode, settings.repository.poll_s) == ("poll", 3)
    assert (settings.repository.load_retries, settings.repository.config_name) == (2, "gpu")
    assert (settings.repository.namespacing, settings.repository.runs_code) == (True, False)
    assert settings.lame_duck_s == 7


def test_every_kind_of_flag(monkeypatch: pytest.MonkeyPatch, parsed: list[ServerSettings]) -> None:
    code = run(
        monkeypatch,
        "--model-store", "/a", "--model-repository=/b",
        "--model-control-mode=explicit", "--load-model=x", "--load-model", "*",
        "--allow-grpc=false", "--exit-on-error", "0", "--disable-auto-complete-config",
        "--http-port", "0", "--http-address=::1",
        "--backend-config=onnxruntime,default-max-batch-size=8", "--backend-config=common=1",
        "--io-threads=3", "--max-connections=7", "--max-in-flight-byte-size=1000",
        "--grpc-keepalive-time=5", "--grpc-keepalive-timeout", "6",
        "--metrics-config=counter_latencies=false", "--log-format=ISO8601", "--id=me",
        "--allow-client-shm", "--unbounded-queues", "--backend-directory=/c",
    )  # fmt: skip
    assert code == 0
    (settings,) = parsed
    assert settings.repository.model_repositories == (Path("/a"), Path("/b"))
    assert settings.repository.load_models == ("x", "*")
    assert not settings.grpc.enabled
    assert settings.allow_client_shm
    assert settings.scheduling.unbounded_queues
    assert not settings.repository.exit_on_error
    assert not settings.repository.auto_complete
    assert settings.http.port == 0
    assert settings.metrics.address == "::1"
    assert settings.repository.backend_config == {
        "onnxruntime": {"default-max-batch-size": "8"},
        "": {"common": "1", "backend-directory": "/c"},
    }
    assert not settings.metrics.counter_latencies
    assert settings.log.format == "ISO8601"
    assert settings.server_id == "me"
    assert settings.io == IoSettings(threads=3, max_connections=7, max_in_flight_bytes=1000)
    assert (settings.grpc.keepalive_time_ms, settings.grpc.keepalive_timeout_ms) == (5, 6)


@pytest.mark.parametrize("protocol", ["http", "grpc"])
def test_tls(monkeypatch: pytest.MonkeyPatch, parsed: list[ServerSettings], protocol: str) -> None:
    files = (f"--{protocol}-server-cert=/c", f"--{protocol}-server-key", "/k")
    plain = (f"--{protocol}-use-ssl=false", f"--{protocol}-server-cert=")
    for more in (
        (f"--{protocol}-use-ssl", *files),
        (
            f"--{protocol}-use-ssl=1",
            f"--{protocol}-use-ssl-mutual=true",
            f"--{protocol}-root-cert=/r",
            *files,
        ),
        (f"--{protocol}-use-ssl-mutual", f"--{protocol}-root-cert=/r", *files),
        plain,
    ):
        assert run(monkeypatch, "--model-repository=/m", *more) == 0
    one_way = TlsSettings(Path("/c"), Path("/k"))
    mutual = TlsSettings(Path("/c"), Path("/k"), Path("/r"))
    assert [getattr(settings, protocol).tls for settings in parsed] == [one_way, mutual, mutual, None]
    other = "grpc" if protocol == "http" else "http"
    assert all(getattr(settings, other).tls is None for settings in parsed)


def test_host_policies(monkeypatch: pytest.MonkeyPatch, parsed: list[ServerSettings]) -> None:
    more = ("--host-policy=near,cpu-cores=0-2,8", "--host-policy=far,numa-node=1")
    assert run(monkeypatch, "--model-repository=/m", *more, "--host-policy", "near,numa-node=0") == 0
    assert parsed[0].scheduling.host_policies == {
        "near": HostPolicy((0, 1, 2, 8), 0),
        "far": HostPolicy((), 1),
    }


def test_models_on_demand_within_limits(
    monkeypatch: pytest.MonkeyPatch, parsed: list[ServerSettings]
) -> None:
    flags = ("--model-control-mode=ondemand", "--load-model=a", "--model-memory-limit=1.5GiB")
    gpus = ("--model-load-gpu-limit=0:0.5", "--model-load-gpu-limit", "1:1")
    assert run(monkeypatch, "--model-repository=/m", *flags, *gpus) == 0
    settings = parsed[0].repository
    assert (settings.control_mode, settings.load_models) == ("ondemand", ("a",))
    assert settings.memory_limit_bytes == 3 << 29
    assert settings.gpu_limits == {0: 0.5, 1: 1.0}


def test_free_memory_of_gpus_that_is_kept(
    monkeypatch: pytest.MonkeyPatch, parsed: list[ServerSettings]
) -> None:
    flag = "--cuda-memory-pool-byte-size"
    assert run(monkeypatch, "--model-repository=/m", f"{flag}=0:1", flag, "1:0", f"{flag}=0:1048576") == 0
    assert parsed[0].core.gpu_cache_bytes == {0: 1 << 20, 1: 0}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "--model-repository"),
        (("--model-repository=/m", "--cuda-memory-pool-byte-size=64"), "<device>:<bytes>"),
        (("--model-repository=/m", "--cuda-memory-pool-byte-size=0:-1"), "<device>:<bytes>"),
        (("--model-repository=/m", "--host-policy=near"), "<name>,numa-node=<node>"),
        (("--model-repository=/m", "--host-policy=near,memory=2"), "<name>,numa-node=<node>"),
        (("--model-repository=/m", "--host-policy=near,cpu-cores=3-1"), "numbers of cores"),
        (("--model-repository=/m", "--host-policy=near,numa-node=a"), "a number of a node"),
        (("--model-repository=/m", "--repository-poll-secs=0"), "--repository-poll-secs"),
        (
            ("--model-repository=/m", "--model-control-mode=poll", "--load-model=a"),
            "needs --model-control-mode=explicit",
        ),
        (
            ("--model-repository=/m", "--model-control-mode=ondemand", "--model-namespacing=true"),
            "does not go with --model-control-mode=ondemand",
        ),
        (("--model-repository=/m", "--model-memory-limit=lots"), "'lots' should be a number"),
        (("--model-repository=/m", "--model-memory-limit=0GB"), "more than nothing"),
        (("--model-repository=/m", "--model-load-gpu-limit=0.5"), "<device>:<fraction>"),
        (("--model-repository=/m", "--model-load-gpu-limit=0:1.5"), "<device>:<fraction>"),
        (
            ("--model-repository=/m", "--model-load-gpu-limit=0:0.5", "--model-load-gpu-limit=0:0.6"),
            "<device>:<fraction>",
        ),
        (("--model-repository=/m", "--load-model=x"), "explicit"),
        (("--model-repository=/m", "--allow-http=maybe"), "true or false"),
        (("--model-repository=/m", "--metrics-config=latencies=true"), "unknown setting 'latencies'"),
        (("--model-repository=/m", "--metrics-config=summary_quantiles=0.5"), "<quantile>:<error>"),
        (("--model-repository=/m", "--http-restricted-api=health"), "<api>[,<api>]:<header>=<value>"),
        (("--model-repository=/m", "--backend-config=nonsense"), "<backend>,<key>=<value>"),
        (("--model-repository=/m", "--http-port=70000"), "--http-port"),
        (("--model-repository=/m", "--rate-limit=sometimes"), "--rate-limit"),
        (("--model-repository=/m", "--rate-limit-resource=r"), "<name>:<count>"),
        (("--model-repository=/m", "--rate-limit-resource=r:1:gpu"), "a number or 'global'"),
        (("--model-repository=/m", "--cache-config=local"), "local,size=<bytes>"),
        (("--model-repository=/m", "--cache-config=redis,port=1"), "redis needs a host"),
        (("--model-repository=/m", "--cache-config=local,count=1"), "unknown setting 'count'"),
        (("--model-repository=/m", "--cache-config=local,size=1k"), "a number of bytes"),
        (("--model-repository=/m", "--trace-config=level=TIMESTAMPS"), "a level needs a trace file"),
        (("--model-repository=/m", "--no-such-flag"), "--no-such-flag"),
        (("--model-repository=/m", "--max-connections=0"), "--max-connections"),
        (("--model-repository=/m", "--grpc-use-ssl"), "--grpc-server-cert: is needed with --grpc-use-ssl"),
        (
            ("--model-repository=/m", "--grpc-use-ssl", "--grpc-server-cert=/c"),
            "--grpc-server-key: is needed with --grpc-use-ssl",
        ),
        (("--model-repository=/m", "--grpc-server-cert=/c"), "--grpc-server-cert: needs --grpc-use-ssl"),
        (("--model-repository=/m", "--http-server-key=/k"), "--http-server-key: needs --http-use-ssl"),
        (
            (
                "--model-repository=/m",
                "--http-use-ssl-mutual",
                "--http-server-cert=/c",
                "--http-server-key=/k",
            ),
            "--http-root-cert: is needed with --http-use-ssl-mutual",
        ),
        (
            (
                "--model-repository=/m",
                "--http-use-ssl",
                "--http-server-cert=/c",
                "--http-server-key=/k",
                "--http-root-cert=/r",
            ),
            "--http-root-cert: needs --http-use-ssl-mutual",
        ),
    ],
)
def test_what_cannot_act_is_refused_by_name(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    parsed: list[ServerSettings],
    arguments: tuple[str, ...],
    words: str,
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    assert run(monkeypatch, *arguments) == 2
    assert words in re.sub(r"\x1b\[[0-9;]*m", "", capsys.readouterr().err)
    assert parsed == []


def test_help_names_the_flags_in_groups(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    assert run(monkeypatch, "--help") == 0
    text = re.sub(r"\x1b\[[0-9;]*m", "", capsys.readouterr().out)
    for words in ("Models", "HTTP", "gRPC", "Metrics", "--model-repository", "--model-store", "67108864"):
        assert words in text


def test_version_tells_how_the_core_was_built(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("importlib.metadata.version", lambda name: "1.2.3")
    monkeypatch.setattr(sys, "argv", ["naiad", "version"])
    with pytest.raises(SystemExit) as exit_:
        main()
    assert exit_.value.code == 0
    out = capsys.readouterr().out
    assert out.startswith("naiad 1.2.3\n")
    assert "cuda: " in out and "compiler: " in out


def test_a_log_file_that_cannot_be_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    repository = RepositorySettings((tmp_path,))
    settings = ServerSettings(repository, log=LogSettings(file=tmp_path / "no" / "such" / "log"))
    assert server.serve(settings) == 1
    assert "log file cannot be written" in capsys.readouterr().err


def test_the_openai_port(monkeypatch: pytest.MonkeyPatch, parsed: list[ServerSettings]) -> None:
    assert run(monkeypatch, "--model-repository=/m") == 0
    assert run(monkeypatch, "--model-repository=/m", "--openai-port=9000", "--http-address=::1") == 0
    address = "--openai-address=10.0.0.1"
    assert run(monkeypatch, "--model-repository=/m", "--openai-port=0", address) == 0
    assert [(each.openai.port, each.openai.address) for each in parsed] == [
        (None, "127.0.0.1"),
        (9000, "::1"),
        (0, "10.0.0.1"),
    ]
    assert run(monkeypatch, "--model-repository=/m", address) == 2
    tls = ("--http-use-ssl", "--http-server-cert=/c", "--http-server-key=/k")
    assert run(monkeypatch, "--model-repository=/m", "--openai-port=9000", *tls) == 2
