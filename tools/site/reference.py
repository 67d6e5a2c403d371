"""Writes the pages of docs/reference that are made from the sources: flags and fields of configurations.

    .venv/bin/python tools/site/reference.py [--check]

``--check`` writes nothing and fails where a page is not what it would write.
"""

from __future__ import annotations

import re
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from google.protobuf import descriptor_pb2
from grpc_tools import protoc

from naiad.cli.app import command_line
from naiad.cli.triton_flags import DEPRECATED, REPLACED, UNSUPPORTED
from naiad.config.unsupported import ignorable_hints, refusable_fields

ROOT = Path(__file__).parents[2]
PAGES = ROOT / "docs/reference"
GENERATED = "<!-- Written by tools/site/reference.py: change the sources, then run it. -->\n"
# `tritonserver --help` of 2.51, and what is documented since then.
OF_TRITON = frozenset(
    [
        "--allow-cpu-metrics",
        "--allow-gpu-metrics",
        "--allow-grpc",
        "--allow-http",
        "--allow-metrics",
        "--backend-config",
        "--backend-directory",
        "--cache-config",
        "--disable-auto-complete-config",
        "--exit-on-error",
        "--exit-timeout-secs",
        "--grpc-address",
        "--grpc-header-forward-pattern",
        "--grpc-keepalive-time",
        "--grpc-keepalive-timeout",
        "--grpc-port",
        "--grpc-restricted-protocol",
        "--grpc-root-cert",
        "--grpc-server-cert",
        "--grpc-server-key",
        "--grpc-use-ssl",
        "--grpc-use-ssl-mutual",
        "--host-policy",
        "--http-address",
        "--http-header-forward-pattern",
        "--http-max-input-size",
        "--http-port",
        "--http-restricted-api",
        "--id",
        "--load-model",
        "--log-error",
        "--log-file",
        "--log-format",
        "--log-info",
        "--log-verbose",
        "--log-warning",
        "--metrics-address",
        "--metrics-config",
        "--metrics-interval-ms",
        "--metrics-port",
        "--model-config-name",
        "--model-control-mode",
        "--model-load-retry-count",
        "--model-load-thread-count",
        "--model-repository",
        "--pinned-memory-pool-byte-size",
        "--rate-limit",
        "--rate-limit-resource",
        "--repository-poll-secs",
        "--reuse-grpc-port",
        "--reuse-http-port",
        "--strict-readiness",
        "--trace-config",
    ]
)
# Field numbers of the descriptor's own messages, which paths to comments are made of.
_FILE_MESSAGES, _FILE_ENUMS, _FIELDS, _NESTED, _NESTED_ENUMS, _VALUES = 4, 5, 2, 3, 4, 2
_TYPES = {
    descriptor_pb2.FieldDescriptorProto.Type.Value(f"TYPE_{name.upper()}"): name
    for name in ("bool", "string", "bytes", "int32", "int64", "uint32", "uint64", "float", "double")
}


def in_cell(text: str) -> str:
    return re.sub(r"\s+", " ", text).strip().replace("|", "\\|").replace("<", "&lt;")


def default_of(option: Any) -> str:
    """As one would write it; "" where there is none."""
    value = option.default() if callable(option.default) else option.default
    if isinstance(value, bool):
        return str(value).lower()
    return "" if value is None or value in ("", [], ()) else str(getattr(value, "value", value))


def flags_page() -> str:
    """Each flag of ``naiad serve``, by group; then those of Triton that do not act."""
    groups: dict[str, list[Any]] = {}
    for option in command_line().commands["serve"].params:
        if option.opts[0].startswith("--") and option.opts[0] != "--help":
            groups.setdefault(option.rich_help_panel, []).append(option)
    lines = [
        GENERATED,
        "# Flags of naiad serve\n",
        "What `naiad serve --help` shows, and which of it is Triton's. Each flag can also be a key of a YAML",
        "file or a variable `NAIAD_<FLAG>` ([command line](../cli.md#flags-environment-file)); what the",
        "groups are for is said in [operations](../operations.md).\n",
    ]
    for group, options in groups.items():
        lines += [f"## {group}\n", "| flag | default | whose | |", "|---|---|---|---|"]
        for option in options:
            names = ", ".join(f"`{name}`" for name in option.opts)
            shown = default_of(option)
            whose = "Triton's" if set(option.opts) & OF_TRITON else "naiad's"
            default = f"`{shown}`" if shown else ""
            lines.append(f"| {names} | {default} | {whose} | {in_cell(option.help)} |")
        lines.append("")
    lines += [
        "## Triton's flags that do not act\n",
        "Accepted with a value that changes nothing, refused by their name with any other.\n",
        "| flag | accepted |",
        "|---|---|",
    ]
    for name, values in sorted(UNSUPPORTED.items()):
        accepted = ", ".join(f"`{value}`" if value else "nothing" for value in values) or "no value"
        lines.append(f"| `{name}` | {accepted} |")
    lines += ["\n## Triton's flags of old\n", "| flag | now |", "|---|---|"]
    lines += [f"| `{name}` | refused: see `{now}` |" for name, now in sorted(DEPRECATED.items())]
    lines += [f"| `{name}` | acts as `--trace-config {now}=...` |" for name, now in sorted(REPLACED.items())]
    return "\n".join(lines) + "\n"


