"""An arena with a keyspace for tests, whose commands are transactions."""
from __future__ import annotations

from tests.workers.memory.arenas import Transactions
from workers.memory import _testing_keyspace as c
from workers.memory.arena import Arena
from workers.memory.keyspace import Keyspace

MIB = 1 << 20
NOW = 1_000_000
DATABASES = 3
Model = list[dict[bytes, tuple[bytes, int]]]  # value and expiry by key, of each database


class Store(Transactions):
    """An arena with a keyspace; each `run` is a transaction."""

    def __init__(self, path: str, capacity: int = 64 * MIB, databases: int = DATABASES) -> None:
        super().__init__(Arena.open(path, 0, 1, capacity=capacity))
        self.keyspace = Keyspace(self.arena, databases)
        self.at(NOW)

    def at(self, now: int, clock: int = 1) -> None:
        c.set_time(self.keyspace, now, clock)

    def put(self, key: bytes, value: bytes, expiry: int = -1, db: int = 0) -> None:
        self.run(lambda: c.put(self.keyspace, db, key, value, expiry))

    def get(self, key: bytes, db: int = 0) -> bytes | None:
        return self.run(lambda: c.get(self.keyspace, db, key))

    def facts(self, key: bytes, db: int = 0) -> dict[str, int]:
        found = self.run(lambda: c.facts(self.keyspace, db, key))
        assert found is not None
        return found

    def content(self) -> Model:
        """All keys that a scan finds, with value and expiry; changes nothing."""
        now_content: Model = []
        for db in range(self.keyspace.databases):
            keys: dict[bytes, tuple[bytes, int]] = {}
            cursor, started = 0, False
            while cursor or not started:
                cursor, some = c.scan(self.keyspace, db, cursor)
                for key, _ in some:
                    facts = c.facts(self.keyspace, db, key)
                    assert facts is not None
                    keys[key] = (c.get(self.keyspace, db, key) or b"", facts["expiry"])
                started = True
            now_content.append(keys)
        return now_content

    def check(self) -> None:
        """Every invariant of arena and tables; and all that is allocated is reachable, once."""
        self.arena.check()
        for db in range(self.keyspace.databases):
            c.buckets(self.keyspace, db)
        assert sorted(c.owned(self.keyspace)) == [offset for offset, _ in self.arena.allocated()]
