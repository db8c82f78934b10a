"""`make stalls`: the longest that one command takes while a collection grows, goes, or gives its memory back.

Commands are executed one by one on an arena in this process, without rings or clients. What is told is the CPU time of
this thread, user and system: time in which another process ran does not count. Collections are made `--rounds` times,
and of each call the quickest is taken: what a structure's growth costs is there every time, an interrupt is not.
"""
from __future__ import annotations

import argparse
import os
import sys
import tempfile
from array import array
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from workers._testing_commands import Executor
from workers.commands import MODULES
from workers.memory.arena import Arena
from workers.registry import load

UNKNOWN = 0xFFFFFFFF
KEY = b"key"
EXPIRY = 2_000_000
HUGE = 512 << 20  # bytes of the longest string
HUGE_STRING = "a string of 512 MiB"
ARENA_BYTES = 1 << 36  # of address space
KEYS = "a database of strings"
EXPIRING = {"strings that expire", "a hash of expiring fields"}


@dataclass(frozen=True)
class Growth:
    """How something grows: a command, and its arguments by number."""

    command: str
    words: Callable[[int], tuple[bytes, ...]]


def _scattered(number: int) -> int:
    return number * 2_654_435_761 & 0xFFFFFFFF


GROWTHS = {
    "a list": Growth("rpush", lambda number: (KEY, b"element:%d" % number)),
    "a list, at its start": Growth("lpush", lambda number: (KEY, b"element:%d" % number)),
    "a set": Growth("sadd", lambda number: (KEY, b"member:%d" % number)),
    "a set of integers": Growth("sadd", lambda number: (KEY, b"%d" % number)),
    "a hash": Growth("hset", lambda number: (KEY, b"field:%d" % number, b"value")),
    "a hash of expiring fields": Growth(
        "hsetex", lambda number: (KEY, b"PXAT", b"%d" % EXPIRY, b"FIELDS", b"1", b"field:%d" % number, b"value")
    ),
    "a sorted set": Growth("zadd", lambda number: (KEY, b"%d" % _scattered(number), b"member:%d" % number)),
    "a sorted set, in order": Growth("zadd", lambda number: (KEY, b"%d" % number, b"member:%d" % number)),
    "a stream": Growth("xadd", lambda number: (KEY, b"%d-1" % (number + 1), b"field", b"value")),
    KEYS: Growth("set", lambda number: (b"key:%d" % number, b"value")),
    "strings that expire": Growth(
        "set", lambda number: (b"key:%d" % number, b"value", b"PXAT", b"%d" % (EXPIRY + number % 1000))
    ),
}


@dataclass
class Worst:
    """Microseconds of CPU at most: of a command that adds an element, of the one that unlinks all, of a step in which
    the worker expires or frees, and how many steps these are. None: not measured."""

    growing: float | None = None
    unlinking: float | None = None
    expiring: float | None = None
    freeing: float | None = None
    steps: int = 0

    def row(self) -> str:
        """A line of the table."""
        figures = (self.growing, self.unlinking, self.expiring, self.freeing)
        cells = (f"{'' if figure is None else round(figure):>13}" for figure in figures)
        return f"{' | '.join(cells)} | {self.steps:6}"


def measure(folder: str, kind: str, count: int, rounds: int) -> Worst:
    """Makes `count` of them `rounds` times, and frees them."""
    worst, growth = Worst(), GROWTHS[kind]
    calls = array("I", [UNKNOWN]) * count
    for _ in range(rounds):
        with Shard(folder) as shard:
            shard.time_each(growth.command, growth.words, count, calls)
            worst.steps = 0
            if kind in EXPIRING:
                worst.expiring = slowest_step(worst, worst.expiring, shard, 2 * EXPIRY)
            else:
                unlink = ("flushall", ()) if kind == KEYS else ("unlink", (KEY,))
                worst.unlinking = slowest_unlink(worst.unlinking, shard, *unlink)
            worst.freeing = slowest_step(worst, worst.freeing, shard)
    worst.growing = max(calls) / 1e3
    return worst


def measure_huge(folder: str, rounds: int) -> Worst:
    """A string of 512 MiB: made in one command, which is linear by nature, and freed."""
    worst = Worst()
    for _ in range(rounds):
        with Shard(folder) as shard:
            shard.run("setrange", KEY, b"%d" % (HUGE - 1), b"x")
            worst.steps = 0
            worst.unlinking = slowest_unlink(worst.unlinking, shard, "del", (KEY,))
            worst.freeing = slowest_step(worst, worst.freeing, shard)
    return worst


def slowest_unlink(before: float | None, shard: Executor, command: str, words: tuple[bytes, ...]) -> float:
    """Microseconds of one command; the lesser of it and the last round's."""
    taken = array("I", [UNKNOWN])
    shard.time_each(command, lambda _: words, 1, taken)
    return lesser(before, taken[0] / 1e3)


def slowest_step(worst: Worst, before: float | None, shard: Executor, expire_ms: int | None = None) -> float:
    """As slowest_unlink, of the slowest of a worker's steps; counts them."""
    taken = array("I")
    worst.steps += shard.time_slices(taken, expire_ms)
    return lesser(before, max(taken) / 1e3)


def lesser(before: float | None, now: float) -> float:
    """What an interrupt did to one round it will hardly do to another."""
    return now if before is None else min(before, now)


def known_growths() -> list[str]:
    """Those whose command there is."""
    handlers = load(MODULES)
    return [kind for kind, growth in GROWTHS.items() if growth.command in handlers]


class Shard:
    """An Executor on a new arena, which goes at the end."""

    def __init__(self, folder: str) -> None:
        self.path = f"{folder}/arena-0"

    def __enter__(self) -> Executor:
        self.arena = Arena.open(self.path, 0, 1, capacity=ARENA_BYTES)
        return Executor(self.arena)

    def __exit__(self, *_: object) -> None:
        self.arena.close()
        os.unlink(self.path)


def main() -> int:
    """Reads the command line, measures, prints a table."""
    parser = argparse.ArgumentParser(prog="make stalls", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--elements", type=int, default=10_000_000, help="of each collection (10000000)")
    parser.add_argument("--rounds", type=int, default=2, help="times each collection is made (2)")
    parser.add_argument("--kind", action="append", choices=[*GROWTHS, HUGE_STRING], help="only this; may be repeated")
    parser.add_argument("--folder", type=Path, default=Path("/dev/shm"), help="where the arenas lie (/dev/shm)")
    options = parser.parse_args()
    heads = (f"{head:>13}" for head in ("adding one", "unlinking", "step expiring", "step freeing"))
    print(f"{'microseconds of CPU, at most':28} | {' | '.join(heads)} |  steps")
    with tempfile.TemporaryDirectory(dir=options.folder, prefix="shardkv-stalls-") as folder:
        for kind in options.kind or [*known_growths(), HUGE_STRING]:
            if kind == HUGE_STRING:
                worst = measure_huge(folder, options.rounds)
            else:
                worst = measure(folder, kind, options.elements, options.rounds)
            print(f"{kind:28} | {worst.row()}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
