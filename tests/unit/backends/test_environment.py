"""Environments of models: found, unpacked, refused."""

from __future__ import annotations

import io
import subprocess
import sys
import tarfile
import venv
from pathlib import Path

import pytest

from naiad.backends.base import ModelFiles
from naiad.backends.python.environment import Environments
from naiad.config import ModelConfig
from naiad.errors import BackendError, ConfigError


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A venv with a module that is nowhere else."""
    path = tmp_path_factory.mktemp("venv") / "env"
    venv.create(path, symlinks=True)
    (site_of(path) / "only_here.py").write_text("WORD = 'there'\n")
    return path


def site_of(home: Path) -> Path:
    return home / "lib" / f"python{sys.version_info.major}.{sys.version_info.minor}" / "site-packages"


def named(config: ModelConfig, path: object) -> ModelConfig:
    message = config.copy_proto()
    message.parameters["EXECUTION_ENV_PATH"].string_value = str(path)
    return ModelConfig(message)


def archive(path: Path, home: Path, *more: tuple[str, bytes, str]) -> Path:
    """A tar of the directory, and members of any kind: name, type, target."""
    with tarfile.open(path, "w:gz") as opened:
        opened.add(home, ".")
        for name, kind, target in more:
            member = tarfile.TarInfo(name)
            member.type = kind
            member.linkname = target
            opened.addfile(member, io.BytesIO() if kind == tarfile.REGTYPE else None)
    return path


def test_the_servers_python_is_the_default(config: ModelConfig, files: ModelFiles) -> None:
    python = Environments(installs_requirements=False).find(config, files)
    assert python.command("m_0") == [sys.executable, "-P", "-m", "naiad.worker", "m_0"]
    assert python.variables() is None


def test_the_packages_of_an_environment_go_first_and_naiad_is_there(
    config: ModelConfig, files: ModelFiles, home: Path
) -> None:
    python = Environments(installs_requirements=False).find(named(config, home), files)
    *command, code, _ = python.command("m_0")
    code = code.split("runpy.run_module")[0]
    code += "import only_here, naiad.engine, numpy; print(only_here.WORD, sys.prefix); print(*sys.path)"
    out = subprocess.run([*command, code], check=True, capture_output=True, text=True, env=python.variables())
    first, path = out.stdout.splitlines()
    assert first == f"there {home}"
    roots = path.split(" ")
    assert roots.index(str(site_of(home))) < roots.index(str(Path(__import__("numpy").__path__[0]).parent))


def test_an_archive_is_unpacked_once_and_goes_with_its_last_user(
    config: ModelConfig, files: ModelFiles, home: Path
) -> None:
    files.directory.mkdir(parents=True, exist_ok=True)
    archive(files.directory / "env.tar.gz", home)
    environments = Environments(installs_requirements=False)
    given = named(config, "$$TRITON_MODEL_DIRECTORY/env.tar.gz")
    first, second = (environments.find(given, files) for _ in range(2))
    assert first.home is not None
    assert first.home == second.home
    assert (site_of(first.home) / "only_here.py").is_file()
    place = first.home
    del first
    assert place.is_dir()
    del second
    assert not place.exists()


@pytest.mark.parametrize(
    ("member", "reason"),
    [
        (("../outside", tarfile.REGTYPE, ""), "outside"),
        (("device", tarfile.CHRTYPE, ""), "'device' is neither a file, a directory nor a link"),
        (("pipe", tarfile.FIFOTYPE, ""), "'pipe' is neither"),
    ],
)
def test_an_archive_that_would_write_elsewhere_is_refused(
    config: ModelConfig,
    files: ModelFiles,
    home: Path,
    tmp_path: Path,
    member: tuple[str, bytes, str],
    reason: str,
) -> None:
    path = archive(tmp_path / "env.tar.gz", home, member)
    with pytest.raises(ConfigError, match=f"the archive can't be unpacked: .*{reason}"):
        Environments(installs_requirements=False).find(named(config, path), files)


def test_a_link_in_an_archive_leads_no_file_out(
    config: ModelConfig, files: ModelFiles, home: Path, tmp_path: Path
) -> None:
    (tmp_path / "outside").mkdir()
    members = [
        ("way", tarfile.SYMTYPE, str(tmp_path / "outside")),
        ("way/out", tarfile.REGTYPE, ""),
    ]
    path = archive(tmp_path / "env.tar.gz", home, *members)
    with pytest.raises(ConfigError, match="the archive can't be unpacked"):
        Environments(installs_requirements=False).find(named(config, path), files)
    assert list((tmp_path / "outside").iterdir()) == []


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("env.tar.gz", "must be absolute"),
        ("/nowhere/env.tar.gz", "there is no such file or directory"),
        ("$$TRITON_MODEL_DIRECTORY", "it has no bin/python that runs"),
        ("$$TRITON_MODEL_DIRECTORY/text", "the archive can't be unpacked"),
        ("$$TRITON_MODEL_DIRECTORY/old", "its Python is 3.4, the server's is 3"),
        ("$$TRITON_MODEL_DIRECTORY/broken", "its Python is one that does not run"),
    ],
)
def test_what_is_no_environment_is_refused(
    config: ModelConfig, files: ModelFiles, path: str, reason: str
) -> None:
    for name, script in {"old": "echo 3.4", "broken": "exit 3"}.items():
        (files.directory / name / "bin").mkdir(parents=True)
        python = files.directory / name / "bin" / "python"
        python.write_text(f"#!/bin/sh\n{script}\n")
        python.chmod(0o755)
    (files.directory / "text").write_text("no archive")
    with pytest.raises(ConfigError, match=f"model '{files.name}': EXECUTION_ENV_PATH.*{reason}"):
        Environments(installs_requirements=False).find(named(config, path), files)


def test_requirements_are_installed_where_that_is_allowed(
    config: ModelConfig, files: ModelFiles, caplog: pytest.LogCaptureFixture
) -> None:
    package = files.directory / "tiny"
    package.mkdir(parents=True)
    (package / "tiny_words.py").write_text("WORD = 'tiny'\n")
    wheel = files.directory / "tiny_words-1.0-py3-none-any.whl"
    write_wheel(wheel)
    (files.directory / "requirements.txt").write_text(f"./{wheel.name}\n")

    caplog.set_level("INFO")
    assert Environments(installs_requirements=False).find(config, files).home is None
    assert "requirements.txt is not installed" in caplog.text

    made = Environments(installs_requirements=True).find(config, files)
    assert made.home is not None
    assert (site_of(made.home) / "tiny_words.py").is_file()

    (files.directory / "requirements.txt").write_text("./is-not-there-1.0-py3-none-any.whl\n")
    with pytest.raises(BackendError, match="its requirements can't be installed"):
        Environments(installs_requirements=True).find(config, files)


def write_wheel(path: Path) -> None:
    import zipfile

    info = "tiny_words-1.0.dist-info"
    with zipfile.ZipFile(path, "w") as wheel:
        wheel.writestr("tiny_words.py", "WORD = 'tiny'\n")
        wheel.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: tiny-words\nVersion: 1.0\n")
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{info}/RECORD", "")
