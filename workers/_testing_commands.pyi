from array import array
from collections.abc import Callable

from workers.memory.arena import Arena
from workers.memory.keyspace import Keyspace
from workers.registry import Handler

Step = tuple[str, list[bytes], int]

class Executor:
    arena: Arena
    keyspace: Keyspace
    registered: dict[str, Handler]
    journal_bytes: int
    def __init__(self, arena: Arena, *others: Arena) -> None: ...
    @property
    def keyspaces(self) -> list[Keyspace]: ...
    def seed(self, number: int) -> None: ...
    def run(self, name: str, *words: bytes, database: int = 0, now_ms: int = 1000, keep: bool = True) -> bytes: ...
    def execute(
        self, steps: list[Step], *watched: tuple[bytes, bytes], now_ms: int = 1000, keep: bool = True
    ) -> bytes: ...
    def time_each(self, name: str, words: Callable[[int], tuple[bytes, ...]], count: int, ns: array[int]) -> None: ...
    def time_slices(self, ns: array[int], expire_ms: int | None = None) -> int: ...
