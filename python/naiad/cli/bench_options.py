"""Flags of ``naiad bench`` that say how a server is reached, and what form requests have."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from naiad.errors import InvalidArgument

if TYPE_CHECKING:
    from naiad.loadgen.access import Access
    from naiad.loadgen.prepare import Form


class Shared(StrEnum):
    """Memory of client and server."""

    none = "none"
    system = "system"


class TensorFormat(StrEnum):
    """Over HTTP."""

    binary = "binary"
    json = "json"


Headers = Annotated[
    list[str] | None,
    typer.Option(
        "--header",
        "-H",
        help="A header field of HTTP, metadata of gRPC: 'Authorization: Bearer KEY'. Repeatable.",
        metavar="NAME:VALUE",
    ),
]
CaFile = Annotated[
    str,
    typer.Option(
        "--ssl-ca-file",
        "--ssl-https-ca-certificates-file",
        "--ssl-grpc-root-certifications-file",
        help="TLS (https://HOST:PORT): whom to trust, PEM. [default: the system's authorities]",
        metavar="FILE",
    ),
]
CertFile = Annotated[
    str,
    typer.Option(
        "--ssl-cert-file",
        "--ssl-https-client-certificate-file",
        "--ssl-grpc-certificate-chain-file",
        help="The client's certificate, PEM.",
        metavar="FILE",
    ),
]
KeyFile = Annotated[
    str,
    typer.Option(
        "--ssl-key-file",
        "--ssl-https-private-key-file",
        "--ssl-grpc-private-key-file",
        help="Its key, PEM.",
        metavar="FILE",
    ),
]
NoVerify = Annotated[
    bool, typer.Option("--ssl-no-verify", help="Take any certificate of the server, for any name.")
]
Streaming = Annotated[
    bool,
    typer.Option(
        "--streaming", help="Requests with any number of responses: ModelStreamInfer, generate_stream."
    ),
]
SequenceLength = Annotated[
    int,
    typer.Option(
        "--sequence-length", min=0, help="Requests of a sequence; 0: requests that stand alone.", metavar="N"
    ),
]
FirstSequence = Annotated[
    int, typer.Option("--start-sequence-id", min=1, max=1 << 62, help="The least id of a sequence.")
]
SharedMemory = Annotated[
    Shared, typer.Option("--shared-memory", help="Where tensors lie; system: in memory of this machine.")
]
OutputBytes = Annotated[
    int,
    typer.Option("--output-shared-memory-size", min=1, help="Of each output, then.", metavar="BYTES"),
]

InputFormat = Annotated[
    TensorFormat, typer.Option("--input-tensor-format", help="Of tensors in requests over HTTP.")
]
OutputFormat = Annotated[
    TensorFormat, typer.Option("--output-tensor-format", help="Of tensors in answers over HTTP.")
]


def access(
    urls: Sequence[str],
    headers: list[str] | None,
    ca_file: str,
    cert_file: str,
    key_file: str,
    no_verify: bool,
) -> Access:
    """Of all servers. Raises InvalidArgument."""
    from naiad.loadgen.access import Access, Tls, read_headers
    from naiad.loadgen.target import TLS_SCHEMES

    tls = Tls(ca_file, cert_file, key_file, not no_verify)
    if tls == Tls():
        return Access(read_headers(headers or []))
    if not any(url.startswith(TLS_SCHEMES) for url in urls):
        raise InvalidArgument(
            f"'{urls[0]}' has no TLS, so that the --ssl flags do nothing: https://HOST:PORT"
        )
    return Access(read_headers(headers or []), tls)


def form(
    streaming: bool,
    sequence_length: int,
    first_sequence: int,
    shared_memory: Shared,
    output_bytes: int,
    inputs: TensorFormat,
    outputs: TensorFormat,
) -> Form:
    """As it was asked for."""
    from naiad.loadgen.prepare import Form

    return Form(
        streaming,
        sequence_length,
        first_sequence,
        shared_memory is Shared.system,
        output_bytes,
        inputs is TensorFormat.json,
        outputs is TensorFormat.json,
    )
