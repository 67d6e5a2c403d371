"""Copies of models: whole ones, each as it was at one moment."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from naiad.errors import InvalidArgument, NotFound, Unavailable
from naiad.remote.address import Address
from naiad.remote.credentials import Credentials
from naiad.remote.mirror import Mirror, Source
from naiad.remote.repositories import RemoteRepositories

Stamp = tuple[int, str]


@dataclass
class FakeSource:
    """Files in memory; the stamp of each is its content."""

    content: dict[str, dict[str, str]] = field(default_factory=dict)
    downloads: list[str] = field(default_factory=list)
    on_download: Callable[[str], None] = lambda file: None
    away: bool = False

    def models(self) -> list[str]:
        if self.away:
            raise Unavailable("away")
        return sorted(self.content)

    def files(self, model: str) -> dict[str, Stamp]:
        return {file: (len(text), text) for file, text in self.content.get(model, {}).items()}

    def download(self, model: str, file: str, target: Path) -> None:
        self.downloads.append(f"{model}/{file}")
        self.on_download(file)
        target.write_text(self.content[model][file])


@pytest.fixture
def source() -> FakeSource:
    return FakeSource({"a": {"config.pbtxt": "c", "1/model": "one"}, "b": {"1/model": "bee"}})


@pytest.fixture
def mirror(source: FakeSource, tmp_path: Path) -> Mirror:
    return Mirror(source, tmp_path)


def test_whole_models_are_copied_once(source: FakeSource, mirror: Mirror) -> None:
    mirror.copy("a")
    assert (mirror.directory / "a" / "1" / "model").read_text() == "one"
    assert not (mirror.directory / "b").exists()
    mirror.copy_all()
    mirror.copy_all()
    assert sorted(source.downloads) == ["a/1/model", "a/config.pbtxt", "b/1/model"]


def test_only_what_changed_is_copied_again(source: FakeSource, mirror: Mirror) -> None:
    mirror.copy("a")
    old = (mirror.directory / "a").resolve()
    kept = (old / "config.pbtxt").stat()
    source.downloads.clear()
    source.content["a"]["1/model"] = "new"
    mirror.copy("a")
    assert source.downloads == ["a/1/model"]
    new = (mirror.directory / "a").resolve()
    assert new != old and (new / "1/model").read_text() == "new"
    assert (old / "1/model").read_text() == "one"  # who loads it just now reads on
    same = (new / "config.pbtxt").stat()
    assert (same.st_mtime_ns, same.st_size) == (kept.st_mtime_ns, kept.st_size)


def test_what_changes_meanwhile_is_not_taken(source: FakeSource, mirror: Mirror) -> None:
    mirror.copy("a")
    source.content["a"]["1/model"] = "new"

    def change(file: str) -> None:
        source.content["a"]["2/model"] = "more"

    source.on_download = change
    with pytest.raises(Unavailable, match="changed while it was copied"):
        mirror.copy("a")
    assert (mirror.directory / "a/1/model").read_text() == "one"
    source.on_download = lambda file: None
    mirror.copy("a")
    assert (mirror.directory / "a/2/model").read_text() == "more"
    assert len(list((mirror.directory / ".snapshots/a").glob("*[0-9]"))) == 2


def test_a_download_that_breaks_off_leaves_the_old_copy(source: FakeSource, mirror: Mirror) -> None:
    mirror.copy("a")
    source.content["a"]["1/model"] = "new"

    def fail(file: str) -> None:
        raise Unavailable("broken off")

    source.on_download = fail
    with pytest.raises(Unavailable, match="broken off"):
        mirror.copy("a")
    mirror.copy_all()
    assert (mirror.directory / "a/1/model").read_text() == "one"
    assert (mirror.directory / "b").exists() is False


def test_old_copies_go_unless_they_are_served(source: FakeSource, tmp_path: Path) -> None:
    served: list[Path] = []
    mirror = Mirror(source, tmp_path, lambda: served)
    mirror.copy("a")
    first = (tmp_path / "a").resolve()
    served.append(first)
    for text in ("two", "three", "four"):
        source.content["a"]["1/model"] = text
        mirror.copy("a")
    kept = sorted(path.name for path in (tmp_path / ".snapshots/a").iterdir() if path.is_dir())
    assert kept == ["1", "3", "4"]
    served.clear()
    source.content["a"]["1/model"] = "five"
    mirror.copy("a")
    assert not first.exists()


def test_what_is_gone_is_dropped(source: FakeSource, mirror: Mirror) -> None:
    mirror.copy_all()
    del source.content["a"]
    mirror.copy("a")
    assert not (mirror.directory / "a").exists()
    del source.content["b"]
    mirror.copy_all()
    assert not (mirror.directory / "b").exists()
    source.away = True
    with pytest.raises(Unavailable):
        mirror.copy_all()


def test_following_takes_what_holds_still(source: FakeSource, mirror: Mirror) -> None:
    mirror.copy_all()
    mirror.follow()
    source.content["a"]["1/model"] = "half"
    mirror.follow()
    assert (mirror.directory / "a/1/model").read_text() == "one"
    source.content["a"]["1/model"] = "whole"
    mirror.follow()
    assert (mirror.directory / "a/1/model").read_text() == "one"
    mirror.follow()
    assert (mirror.directory / "a/1/model").read_text() == "whole"
    del source.content["b"]
    mirror.follow()
    assert (mirror.directory / "b").exists()
    mirror.follow()
    assert not (mirror.directory / "b").exists()


def test_copies_outlive_the_server_in_a_cache(source: FakeSource, tmp_path: Path) -> None:
    def opened(address: Address, credentials: Credentials) -> Source:
        return source

    for _ in range(2):
        remote = RemoteRepositories(["s3://bucket"], tmp_path / "cache", {}, opened)
        remote.refresh(None)
        remote.close()
    assert len(source.downloads) == 3
    mounted = {"TRITON_AWS_MOUNT_DIRECTORY": str(tmp_path / "mounted")}
    remote = RemoteRepositories(["s3://bucket"], None, mounted, opened)
    assert remote.directories[0].is_relative_to(tmp_path / "mounted")
    temporary = RemoteRepositories(["s3://bucket", "s3://bucket"], None, {}, opened)
    (directory,) = temporary.directories
    assert temporary.names() == {"a", "b"}
    source.away = True
    assert temporary.names() == {"a", "b"}
    temporary.close()
    assert not directory.exists()


def test_a_repository_that_is_not_there_is_told(source: FakeSource, tmp_path: Path) -> None:
    def absent(address: Address, credentials: Credentials) -> Source:
        raise NotFound("nothing")

    with pytest.raises(NotFound):
        RemoteRepositories(["s3://bucket"], tmp_path, {}, absent)
    with pytest.raises(InvalidArgument):
        RemoteRepositories(["ftp://bucket"], tmp_path, {}, absent)
