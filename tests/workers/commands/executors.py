"""Arenas with commands to run on them, one by one, without a server."""
from __future__ import annotations

import itertools
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random

from shardkv.hashing import SECRET_BYTES, current_secret, key_shard, set_secret
from workers._testing_commands import Executor
from workers.memory import _testing_keyspace as c
from workers.memory.arena import Arena


@contextmanager
def apart(shards: int) -> Iterator[None]:
    """A secret of the hashes under which the keys a, b and c lie apart, as far as the shards go, and b in the last of
    these, which is not the executor's."""
    before = current_secret()
    for number in itertools.count(1):
        set_secret(Random(number).randbytes(SECRET_BYTES))
        found = [key_shard(key, shards) for key in (b"a", b"b", b"c")]
        if found[1] == shards - 1 and len(set(found)) == min(shards, 3):
            break
    try:
        yield
    finally:
        set_secret(before)


@contextmanager
def executor(path: str | None = None, capacity: int = 64 << 20, shards: int = 1) -> Iterator[Executor]:
    """An arena, a new one unless there is one at `path`, or one for each shard, with commands to run on them; nothing
    must have leaked at the end."""
    with tempfile.TemporaryDirectory() as folder:
        paths = [path or str(Path(folder) / "arena"), *(f"{folder}/arena-{number}" for number in range(1, shards))]
        arenas = [Arena.open(name, number, shards, capacity=capacity) for number, name in enumerate(paths)]
        try:
            shard = Executor(*arenas)
            yield shard
            for arena, keyspace in zip(arenas, shard.keyspaces, strict=True):
                arena.check()
                assert sorted(c.owned(keyspace)) == [offset for offset, _ in arena.allocated()]
        finally:
            for arena in arenas:
                arena.close()
