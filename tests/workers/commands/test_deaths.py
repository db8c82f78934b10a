"""Every command of every type dies at its stores: its shard is then as it was before, or as it is after the command.

What a death leaves is what lies in the arena's file at that instant. So the command is run once, the file is copied at
each crash point, and every copy is opened as the next worker would. Real deaths of real processes are in
test_arena_deaths.py, test_keyspace_deaths.py and test_collections.py of tests/workers/memory and in
tests/workers/test_loop.py.
"""
from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from shardkv.commands.table import by_name
from tests.workers.commands.arguments import STREAM_IN_USE, Words, call_of
from tests.workers.commands.executors import apart
from tests.workers.commands.test_rollback import DATA_COMMANDS, HANDLED, MIB, NOW, SEVERAL, VALUES_OF
from workers._testing_commands import Executor
from workers.leases import take_home
from workers.memory import _testing as a
from workers.memory import _testing_keyspace as k
from workers.memory.arena import Arena, crash_after

T = TypeVar("T")
Call = Words | list[Words]  # a list: an EXEC of these
State = list[dict[str, Any]]
FIRST, LAST = 40, 4  # crash points of a call that are all tried; those between further and further apart
DRAWN = 30  # calls of a command, of which one is taken that succeeds and stores most
NEVER = 1 << 40
SEED = 7
# One element after the other, for collections to fill up to where the next one changes their encoding.
SINGLE: dict[str, tuple[str, bytes]] = {
    "list": ("rpush", b"%070d"),
    "set": ("sadd", b"%d"),
    "hash": ("hset", b"%d v"),
    "sorted-set": ("zadd", b"%d m%d"),
    "geo": ("geoadd", b"13.5 38 m%d"),
}
# Calls that take out or store many elements, which hardly any drawn one does.
LARGER: dict[str, list[bytes]] = {
    "georadius": [b"a", b"13.5", b"38", b"4000", b"km", b"STORE", b"b"],
    "geosearchstore": [b"b", b"a", b"FROMLONLAT", b"13.5", b"38", b"BYRADIUS", b"4000", b"km"],
    "hexpire": [b"a", b"100", b"FIELDS", b"2", b"a", b"1"],
    "hpexpire": [b"a", b"100", b"FIELDS", b"2", b"a", b"1"],
    "lpop": [b"a", b"400"],
    "lrem": [b"a", b"0", b"7"],
    "ltrim": [b"a", b"1", b"-2"],
    "rpop": [b"a", b"400"],
    "spop": [b"a", b"500"],
    "xautoclaim": [b"a", b"g", b"w", b"0", b"-", b"COUNT", b"100"],
    "xclaim": [b"a", b"g", b"w", b"0", b"1-1", b"9-1", b"10-1", b"11-1"],
    "xdel": [b"a", b"1-1", b"9-1", b"10-1", b"120-1"],
    "xack": [b"a", b"g", b"1-1", b"9-1", b"10-1", b"11-1"],
    "xgroup|destroy": [b"a", b"g"],
    "xgroup|delconsumer": [b"a", b"g", b"v"],
    "xreadgroup": [b"GROUP", b"g", b"v", b"COUNT", b"50", b"STREAMS", b"a", b">"],
    "xtrim": [b"a", b"MAXLEN", b"2"],
    "zpopmin": [b"a", b"290"],
    "zremrangebylex": [b"a", b"-", b"+"],
    "zremrangebyrank": [b"a", b"1", b"-2"],
    "zremrangebyscore": [b"a", b"(1", b"+inf"],
}
# Calls that build a collection of thousands: "d" is not there, "a" and "b" are such collections.
BUILDING: list[tuple[str, str]] = [
    ("list", "copy a d"), ("set", "copy a d"), ("hash", "copy a d"), ("sorted-set", "copy a d"), ("stream", "copy a d"),
    ("set", "sunionstore d a b"), ("set", "sunionstore a a b"), ("sorted-set", "zunionstore d 2 a b"),
    ("sorted-set", "zrangestore b a 0 -1"), ("set", "sort a BY nosort STORE d"), ("sorted-set", "restore d 0 DUMP"),
    ("set", "restore d 0 DUMP"), ("hash", "restore d 0 DUMP"), ("hash", "restore d 0 EXPIRING"),
]
MANY = 1500


def drawn(strategy: st.SearchStrategy[T], count: int) -> list[T]:
    """Examples, the same each time."""
    found: list[T] = []

    @settings(max_examples=count, derandomize=True, database=None, phases=[Phase.generate],
              suppress_health_check=list(HealthCheck))
    @given(strategy)
    def collect(example: T) -> None:
        found.append(example)

    collect()
    return found


def chosen(points: int) -> list[int]:
    """Numbers of crash points to try, out of so many."""
    taken, point = set(range(1, min(points, FIRST) + 1)), FIRST
    while point < points:
        taken.add(point)
        point += 1 + point // 2
    return sorted(taken | set(range(max(1, points - LAST), points + 1)))


