"""Reading files so that no link leads out of a folder, whatever is changed in it meanwhile."""

from __future__ import annotations

import ctypes
import errno
import os
import stat
from pathlib import Path, PurePath

_OPENAT2 = 437  # Linux 5.6 and later, on every architecture
_NO_MAGIC_LINKS, _NO_SYMBOLIC_LINKS, _BENEATH = 0x02, 0x04, 0x08  # RESOLVE_... of linux/openat2.h

_TO_READ = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC  # a pipe is not waited for
_FOLDER = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC


class _How(ctypes.Structure):
    _fields_ = (
        ("flags", ctypes.c_uint64),
        ("mode", ctypes.c_uint64),
        ("resolve", ctypes.c_uint64),
    )


_libc = ctypes.CDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long


def read_beneath(root: Path, path: Path) -> bytes:
    """The bytes of a regular file below ``root``. Both are resolved: a component that has become a link since
    then is not followed. Raises OSError.
    """
    folder = os.open(root, _FOLDER)
    try:
        descriptor = open_beneath(folder, path.relative_to(root))
    finally:
        os.close(folder)
    with os.fdopen(descriptor, "rb") as file:
        kind = os.fstat(descriptor).st_mode
        if stat.S_ISDIR(kind):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        if not stat.S_ISREG(kind):
            raise OSError(errno.EINVAL, "It is no regular file")
        return file.read()


def open_beneath(folder: int, path: PurePath) -> int:
    """A descriptor to read from; no component of the relative ``path`` may be a link, or lead upwards.
    Kernels that can not check that themselves are asked for one component after the other. Raises OSError.
    """
    try:
        return _open_at_once(folder, path)
    except OSError as error:
        # An old kernel, or one whose filter of system calls is; or something was renamed just then.
        if error.errno not in (errno.ENOSYS, errno.EPERM, errno.EAGAIN):
            raise
    return _open_by_components(folder, path)


def _open_at_once(folder: int, path: PurePath) -> int:
    how = _How(_TO_READ, 0, _BENEATH | _NO_SYMBOLIC_LINKS | _NO_MAGIC_LINKS)
    descriptor = _libc.syscall(
        ctypes.c_long(_OPENAT2),
        ctypes.c_int(folder),
        ctypes.c_char_p(os.fsencode(path)),
        ctypes.byref(how),
        ctypes.c_size_t(ctypes.sizeof(how)),
    )
    if descriptor < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return int(descriptor)


def _open_by_components(folder: int, path: PurePath) -> int:
    if path.is_absolute() or ".." in path.parts:
        raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))
    *folders, name = path.parts or (".",)
    at = os.dup(folder)
    try:
        for part in folders:
            below = os.open(part, _FOLDER | os.O_NOFOLLOW, dir_fd=at)
            os.close(at)
            at = below
        return os.open(name, _TO_READ | os.O_NOFOLLOW, dir_fd=at)
    finally:
        os.close(at)
