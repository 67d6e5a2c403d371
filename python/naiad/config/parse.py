"""Text and JSON to a ``ModelConfig`` message. Only syntax and schema are judged, and nothing is filled in."""

from __future__ import annotations

import json
import re
from typing import Any

from google.protobuf import json_format, text_format

from naiad import protos
from naiad.errors import ConfigError

MAX_CONFIG_BYTES = 4 << 20
"""No real configuration comes near it; protobuf's text parser needs some 50 times the size of the text."""

_PLACE = re.compile(r"\A(\d+):(\d+) ?: ?")
_STRING_OR_COMMENT = re.compile(r"""#[^\n]*|"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*'""")
_ESCAPE = re.compile(r"""\\(?:[abfnrtv\\'"xuU]|[0-3][0-7]{2}|[0-7]{1,2}(?![0-7])|(?P<wrong>.))""")


def parse_pbtxt(text: str | bytes, *, file: str | None = None) -> Any:
    """The ``ModelConfig`` message that protobuf text format spells.

    ``file`` names the source in errors: relative to the model repository. Raises ConfigError, with line and
    column where protobuf tells them.
    """
    if isinstance(text, bytes):
        text = _decode(text, file)
    if len(text) > MAX_CONFIG_BYTES:
        raise ConfigError(
            f"configuration has {len(text)} characters, at most {MAX_CONFIG_BYTES} are read", file=file
        )
    _check_escapes(text, file)
    message = protos.ModelConfig()
    try:
        text_format.Parse(text, message, descriptor_pool=protos.pool)
    except text_format.ParseError as error:
        reason = _PLACE.sub("", str(error))
        raise ConfigError(reason, file=file, line=error.GetLine(), column=error.GetColumn()) from None
    return message


def parse_json(text: str | bytes, *, file: str | None = None) -> Any:
    """The ``ModelConfig`` message that JSON spells: what ``to_json`` prints, or a part of it.

    Field names as in the proto (or lowerCamelCase), enums as names or numbers, 64-bit integers as numbers or
    strings. Raises ConfigError.
    """
    if len(text) > MAX_CONFIG_BYTES:
        raise ConfigError(
            f"configuration has {len(text)} bytes, at most {MAX_CONFIG_BYTES} are read", file=file
        )
    if isinstance(text, bytes):
        text = _decode(text, file)
    try:
        tree = json.loads(text)
    except json.JSONDecodeError as error:
        raise ConfigError(
            f"not JSON: {error.msg}", file=file, line=error.lineno, column=error.colno
        ) from None
    except (RecursionError, ValueError):
        # ValueError: an integer of more digits than Python converts.
        raise ConfigError(
            "not JSON that can be read: nested too deeply, or a number too long", file=file
        ) from None
    return from_dict(tree, file=file)


def from_dict(tree: object, *, file: str | None = None) -> Any:
    """``parse_json`` for a tree that is read already."""
    if not isinstance(tree, dict):
        raise ConfigError(f"a configuration is a JSON object, got {type(tree).__name__}", file=file)
    message = protos.ModelConfig()
    try:
        json_format.ParseDict(tree, message, descriptor_pool=protos.pool)
    except (json_format.ParseError, RecursionError) as error:
        raise ConfigError(str(error), file=file) from None
    return message


def _check_escapes(text: str, file: str | None) -> None:
    """protobuf for Python takes an unknown escape for two characters and warns; in C++ it refuses."""
    for token in _STRING_OR_COMMENT.finditer(text):
        if token[0].startswith("#"):
            continue
        for escape in _ESCAPE.finditer(token[0]):
            if escape["wrong"] is not None:
                start = token.start() + escape.start()
                line_start = text.rfind("\n", 0, start) + 1
                raise ConfigError(
                    f"Invalid escape sequence in string: {escape[0]!r}",
                    file=file,
                    line=text.count("\n", 0, start) + 1,
                    column=start - line_start + 1,
                )


def _decode(text: bytes, file: str | None) -> str:
    try:
        return text.decode("utf-8")
    except UnicodeDecodeError as error:
        before = text[: error.start]
        line = before.count(b"\n") + 1
        column = error.start - (before.rfind(b"\n") + 1) + 1
        raise ConfigError("not UTF-8", file=file, line=line, column=column) from None
