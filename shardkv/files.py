"""Files in shared memory whose room is there before they are used, and stays theirs."""
from __future__ import annotations

import errno
import os
import stat


def provided(path: str, size: int) -> int:
    """Opens a file of exactly `size` bytes, all of them provided, and returns its descriptor.

    What an earlier run has left in its place is used again, whatever it holds: a file that is kept need find no room.
    Raises OSError; a file that was not there before is not there then either.
    """
    existed = os.path.lexists(path)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, 0o600)
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, "not a file", path)
        os.ftruncate(descriptor, min(size, os.fstat(descriptor).st_size))
        os.posix_fallocate(descriptor, 0, size)
    except OSError as error:
        os.close(descriptor)
        if not existed:
            os.unlink(path)
        raise OSError(error.errno, error.strerror, path) from None
    return descriptor


def room_of(path: str) -> int:
    """Bytes that a file takes in its file system; 0 when there is none."""
    try:
        return os.lstat(path).st_blocks * 512
    except OSError:
        return 0
