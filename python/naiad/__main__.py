"""``python -m naiad``: the ``naiad`` command."""

from __future__ import annotations

from naiad.cli import main

main()