class Schema:
    """protos/model_config.proto with its comments."""

    def __init__(self) -> None:
        with tempfile.NamedTemporaryFile() as out:
            status = protoc.main(
                [
                    "protoc",
                    f"-I{ROOT / 'protos'}",
                    "--include_source_info",
                    f"--descriptor_set_out={out.name}",
                    str(ROOT / "protos/model_config.proto"),
                ]
            )
            if status != 0:
                raise RuntimeError("protoc could not read protos/model_config.proto")
            (self.file,) = descriptor_pb2.FileDescriptorSet.FromString(Path(out.name).read_bytes()).file
        self._comments = {
            tuple(place.path): in_cell(f"{place.leading_comments} {place.trailing_comments}")
            for place in self.file.source_code_info.location
        }

    def comment(self, path: tuple[int, ...]) -> str:
        return self._comments.get(path, "")

    def about(self, field: Any) -> str:
        """What is said of the message or enumeration that a field holds."""
        named = field.type_name.removeprefix(".inference.")
        found = [path for name, _, path in (*self.messages(), *self.enums()) if name == named]
        return self.comment(found[0]) if found else ""

    def enums(self) -> Iterator[tuple[str, Any, tuple[int, ...]]]:
        for index, enum in enumerate(self.file.enum_type):
            yield enum.name, enum, (_FILE_ENUMS, index)
        for name, message, path in self.messages():
            for index, enum in enumerate(message.enum_type):
                yield f"{name}.{enum.name}", enum, (*path, _NESTED_ENUMS, index)

    def messages(self) -> Iterator[tuple[str, Any, tuple[int, ...]]]:
        for index, message in enumerate(self.file.message_type):
            yield from self._within("", message, (_FILE_MESSAGES, index))

    def _within(
        self, of: str, message: Any, path: tuple[int, ...]
    ) -> Iterator[tuple[str, Any, tuple[int, ...]]]:
        if message.options.map_entry:
            return
        name = f"{of}.{message.name}" if of else message.name
        yield name, message, path
        for index, nested in enumerate(message.nested_type):
            yield from self._within(name, nested, (*path, _NESTED, index))


def anchor(name: str) -> str:
    return name.lower().replace(".", "")


def type_of(field: Any, message: Any) -> str:
    entry = next(
        (
            each
            for each in message.nested_type
            if each.options.map_entry and field.type_name.endswith(f".{each.name}")
        ),
        None,
    )
    if entry is not None:
        key, value = entry.field
        return f"map of {type_of(key, message)} to {type_of(value, message)}"
    named = field.type_name.removeprefix(".inference.")
    shown = f"[{named}](#{anchor(named)})" if named else _TYPES[field.type]
    return f"list of {shown}" if field.label == field.LABEL_REPEATED else shown


def effects() -> dict[tuple[str, str], str]:
    """(message, field) -> what naiad does with it where it is not what the field says."""
    found: dict[tuple[str, str], str] = {}
    for fields, what in (
        (refusable_fields(), "refused by its name where it is not built for the model's backend"),
        (ignorable_hints(), "kept, no effect where the backend or the server's flags give it none"),
    ):
        for field in fields:
            place = _place(field.partition(":")[0])
            note = f"`{field}`: {what}" if ":" in field else what
            # `parameters` are one field for many options.
            found[place] = f"{found[place]}; {note}" if place in found else note
    return found


def _place(path: str) -> tuple[str, str]:
    """``instance_group.kind`` -> the message that holds the field, and the field."""
    schema = {name: message for name, message, _ in Schema().messages()}
    message = schema["ModelConfig"]
    *outer, last = path.split(".")
    for name in outer:
        (field,) = [each for each in message.field if each.name == name]
        message = schema[field.type_name.removeprefix(".inference.")]
    (field,) = [each for each in message.field if each.name == last]
    (holder,) = [name for name, each in schema.items() if each is message]
    return holder, field.name


def configuration_page() -> str:
    """Each message and field of config.pbtxt, with what the schema says and what naiad does with it."""
    schema = Schema()
    notes = effects()
    lines = [
        GENERATED,
        "# Fields of config.pbtxt\n",
        "The schema is Triton's: [model_config.proto](../../protos/model_config.proto). It begins at",
        "[ModelConfig](#modelconfig). A field does what it says here unless the last column says more; one",
        "that would change results and has no effect is refused by its name when the model is loaded, and",
        "`naiad repo check` names it before.\n",
    ]
    for name, message, path in sorted(
        schema.messages(), key=lambda each: (each[0] != "ModelConfig", each[0])
    ):
        lines += [f"## {name}\n", schema.comment(path) + "\n" if schema.comment(path) else ""]
        lines += ["| field | type | | naiad |", "|---|---|---|---|"] if message.field else ["No fields.\n"]
        for index, field in enumerate(message.field):
            said = schema.comment((*path, _FIELDS, index)) or schema.about(field)
            note = notes.pop((name, field.name), "")
            lines.append(f"| `{field.name}` | {type_of(field, message)} | {said} | {note} |")
        lines.append("")
    for name, enum, path in sorted(schema.enums(), key=lambda each: each[0]):
        lines += [f"## {name}\n", schema.comment(path) + "\n" if schema.comment(path) else ""]
        lines += ["| value | |", "|---|---|"]
        for index, value in enumerate(enum.value):
            lines.append(f"| `{value.name}` | {schema.comment((*path, _VALUES, index))} |")
        lines.append("")
    if notes:
        raise RuntimeError(f"of no field of the schema: {sorted(notes)}")
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).rstrip() + "\n"


def pages() -> dict[Path, str]:
    """File -> text of each page that is made."""
    return {PAGES / "flags.md": flags_page(), PAGES / "configuration.md": configuration_page()}


def main() -> None:
    stale = [file for file, text in pages().items() if not file.exists() or file.read_text() != text]
    if "--check" in sys.argv[1:]:
        if stale:
            names = ", ".join(str(file.relative_to(ROOT)) for file in stale)
            sys.exit(f"naiad: not up to date: {names}; run tools/site/reference.py")
        return
    PAGES.mkdir(exist_ok=True)
    for file, text in pages().items():
        file.write_text(text)


if __name__ == "__main__":
    main()