def copy(source: str, target: str) -> None:
    """A file with its holes."""
    out = os.open(target, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600)
    file = os.open(source, os.O_RDONLY)
    try:
        size = os.fstat(file).st_size
        os.ftruncate(out, size)
        at = 0
        while at < size:
            try:
                begin = os.lseek(file, at, os.SEEK_DATA)
            except OSError:
                break
            at = os.lseek(file, begin, os.SEEK_HOLE)
            os.pwrite(out, os.pread(file, at - begin, begin), begin)
    finally:
        os.close(out)
        os.close(file)


class Shards:
    """An arena or several, and what deaths would leave of them."""

    def __init__(self, folder: Path, count: int = 1) -> None:
        self.folder, self.left, self.count = folder, folder / "left", count
        self.left.mkdir()
        self.executor = Executor(*opened(folder, count))

    def reopen(self) -> None:
        """Goes on with the arenas as a new process finds them."""
        self.close()
        self.executor = Executor(*opened(self.folder, self.count))

    def run(self, call: Call, keep: bool = True) -> bytes:
        """Executes a call some time after the keys were made, with the same random numbers each time."""
        return run(self.executor, call, keep)

    def copy(self) -> None:
        """Leaves what a death would leave now."""
        for number in range(self.count):
            copy(str(self.folder / f"arena-{number}"), str(self.left / f"arena-{number}"))

    def stores(self, call: Call) -> int:
        """Crash points that a call passes when it is rolled back; -1 if it fails."""
        crash_after(NEVER)
        reply = self.run(call, keep=False)
        passed = NEVER - a.crash_points_left()
        crash_after(0)
        return -1 if reply.startswith(b"-") else passed

    def points(self, call: Call) -> int:
        """Crash points that a call passes up to the end of its commit."""
        self.copy()
        executor = Executor(*opened(self.left, self.count))
        crash_after(NEVER)
        run(executor, call)
        passed = NEVER - a.crash_points_left()
        crash_after(0)
        for arena in executor.arenas:
            arena.close()
        return passed

    def deaths(self, call: Call) -> Iterator[tuple[int, State]]:
        """Executes a call; numbers of crash points, and what the next worker would find."""
        found: list[tuple[int, State | AssertionError]] = []
        points = chosen(self.points(call))
        self.reopen()  # as `points` did: what a process remembers of its arena decides where it allocates

        def witness() -> int:
            point = points[len(found)]
            self.copy()
            try:
                found.append((point, recovered(self.left, self.count)))
            except AssertionError as error:
                found.append((point, error))
            return points[len(found)] - point if len(found) < len(points) else 0

        crash_after(points[0], witness)
        self.run(call)
        crash_after(0)
        assert len(found) == len(points)
        for number, state in found:
            assert isinstance(state, list), f"crash point {number}: {state}"
            yield number, state

    def close(self) -> None:
        for arena in self.executor.arenas:
            arena.close()


def opened(folder: Path, count: int) -> list[Arena]:
    """The arenas of a folder."""
    return [Arena.open(str(folder / f"arena-{number}"), number, count, capacity=16 * MIB) for number in range(count)]


def run(executor: Executor, call: Call, keep: bool = True) -> bytes:
    """Executes a call some time after the keys were made, with the same random numbers each time."""
    executor.seed(SEED)
    if isinstance(call, list):
        return executor.execute([(name, words, 0) for name, words in call], now_ms=NOW + 100, keep=keep)
    return executor.run(call[0], *call[1], now_ms=NOW + 100, keep=keep)


def recovered(folder: Path, count: int) -> State:
    """All that is reachable in arenas that their executor died on, after a check of everything; its successor settles
    those that it had on lease."""
    take_home(str(folder), 0, count, 16, False).arena.close()
    executor = Executor(*opened(folder, count))
    try:
        for arena, keyspace in zip(executor.arenas, executor.keyspaces, strict=True):
            arena.check()
            assert sorted(k.owned(keyspace)) == [offset for offset, _ in arena.allocated()]
        return executor.fingerprint()
    finally:
        for arena in executor.arenas:
            arena.close()


def fill(shard: Executor, group: str, size: str) -> None:
    """Keys of a type and of a size, and strings."""
    shard.run("mset", b"a", b"1", b"b", b"x" * 300, b"c", b"z" * 40_000)
    shard.run("set", b"k" * 1500, b"short", b"PXAT", b"9999999", now_ms=NOW)
    shard.run("set", b"", b"gone", b"PXAT", b"5000001", now_ms=NOW)
    for key in (b"a", b"b"):
        if size == "full":
            shard.run("del", key)
            fill_up(shard, key, *SINGLE[group])
        elif VALUES_OF.get(group, ("", []))[0] in HANDLED:
            setter, values = VALUES_OF[group]
            shard.run("del", key)
            shard.run(setter, key, *values[size == "large"])
    if group == "stream":
        fill_streams(shard, 150 if size == "large" else 0)


