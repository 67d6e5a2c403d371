"""The Python that the workers of a model run with: the server's own, or that of an environment."""

from __future__ import annotations

import contextlib
import importlib.util
import logging
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from naiad.backends.base import ModelFiles
from naiad.backends.made_once import MadeOnce
from naiad.config import ModelConfig
from naiad.errors import BackendError, ConfigError, InvalidArgument

_log = logging.getLogger("naiad.backends.python")

_MODEL_DIRECTORY = "$$TRITON_MODEL_DIRECTORY"
_PROBE = "import sys; print('%d.%d' % sys.version_info[:2])"
_PROBE_TIMEOUT_S = 60
_INSTALL_TIMEOUT_S = 1800
# The packages of the environment go first; naiad, and what it needs and the environment lacks, come after.
_BEGIN = (
    "import runpy, sys; sys.path.extend({roots!r}); "
    "runpy.run_module('naiad.worker', run_name='__main__', alter_sys=True)"
)
_NEEDED = ("naiad", "triton_python_backend_utils", "numpy", "google.protobuf")


@dataclass(frozen=True)
class WorkerPython:
    """How a worker is started. The server's own Python by default."""

    home: Path | None = None
    """Where an environment lies."""
    keep: object = None
    """What has to live as long as this."""

    def command(self, name: str) -> list[str]:
        """``name`` is for whoever looks at the list of processes."""
        # -P: what lies in the working directory is no module.
        if self.home is None:
            return [sys.executable, "-P", "-m", "naiad.worker", name]
        return [str(_python_of(self.home)), "-P", "-c", _BEGIN.format(roots=_roots()), name]

    def variables(self) -> dict[str, str] | None:
        """Its environment variables; None: the server's."""
        if self.home is None:
            return None
        variables = {key: value for key, value in os.environ.items() if key != "PYTHONHOME"}
        path = f"{self.home / 'bin'}{os.pathsep}{variables.get('PATH', os.defpath)}"
        return variables | {"PATH": path, "VIRTUAL_ENV": str(self.home)}


class Environments:
    """Finds, unpacks and makes the environments of models; each is there once while a model uses it. Any
    thread.
    """

    def __init__(self, *, installs_requirements: bool) -> None:
        self.installs_requirements = installs_requirements
        self._made: MadeOnce[_Made] = MadeOnce()

    def find(self, config: ModelConfig, files: ModelFiles) -> WorkerPython:
        """Blocks while one is unpacked or made. Raises ConfigError or BackendError."""
        if named := config.parameters.get("EXECUTION_ENV_PATH"):
            return self._named(Path(named.replace(_MODEL_DIRECTORY, str(files.directory))), files)
        requirements = files.directory / "requirements.txt"
        if not requirements.is_file():
            return WorkerPython()
        if not self.installs_requirements:
            _log.info(
                "model '%s': its requirements.txt is not installed; "
                "--backend-config=python,install-requirements=yes does that",
                files.name,
            )
            return WorkerPython()
        made = self._make(requirements, lambda home: _install(requirements, home, files))
        return WorkerPython(made.home, made)

    def _named(self, path: Path, files: ModelFiles) -> WorkerPython:
        where = f"model '{files.name}': EXECUTION_ENV_PATH"
        if not path.is_absolute():
            raise ConfigError(
                f"{where} must be absolute, or begin with {_MODEL_DIRECTORY}", field="parameters"
            )
        if path.is_dir():
            python = WorkerPython(path)
        elif path.is_file():
            made = self._make(path, lambda home: _unpack(path, home, where))
            python = WorkerPython(made.home, made)
        else:
            raise ConfigError(f"{where}: there is no such file or directory", field="parameters")
        assert python.home is not None
        _check(python.home, where)
        return python

    def _make(self, source: Path, fill: Callable[[Path], None]) -> _Made:
        found = source.stat()
        key = (source, found.st_mtime_ns, found.st_size, found.st_ino)

        def make() -> _Made:
            made = _Made()
            fill(made.home)
            return made

        return self._made.get(key, make)


