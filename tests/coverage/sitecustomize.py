"""Read by every Python that `make coverage` starts: what the core has counted is written at the end."""

import atexit
import ctypes
import sys


@atexit.register
def write_counts() -> None:
    core = sys.modules.get("naiad._core")
    if core is not None and core.__file__ is not None:
        ctypes.CDLL(core.__file__).naiad_write_counts()
