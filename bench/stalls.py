"""`make stalls`: the longest that one command takes while a collection grows, goes, or gives its memory back.

A second table tells what single commands take that meet something large: they overwrite it, let it expire, flush it; or
take a stream's groups and entries away, some of which is linear.

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
from collections.abc import Callable, Iterator
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


@dataclass(frozen=True)
class Meeting:
    """A command at a time (unix ms) that meets something large under KEY, and what comes before it; HALF is half the
    number of its elements. `linear`: it is by nature, in Redis too."""

    line: str
    before: tuple[str, ...] = ()
    now_ms: int = 1000
    linear: bool = False

    def row(self, taken: float) -> str:
        """A line of the table."""
        return f"{self.line.replace('|', ' '):44} | {round(taken):>13} | {'linear' if self.linear else ''}"


# Of a sorted set, which has both a table and a tree.
ENDINGS = (
    Meeting("rename small key", ("sadd small a",)),
    Meeting("set key value"),
    Meeting("sunionstore key small small", ("sadd small a",)),
    Meeting("copy small key REPLACE", ("sadd small a",)),
    Meeting("exists key", ("pexpireat key 1500",), now_ms=EXPIRY),
    Meeting("flushdb"),
)
GROUP = ("xgroup|create key group 0", "xreadgroup GROUP group one COUNT HALF STREAMS key >")
BOTH = (*GROUP, "xreadgroup GROUP group two COUNT HALF STREAMS key >")
# Of a stream, all or half of it pending.
STREAMS = (
    Meeting("xgroup|destroy key group", BOTH),
    Meeting("xgroup|delconsumer key group one", GROUP),
    Meeting("xgroup|delconsumer key group one", BOTH, linear=True),
    Meeting("xtrim key MAXLEN HALF", linear=True),
)
STREAM = "a stream"
MEETINGS = {"a sorted set, in order": ENDINGS, STREAM: STREAMS}
STREAM_PART = 10  # streams of so many times fewer elements, as a tenth of ten million is pending at most


@dataclass
class Worst:
    """Microseconds of CPU at most: of a command that adds an element, of the one that unlinks all, of a transaction in
    which the worker expires or frees, and how many of these there are. None: not measured. Between two batches of
    requests a worker begins no transaction of freeing after 0.1 ms."""

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
    expiring, freeing = Steps(), Steps()
    for _ in range(rounds):
        with Shard(folder) as shard:
            shard.time_each(growth.command, growth.words, count, calls)
            if kind in EXPIRING:
                expiring.take(shard, 2 * EXPIRY)
            else:
                unlink = ("flushall", ()) if kind == KEYS else ("unlink", (KEY,))
                worst.unlinking = slowest_unlink(worst.unlinking, shard, *unlink)
            freeing.take(shard)
    worst.growing = max(calls) / 1e3
    worst.expiring, worst.freeing = expiring.slowest(), freeing.slowest()
    worst.steps = len(expiring.least) + len(freeing.least)
    return worst


def measure_huge(folder: str, rounds: int) -> Worst:
    """A string of 512 MiB: made in one command, which is linear by nature, and freed."""
    worst, freeing = Worst(), Steps()
    for _ in range(rounds):
        with Shard(folder) as shard:
            shard.run("setrange", KEY, b"%d" % (HUGE - 1), b"x")
            worst.unlinking = slowest_unlink(worst.unlinking, shard, "del", (KEY,))
            freeing.take(shard)
    worst.freeing, worst.steps = freeing.slowest(), len(freeing.least)
    return worst


def measure_meetings(folder: str, kind: str, count: int, rounds: int) -> Iterator[tuple[Meeting, float]]:
    """Microseconds of each command that meets such a collection, which is made once and copied to database 1."""
    growth = GROWTHS[kind]
    with Shard(folder) as shard:
        for number in range(count):
            shard.run(growth.command, *growth.words(number))
        for meeting in MEETINGS[kind]:
            least: float | None = None
            for _ in range(rounds):
                shard.run("copy", KEY, KEY, b"DB", b"1")
                for line in (*meeting.before, "exists other"):  # the last names database and time for what is timed
                    name, words = split_line(line, count)
                    shard.run(name, *words, database=1, now_ms=1000 if line in meeting.before else meeting.now_ms)
                least = slowest_unlink(least, shard, *split_line(meeting.line, count))
                shard.run("flushdb", database=1)
                shard.time_slices(array("I"))
            yield meeting, least or 0.0


def split_line(line: str, count: int) -> tuple[str, tuple[bytes, ...]]:
    """A command and its arguments."""
    name, *words = line.replace("HALF", str(count // 2)).split()
    return name, tuple(word.encode() for word in words)


def slowest_unlink(before: float | None, shard: Executor, command: str, words: tuple[bytes, ...]) -> float:
    """Microseconds of one command; the lesser of it and the last round's."""
    taken = array("I", [UNKNOWN])
    shard.time_each(command, lambda _: words, 1, taken)
    now = taken[0] / 1e3
    return now if before is None else min(before, now)


class Steps:
    """A worker's steps of freeing or expiring, the same in each round: of each the least time that it took."""

    def __init__(self) -> None:
        self.least = array("I")

    def take(self, shard: Executor, expire_ms: int | None = None) -> None:
        """Does and times them."""
        taken = array("I")
        shard.time_slices(taken, expire_ms)
        if len(self.least) == len(taken):
            taken = array("I", map(min, self.least, taken))
        self.least = taken

    def slowest(self) -> float | None:
        """In microseconds; None without steps."""
        return max(self.least) / 1e3 if self.least else None


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


def print_growths(folder: str, kinds: list[str], count: int, rounds: int) -> None:
    """The first table."""
    heads = (f"{head:>13}" for head in ("adding one", "unlinking", "step expiring", "step freeing"))
    print(f"{'microseconds of CPU, at most':28} | {' | '.join(heads)} |  steps")
    for kind in kinds:
        worst = measure_huge(folder, rounds) if kind == HUGE_STRING else measure(folder, kind, count, rounds)
        print(f"{kind:28} | {worst.row()}", flush=True)


def print_meetings(folder: str, kinds: list[str], count: int, rounds: int) -> None:
    """The second table."""
    for kind in kinds:
        elements = count // (STREAM_PART if kind == STREAM else 1)
        print(f"\n{f'what meets {kind}, {elements}':44} | {'microseconds':>13} |")
        for meeting, taken in measure_meetings(folder, kind, elements, rounds):
            print(meeting.row(taken), flush=True)


def main() -> int:
    """Reads the command line, measures, prints a table."""
    parser = argparse.ArgumentParser(prog="make stalls", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--elements", type=int, default=10_000_000, help="of each collection (10000000)")
    parser.add_argument("--rounds", type=int, default=2, help="times each collection is made (2)")
    parser.add_argument("--kind", action="append", choices=[*GROWTHS, HUGE_STRING], help="only this; may be repeated")
    parser.add_argument("--meeting", action="append", choices=[*MEETINGS], help="only what meets this; may be repeated")
    parser.add_argument("--folder", type=Path, default=Path("/dev/shm"), help="where the arenas lie (/dev/shm)")
    options = parser.parse_args()
    kinds = options.kind or ([] if options.meeting else [*known_growths(), HUGE_STRING])
    met = options.meeting or ([] if options.kind else [*MEETINGS])
    with tempfile.TemporaryDirectory(dir=options.folder, prefix="shardkv-stalls-") as folder:
        print_growths(folder, kinds, options.elements, options.rounds)
        print_meetings(folder, met, options.elements, options.rounds)
    return 0


if __name__ == "__main__":
    sys.exit(main())
