"""From an error to the next step of whoever sees it."""

from __future__ import annotations

import re

from naiad.doctor.ports import port_owners
from naiad.settings import ServerSettings

_PORT = re.compile(r"(?:cannot listen on \S*:|bind on address \('[^']*', )(\d+)", re.ASCII)
_STEPS = (
    (r"pip install", ""),  # says it itself
    (
        r"config\.pbtxt|autofill failed|must specify|unexpected 'platform'",
        "mend the configuration; `naiad repo check {repository}` shows all that is wrong with it",
    ),
    (
        r"Protobuf parsing failed|INVALID_PROTOBUF|ModelProto|No graph was found",
        "the file is no ONNX model, or a part of one: export or copy it again",
    ),
    (
        r"does not say what its tensors are",
        "write input and output into its config.pbtxt: `naiad repo init --from FILE --to DIR` makes one",
    ),
    (r"there is no file", "put the model file there, or name it with default_model_filename"),
    (
        r"there is no backend|Could not determine backend",
        "name a model file by its kind (model.onnx, model.pt, model.py), or set backend in config.pbtxt; "
        "`naiad doctor` shows the backends",
    ),
    (r"has no available versions|no version", "put the model file into a folder 1/ in the model's folder"),
    (r"KIND_GPU|no GPUs are available", "set kind: KIND_CPU, or see `naiad doctor` why no GPU is found"),
    (
        r"failed to load all models",
        "mend these models, or serve the others with --exit-on-error=false",
    ),
)


def next_step(error: Exception, settings: ServerSettings) -> str:
    """One sentence, what to do about an error at start; "" where its text says it."""
    text = str(error)
    own = getattr(error, "next_step", None)
    if isinstance(own, str):
        return own
    if (port := _PORT.search(text)) is not None:
        return _port_step(int(port[1]), text, settings)
    if "is not a directory" in text:
        return _directory_step(settings)
    repositories = settings.repository.model_repositories
    for pattern, step in _STEPS:
        if re.search(pattern, text):
            return step.format(repository=repositories[0] if repositories else "DIR")
    return "look at the log above; `naiad doctor` shows what this machine lacks"


def _port_step(port: int, text: str, settings: ServerSettings) -> str:
    named = {settings.http.port: "--http-port", settings.grpc.port: "--grpc-port"}
    flag = named.get(port, "--metrics-port")
    if "denied" in text:
        return f"take a port of 1024 or more: {flag}={port + 8000}"
    if "in use" not in text:
        return f"see whether this machine has that address; {flag.replace('port', 'address')} sets it"
    owner = next((f" ({one})" for one in port_owners(port)), "")
    return (
        f"end what listens there{owner}, or take another port: {flag}={port + 10}, or {flag}=0 for a free one"
    )


def _directory_step(settings: ServerSettings) -> str:
    missing = [path for path in settings.repository.model_repositories if not path.is_dir()]
    shown = ", ".join(f"'{path}'" for path in missing)
    there = any(path.exists() for path in missing)
    return (
        f"{shown} is a file: serve it with `naiad serve {missing[0]}`"
        if there
        else f"make the folder, or mend the path: there is no {shown}"
    )
