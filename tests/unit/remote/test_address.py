"""Addresses in Triton's forms, and the credentials that fit them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from naiad.errors import InvalidArgument
from naiad.remote.address import Address, parse_address
from naiad.remote.credentials import Credentials


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("s3://bucket", Address("s3://bucket", "s3", "bucket")),
        ("s3://bucket/a/b/", Address("s3://bucket/a/b", "s3", "bucket/a/b")),
        ("s3://host:9000/bucket/a", Address("s3://host:9000/bucket/a", "s3", "bucket/a", "http://host:9000")),
        (
            "s3://https://host:1/bucket",
            Address("s3://https://host:1/bucket", "s3", "bucket", "https://host:1"),
        ),
        ("s3://https://host/b/c", Address("s3://https://host/b/c", "s3", "b/c", "https://host")),
        ("s3://http://10.0.0.1:80/b", Address("s3://http://10.0.0.1:80/b", "s3", "b", "http://10.0.0.1:80")),
        ("s3://http://[::1]:80/b", Address("s3://http://[::1]:80/b", "s3", "b", "http://[::1]:80")),
        ("gs://bucket/models", Address("gs://bucket/models", "gs", "bucket/models")),
        ("as://account/box/a", Address("as://account/box/a", "as", "box/a", account="account")),
        (
            "as://account.blob.core.windows.net/box",
            Address("as://account.blob.core.windows.net/box", "as", "box", account="account"),
        ),
        ("https://host/models/", Address("https://host/models", "http", "https://host/models")),
    ],
)
def test_addresses(text: str, address: Address) -> None:
    assert parse_address(text) == address


@pytest.mark.parametrize(
    "text",
    [
        "ftp://host/a", "s3://", "s3:///a", "gs://", "as://account", "as:///box", "https://", "s3://b/../c",
        "s3://b//c", "gs://b/./c", "https://user:secret@host/a", "s3://http://host:1/", "file:///etc",
    ],
)  # fmt: skip
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(InvalidArgument, match="model repository"):
        parse_address(text)


def credentials(path: Path, content: object, **environment: str) -> Credentials:
    path.write_text(json.dumps(content))
    return Credentials({"TRITON_CLOUD_CREDENTIAL_PATH": str(path), **environment})


def test_the_longest_beginning_counts(tmp_path: Path) -> None:
    given = credentials(
        tmp_path / "file",
        {
            "s3": {
                "": {"key_id": "all", "secret_key": "x", "region": "eu-west-1"},
                "s3://bucket": {"key_id": "bucket", "secret_key": "y", "session_token": "t"},
                "s3://bucket/deep": {"profile": "deep"},
            },
            "gs": {"": "/keys/all.json", "gs://other": "/keys/other.json"},
            "as": {"as://account/box": {"account_str": "name", "account_key": "key"}},
        },
    )
    other = given.options(parse_address("s3://bucket-2/a"))
    assert (other["key"], other["client_kwargs"]) == ("all", {"region_name": "eu-west-1"})
    bucket = given.options(parse_address("s3://bucket/a"))
    assert (bucket["key"], bucket["secret"], bucket["token"]) == ("bucket", "y", "t")
    assert given.options(parse_address("s3://bucket/deep/a"))["profile"] == "deep"
    assert given.options(parse_address("gs://other/a")) == {"token": "/keys/other.json"}
    assert given.options(parse_address("gs://third/a")) == {"token": "/keys/all.json"}
    azure = given.options(parse_address("as://account/box/a"))
    assert azure == {"account_name": "name", "account_key": "key", "anon": False}


def test_without_a_file_the_environment_counts() -> None:
    given = Credentials(
        {
            "AWS_PROFILE": "me",
            "AWS_DEFAULT_REGION": "eu-west-2",
            "GOOGLE_APPLICATION_CREDENTIALS": "/keys/g.json",
            "AZURE_STORAGE_ACCOUNT": "name",
            "AZURE_STORAGE_KEY": "key",
        }
    )
    s3 = given.options(parse_address("s3://host:9000/bucket"))
    assert s3["endpoint_url"] == "http://host:9000"
    assert (s3["profile"], s3["client_kwargs"]) == ("me", {"region_name": "eu-west-2"})
    assert given.options(parse_address("gs://b")) == {"token": "/keys/g.json"}
    assert given.options(parse_address("as://account/b"))["account_name"] == "name"
    assert given.options(parse_address("https://host/b")) == {}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "not JSON"),
        ("[]", "an object of objects"),
        ('{"s3": []}', "an object of objects"),
        ('{"s3": {"": "x"}}', "an object of strings"),
        ('{"s3": {"": {"key_id": 1}}}', "an object of strings"),
    ],
)
def test_a_file_of_another_form_is_refused(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "file"
    path.write_text(text)
    with pytest.raises(InvalidArgument, match=words) as caught:
        Credentials({"TRITON_CLOUD_CREDENTIAL_PATH": str(path)}).options(parse_address("s3://b"))
    assert str(tmp_path) not in str(caught.value)


def test_a_file_that_is_not_there_is_refused() -> None:
    with pytest.raises(InvalidArgument, match="can not be read"):
        Credentials({"TRITON_CLOUD_CREDENTIAL_PATH": "/absent"})
