"""What ``make gpu`` does: builds naiad with CUDA, tests it on the GPU, measures, prints one table.

Needs a Python with numpy, protobuf, psutil, nvidia-ml-py, pybind11 and torch, besides CMake, ninja and nvcc,
and nothing of the network: what a machine lacks of headers can come in a kit (tools/gpu/kit.sh). It builds
with the Python that runs it, and for that one. Steps that do not fit into the time are skipped, as the table
says.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.util
import os
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import goals
from report import Outcome, draft, results_in, table

ROOT = Path(__file__).resolve().parents[2]
BUILD = ROOT / "build" / "gpu"
SITE = BUILD / "site"
IMPORTED = {
    "numpy": "numpy",
    "google.protobuf": "protobuf",
    "psutil": "psutil",
    "pynvml": "nvidia-ml-py",
    "torch": "torch",
    "pybind11": "pybind11",
}
"""What the steps import, and the package that has it."""
ROOMS = ("memory", "cuda", "no_cuda", "execute", "backends")
"""Of the C++ tests, those that a GPU can change."""

_NEEDS_ONNXRUNTIME = "--test-case-exclude=onnx*"
"""What is left out of the C++ tests of backends where no ONNX Runtime is installed."""

_SANITIZED = "--test-case=every GPU keeps the contract*,a model on every GPU answers*"
"""The C++ tests that run every kernel."""

Step = Callable[["Run"], Outcome]


@dataclass
class Run:
    """One run, and when it must have ended."""

    options: argparse.Namespace
    ends_s: float
    facts: dict[str, str] = field(default_factory=dict)

    def left_s(self) -> float:
        return self.ends_s - time.monotonic()

    def command(self, name: str, *words: str | Path, limit_s: float, cwd: Path = ROOT) -> tuple[int, str]:
        """Runs it, within the time that is left; its status (124: it took too long) and output, which is
        in build/gpu/<name>.log too.
        """
        log = BUILD / f"{name}.log"
        variables = os.environ | {
            "PYTHONPATH": str(SITE),
            "PYTHONUNBUFFERED": "1",
        }
        with log.open("w") as output:
            try:
                status = subprocess.run(
                    [str(word) for word in words],
                    cwd=cwd,
                    env=variables,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    timeout=max(1.0, min(limit_s, self.left_s())),
                ).returncode
            except subprocess.TimeoutExpired:
                status = 124
        return status, log.read_text(errors="replace")


def look(run: Run) -> Outcome:
    """What the machine has."""
    missing = [package for module, package in IMPORTED.items() if not _is_there(module)]
    missing += [name for name in ("cmake", "ninja", "nvcc") if shutil.which(name) is None]
    if missing:
        return Outcome("failed", f"missing: {', '.join(missing)}")
    soft, _ = resource.getrlimit(resource.RLIMIT_MEMLOCK)
    _, nvcc = run.command("nvcc", "nvcc", "--version", limit_s=20)
    release = [line for line in nvcc.splitlines() if "release" in line]
    run.facts |= {
        "Python": sys.version.split()[0],
        "processors": str(os.cpu_count()),
        "CUDA toolkit": release[0].split("release ")[1].split(",")[0] if release else "unknown",
        "locked memory": "unlimited" if soft == resource.RLIM_INFINITY else f"{soft >> 20} MiB",
    }
    if run.options.device == "cuda":
        query = ("--query-gpu=name,memory.total,driver_version", "--format=csv,noheader")
        status, text = run.command("nvidia-smi", "nvidia-smi", *query, limit_s=30)
        if status != 0:
            return Outcome("failed", f"nvidia-smi: {text.strip()[-200:]}")
        run.facts["GPU"] = "; ".join(text.strip().splitlines())
    return Outcome("passed", ", ".join(f"{name} {value}" for name, value in run.facts.items()))


def build(run: Run) -> Outcome:
    kit = run.options.kit
    settings = [
        "-GNinja",
        "-DCMAKE_BUILD_TYPE=Release",
        "-DNAIAD_CUDA=ON",
        "-DNAIAD_TESTS=ON",
        "-DNAIAD_BENCH=ON",
        f"-DPython_EXECUTABLE={sys.executable}",
    ]
    if run.options.device == "cuda":
        settings.append("-DCMAKE_CUDA_ARCHITECTURES=native")
    if (kit / "include").is_dir():
        wanted = (kit / "protos.sha256").read_text().strip()
        if wanted != _digest(sorted((ROOT / "protos").glob("*.proto"))):
            return Outcome("failed", "the kit is of other protos: make gpu-kit")
        settings += [
            f"-DCMAKE_PREFIX_PATH={kit}",
            f"-DCMAKE_INCLUDE_PATH={kit / 'include'}",
            f"-DNAIAD_DESCRIPTORS_FROM={kit / 'descriptors.binpb'}",
        ]
    if shutil.which("ccache"):
        settings.append("-DCMAKE_CXX_COMPILER_LAUNCHER=ccache")
    status, text = run.command("configure", "cmake", "-S", ROOT, "-B", BUILD, *settings, limit_s=120)
    if status == 0:
        _, listed = run.command("targets", "ninja", "-C", BUILD, "-t", "targets", "all", limit_s=30)
        tests = [f"test_{room}" for room in ROOMS if f"\ntest_{room}:" in listed]
        jobs = f"-j{run.options.jobs}"
        status, text = run.command(
            "build",
            "ninja",
            "-C",
            BUILD,
            jobs,
            "_core",
            "naiad_descriptors",
            "bench_gpu",
            *tests,
            limit_s=run.options.build_s,
        )
    if status != 0:
        return Outcome("failed", _last(text, status))
    return _assemble(run)


def _assemble(run: Run) -> Outcome:
    """A folder with the package as it would be installed."""
    shutil.rmtree(SITE, ignore_errors=True)
    shutil.copytree(ROOT / "python" / "naiad", SITE / "naiad")
    shutil.copy(ROOT / "python" / "triton_python_backend_utils.py", SITE)
    for file in (*BUILD.glob("_core*.so"), BUILD / "descriptors.binpb"):
        shutil.copy(file, SITE / "naiad")
    code = (
        "import naiad, torch; from naiad.engine import gpu_count, gpu_absence; naiad.Server; "
        "print(f'torch {torch.__version__}; {gpu_count()} GPUs for the core {gpu_absence()}')"
    )
    status, text = run.command("import", sys.executable, "-c", code, limit_s=60)
    return Outcome("passed" if status == 0 else "failed", _last(text, status))


def cpp_tests(run: Run) -> Outcome:
    failed, passed, cases = [], 0, []
    library = _onnxruntime_library()
    os.environ["NAIAD_TEST_ONNXRUNTIME"] = str(library or "")
    for room in ROOMS:
        program = BUILD / f"test_{room}"
        if not program.exists():
            continue
        words = () if library or room != "backends" else (_NEEDS_ONNXRUNTIME,)
        status, text = run.command(f"test_{room}", program, *words, limit_s=120)
        cases += [line for line in text.splitlines() if line.startswith("[doctest] test cases:")]
        if status == 0:
            passed += 1
        else:
            failed.append(f"{room} ({_last(text, status)})")
    told = ", ".join(case.split("|")[0].split(":")[1].strip() for case in cases)
    if not library:
        told += "; those of onnxruntime left out: it is not installed"
    if failed or not passed:
        return Outcome("failed", "; ".join(failed) or "no program was built")
    return Outcome("passed", f"{passed} programs, of cases: {told}")


def sanitizer(run: Run) -> Outcome:
    """The kernels, and a model that batches go through, under NVIDIA's compute-sanitizer."""
    if run.options.device != "cuda":
        return Outcome("skipped", "it needs a GPU")
    tool = shutil.which("compute-sanitizer")
    if tool is None:
        return Outcome("skipped", "compute-sanitizer is missing")
    told = []
    for kind in ("memcheck", "racecheck"):
        status, text = run.command(
            f"sanitizer_{kind}",
            tool,
            f"--tool={kind}",
            "--error-exitcode=9",
            BUILD / "test_cuda",
            _SANITIZED,
            limit_s=60,
        )
        said = [line for line in text.splitlines() if "SUMMARY" in line]
        if status != 0:
            return Outcome("failed", f"{kind}: {said[-1].strip('= ') if said else _last(text, status)}")
        told.append(f"{kind}: {said[-1].strip('= ') if said else 'no errors'}")
    return Outcome("passed", "; ".join(told))


