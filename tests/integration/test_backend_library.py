"""A backend in a shared library, built with what the package installs: the example, and one that errs."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import naiad
from naiad.errors import InvalidArgument, NaiadError

EXAMPLE = Path(__file__).parents[2] / "examples" / "backend"
CONFIG = """
backend: "%s"
max_batch_size: 8
input [ { name: "INPUT" data_type: TYPE_FP32 dims: [ -1 ] } ]
output [ { name: "OUTPUT" data_type: TYPE_FP32 dims: [ -1 ] } ]
dynamic_batching { }
parameters { key: "factor" value { string_value: "%s" } }
"""

# Does what its input says: 0 an output of a wrong shape, 1 another output, 2 fails, 3 throws, 4 an answer for
# each request.
ERRING = """
#include <cstring>
#include <naiad/backend.hpp>

class Erring : public naiad::sdk::Instance {
 public:
  explicit Erring(const naiad_model& model) {
    if (std::strstr(model.options_json, "refuse") != nullptr) throw std::runtime_error("no weights");
  }
  void execute(naiad::sdk::Batch& batch) override {
    const naiad_tensor x = batch.input(0);
    switch (static_cast<int>(*static_cast<const float*>(x.data))) {
      case 0: batch.output(0, {batch.num_rows() + 1, 1}); return;
      case 1: batch.output(7, {1, 1}); return;
      case 2: batch.fail(0, NAIAD_NOT_FOUND, "not this one"); return;
      case 3: throw std::runtime_error("thrown");
      default: break;
    }
    for (std::uint32_t k = 0; k < batch.num_requests(); ++k) {
      const naiad_tensor own = batch.input_of(k, 0);
      std::memcpy(batch.output_of(k, 0, {own.shape, own.shape + own.rank}), own.data, own.size_bytes);
    }
  }
};

NAIAD_BACKEND(Erring)
"""

OF_ANOTHER_TIME = """
#include <naiad/backend.h>
extern "C" __attribute__((visibility("default"))) const naiad_backend* naiad_backend_v1(const naiad_server*) {
  static const naiad_backend backend{999, nullptr, nullptr, nullptr};
  return &backend;
}
"""


@pytest.fixture(scope="module")
def backends(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A backend directory: scaler from examples/, erring, old and empty from here."""
    path = tmp_path_factory.mktemp("backends")
    source = path / "source"
    shutil.copytree(EXAMPLE, source)
    (source / "erring.cc").write_text(ERRING)
    (source / "old.cc").write_text(OF_ANOTHER_TIME)
    (source / "empty.cc").write_text("int nothing = 0;\n")
    lines = "".join(f"naiad_add_backend({name} {name}.cc)\n" for name in ("erring", "old", "empty"))
    with (source / "CMakeLists.txt").open("a") as lists:
        lists.write(lines)
    told = subprocess.run(
        [sys.executable, "-m", "naiad", "cmake-dir"], check=True, capture_output=True, text=True
    )
    build = path / "build"
    subprocess.run(["cmake", "-B", build, "-S", source, f"-Dnaiad_DIR={told.stdout.strip()}"], check=True)
    subprocess.run(["cmake", "--build", build], check=True)
    for name in ("scaler", "erring", "old", "empty"):
        (path / name).mkdir()
        shutil.copy(build / f"libnaiad_{name}.so", path / name)
    (path / "text").mkdir()
    (path / "text" / "libnaiad_text.so").write_text("no library")
    return path


def serve(
    repository: Path, backends: Path, backend: str, factor: str = "2.5", **options: str
) -> naiad.Server:
    (repository / "m" / "1").mkdir(parents=True)
    (repository / "m" / "config.pbtxt").write_text(CONFIG % (backend, factor))
    given = {"": {"backend-directory": str(backends)}, backend: options}
    return naiad.Server(repository, pool_bytes=64 << 20, backend_config=given)


def test_the_example_multiplies(tmp_path: Path, backends: Path) -> None:
    with serve(tmp_path, backends, "scaler") as server:
        model = server.model("m")
        for rows in (1, 3):
            x = np.arange(rows * 4, dtype=np.float32).reshape(rows, 4)
            np.testing.assert_array_equal(model.infer({"INPUT": x})["OUTPUT"], x * 2.5)
        many = model.infer_many([{"INPUT": np.full((1, 2), i, np.float32)} for i in range(20)])
        assert [each["OUTPUT"].tolist() for each in many] == [[[i * 2.5] * 2] for i in range(20)]


@pytest.mark.parametrize(
    ("backend", "factor", "options", "error"),
    [
        ("scaler", "many", {}, "parameter factor must be a number, got 'many'"),
        ("erring", "1", {"refuse": "yes"}, "no weights"),
        ("old", "1", {}, "'libnaiad_old.so' is not built for version 1 of the contract"),
        ("empty", "1", {}, "'libnaiad_empty.so' does not export naiad_backend_v1"),
        ("text", "1", {}, "'libnaiad_text.so' can't be loaded: "),
        ("absent", "1", {}, "there is no backend 'absent'"),
    ],
)
def test_what_can_not_be_loaded_says_why(
    tmp_path: Path, backends: Path, backend: str, factor: str, options: dict[str, str], error: str
) -> None:
    with pytest.raises(InvalidArgument, match=re.escape(error)) as refused:
        serve(tmp_path, backends, backend, factor, **options)
    assert str(backends) not in str(refused.value)


def test_a_library_that_errs_fails_its_requests(tmp_path: Path, backends: Path) -> None:
    with serve(tmp_path, backends, "erring") as server:
        model = server.model("m")
        for value, error in {
            0: r"output 'OUTPUT' has shape \[2,1\] for a batch of 1 rows",
            1: "the model has no such output",
            2: "not this one",
            3: "thrown",
        }.items():
            with pytest.raises(NaiadError, match=error):
                model.infer({"INPUT": np.full((1, 1), value, np.float32)})
        x = np.full((2, 3), 4, np.float32)
        np.testing.assert_array_equal(model.infer({"INPUT": x})["OUTPUT"], x)
