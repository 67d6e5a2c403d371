"""Models have modules of their own."""

from __future__ import annotations

import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from naiad.backends.python.model_modules import ModelModules


def model(root: Path, name: str, **sources: str) -> Path:
    """A version directory with files of Python source: ``a__b`` is a/b.py."""
    directory = root / name / "1"
    for file, source in sources.items():
        path = directory / f"{file.replace('__', '/')}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(source)
    return directory


def load(directory: Path) -> tuple[ModelModules, Any]:
    modules = ModelModules([directory, directory.parent])
    return modules, modules.load(directory / "model.py")


def test_two_models_with_a_file_of_the_same_name_do_not_meet(tmp_path: Path) -> None:
    source = (
        "import tokens\nfrom tokens import WORD\n"
        "def late():\n    import tokens as again\n    return again.WORD\n"
    )
    _, first = load(model(tmp_path, "a", model=source, tokens="WORD = 'a'"))
    _, second = load(model(tmp_path, "b", model=source, tokens="WORD = 'b'"))
    assert (first.WORD, first.tokens.WORD, first.late()) == ("a", "a", "a")
    assert (second.WORD, second.tokens.WORD, second.late()) == ("b", "b", "b")
    assert "tokens" not in sys.modules


def test_late_imports_work_on_other_threads(tmp_path: Path) -> None:
    _, module = load(
        model(tmp_path, "a", model="def late():\n    import far\n    return far.N\n", far="N = 3")
    )
    found: list[int] = []
    thread = threading.Thread(target=lambda: found.append(module.late()))
    thread.start()
    thread.join()
    assert found == [3]


def test_packages_relative_imports_and_files_that_import_each_other(tmp_path: Path) -> None:
    directory = model(
        tmp_path,
        "a",
        model="import parts.deep\nfrom parts import deep\nfrom . import one\nfrom .one import N as M\n"
        "import parts.deep as alias\nX = (parts.deep.D, deep.D, one.N, M, alias.D)\n",
        one="import two\nN = two.K + 1\n",
        two="K = 1\n",
        parts____init__="",
        parts__deep="from .shallow import S\nD = S * 10\n",
        parts__shallow="S = 4\n",
    )
    _, module = load(directory)
    assert module.X == (40, 40, 2, 2, 40)


def test_files_of_the_model_directory_are_found_too(tmp_path: Path) -> None:
    directory = model(tmp_path, "a", model="import beside\nN = beside.N\n")
    (directory.parent / "beside.py").write_text("N = 9\n")
    assert load(directory)[1].N == 9


def test_the_standard_library_goes_first_and_own_files_before_packages(tmp_path: Path) -> None:
    directory = model(
        tmp_path,
        "a",
        model="import json, numpy\nOWN = getattr(numpy, 'OWN', False)\nJ = json.dumps({})\n",
        json="raise AssertionError('shadowed')\n",
        numpy="OWN = True\n",
    )
    module = load(directory)[1]
    assert module.J == "{}"
    assert module.OWN
    import numpy

    assert not hasattr(numpy, "OWN")


def test_a_data_directory_does_not_hide_a_package(tmp_path: Path) -> None:
    directory = model(tmp_path, "a", model="import numpy\nA = numpy.arange(2).sum()\n")
    (directory / "numpy").mkdir()
    assert load(directory)[1].A == 1


def test_a_changed_file_is_read_anew(tmp_path: Path) -> None:
    directory = model(tmp_path, "a", model="import near\nN = near.N\n", near="N = 1\n")
    first, module = load(directory)
    assert module.N == 1
    first.close()
    # The same size, within the same second: byte code would not notice.
    (directory / "near.py").write_text("N = 2\n")
    assert load(directory)[1].N == 2
    assert not list(directory.rglob("__pycache__"))


def test_nothing_is_left_behind(tmp_path: Path) -> None:
    modules, _ = load(model(tmp_path, "a", model="import near\n", near=""))
    assert [name for name in sys.modules if name.startswith(modules.package)]
    modules.close()
    assert not [name for name in sys.modules if name.startswith(modules.package)]


def test_a_failing_file_fails_with_its_own_error(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError):
        load(model(tmp_path, "a", model="1 / 0\n"))
    with pytest.raises(ModuleNotFoundError, match="surely_absent"):
        load(model(tmp_path, "b", model="import surely_absent\n"))


def test_get_model_dir_is_the_callers_own(tmp_path: Path) -> None:
    source = (
        "import triton_python_backend_utils as pb_utils\nimport near\n"
        "def ask():\n    return pb_utils.get_model_dir(), near.ask()\n"
    )
    near = "import triton_python_backend_utils as pb_utils\ndef ask():\n    return pb_utils.get_model_dir()\n"
    for name in ("a", "b"):
        directory = model(tmp_path, name, model=source, near=near)
        assert load(directory)[1].ask() == (str(directory), str(directory))