class _Made:
    """A directory that goes with this object."""

    def __init__(self) -> None:
        self.home = Path(tempfile.mkdtemp(prefix="naiad-environment-")).resolve()
        weakref.finalize(self, shutil.rmtree, self.home, ignore_errors=True)


def _python_of(home: Path) -> Path:
    return home / "bin" / "python"


def _roots() -> list[str]:
    """The directories that hold naiad and what it needs, in the server's order."""
    roots = []
    for name in _NEEDED:
        spec = importlib.util.find_spec(name)
        assert spec is not None and spec.origin is not None, name
        # Up from the file by one for a module, and by one more for each name of a package.
        parents = Path(spec.origin).parents
        root = str(parents[name.count(".") + 1 if spec.submodule_search_locations else 0])
        if root not in roots:
            roots.append(root)
    return roots


def _check(home: Path, where: str) -> None:
    """Raises ConfigError unless there is a Python that can run naiad's core."""
    try:
        done = subprocess.run(
            [_python_of(home), "-I", "-c", _PROBE], capture_output=True, text=True, timeout=_PROBE_TIMEOUT_S
        )
    except (OSError, subprocess.TimeoutExpired):
        raise ConfigError(f"{where}: it has no bin/python that runs", field="parameters") from None
    own = f"{sys.version_info.major}.{sys.version_info.minor}"
    if done.returncode != 0 or done.stdout.strip() != own:
        found = done.stdout.strip() if done.returncode == 0 else "one that does not run"
        raise ConfigError(
            f"{where}: its Python is {found}, the server's is {own}: make it with Python {own}",
            field="parameters",
        )


def _unpack(archive: Path, home: Path, where: str) -> None:
    """Raises ConfigError for what is no tar archive, or would write elsewhere."""
    try:
        with tarfile.open(archive) as opened:
            opened.extractall(home, filter=_plain)
    except (tarfile.TarError, EOFError, OSError, InvalidArgument) as error:
        reason = str(error).replace(str(home), "").replace(str(archive), "it")
        raise ConfigError(f"{where}: the archive can't be unpacked: {reason}", field="parameters") from None


def _plain(member: tarfile.TarInfo, home: str) -> tarfile.TarInfo:
    """Nothing outside of ``home`` is written, also not through links; a venv's links to its Python stay."""
    if not (member.isreg() or member.isdir() or member.issym() or member.islnk()):
        raise InvalidArgument(f"'{member.name}' is neither a file, a directory nor a link")
    return tarfile.tar_filter(member, home)


def _install(requirements: Path, home: Path, files: ModelFiles) -> None:
    """Raises ConfigError without uv, BackendError with its words when it fails."""
    uv = _find_uv()
    if uv is None:
        raise ConfigError(
            f"model '{files.name}': uv is needed to install its requirements: pip install 'naiad[env]'"
        )
    _log.info("model '%s': installing its requirements", files.name)
    make = [uv, "venv", "--quiet", "--allow-existing", "--python", sys.executable, str(home)]
    install = [uv, "pip", "install", "--quiet", "--python", str(_python_of(home)), "-r", str(requirements)]
    for command in (make, install):
        _run_uv(command, requirements, files)


def _run_uv(command: list[str], requirements: Path, files: ModelFiles) -> None:
    try:
        done = subprocess.run(
            command, cwd=requirements.parent, capture_output=True, text=True, timeout=_INSTALL_TIMEOUT_S
        )
    except subprocess.TimeoutExpired:
        raise BackendError(f"model '{files.name}': installing its requirements took too long") from None
    if done.returncode != 0:
        reason = done.stderr.strip()
        raise BackendError(f"model '{files.name}': its requirements can't be installed: {reason}")


def _find_uv() -> str | None:
    with contextlib.suppress(ImportError, FileNotFoundError):
        import uv

        return str(uv.find_uv_bin())
    return shutil.which("uv")
