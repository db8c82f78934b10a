from shardkv.resp import Reply
from workers.loop import Worker
from workers.memory.arena import Arena
from workers.memory.keyspace import Keyspace

class BadRecord(Exception): ...

class Shard:
    index: int
    arena: Arena
    keyspace: Keyspace
    def __init__(self, index: int, arena: Arena, keyspace: Keyspace) -> None: ...

class Call:
    argc: int
    db: int
    command: int
    now_ms: int
    worker: Worker
    @property
    def reply(self) -> Reply: ...
    @property
    def shard(self) -> Shard: ...
    def arg(self, index: int) -> bytes: ...
    def args(self) -> list[bytes]: ...
    def option(self, index: int) -> str: ...
    def number(self, index: int) -> int: ...
