"""How the generator reaches a server: header fields, TLS, addresses."""

from __future__ import annotations

from pathlib import Path

import hpack
import pytest

from naiad.cli import bench_options as options
from naiad.errors import InvalidArgument
from naiad.loadgen.access import Access, Tls, read_headers
from naiad.loadgen.http2 import CallStream
from naiad.loadgen.inputs import InputTensor
from naiad.loadgen.scenario import Scenario
from naiad.loadgen.target import target_of
from naiad.loadgen.wire import http_request


def test_header_fields() -> None:
    assert read_headers(["Authorization: Bearer a:b", "x-y:"]) == (
        ("Authorization", "Bearer a:b"),
        ("x-y", ""),
    )
    for wrong in (
        "x",
        ":v",
        "a b:c",
        "x:a\r\nb:c",
        "x:\x00",
        "Content-length: 1",
        "grpc-timeout: 1S",
        "Host:h",
    ):
        with pytest.raises(InvalidArgument, match="--header"):
            read_headers([wrong])
    with pytest.raises(InvalidArgument) as told:
        read_headers(["secret word"])
    assert "secret" not in str(told.value)


def test_header_fields_go_with_requests() -> None:
    tensor = InputTensor("x", "FP32", (1,), b"\0" * 4)
    request = http_request("h:1", "m", "", [tensor], ["y"], [("A", "b")])
    assert b"\r\nA: b\r\n" in request.partition(b"\r\n\r\n")[0]
    said: list[bytes] = []
    stream = CallStream(
        "h:1", "/s/m", said.append, lambda *_: None, scheme="https", metadata=[("Authorization", "k")]
    )
    stream.call(b"")
    block = said[-1][9 : 9 + int.from_bytes(said[-1][:3], "big")]
    fields = dict(hpack.Decoder().decode(block))
    assert fields["authorization"] == "k" and fields[":scheme"] == "https"


def test_tls_goes_with_the_scheme() -> None:
    assert target_of("https://h", "http", "m", "").access.tls == Tls()
    assert target_of("grpcs://h:9", "grpc", "m", "", Access(tls=Tls(verify=False))).access.tls == Tls(
        verify=False
    )
    assert target_of("h", "grpc", "m", "").access.tls is None
    assert target_of("http://h", "http", "m", "", Access(tls=Tls(verify=False))).access.tls is None
    assert options.access(["h", "https://g"], ["a:b"], "", "", "", True) == Access(
        (("a", "b"),), Tls(verify=False)
    )
    assert options.access(["h"], None, "", "", "", False) == Access()
    with pytest.raises(InvalidArgument, match="no TLS"):
        options.access(["h"], None, "ca", "", "", False)


def test_files_of_tls(tmp_path: Path) -> None:
    file = tmp_path / "file.pem"
    file.write_text("no certificate")
    for tls, flag in (
        (Tls(ca_file=str(file)), "--ssl-ca-file"),
        (Tls(ca_file=str(tmp_path / "none")), "--ssl-ca-file"),
        (Tls(cert_file=str(file)), "--ssl-cert-file"),
        (Tls(key_file=str(file)), "--ssl-key-file needs"),
    ):
        with pytest.raises(InvalidArgument, match=flag):
            target_of("https://h", "http", "m", "", Access(tls=tls))


def test_a_scenario_with_access_is_read_back() -> None:
    access = Access((("a", "b"),), Tls("ca", "cert", "key", verify=False))
    scenario = Scenario(
        "grpc", "h", 1, (b"x",), access=access, streaming=True, outputs=("y",), sequence_length=3
    )
    assert Scenario.from_json(scenario.to_json()) == scenario
