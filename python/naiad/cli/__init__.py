"""The command line: ``naiad serve``, ``naiad fleet``, ``naiad version``."""

from __future__ import annotations

import sys

from naiad.cli.app import app
from naiad.cli.triton_flags import FlagRefused, prepare


def main() -> None:
    """The entry point of the ``naiad`` command."""
    try:
        arguments = prepare(sys.argv[1:])
    except FlagRefused as refused:
        print(f"naiad: {refused}", file=sys.stderr)
        raise SystemExit(2) from None
    app(args=arguments, prog_name="naiad")
