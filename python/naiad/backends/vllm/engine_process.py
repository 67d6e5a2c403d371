"""What the processes that an engine spawns run first: they end with the process that has spawned them.

vLLM ends its processes when it is asked to; this is for when it can't be, because the worker was killed.
Without it they would keep their memory, and that of the GPU.
"""

from __future__ import annotations

import os
import sys
from importlib import util

from naiad.engine import die_with_parent

_PARENT = "NAIAD_SPAWNED_BY"


def run_first_in_spawned() -> None:
    """From now on this module is the one that ``multiprocessing`` lets a spawned process import as the main
    module of its parent. They spawn theirs in the same way.
    """
    sys.modules["__main__"].__spec__ = util.find_spec(__name__)
    os.environ[_PARENT] = str(os.getpid())


if __name__ == "__mp_main__":
    die_with_parent(int(os.environ[_PARENT]))
    os.environ[_PARENT] = str(os.getpid())
