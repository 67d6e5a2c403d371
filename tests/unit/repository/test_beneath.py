"""No link leads out of a repository, also one that is made at that moment; with openat2 and without."""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Iterator
from pathlib import Path, PurePath

import pytest

from naiad.errors import InvalidArgument
from naiad.repository import beneath
from naiad.repository.beneath import open_beneath, read_beneath
from naiad.repository.scan import read_model

RACES = int(os.environ.get("NAIAD_RACES", "2000"))


def knows_openat2(folder: Path) -> bool:
    descriptor = os.open(folder, os.O_PATH)
    try:
        os.close(beneath._open_at_once(descriptor, PurePath()))
    except OSError as error:
        return error.errno not in (errno.ENOSYS, errno.EPERM)
    finally:
        os.close(descriptor)
    return True


@pytest.fixture(params=["openat2", "components"])
def way(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Which of the two is taken: as on this kernel, and as on an old one."""
    if request.param == "openat2" and not knows_openat2(tmp_path):
        pytest.skip("this kernel has no openat2, or does not let it through")
    if request.param == "components":

        def missing(folder: int, path: PurePath) -> int:
            raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))

        monkeypatch.setattr(beneath, "_open_at_once", missing)
    else:
        monkeypatch.setattr(beneath, "_open_by_components", None)
    return str(request.param)


@pytest.fixture
def inside(tmp_path: Path) -> Path:
    """A repository with the file m/1/file; beside it, a folder that nobody is to read."""
    for folder in ("repository/m/1", "outside/1"):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "file").write_text(folder)
    return (tmp_path / "repository").resolve()


def test_files_are_read(way: str, inside: Path) -> None:
    assert read_beneath(inside, inside / "m/1/file") == b"repository/m/1"
    assert read_beneath(Path("/"), inside / "m/1/file") == b"repository/m/1"
    with pytest.raises(FileNotFoundError):
        read_beneath(inside, inside / "m/1/none")
    with pytest.raises(IsADirectoryError):
        read_beneath(inside, inside / "m")
    with pytest.raises(ValueError, match="is not in the subpath"):
        read_beneath(inside, inside.parent / "outside/1/file")


def test_no_component_is_a_link_or_leads_upwards(way: str, inside: Path) -> None:
    (inside / "away").symlink_to(inside.parent / "outside")
    (inside / "m/1/link").symlink_to(inside.parent / "outside/1/file")
    (inside / "m/1/near").symlink_to("file")
    folder = os.open(inside, os.O_PATH)
    try:
        for path in (
            "away/1/file", "m/1/link", "m/1/near", "../outside/1/file", "m/../../outside/1/file",
            str(inside.parent / "outside/1/file"), "m/1/file/../../../../outside/1/file",
        ):  # fmt: skip
            with pytest.raises(OSError) as refused:
                os.close(open_beneath(folder, PurePath(path)))
            assert refused.value.errno in (errno.ELOOP, errno.EXDEV, errno.ENOTDIR), path
    finally:
        os.close(folder)


def test_what_is_no_file_is_not_waited_for(way: str, inside: Path) -> None:
    os.mkfifo(inside / "m/1/pipe")
    with pytest.raises(OSError, match="no regular file"):
        read_beneath(inside, inside / "m/1/pipe")


@pytest.fixture
def swapped(inside: Path) -> Iterator[None]:
    """m/1 is a folder and a link to another one by turns."""
    link, folder = inside / "m" / "1", inside / "m" / "kept"
    done = threading.Event()

    def swap() -> None:
        while not done.is_set():
            link.rename(folder)
            link.symlink_to(inside.parent / "outside" / "1")
            link.unlink()
            folder.rename(link)

    thread = threading.Thread(target=swap)
    thread.start()
    yield
    done.set()
    thread.join()


def test_a_folder_that_becomes_a_link_is_not_followed(way: str, inside: Path, swapped: None) -> None:
    """Between the check of the path and the opening of the file as well."""
    said: set[bytes] = set()
    for _ in range(RACES):
        try:
            said.add(read_beneath(inside, inside / "m/1/file"))
        except OSError as error:
            assert error.errno in (errno.ELOOP, errno.ENOENT, errno.ENOTDIR)
        try:
            said.add(read_model(inside, "m").read("1/file"))
        except (OSError, InvalidArgument):
            continue
    assert said == {b"repository/m/1"}
