"""Where there is no room: commands that build large collections are out of memory and leave nothing behind, and
commands that only free do their work."""
from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from shardkv.errors import OutOfMemory
from tests.room import small_file_system, take_all_room
from workers._testing_commands import Executor
from workers.memory import _testing as a
from workers.memory.arena import Arena

MIB = 1 << 20
BUILDING = (
    "sunionstore d s t", "copy s d", "copy h d", "copy z d", "copy l d", "zunionstore d 2 z s", "zrangestore d z 0 -1",
    "sort s ALPHA STORE d", "sort l BY nosort STORE d", "georadius z 0 0 30000 km STORE d",
    "restore d 0 DUMP:s", "restore d 0 DUMP:h", "restore d 0 DUMP:z",
)
DUMPS: dict[bytes, bytes] = {}


@pytest.fixture(scope="module")
def shard(tmp_path_factory: pytest.TempPathFactory) -> Executor:
    """Nearly full of four collections."""
    arena = Arena.open(str(tmp_path_factory.mktemp("full") / "arena-0"), 0, 1, capacity=16 * MIB)
    made = Executor(arena)
    for start in range(0, 30_000, 1000):
        names = [b"member:%d" % number for number in range(start, start + 1000)]
        made.run("sadd", b"s", *names)
        made.run("hset", b"h", *sum(([name, b"v"] for name in names), []))
        made.run("zadd", b"z", *sum(([b"3471579339700058", name] for name in names), []))
        made.run("rpush", b"l", *names)
    for key in (b"s", b"h", b"z"):
        DUMPS[b"DUMP:" + key] = made.run("dump", key).split(b"\r\n", 1)[1][:-2]
    number = 0
    while True:
        try:
            made.run("set", b"filler:%d" % number, b"x" * 60_000)
            number += 1
        except OutOfMemory:
            a.rollback(arena)
            break
    made.run("del", b"filler:0", b"filler:1", b"filler:2")
    return made


@pytest.mark.parametrize("line", BUILDING)
def test_no_room_leaves_nothing(shard: Executor, line: str) -> None:
    name, *words = line.split()
    before = shard.arena.fingerprint()
    with pytest.raises(OutOfMemory):
        shard.run(name, *(DUMPS.get(word.encode(), word.encode()) for word in words))
    a.rollback(shard.arena)
    assert shard.arena.fingerprint() == before
    shard.arena.check()


# -- deleting in a full file system

NAMES = [b"member:%d" % number for number in range(6000)]
PAIRS = [word for name in NAMES for word in (name, b"v" * 20)]
SCORES = [word for number, name in enumerate(NAMES) for word in (b"%d" % (number * 37 % 5000), name)]
KEYS = [b"key:%d" % number for number in range(6000)]
DUE = [b"due:%d" % number for number in range(2000)]
SMALL_SETS = [b"set:%d" % number for number in range(300)]
COLLECTIONS = [b"s", b"h", b"z", b"l", b"x"]
MANY = NAMES[:5000]
# Each with what it replies.
FREEING = (
    ("del", KEYS[:5000], b":5000"),
    ("unlink", KEYS[:5000], b":5000"),
    ("del", [*KEYS, *SMALL_SETS, *COLLECTIONS, b"big", b"filler"], b":6307"),
    ("unlink", [*KEYS, *SMALL_SETS, *COLLECTIONS, b"big", b"filler"], b":6307"),
    ("flushall", [], b"+OK"),
    ("flushdb", [b"ASYNC"], b"+OK"),
    ("del", SMALL_SETS, b":300"),
    ("srem", [b"s", *MANY], b":5000"),
    ("srem", [b"set:7", b"member:8"], b":1"),
    ("spop", [b"s", b"5000"], b"*5000"),
    ("smove", [b"s", b"set:7", b"member:8"], b":1"),
    ("hdel", [b"h", *MANY], b":5000"),
    ("zrem", [b"z", *MANY], b":5000"),
    ("zpopmax", [b"z", b"5000"], b"*10000"),
    ("zremrangebyrank", [b"z", b"3", b"-3"], b":5995"),
    ("zremrangebyscore", [b"z", b"10", b"4000"], b":4799"),
    ("ltrim", [b"l", b"2900", b"3100"], b"+OK"),
    ("lpop", [b"l", b"5000"], b"*5000"),
    ("lrem", [b"l", b"0", b"member:17"], b":1"),
    ("xtrim", [b"x", b"MAXLEN", b"10"], b":5990"),
    ("xdel", [b"x", *(b"1-%d" % number for number in range(1, 5001))], b":5000"),
    ("expire", [b"s", b"-1"], b":1"),
    ("pexpireat", [b"z", b"1"], b":1"),
    ("getdel", [b"big"], b"$200000"),
    ("set", [b"big", b"small"], b"+OK"),
    ("set", [b"h", b"small"], b"+OK"),
    ("sinterstore", [b"s", b"s", b"nothing"], b":0"),
)


