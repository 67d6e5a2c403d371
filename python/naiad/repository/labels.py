"""Label files: line i is the label of class i of an output."""

from __future__ import annotations

from io import StringIO

from naiad.config import ModelConfig
from naiad.errors import InvalidArgument
from naiad.repository.scan import ModelDirectory


def read_labels(model: ModelDirectory, config: ModelConfig) -> dict[str, tuple[str, ...]]:
    """Output name -> its labels, for the outputs with a label_filename.

    Raises InvalidArgument when a file lies outside of the model directory, is not there, or is not UTF-8.
    """
    return {
        output.name: _lines(model, output.label_filename)
        for output in config.outputs
        if output.label_filename
    }


def _lines(model: ModelDirectory, filename: str) -> tuple[str, ...]:
    try:
        text = StringIO(model.read(filename).decode(), newline=None).read()
    except OSError as error:
        raise InvalidArgument(
            f"label file '{filename}' of model '{model.name}' can not be read: {error.strerror}"
        ) from None
    except UnicodeDecodeError:
        raise InvalidArgument(f"label file '{filename}' of model '{model.name}' is not UTF-8") from None
    # An empty line is the empty label of its class; only the end of the last line is not a label.
    return tuple(text.removesuffix("\n").split("\n")) if text else ()
