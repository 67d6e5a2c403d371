"""What is banned is nowhere; and each ban sees what it is for."""

from __future__ import annotations

from pathlib import Path

import pytest
from bans import MAX_LINES, banned_in_cpp, banned_in_python, empty_words, poorly_named, unfinished

ROOT = Path(__file__).parents[2]
# Names that others gave: Triton's module for model.py files and its logger, aiohttp, ONNX Runtime.
FOREIGN_NAMES = {
    "triton_python_backend_utils.py: triton_python_backend_utils",
    "logger.py: info",
    "logger.py: log_info",
    "control.py: handle_error",
    "onnxruntime_api.h: MemoryInfo",
    "onnxruntime_api.h: TensorTypeAndShapeInfo",
    "onnxruntime_api.h: TypeInfo",
}


def sources(*patterns: str) -> list[Path]:
    found = [file for pattern in patterns for file in sorted(ROOT.glob(pattern))]
    assert found
    return [file for file in found if not any(part.startswith(".") for part in file.relative_to(ROOT).parts)]


def test_cpp_has_nothing_banned() -> None:
    assert list(banned_in_cpp(ROOT / "csrc")) == []


def test_python_has_nothing_banned() -> None:
    assert list(banned_in_python(ROOT / "python")) == []


def test_names_say_something() -> None:
    files = sources("csrc/**/*.h", "csrc/**/*.cc", "python/**/*.py")
    assert set(poorly_named(files)) - FOREIGN_NAMES == set()


def test_files_are_short_and_finished() -> None:
    files = sources("csrc/**/*.h", "csrc/**/*.cc", "python/**/*.py", "bench/**/*.py", "bench/**/*.cc")
    files += [
        file
        for file in sources("tests/**/*.py", "tests/**/*.h", "tests/**/*.cc")
        if file.parent.name != "architecture"
    ]
    assert list(unfinished(files)) == []


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("#include <pybind11/stl.h>", "Python"),
        ("  py::gil_scoped_release release;", "Python"),
        ("#include <cuda_runtime.h>", "CUDA"),
        ('#include "cuda/stream.h"', "CUDA"),
        ("  cudaDeviceSynchronize();", "events"),
        ("  cudaMemcpy(to, from, size, cudaMemcpyDefault);", "events"),
        ("  cudaStreamSynchronize(stream);", "events"),
        ("  stream->drain();", "streams are drained"),
        ("#include <openssl/ssl.h>", "OpenSSL"),
        ("#ifdef NAIAD_CUDA", "a choice of the build"),
        ("#if defined(USE_GPU)", "a choice of the build"),
        ("auto now = std::chrono::system_clock::now();", "durations"),
        ("char* text = static_cast<char*>(alloca(size));", "no bound"),
        ("using namespace std;", "names"),
        ("void* block = malloc(8);", "memory"),
        ("delete block;  // gone", "memory"),
    ],
)
def test_a_banned_line_of_cpp_is_found(tmp_path: Path, line: str, reason: str) -> None:
    (tmp_path / "queue").mkdir()
    (tmp_path / "queue/ring.cc").write_text(f"// fine\n{line}\n")
    (complaint,) = banned_in_cpp(tmp_path)
    assert complaint.startswith("queue/ring.cc:2: ")
    assert f"({reason}" in complaint


def test_cpp_that_only_speaks_of_it_passes(tmp_path: Path) -> None:
    (tmp_path / "bindings").mkdir()
    (tmp_path / "base.h").write_text(
        "#pragma once\n// py:: malloc(8) system_clock\n"
        'const char* kText = "alloca(1)";\nBase(const Base&) = delete;\n'
        "#if defined(__x86_64__)\n#elif defined(__aarch64__)\n#endif\n"
    )
    (tmp_path / "bindings/tensors.cc").write_text(
        "#include <pybind11/stl.h>\npy::gil_scoped_release release;\n"
    )
    assert list(banned_in_cpp(tmp_path)) == []


@pytest.mark.parametrize(
    "line",
    [
        "import pickle",
        "from yaml import load",
        "value = eval('1')",
        "import os; os.system('ls')",
        "import subprocess; subprocess.run('ls', shell=True)",
    ],
)
def test_a_banned_line_of_python_is_found(tmp_path: Path, line: str) -> None:
    (tmp_path / "bad.py").write_text(f"'''pickle, eval()'''\n{line}\n")
    (complaint,) = banned_in_python(tmp_path)
    assert complaint.startswith("bad.py:2: ")


def test_python_that_only_speaks_of_it_passes(tmp_path: Path) -> None:
    (tmp_path / "good.py").write_text("model.eval()\nrun('ls', shell=False)\n# pickle\n")
    assert list(banned_in_python(tmp_path)) == []


def test_an_empty_word_is_found_in_a_name() -> None:
    assert empty_words("tensor_utils") == {"utils"}
    assert empty_words("ModelManager") == {"manager"}
    assert empty_words("CUDAHandle") == {"handle"}
    assert empty_words("handlers") == set()
    assert empty_words("commonality") == set()


def test_long_and_unfinished_files_are_found(tmp_path: Path) -> None:
    (tmp_path / "long.py").write_text("x = 1\n" * (MAX_LINES + 1))
    (tmp_path / "later.py").write_text("x = 1\n# TODO: y\n")
    (tmp_path / "FileInfo.h").write_text("struct ErrorHandle {};\n")
    assert list(unfinished(sorted(tmp_path.glob("*.py")))) == [
        "later.py:2: # TODO: y",
        f"long.py: {MAX_LINES + 1} lines, at most {MAX_LINES}",
    ]
    assert list(poorly_named([tmp_path / "FileInfo.h"])) == [
        "FileInfo.h: ErrorHandle",
        "FileInfo.h: FileInfo",
    ]
