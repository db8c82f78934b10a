"""`shardkv` with stand-ins for its acceptors and workers; for one kind only if FAKE_ONLY names it.

The forks that FAKE_FORKS numbers (`2,3`: the second and the third) fail.
"""
import errno
import os
import sys

from shardkv.cli import main
from shardkv.supervisor import fork

forks = 0
real_fork = os.fork


def failing_fork() -> int:
    global forks
    forks += 1
    if str(forks) in os.environ["FAKE_FORKS"].split(","):
        raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))
    return real_fork()


if "FAKE_FORKS" in os.environ:
    os.fork = failing_fork
only = os.environ.get("FAKE_ONLY", "")
fork.PROGRAMS.update({kind: "fake_child" for kind in fork.PROGRAMS if only in ("", kind)})
sys.exit(main())
