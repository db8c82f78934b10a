"""Commands that build large collections where there is no room for them: out of memory, and nothing left behind."""
from __future__ import annotations

import pytest

from shardkv.errors import OutOfMemory
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
        shard.run(name, *(DUMPS.get(word.encode(), word.encode()) for word in words), keep=False)
    a.rollback(shard.arena)
    assert shard.arena.fingerprint() == before
    shard.arena.check()
