"""The README.md that a built fleet carries."""

from __future__ import annotations

from naiad.fleet.fleet_model import BuiltModel

HEAD = """# A fleet of {count} real models

Made by `naiad fleet build`; serve it with `naiad serve --model-repository=.` from this directory. Running the
build again mends what is missing or changed and leaves your `config.pbtxt` edits and your own models alone.
"""

_WORDS = {3: "three"}


def make_readme(built: list[BuiltModel]) -> bytes:
    """What each model does, where its weights come from, under which licence, and what the build checked."""
    parts = [HEAD.format(count=_WORDS.get(len(built), len(built)))]
    for model in built:
        parts.append(
            f"## {model.name}\n\n{model.summary}\n\n"
            f"- Backend: {model.backend}; {model.size_bytes / 1e6:.1f} MB\n"
            f"- Source: the PyPI package {model.source}\n"
            f"- Licence: {model.licence}\n"
            f"- Checked by the build: {model.checked}\n"
        )
    parts.append("`hello.png` is a picture of a line of text for `ocr_rec`.\n")
    return "\n".join(parts).encode()