def fill_streams(shard: Executor, more: int) -> None:
    """Entries, groups and consumers, and so many entries in further nodes, half of them pending."""
    for name, words in STREAM_IN_USE:
        shard.run(name, *words, now_ms=NOW)
    for number in range(more):
        shard.run("xadd", b"a", b"%d-1" % (number + 9), b"field", b"value")
    for consumer in (b"v", b"w") if more else ():
        count = b"%d" % (more // 4)
        shard.run("xreadgroup", b"GROUP", b"g", consumer, b"COUNT", count, b"STREAMS", b"a", b">", now_ms=NOW)


def fill_up(shard: Executor, key: bytes, setter: str, pattern: bytes) -> None:
    """Adds elements for as long as the collection stays packed."""
    number, encoding = 0, b""
    while True:
        words = pattern.replace(b"%d", b"%d" % number).replace(b"%070d", b"%070d" % number).split()
        shard.run(setter, key, *words)
        after = shard.run("object|encoding", key)
        if encoding not in (b"", after):
            break
        encoding, number = after, number + 1
    kept = number
    shard.run("del", key)
    for number in range(kept):
        words = pattern.replace(b"%d", b"%d" % number).replace(b"%070d", b"%070d" % number).split()
        shard.run(setter, key, *words)
    assert shard.run("object|encoding", key) == encoding


def sizes(name: str) -> list[str]:
    """The sizes of collections that a command is tried on."""
    found = by_name[name]
    if "write" not in found.flags:
        return ["small"]
    return ["small", "large"] + ["full"] * (found.group in SINGLE)


def fill_many(shard: Executor, group: str) -> None:
    """Collections whose tables have several buckets; half of a hash's fields expire."""
    fill(shard, group, "large")
    for key in (b"a", b"b"):
        for number in range(0, MANY, 100):
            names = [b"%s:%d" % (key, each) for each in range(number, number + 100)]
            pairs = sum(([b"7", name] if group == "sorted-set" else [name, b"7"] for name in names), [])
            if group == "stream":
                shard.run("xadd", key, b"%d-1" % (number + 1000), *pairs)
            else:
                setter = VALUES_OF[group][0]
                shard.run(setter, key, *(pairs if setter in ("hset", "zadd") else names))
    if group == "hash":
        shard.run("hpexpireat", b"b", b"9999999", b"FIELDS", b"50", *(b"b:%d" % each for each in range(50)), now_ms=NOW)


@pytest.mark.parametrize(("group", "line"), BUILDING)
def test_dies_while_it_builds(tmp_path: Path, group: str, line: str) -> None:
    shard = Shards(tmp_path)
    try:
        fill_many(shard.executor, group)
        dumps = {b"DUMP": b"a", b"EXPIRING": b"b"}
        words = [dumped(shard.executor, dumps[word]) if word in dumps else word for word in line.encode().split()[1:]]
        before = shard.executor.fingerprint()
        assert shard.stores((line.split()[0], words)) > 0
        assert shard.executor.fingerprint() == before
        leaves_all_or_nothing(shard, (line.split()[0], words), before)
    finally:
        shard.close()


def leaves_all_or_nothing(shard: Shards, call: Call, before: State) -> None:
    """Executes a call; wherever it dies, what is left is `before`, or what it has made."""
    found = list(shard.deaths(call))
    after = shard.executor.fingerprint()
    for number, state in found:
        assert state in (before, after), (call, number)
    assert found[-1][1] == after


def dumped(shard: Executor, key: bytes) -> bytes:
    """What DUMP answers, without its frame."""
    return shard.run("dump", key).split(b"\r\n", 1)[1][:-2]


@pytest.mark.parametrize(
    ("name", "count"), [*((name, 1) for name in DATA_COMMANDS), *((name, n) for name in SEVERAL for n in (2, 3))]
)
def test_dies_at_any_store(tmp_path: Path, name: str, count: int) -> None:
    calls: list[Call] = [*drawn(call_of(name), DRAWN), *((name, words) for words in [LARGER.get(name)] if words)]
    for size in sizes(name):
        folder = tmp_path / size
        folder.mkdir()
        with apart(count):
            shard = Shards(folder, count)
            try:
                fill(shard.executor, by_name[name].group, size)
                before = shard.executor.fingerprint()
                call = max(calls, key=shard.stores)
                leaves_all_or_nothing(shard, call, before)
            finally:
                shard.close()


@pytest.mark.parametrize("count", [1, 2, 3])
@pytest.mark.parametrize("group", [*SINGLE, "string", "stream"])
def test_a_transaction_dies_at_any_store(tmp_path: Path, group: str, count: int) -> None:
    names = [name for name in DATA_COMMANDS if by_name[name].group == group and "write" in by_name[name].flags]
    transactions = st.lists(st.sampled_from(names).flatmap(call_of), min_size=2, max_size=4)
    with apart(count):
        shard = Shards(tmp_path, count)
        try:
            fill(shard.executor, group, "small")
            for call in sorted(drawn(transactions, DRAWN), key=shard.stores)[-2:]:
                leaves_all_or_nothing(shard, call, shard.executor.fingerprint())
        finally:
            shard.close()
