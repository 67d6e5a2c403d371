"""The file of API keys."""

from __future__ import annotations

import hashlib
import logging
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from naiad.access.keys import MAX_KEYS, Key, Keys, parse_keys
from naiad.access.scopes import SCOPES, WITHOUT_KEY, permissions_of
from naiad.engine import API_GROUPS, AccessGate, RouteTable, permission_bit
from naiad.errors import InvalidArgument

SECRET = "correct-horse-battery-staple"
DIGEST = hashlib.sha256(SECRET.encode()).digest()


def test_a_file_with_keys_and_digests() -> None:
    text = f"""
    # name scopes key
    alice infer {SECRET}
    bob\tread,logging  sha256:{"A" * 64}
    """
    assert parse_keys(text, "f") == [
        Key("alice", ("infer",), DIGEST),
        Key("bob", ("read", "logging"), b"\xaa" * 32),
    ]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "f: there is no key in it"),
        ("# nothing", "f: there is no key in it"),
        (f"a infer {SECRET} more", "f:1: expected '<name> <scope>[,<scope>] <key>', got 4 words"),
        ("\na infer", "f:2: expected '<name> <scope>[,<scope>] <key>', got 2 words"),
        (f"a/b infer {SECRET}", "f:1: the name should be at most 64 letters, digits, '.', '_' and '-'"),
        (f"a inferr {SECRET}", "f:1: unknown scope 'inferr', expected one of infer, read, admin, "),
        (f"a infer, {SECRET}", "f:1: unknown scope '', expected one of "),
        ("a infer short", "f:1: a key should have 16 to 512 characters, printable ASCII alone"),
        (f"a infer {'x' * 513}", "f:1: a key should have 16 to 512 characters"),
        (f"a infer {SECRET}ä", "f:1: a key should have 16 to 512 characters"),
        ("a infer sha256:00", "f:1: a digest should be 'sha256:' and 64 hexadecimal digits"),
        (f"a infer {SECRET}\na read {SECRET}2", "f:2: there is another key of that name"),
        (f"a infer {SECRET}\nb admin {SECRET}", "f:2: another name has the same key"),
        (f"a infer {SECRET}\nb admin sha256:{DIGEST.hex()}", "f:2: another name has the same key"),
    ],
)
def test_what_is_no_file_of_keys(text: str, reason: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        parse_keys(text, "f")
    assert str(caught.value).startswith(reason)
    assert SECRET not in str(caught.value)


def test_the_number_of_keys_is_bounded() -> None:
    lines = [f"k{number} infer {SECRET}{number}" for number in range(MAX_KEYS + 1)]
    assert len(parse_keys("\n".join(lines[:-1]), "f")) == MAX_KEYS
    with pytest.raises(InvalidArgument, match="expected at most 1000 keys, got 1001"):
        parse_keys("\n".join(lines), "f")


@given(st.text(max_size=200))
def test_any_text_is_keys_or_a_typed_error(text: str) -> None:
    try:
        keys = parse_keys(text, "f")
    except InvalidArgument:
        return
    assert keys and all(len(key.digest) == 32 for key in keys)


_NAMES = st.from_regex(r"[A-Za-z0-9._-]{1,20}", fullmatch=True)
_SECRETS = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=16, max_size=40)


@given(
    st.dictionaries(
        _NAMES, st.tuples(st.sets(st.sampled_from(sorted(SCOPES)), min_size=1), _SECRETS), min_size=1
    )
)
def test_what_is_written_is_read(entries: dict[str, tuple[set[str], str]]) -> None:
    secrets = {secret for _, secret in entries.values()}
    if len(secrets) < len(entries) or any(s.startswith("sha256:") for s in secrets):
        return
    lines = [f"{name} {','.join(sorted(scopes))} {secret}" for name, (scopes, secret) in entries.items()]
    # A name that begins a comment is none: '#' is not among the letters of names.
    assert {key.name: (set(key.scopes), key.digest) for key in parse_keys("\n".join(lines), "f")} == {
        name: (scopes, hashlib.sha256(secret.encode()).digest()) for name, (scopes, secret) in entries.items()
    }


def test_scopes() -> None:
    def opens(scope: str) -> set[tuple[str, bool]]:
        permissions = permissions_of([scope])
        return {
            (group, changes)
            for group in API_GROUPS
            for changes in (False, True)
            if permissions & permission_bit(group, changes=changes)
        }

    always = {("health", False), ("pages", False), ("unknown", False)}
    assert opens("infer") == always | {
        ("inference", False), ("inference", True), ("openai", False), ("openai", True),
        ("metadata", False), ("model-config", False),
    }  # fmt: skip
    groups = set(API_GROUPS) - {"unknown"}
    assert opens("read") == always | {(group, False) for group in groups - {"inference"}}
    assert opens("admin") == always | {(group, changes) for group in groups for changes in (False, True)}
    assert opens("trace") == always | {("trace", False), ("trace", True)}
    without = (permission_bit(group, changes=False) for group in ("health", "pages"))
    assert sum(without) == WITHOUT_KEY


def gate_of(keys: Keys) -> AccessGate:
    routes = RouteTable([("/metrics", "metrics", [("GET", False)])])
    return AccessGate(
        routes, restrictions={}, what="API", keys=keys.ring, guesses=None, without_key=WITHOUT_KEY
    )


def ask(keys: Keys, secret: str) -> tuple[str, str]:
    fields = [("Authorization", f"Bearer {secret}")]
    refusal, name, *_ = gate_of(keys).check("GET", "/metrics", fields, "192.0.2.1")
    return refusal, name


def test_a_file_is_read_again(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    logging.getLogger("naiad").propagate = True
    caplog.set_level("INFO", "naiad")
    file = tmp_path / "keys"
    file.write_text(f"old read {SECRET}-old\n")
    file.chmod(0o600)
    keys = Keys(file, f"fixed admin {SECRET}-env")
    assert ask(keys, f"{SECRET}-old") == ("", "old")
    assert ask(keys, f"{SECRET}-env") == ("", "fixed")

    file.write_text(f"new read {SECRET}-new\n")
    assert keys.reload()
    assert ask(keys, f"{SECRET}-old") == ("unknown key", "")
    assert ask(keys, f"{SECRET}-new") == ("", "new")
    assert "2 API keys are good; new: new (read); gone: old (read)" in caplog.text

    for broken in ("", "what?", "\xff"):
        file.write_bytes(broken.encode("latin-1"))
        if broken == "":
            continue  # the key of the environment is left
        assert not keys.reload()
        assert ask(keys, f"{SECRET}-new") == ("", "new")
    file.unlink()
    assert not keys.reload()
    assert "API keys are as they were: " in caplog.text
    assert SECRET not in caplog.text


def test_a_file_that_others_may_read_is_told_of(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    logging.getLogger("naiad").propagate = True
    file = tmp_path / "keys"
    file.write_text(f"a read sha256:{'0' * 64}\n")
    file.chmod(0o644)
    Keys(file, "")
    assert "every user" not in caplog.text
    file.write_text(f"a read {SECRET}\n")
    Keys(file, "")
    assert "holds keys and every user of this machine may open it" in caplog.text


def test_what_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(InvalidArgument, match="not a regular file"):
        Keys(tmp_path, "")
    with pytest.raises(InvalidArgument, match="No such file"):
        Keys(tmp_path / "none", "")
    large = tmp_path / "large"
    large.write_text("#" * (1 << 20) + "\n")
    with pytest.raises(InvalidArgument, match="more than 1048576 bytes"):
        Keys(large, "")
