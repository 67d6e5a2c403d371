"""Tells when something changes below folders: inotify, through watchfiles."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from pathlib import Path

from naiad.errors import Unsupported

_DEBOUNCE_MS = 200
_STEP_MS = 50
_LOOK_FOR_STOP_MS = 500


def check_events() -> None:
    """Raises Unsupported where watchfiles is not installed."""
    try:
        import watchfiles  # noqa: F401
    except ImportError:
        raise Unsupported("watching repositories needs watchfiles: pip install 'naiad[watch]'") from None


def listen(roots: Sequence[Path], changed: Callable[[], None], stopped: threading.Event) -> None:
    """Blocks until ``stopped`` is set. Calls back some 200 ms after the last one of many changes; and once
    when it has begun to watch, for what changed before that.
    """
    import watchfiles

    begun = False
    for changes in watchfiles.watch(
        *roots,
        watch_filter=None,
        debounce=_DEBOUNCE_MS,
        step=_STEP_MS,
        stop_event=stopped,
        rust_timeout=_LOOK_FOR_STOP_MS,
        yield_on_timeout=True,
        raise_interrupt=False,
        ignore_permission_denied=True,
    ):
        if changes or not begun:
            changed()
        begun = True
