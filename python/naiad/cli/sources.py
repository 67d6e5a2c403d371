"""Where the flags of ``naiad serve`` come from: the command line, the environment, a YAML file.

What the two latter say becomes flags too, so that all are checked in one way. A flag of the command line is
stronger than ``NAIAD_<FLAG>``, and that than the file; a flag that may be given several times is replaced as
a whole. What is to be served counts as one: paths and ``--model-repository`` replace those of weaker sources.
"""

from __future__ import annotations

import difflib
import shlex
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from naiad.cli.triton_flags import BOOLEAN_WORDS, FlagRefused

CONFIG_FLAG = "--config"
CONFIG_VARIABLE = "NAIAD_CONFIG"
MODELS_KEY = "models"
"""Of the file: the paths that stand on a command line without a flag."""

_REPOSITORY_FLAGS = frozenset({"--model-repository", "--model-store"})
_MOST_BYTES = 1 << 20


@dataclass(frozen=True)
class KnownFlags:
    """The flags of a command."""

    aliases: Mapping[str, str]
    """Every spelling -> the first one."""
    repeatable: frozenset[str]
    """First spellings of those that may be given several times."""
    valueless: frozenset[str] = frozenset()
    """Spellings of those that may stand without a value."""

    def first(self, name: str) -> str:
        """The first spelling; ``name`` itself where it is not known."""
        return self.aliases.get(name, name)


@dataclass
class Gathered:
    """Arguments of all sources together."""

    arguments: list[str]
    origins: dict[str, str] = field(default_factory=dict)
    """First spelling of a flag -> the place in a file, or the variable, that gave it."""


def gather(
    arguments: Sequence[str],
    environment: Mapping[str, str],
    flags: KnownFlags,
    read: Callable[[Path], Any] | None = None,
) -> Gathered:
    """``arguments`` with those that only the environment or the file gives. Raises FlagRefused.

    ``read``: what a YAML file holds, as nodes; for tests.
    """
    given, paths, file = _on_command_line(arguments, flags)
    gathered = Gathered(list(arguments))
    names_models = bool(paths) or bool(given & _REPOSITORY_FLAGS)
    of_environment = _from_environment(environment, flags)
    file = file or environment.get(CONFIG_VARIABLE, "")
    of_file = _from_file(Path(file), flags, read or read_nodes) if file else []
    for source in (of_environment, of_file):
        serves = False
        for one in source:
            is_models = one.flag == MODELS_KEY or one.flag in _REPOSITORY_FLAGS
            serves = serves or is_models
            if one.flag in given or (is_models and names_models):
                continue
            gathered.origins[one.flag] = one.origin
            if one.flag == MODELS_KEY:
                gathered.arguments += one.values
            else:
                gathered.arguments += [f"{one.flag}={value}" for value in one.values]
        given |= {one.flag for one in source}
        names_models = names_models or serves
    return gathered


@dataclass(frozen=True)
class _Setting:
    flag: str
    values: list[str]
    origin: str


def _on_command_line(arguments: Sequence[str], flags: KnownFlags) -> tuple[set[str], list[str], str]:
    """First spellings of the flags that are given, the paths, and the file of ``--config``."""
    given: set[str] = set()
    paths: list[str] = []
    file = ""
    position = 0
    while position < len(arguments):
        name, equals, value = arguments[position].partition("=")
        position += 1
        if not name.startswith("-") or name == "-":
            paths.append(arguments[position - 1])
            continue
        given.add(flags.first(name))
        if not equals and name not in flags.valueless and position < len(arguments):
            value = arguments[position]
            position += 1
        elif not equals and position < len(arguments) and arguments[position].lower() in BOOLEAN_WORDS:
            position += 1
        if name == CONFIG_FLAG:
            file = value
    return given, paths, file


def _from_environment(environment: Mapping[str, str], flags: KnownFlags) -> list[_Setting]:
    settings = []
    for flag in dict.fromkeys(flags.aliases.values()):
        variable = "NAIAD_" + flag.removeprefix("--").replace("-", "_").upper()
        text = environment.get(variable)
        if text is None or flag == CONFIG_FLAG:
            continue
        try:
            values = shlex.split(text) if flag in flags.repeatable else [text]
        except ValueError as error:
            raise FlagRefused(f"{variable} can not be read: {error}") from None
        settings.append(_Setting(flag, values, variable))
    return settings


def read_nodes(path: Path) -> Any:
    """The document of a YAML file as nodes with their places; None for an empty one. Raises FlagRefused."""
    from ruamel.yaml import YAML
    from ruamel.yaml.error import MarkedYAMLError, YAMLError

    try:
        text = path.read_bytes()
    except OSError as error:
        raise FlagRefused(f"{CONFIG_FLAG} {path} can not be read: {error.strerror}") from None
    if len(text) > _MOST_BYTES:
        raise FlagRefused(f"{CONFIG_FLAG} {path} has {len(text)} bytes, at most {_MOST_BYTES} are read")
    try:
        return YAML(typ="safe", pure=True).compose(text.decode())
    except MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark is not None else 1
        raise FlagRefused(f"{path}:{line}: not YAML: {error.problem}") from None
    except (YAMLError, UnicodeDecodeError, RecursionError) as error:
        raise FlagRefused(f"{path}: not YAML: {type(error).__name__}") from None


def _from_file(path: Path, flags: KnownFlags, read: Callable[[Path], Any]) -> list[_Setting]:
    document = read(path)
    if document is None:
        return []
    if document.id != "mapping":
        raise FlagRefused(f"{path}:{_line(document)}: expected flags by their names, as in http-port: 8001")
    known = {name.removeprefix("--"): name for name in flags.aliases} | {MODELS_KEY: MODELS_KEY}
    known.pop(CONFIG_FLAG.removeprefix("--"), None)
    settings: dict[str, _Setting] = {}
    for key, value in document.value:
        origin = f"{path}:{_line(key)}"
        name = str(key.value)
        if name not in known:
            raise FlagRefused(f"{origin}: unknown key '{name}'{_meant(name, known)}")
        flag = flags.first(known[name])
        if flag in settings:
            raise FlagRefused(f"{origin}: '{name}' is there twice, first at {settings[flag].origin}")
        several = flag in flags.repeatable or flag == MODELS_KEY
        settings[flag] = _Setting(flag, _texts(name, value, several, path), origin)
    return list(settings.values())


def _texts(name: str, node: Any, several: bool, path: Path) -> list[str]:
    if node.id == "sequence" and several:
        return [_text(name, item, path) for item in node.value]
    if node.id == "sequence":
        raise FlagRefused(f"{path}:{_line(node)}: '{name}' takes one value, not a list")
    return [_text(name, node, path)]


def _text(name: str, node: Any, path: Path) -> str:
    if node.id != "scalar":
        raise FlagRefused(f"{path}:{_line(node)}: a value of '{name}' should be text or a number")
    return str(node.value)


def _line(node: Any) -> int:
    return int(node.start_mark.line) + 1


def _meant(name: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(name.replace("_", "-"), list(known), 1)
    return f"; did you mean '{near[0]}'?" if near else ""
