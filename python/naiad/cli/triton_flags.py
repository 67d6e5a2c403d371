"""Triton's command line forms, and those of its flags that do not act here.

Triton reads ``--allow-http``, ``--allow-http=true``, ``--allow-http true`` and ``--allow-http=1``; click
does not. So the arguments of ``naiad serve`` are brought into one form first: ``--flag=value``. A flag of
Triton that this version does not support is dropped when it is given the value which changes nothing, and
refused by name otherwise.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

TRUE_WORDS = ("true", "1", "on")
FALSE_WORDS = ("false", "0", "off")
BOOLEAN_WORDS = frozenset((*TRUE_WORDS, *FALSE_WORDS))

BOOLEANS = frozenset(
    {
        "--exit-on-error",
        "--disable-auto-complete-config",
        "--strict-readiness",
        "--model-namespacing",
        "--allow-http",
        "--reuse-http-port",
        "--http-use-ssl",
        "--http-use-ssl-mutual",
        "--allow-grpc",
        "--reuse-grpc-port",
        "--grpc-use-ssl",
        "--grpc-use-ssl-mutual",
        "--allow-metrics",
        "--allow-gpu-metrics",
        "--allow-cpu-metrics",
        "--log-info",
        "--log-warning",
        "--log-error",
        "--log-access",
        "--allow-client-shm",
        "--unbounded-queues",
        "--allow-load-files",
        "--allow-repository-code",
    }
)
"""Flags that act and whose value is true or false. Not Triton's: ``--unbounded-queues``, ``--log-access``."""

_OFF = FALSE_WORDS
_ON = TRUE_WORDS

UNSUPPORTED: dict[str, tuple[str, ...]] = {
    "--enable-peer-access": _ON,
    "--http-thread-count": ("8",),
    "--grpc-infer-thread-count": ("2",),
    "--grpc-keepalive-permit-without-calls": _OFF,
    "--grpc-http2-max-pings-without-data": ("2",),
    "--grpc-http2-min-recv-ping-interval-without-data": ("300000",),
    "--grpc-http2-max-ping-strikes": ("2",),
    "--grpc-max-connection-age": ("0",),
    "--grpc-max-connection-age-grace": ("0",),
    "--grpc-infer-allocation-pool-size": ("8",),
    "--grpc-max-response-pool-size": ("2147483647",),
    "--grpc-infer-response-compression-level": ("none",),
    "--allow-sagemaker": _OFF,
    "--sagemaker-port": ("8080",),
    "--sagemaker-safe-port-range": (),
    "--sagemaker-thread-count": ("8",),
    "--allow-vertex-ai": _OFF,
    "--vertex-ai-port": ("8080",),
    "--vertex-ai-thread-count": ("8",),
    "--vertex-ai-default-model": ("",),
    "--cache-directory": ("/opt/tritonserver/caches",),
    "--cuda-virtual-address-size": (),
    "--min-supported-compute-capability": ("0.0", "6.0", "7.5"),
    "--buffer-manager-thread-count": ("0",),
    "--repoagent-directory": ("/opt/tritonserver/repoagents",),
}
"""Flags of Triton that do not act in this version, each with the values that ask for nothing."""

DEPRECATED: dict[str, str] = {
    "--strict-model-config": "--disable-auto-complete-config",
    "--response-cache-byte-size": "--cache-config",
}
"""Flags that Triton itself gave up, each with what took its place."""

REPLACED: dict[str, str] = {
    "--trace-file": "triton,file",
    "--trace-level": "level",
    "--trace-rate": "rate",
    "--trace-count": "count",
    "--trace-log-frequency": "triton,log-frequency",
}
"""Those of them that still act, each with the setting of --trace-config that it is."""

UNSUPPORTED_BOOLEANS = frozenset(name for name, values in UNSUPPORTED.items() if values in (_OFF, _ON))


class FlagRefused(Exception):
    """A flag that is known and not supported; the text names it."""


def prepare(arguments: Sequence[str]) -> list[str]:
    """The arguments of the ``naiad`` command with those of ``serve`` in one form. Raises FlagRefused."""
    if not arguments or arguments[0] != "serve":
        return list(arguments)
    return ["serve", *_serve_arguments(list(arguments[1:]))]


def _serve_arguments(arguments: list[str]) -> list[str]:
    prepared: list[str] = []
    replaced: list[str] = []
    position = 0
    while position < len(arguments):
        name, equals, value = arguments[position].partition("=")
        given: str | None = value if equals else None
        position += 1
        following = arguments[position] if position < len(arguments) else None
        if name in DEPRECATED:
            raise FlagRefused(
                f"{name} is deprecated and not supported by this version; see {DEPRECATED[name]}"
            )
        if name in REPLACED:
            if given is None:
                given = "" if following is None else following
                position += 1
            replaced.append(f"--trace-config={REPLACED[name]}={given}")
            print(f"naiad: {name} is deprecated, use --trace-config {REPLACED[name]}=...", file=sys.stderr)
            continue
        if name in BOOLEANS or name in UNSUPPORTED_BOOLEANS:
            if given is None and following is not None and following.lower() in BOOLEAN_WORDS:
                given = following
                position += 1
            given = "true" if given is None else given
        elif name in UNSUPPORTED and given is None:
            given = "" if following is None else following
            position += 1
        if name in UNSUPPORTED:
            _check_unsupported(name, given or "")
        elif given is None:
            prepared.append(name)
        else:
            prepared.append(f"{name}={given}")
    # In front: what --trace-config says itself is stronger.
    return [*replaced, *prepared]


def _check_unsupported(name: str, value: str) -> None:
    if value.lower() not in (word.lower() for word in UNSUPPORTED[name]):
        raise FlagRefused(f"{name} is not supported by this version (given '{value}')")
