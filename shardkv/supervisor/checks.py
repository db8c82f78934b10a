"""What can be known to go wrong is looked for at start: each finding is one line that says what to do."""
from __future__ import annotations

import errno
import os
from collections.abc import Iterator

from shardkv.claims import CLAIMS_BYTES
from shardkv.config.kinds import format_memory
from shardkv.descriptors import raise_limit
from shardkv.files import provided, room_of
from shardkv.layout import Layout
from shardkv.ring import PAIR_BYTES
from shardkv.stats import control_bytes

# Room that an arena takes when it is made, in bytes: its header, its reserves, its first pages and some to grow.
ROOM_PER_ARENA = 2 << 20


class StartError(Exception):
    """The server cannot start; the text is one line for the operator."""


def check_arena_dir(path: str) -> None:
    """Raises StartError unless `path` is a folder we may write to."""
    if not os.path.isdir(path):
        raise StartError(f"arena-dir {path} is not a folder; make it or choose another with --arena-dir")
    if not os.access(path, os.W_OK | os.X_OK):
        raise StartError(f"no permission to write to arena-dir {path}; choose another with --arena-dir")


def room_needed(layout: Layout, acceptors: int, workers: int, new_arenas: int) -> int:
    """Bytes that a start needs beside what the files of earlier runs have: control page, rings, arenas to be made."""
    files = {layout.ring(a, w): PAIR_BYTES for a in range(acceptors) for w in range(workers)}
    files |= {layout.claims(a): CLAIMS_BYTES for a in range(acceptors)}
    files[layout.control] = control_bytes(acceptors, workers)
    return new_arenas * ROOM_PER_ARENA + sum(max(0, size - room_of(path)) for path, size in files.items())


def check_room(folder: str, size: int) -> None:
    """Tries whether `folder` can take `size` bytes, under every limit there is. Raises StartError."""
    if size == 0:
        return
    path = os.path.join(folder, "seg-trial")
    try:
        os.close(provided(path, size))
        os.unlink(path)
    except OSError as error:
        raise StartError(_no_room(folder, size, error)) from None


def _no_room(folder: str, size: int, error: OSError) -> str:
    if error.errno == errno.EFBIG:
        return f"the limit on file sizes (ulimit -f, RLIMIT_FSIZE) is too low: {size >> 20} MB needed to start"
    if error.errno not in (errno.ENOSPC, errno.EDQUOT):
        return f"cannot allocate in {folder}: {error.strerror}"
    status = os.statvfs(folder)
    free = status.f_bavail * status.f_frsize
    return (
        f"{folder} is full: {free >> 20} MB free, {-(-size >> 20)} MB needed to start; "
        f"enlarge it (docker run --shm-size, mount -o remount,size=…) or use --arena-dir"
    )


def fit_descriptors(maxclients: int, others: int) -> tuple[int, str]:
    """Raises the soft limit on descriptors so that `maxclients` fit beside `others`.

    Returns how many do, and a warning if that is not all. Raises StartError when not a single client does.
    """
    needed = maxclients + others
    soft = raise_limit(needed)
    if soft >= needed:
        return maxclients, ""
    if soft <= others:
        raise StartError(
            f"the limit on open files is {soft}, too low for a single client; raise it with ulimit -n {needed}"
        )
    return soft - others, (
        f"the limit on open files is {soft}: maxclients lowered from {maxclients} to {soft - others}; "
        f"raise it with ulimit -n {needed} or LimitNOFILE={needed}"
    )


def memory_warnings(maxmemory: int) -> Iterator[str]:
    """Lines about memory limits of the cgroup we are in, as far as they are below what we may use."""
    limit = cgroup_memory_limit()
    if limit is None:
        return
    if not maxmemory:
        yield (
            f"the cgroup's memory limit is {format_memory(limit)} and maxmemory is not set: "
            f"the kernel would kill the server; set maxmemory below it"
        )
    elif maxmemory > limit:
        yield f"maxmemory {format_memory(maxmemory)} is above the cgroup's memory limit of {format_memory(limit)}"


def cgroup_memory_limit() -> int | None:
    """The memory limit of our cgroup in bytes, None when there is none."""
    for path in _limit_files():
        try:
            with open(path, encoding="ascii") as file:
                text = file.read(32).strip()
        except (OSError, ValueError):
            continue
        # cgroup v1 says "no limit" with a number near 2 ** 63.
        if text.isdigit() and int(text) < 1 << 60:
            return int(text)
    return None


def _limit_files() -> Iterator[str]:
    try:
        with open("/proc/self/cgroup", encoding="utf-8") as file:
            lines = file.read().splitlines()
    except OSError:
        return
    for line in lines:
        _, controllers, group = line.split(":", 2)
        if not controllers:
            yield f"/sys/fs/cgroup{group.rstrip('/')}/memory.max"
        elif "memory" in controllers.split(","):
            yield f"/sys/fs/cgroup/memory{group.rstrip('/')}/memory.limit_in_bytes"
    yield "/sys/fs/cgroup/memory.max"


def backlog_warning(backlog: int) -> str:
    """A line when the kernel cuts `tcp-backlog` down, else nothing."""
    try:
        with open("/proc/sys/net/core/somaxconn", encoding="ascii") as file:
            limit = int(file.read())
    except (OSError, ValueError):
        return ""
    if limit >= backlog:
        return ""
    return f"tcp-backlog {backlog} is cut to {limit}, the value of /proc/sys/net/core/somaxconn"