def gpu_tests(run: Run) -> Outcome:
    """Those of tests/gpu, with what is there: a test that needs more says so."""
    if not _is_there("pytest"):
        return Outcome("skipped", "pytest is missing")
    settings = ROOT / "tests" / "gpu" / "pytest.ini"
    status, text = run.command(
        "pytest", sys.executable, "-m", "pytest", "-c", settings, "-rs", ROOT / "tests" / "gpu", limit_s=150
    )
    skipped = {line.split(": ", 1)[-1] for line in text.splitlines() if line.startswith("SKIPPED")}
    told = _last(text, status) + "".join(f"; {why}" for why in sorted(skipped))
    # 5: all were skipped before they began.
    if status not in (0, 5):
        return Outcome("failed", told)
    return Outcome("passed" if " passed" in _last(text, status) else "skipped", told)


def memory(run: Run) -> Outcome:
    """What copies, gathers and overlap cost: a table of its own."""
    status, text = run.command("bench_gpu", BUILD / "bench_gpu", limit_s=60)
    if run.options.device != "cuda":
        return Outcome("skipped", _last(text, 0))
    lines = [line for line in text.splitlines() if line.startswith("|")]
    if status != 0 or not lines:
        return Outcome("failed", _last(text, status))
    return Outcome("passed", table=lines)


