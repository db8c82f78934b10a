"""Commands for tests, one by one on an arena, without rings and without a loop. Nothing of the server imports this."""
from libc.stdint cimport int64_t, uint32_t, uint64_t

from shardkv.commands.keys import find_keys
from shardkv.commands.table import by_name, command_id
from shardkv.errors import CommandError
from workers.call import Shard
from workers.commands import MODULES
from workers.registry import load

from shardkv.hashing cimport hash_key
from workers.call cimport Call
from workers.memory.arena cimport Arena
from workers.memory.keyspace cimport Keyspace
from workers.registry cimport Handler


cdef class Executor:
    """Executes commands, and commits or rolls back as it is told."""
    cdef readonly Arena arena
    cdef readonly Keyspace keyspace
    cdef readonly dict handlers
    cdef Call call
    cdef uint64_t position

    def __init__(self, arena: Arena) -> None:
        self.arena = arena
        self.keyspace = Keyspace(arena)
        self.handlers = load(MODULES)
        self.call = Call(Shard(0, arena, self.keyspace), self)

    def run(self, name: str, *words: bytes, database: int = 0, now_ms: int = 1000, keep: bool = True) -> bytes:
        """Executes the command `name` (`container|sub`, then `words` begin with the key; or an internal one, `@name`);
        answers its RESP2 reply.

        Its changes stay unless it fails or `keep` is false.
        """
        arguments = [*(part.encode() for part in name.split("|")), *words]
        body = b"".join([*(len(word).to_bytes(4, "little") for word in arguments), *arguments])
        self.call.parse(body, len(body), <uint32_t>len(arguments))
        self.call.db, self.call.command = database, 0
        if name in by_name:
            self.call.command = command_id(name)
            for first_key in find_keys(by_name[name], arguments)[:1]:
                self.call.hash = hash_key(arguments[first_key], len(arguments[first_key]))
        self.call.now_ms = self.keyspace.now_ms = now_ms
        self.keyspace.clock = <uint32_t>(<int64_t>now_ms // 1000) & 0xFFFFFF
        self.call._reply.clear()
        self.position += 1
        self.arena.begin(0, self.position)
        if self._execute(<Handler>self.handlers[name]) and keep:
            self.arena.commit()
        else:
            self.arena.rollback()
        return self.call._reply.getvalue()

    cdef bint _execute(self, Handler handler) except *:
        try:
            handler.run(self.call)
            return True
        except CommandError as error:
            self.call._reply.clear()
            self.call._reply.error(error.text)
            return False
