"""What a key or an element takes in memory, in shardkv and in each rival."""
from __future__ import annotations

import contextlib
import functools
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from bench import fill, load
from bench.compare import OURS, Options, Rows
from bench.servers import Server

SETTLE_SECONDS, SAME_SECONDS = 20, 0.5
STRINGS = "string"
KINDS = (STRINGS, fill.SMALL_HASHES, *fill.COLLECTIONS)


@dataclass(frozen=True)
class Memory:
    """Bytes in use: as the server counts them, and as the system does (private pages and blocks of the arenas)."""

    counted: int
    real: int


def settled_memory(server: Server) -> Memory:
    """Memory of a server that has started all its processes: as soon as it stays the same for a while."""
    deadline = time.monotonic() + SETTLE_SECONDS
    now, since = memory(server), time.monotonic()
    while time.monotonic() < min(since + SAME_SECONDS, deadline):
        time.sleep(0.05)
        before, now = now, memory(server)
        if now.real != before.real:
            since = time.monotonic()
    return now


def memory(server: Server) -> Memory:
    """Memory of the server now. Pages of shared files are counted once, by the blocks of the arenas."""
    with load.client(server) as connection:
        counted = int(connection.info("memory")["used_memory"])
    private = 0
    for pid in server.pids():
        with contextlib.suppress(OSError):  # it ended meanwhile
            match = re.search(r"^RssAnon:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
            private += int(match[1]) * 1024 if match else 0
    blocks = sum(path.stat().st_blocks * 512 for path in server.folder.rglob("arena-*"))
    return Memory(counted, private + blocks)


def measure(options: Options) -> Iterator[Rows]:
    """Bytes for each: {kind: {server: figures}}. Each kind is made in a fresh server, in which nothing else was."""
    for kind in options.chosen(KINDS):
        for name in (OURS, *options.rivals):
            with options.server(name) as server:
                make = functools.partial(fill.strings, server, options.keys) if kind == STRINGS else functools.partial(
                    fill.collection, server, kind, options.keys
                )
                yield {kind: {name: bytes_each(server, options.keys, make)}}


def bytes_each(server: Server, count: int, fill_it: Callable[[], None]) -> dict[str, float]:
    """Bytes for each of `count` things that are made, as the server counts and as the system does."""
    fill.empty(server)
    before = settled_memory(server)
    fill_it()
    after = memory(server)
    return {"counted": (after.counted - before.counted) / count, "real": (after.real - before.real) / count}