def fill(shard: Executor) -> None:
    """Makes keys of all types, until neither the file system nor the heap has room."""
    for key in KEYS:
        shard.run("set", key, b"v" * 40)
    for key in DUE:
        shard.run("set", key, b"v" * 40, b"PXAT", b"5000")
    for key in SMALL_SETS:
        shard.run("sadd", key, *NAMES[:40])
    for start in range(0, 6000, 1000):
        shard.run("sadd", b"s", *NAMES[start : start + 1000])
        shard.run("hset", b"h", *PAIRS[2 * start : 2 * start + 2000])
        shard.run("zadd", b"z", *SCORES[2 * start : 2 * start + 2000])
        shard.run("rpush", b"l", *NAMES[start : start + 1000])
    for number in range(6000):
        shard.run("xadd", b"x", b"1-%d" % (number + 1), b"field", NAMES[number])
    shard.run("set", b"big", b"b" * 200_000)


def fill_up(shard: Executor, folder: Path) -> None:
    """Takes what room there is: in the file system, and then in what the heap has for strings of any size."""
    take_all_room(folder)
    for length in (30_000, 3000, 300, 30):
        for number in range(10_000):
            try:
                shard.run("set", b"filler" if number == 0 else b"filler:%d:%d" % (length, number), b"f" * length)
            except OutOfMemory:
                a.rollback(shard.arena)
                break


@pytest.fixture
def full(tmp_path: Path) -> Iterator[Executor]:
    with small_file_system(tmp_path / "small", "8m") as folder:
        arena = Arena.open(str(folder / "arena-0"), 0, 1)
        shard = Executor(arena)
        fill(shard)
        fill_up(shard, folder)
        with pytest.raises(OutOfMemory):
            shard.run("set", b"more", b"x" * 100_000)
        a.rollback(arena)
        yield shard
        arena.check()
        arena.close()


@pytest.mark.parametrize(
    ("name", "words", "reply"), FREEING, ids=[f"{name}-{len(words)}" for name, words, _ in FREEING]
)
def test_what_only_frees_needs_no_room(full: Executor, name: str, words: list[bytes], reply: bytes) -> None:
    assert full.run(name, *words).split(b"\r\n", 1)[0] == reply
    full.time_slices([])


@pytest.mark.parametrize("fresh", [False, True])
def test_a_full_arena_opens_again_with_its_reserve(full: Executor, fresh: bool) -> None:
    again = Executor(Arena.open(full.arena.path, 0, 1, fresh=fresh))
    assert again.run("del", *KEYS).startswith(b":6000")
    assert again.run("zrem", b"z", *MANY).startswith(b":5000")
    again.time_slices([])
    for key in KEYS[:500]:
        assert again.run("set", key, b"v" * 40) == b"+OK\r\n"


def test_keys_expire_in_a_full_arena(full: Executor) -> None:
    keys = int(full.run("dbsize")[1:])
    full.time_slices([], expire_ms=6000)
    assert int(full.run("dbsize", now_ms=6000)[1:]) == keys - len(DUE)


def test_the_reserve_is_for_deleting(full: Executor) -> None:
    """What grows in the end does not get it, whatever it frees on its way, and however often it tries."""
    before = full.arena.fingerprint()
    for _ in range(100):
        with pytest.raises(OutOfMemory):
            full.run("rename", KEYS[0], b"n" * 100_000)
        a.rollback(full.arena)
    assert full.arena.fingerprint() == before
