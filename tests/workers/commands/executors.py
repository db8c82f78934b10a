"""Arenas with commands to run on them, one by one, without a server."""
from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from workers._testing_commands import Executor
from workers.memory import _testing_keyspace as c
from workers.memory.arena import Arena


@contextmanager
def executor(path: str | None = None, capacity: int = 64 << 20) -> Iterator[Executor]:
    """An arena, a new one unless there is one at `path`, with commands to run on it; nothing must have leaked at the
    end."""
    with tempfile.TemporaryDirectory() as folder:
        arena = Arena.open(path or str(Path(folder) / "arena"), 0, 1, capacity=capacity)
        try:
            shard = Executor(arena)
            yield shard
            arena.check()
            assert sorted(c.owned(shard.keyspace)) == [offset for offset, _ in arena.allocated()]
        finally:
            arena.close()
