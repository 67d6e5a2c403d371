"""What the code may not say, and where: each rule gives complaints, each with its file and line."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

MAX_LINES = 400
MAX_TEST_LINES = 450
UNUSED_WORDS = frozenset({"payload", "manager", "helper", "utils", "common", "handle", "info"})
"""Words that say nothing (docs/architecture.md): whole words in names of files, classes and functions."""

_MODULES = frozenset({"pickle", "cPickle", "dill", "marshal", "shelve", "yaml"})
_CALLS = frozenset({"eval", "exec", "os.system", "os.popen"})
_MARKS = re.compile(r"\b(TODO|FIXME|XXX|HACK)\b")
_WORDS = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])")


@dataclass(frozen=True)
class Ban:
    """A pattern that C++ code may have only in files whose path starts so."""

    pattern: re.Pattern[str]
    allowed: tuple[str, ...]
    reason: str


CPP_BANS = (
    Ban(
        re.compile(r"#\s*include\s*<(pybind11/|Python\.h)|\bpy::|\bPyGILState|gil_scoped"),
        ("bindings/",),
        "Python and its GIL belong in bindings",
    ),
    Ban(
        re.compile(r"#\s*include\s*[<\"]cu(da|blas|rand)\w*(\.h|/)"),
        ("cuda/",),
        "CUDA headers belong in cuda",
    ),
    Ban(
        re.compile(r"\bcudaDeviceSynchronize\b|\bcudaMemcpy(2D|3D|Peer)?\s*\("),
        (),
        "events are waited for, never the whole device",
    ),
    Ban(
        re.compile(r"\bcudaStreamSynchronize\b"),
        ("cuda/gpu.", "cuda/gpu_memory."),
        "events are waited for while batches run",
    ),
    Ban(
        re.compile(r"(?i)\bstream\w*(->|\.)drain\(\)"),
        ("execute/device_slot.", "execute/device_lane.", "execute/fetch."),
        "streams are drained at the end of an instance alone",
    ),
    Ban(
        re.compile(r"#\s*include\s*<openssl/"),
        ("io/tls_", "io/key_ring."),
        "OpenSSL belongs behind a transport, and where keys are compared",
    ),
    Ban(
        # One tree of code for all devices; the language, the compiler, the processor and NDEBUG may differ.
        re.compile(
            r"^\s*#\s*(?:if|ifdef|ifndef|elif)\b(?!.*\b(__x86_64__|__aarch64__|__GNUC__|__clang__|__cplusplus|NDEBUG)\b)"
        ),
        ("cuda/", "memory/poison.h"),
        "a choice of the build is a choice of rooms, not of lines",
    ),
    Ban(
        re.compile(r"\bsystem_clock\b|\bgettimeofday\b"),
        ("base/log.cc", "engine/wall_clock.h"),
        "durations are measured with the steady clock; the wall clock is only shown",
    ),
    Ban(re.compile(r"\balloca\s*\(|\b(strcpy|strcat|sprintf|gets)\s*\("), (), "no bound"),
    Ban(re.compile(r"\busing namespace\b"), (), "names of others stay theirs"),
    Ban(re.compile(r"\b(malloc|calloc|realloc|free)\s*\("), (), "memory has an owner"),
    # The deleter of a unique_ptr.
    Ban(re.compile(r"\bdelete\b(?!\s*[;,)])"), ("bindings/python_object.cc",), "memory has an owner"),
)


def code_of(text: str) -> str:
    """C++ without its comments and the contents of its strings; lines stay where they are."""
    token = re.compile(r'//[^\n]*|/\*.*?\*/|R"\((?:.*?)\)"|"(?:\\.|[^"\\\n])*"', re.DOTALL)

    def blank(found: re.Match[str]) -> str:
        text = found.group()
        return (
            '""'
            if text.startswith('"') and "/" not in text and "." not in text
            else re.sub(r"[^\n]", " ", text)
        )

    # What is included is a string too, and is looked at.
    return "\n".join(
        line if line.lstrip().startswith("#") else kept
        for line, kept in zip(text.split("\n"), token.sub(blank, text).split("\n"), strict=True)
    )


def banned_in_cpp(csrc: Path) -> Iterator[str]:
    """Complaints about a tree of C++."""
    for file in sorted(csrc.rglob("*.*")):
        if file.suffix not in {".h", ".cc", ".cu"}:
            continue
        where = str(file.relative_to(csrc))
        for number, line in enumerate(code_of(file.read_text(encoding="utf-8")).split("\n"), 1):
            for ban in CPP_BANS:
                if ban.pattern.search(line) and not where.startswith(ban.allowed or ("//",)):
                    yield f"{where}:{number}: {line.strip()} ({ban.reason})"


def banned_in_python(folder: Path) -> Iterator[str]:
    """Complaints about a tree of Python."""
    for file in sorted(folder.rglob("*.py")):
        where = file.relative_to(folder)
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            for what in _banned(node):
                yield f"{where}:{getattr(node, 'lineno', 0)}: {what}"


def _banned(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names if alias.name.split(".")[0] in _MODULES)
    elif isinstance(node, ast.ImportFrom):
        if (node.module or "").split(".")[0] in _MODULES:
            yield str(node.module)
    elif isinstance(node, ast.Call):
        if ast.unparse(node.func) in _CALLS:
            yield ast.unparse(node.func)
        for keyword in node.keywords:
            if keyword.arg == "shell" and not (
                isinstance(keyword.value, ast.Constant) and not keyword.value.value
            ):
                yield "shell=True"


def empty_words(name: str) -> set[str]:
    """The words of a name in snake_case or PascalCase that say nothing."""
    return {word.lower() for word in _WORDS.findall(name)} & UNUSED_WORDS


def poorly_named(files: list[Path]) -> Iterator[str]:
    """Complaints about the names of files, and of the classes and functions in them."""
    for file in files:
        names = {file.stem}
        text = file.read_text(encoding="utf-8")
        if file.suffix == ".py":
            kinds = (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
            names |= {node.name for node in ast.walk(ast.parse(text)) if isinstance(node, kinds)}
        else:
            names |= set(re.findall(r"\b(?:class|struct|union|enum class|namespace)\s+(\w+)", code_of(text)))
        yield from (f"{file.name}: {name}" for name in sorted(names) if empty_words(name))


def unfinished(files: list[Path]) -> Iterator[str]:
    """Complaints about marks of work put off, and about files that have grown too long."""
    for file in files:
        lines = file.read_text(encoding="utf-8").splitlines()
        most = MAX_TEST_LINES if file.stem.startswith("test_") or file.stem.endswith("_test") else MAX_LINES
        if len(lines) > most:
            yield f"{file.name}: {len(lines)} lines, at most {most}"
        yield from (
            f"{file.name}:{n}: {line.strip()}" for n, line in enumerate(lines, 1) if _MARKS.search(line)
        )