def bench(name: str, *words: str, cpu: tuple[str, ...], limit_s: float) -> Step:
    """A program of bench/gpu; with ``cpu`` behind it, to try it, where there is no GPU."""

    def step(run: Run) -> Outcome:
        more = words if run.options.device == "cuda" else cpu
        program = ROOT / "bench" / "gpu" / f"{name}.py"
        status, text = run.command(
            name, sys.executable, program, "--device", run.options.device, *more, limit_s=limit_s
        )
        found = results_in(text)
        if status != 0 or not found:
            return Outcome("failed", _last(text, status))
        wrong = [f"{row.get('way', name)}: {row['failed']}" for row in found if "failed" in row]
        return Outcome("failed" if wrong else "passed", "; ".join(wrong), found)

    return step


STEPS: tuple[tuple[str, Step], ...] = (
    ("machine", look),
    ("build", build),
    ("C++ tests", cpp_tests),
    ("GPU tests", gpu_tests),
    ("sanitizer", sanitizer),
    ("memory", memory),
    (
        "serving",
        bench("serve", "--seconds", "4", cpu=("--batch=2", "--side=32", "--seconds=0.5"), limit_s=150),
    ),
    (
        "load and unload",
        bench(
            "cycles",
            "--seconds=45",
            cpu=("--cycles=20", "--worker-cycles=1", "--seconds=20"),
            limit_s=120,
        ),
    ),
)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--dry-run", action="store_true", help="without a GPU: builds, and tries the rest on the CPU"
    )
    parser.add_argument("--kit", type=Path, default=ROOT / "build" / "gpu-kit", help="made by make gpu-kit")
    parser.add_argument(
        "--results", type=Path, default=ROOT / "bench" / "results", help="where the draft goes"
    )
    parser.add_argument("--minutes", type=float, default=7.5, help="that all of it may take")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="compilers at a time")
    options = parser.parse_args()
    options.device = "cpu" if options.dry_run else "cuda"
    # A dry run is there to be finished.
    options.build_s = 3600.0 if options.dry_run else 240.0
    if not options.dry_run and shutil.which("nvidia-smi") is None:
        print("naiad: there is no GPU here (no nvidia-smi); --dry-run tries what needs none", file=sys.stderr)
        return 1
    BUILD.mkdir(parents=True, exist_ok=True)
    # Where a Python has its programs, and CUDA its own, whether or not a shell would look there.
    places = [str(Path(sys.executable).parent), os.environ.get("PATH", ""), "/usr/local/cuda/bin"]
    os.environ["PATH"] = os.pathsep.join(places)
    minutes = 90.0 if options.dry_run else options.minutes
    run = Run(options, time.monotonic() + minutes * 60)
    outcomes: dict[str, Outcome] = {}
    for name, step in STEPS:
        begin = time.monotonic()
        if run.left_s() < 5:
            outcomes[name] = Outcome("skipped", "no time was left")
        elif any(outcomes[first].word == "failed" for first in ("machine", "build") if first in outcomes):
            outcomes[name] = Outcome("skipped", "nothing was built")
        else:
            print(f"naiad: {name} ...", flush=True)
            outcomes[name] = step(run)
        outcomes[name].took_s = time.monotonic() - begin
    seen = goals.rows_of(outcomes)
    print(table(outcomes, seen, dry=options.dry_run))
    if not options.dry_run and outcomes["serving"].rows:
        print(f"naiad: a draft of the results is in {draft(options.results, run.facts, outcomes, seen)}")
    return int(any(outcome.word == "failed" for outcome in outcomes.values()))


def _is_there(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:
        return False


def _onnxruntime_library() -> Path | None:
    """The library of the installed ONNX Runtime."""
    spec = importlib.util.find_spec("onnxruntime")
    if spec is None or spec.origin is None:
        return None
    return next(iter(Path(spec.origin).parent.glob("capi/libonnxruntime.so.1*")), None)


def _digest(files: list[Path]) -> str:
    digest = hashlib.sha256()
    for file in files:
        digest.update(file.read_bytes())
    return digest.hexdigest()


def _last(text: str, status: int) -> str:
    if status == 124:
        return "it took too long"
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    # What a compiler says first is what is wrong; what ninja says last is that something is.
    wrong = [line for line in lines if "error:" in line] if status != 0 else []
    told = wrong[:1] or lines[-1:]
    return told[0][:300] if told else f"status {status}"


if __name__ == "__main__":
    sys.exit(main())
