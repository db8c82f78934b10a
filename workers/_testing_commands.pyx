"""Commands for tests, one by one on one arena or several; no rings and no loop. Nothing of the server imports this.
"""
from libc.stdint cimport int64_t, uint32_t, uint64_t
from posix.time cimport CLOCK_THREAD_CPUTIME_ID, clock_gettime, timespec

import random
from array import array
from collections.abc import Callable

from shardkv.commands.keys import find_keys
from shardkv.commands.table import COMMANDS, by_name, command_id
from shardkv.errors import CommandError
from workers.commands import MODULES
from workers.registry import load

from shardkv.hashing cimport hash_key
from shardkv.stats cimport COMMANDS_MAX, touch_slot
from shardkv.transaction cimport ExecStep
from workers.call cimport Call, Shard
from workers.inner cimport InnerCalls
from workers.memory.arena cimport COMMIT_INTERNAL, Arena
from workers.memory.keyspace cimport EXPIRE_BUDGET, REAP_BUDGET, Keyspace
from workers.transaction cimport Transaction
from workers.registry cimport Handler
from workers.memory.dice cimport reseed


cdef enum:
    HOME_HOLDS_IT = 1           # a lock word: 1 + the number of the executor's shard


cdef int64_t cpu_ns() noexcept:
    """CPU time of this thread: time in which it did not run is not counted."""
    cdef timespec now
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now)
    return now.tv_sec * <int64_t>1_000_000_000 + now.tv_nsec


cdef class Executor(InnerCalls):
    """Executes commands, and commits or rolls back as it is told. Its shard is that of the first arena; every command
    has the others on lease."""
    cdef readonly dict registered
    cdef list others            # Shards beside home
    cdef uint64_t position
    cdef bytes arguments        # what the call's argv points into
    cdef readonly uint64_t journal_bytes    # that the last command had written before its commit

    def __init__(self, arena: Arena, *others: Arena) -> None:
        cdef Shard shard
        self.arena = arena
        self.keyspace = Keyspace(arena)
        self.transaction = Transaction(arena)
        self.registered = load(MODULES)
        self.take_commands(COMMANDS, self.registered)
        self.others = [Shard(number, other, Keyspace(other)) for number, other in enumerate(others, 1)]
        for shard in self.others:
            shard.arena.header.lock = HOME_HOLDS_IT
        self.call = Call(Shard(0, arena, self.keyspace), self)
        self.call.everywhere = [self.call.home, *self.others]
        self.position = max(arena.header.commit[0], arena.header.commit[<int>COMMIT_INTERNAL])

    @property
    def arenas(self) -> list[Arena]:
        """All of them."""
        cdef Shard shard
        return [shard.arena for shard in self.call.everywhere]

    def fingerprint(self) -> list[dict]:
        """Everything reachable in each arena."""
        return [arena.fingerprint() for arena in self.arenas]

    @property
    def keyspaces(self) -> list[Keyspace]:
        """Those of all arenas."""
        cdef Shard shard
        return [shard.keyspace for shard in self.call.everywhere]

    def seed(self, number: int) -> None:
        """Makes commands that answer random elements do so in the same way from here on."""
        random.seed(number)
        reseed(number)

    def run(self, name: str, *words: bytes, database: int = 0, now_ms: int = 1000, keep: bool = True) -> bytes:
        """Executes the command `name` (`container|sub`, then `words` begin with the key; or an internal one, `@name`);
        returns its RESP2 reply.

        Its changes stay unless it fails or `keep` is false.
        """
        self._parse(name, words, self._keys(name, words))
        self.call.db = database
        self._set_clock(now_ms)
        self._transact(<Handler>self.registered[name], keep)
        return self.call._reply.getvalue()

    def execute(self, steps: list, *watched: tuple, now_ms: int = 1000, keep: bool = True) -> bytes:
        """Executes an EXEC of `steps`, each of a command's name, its words and its database. `watched` are pairs of a
        key and what `run("watch", key)` answered about it, without its frame."""
        cdef ExecStep step
        cdef bytes table = b""
        cdef list words = []
        for name, arguments, database in steps:
            command = [*name.encode().split(b"|"), *arguments]
            keys = find_keys(by_name[name], command)
            step.command, step.database, step.argc = command_id(name), database, len(command)
            step.hash = hash_key(command[keys[0]], len(command[keys[0]])) if keys else 0
            step.resp, step.flags = 2, 0
            table += (<char *>&step)[:sizeof(step)]
            words += command
        facts = b"".join(told for _, told in watched)
        return self.run("exec", table, facts, *words, *(key for key, _ in watched), now_ms=now_ms, keep=keep)

    def await_key(self, key: bytes) -> None:
        """Has the changes of a key of database 0 noted."""
        cdef uint64_t hash = hash_key(key, len(key))
        cdef Keyspace keyspace = self.call.owner_of(key, len(key), hash).keyspace
        keyspace.touches.keys[touch_slot(0, hash)] |= 1

    def noted(self) -> tuple[list[tuple[int, int]], list[int]]:
        """Pairs of database and hash, and databases as bits of each keyspace, that were noted since the last time."""
        cdef Shard shard
        cdef size_t index
        keys, databases = [], []
        for shard in self.call.everywhere:
            for index in range(0, shard.keyspace.noted.size, 2):
                keys.append((shard.keyspace.noted.items[index], shard.keyspace.noted.items[index + 1]))
            databases.append(shard.keyspace.noted_databases)
            shard.keyspace.noted.size = shard.keyspace.noted_databases = 0
        return keys, databases

    def time_each(self, name: str, words: Callable[[int], tuple[bytes, ...]], count: int, ns: array) -> None:
        """Executes `name` with words(0), words(1) … and notes in ns[i] the nanoseconds of CPU that call i took, if that
        is fewer than what is there: what disturbs a call now is not there another time. The first key is always the
        same argument. Raises on an error.
        """
        cdef uint32_t[::1] least = ns
        cdef uint32_t spent
        cdef int64_t index
        cdef Handler handler = <Handler>self.registered[name]
        cdef list keys = self._keys(name, words(0))
        for index in range(count):
            self._parse(name, words(index), keys)
            spent = self._timed(handler)
            if self.call._reply.bytes[0] == c'-':
                raise RuntimeError(f"{name}: {self.call._reply.getvalue()!r}")
            least[index] = min(least[index], spent)

    def time_slices(self, ns: array, expire_ms: int | None = None) -> int:
        """Works as a worker does between requests until there is nothing left to do: frees what is dead or, with
        `expire_ms`, deletes what expires until then. Appends the CPU nanoseconds of each step; returns how many."""
        cdef int64_t begun
        cdef bint more = True
        steps = 0
        if expire_ms is not None:
            self.keyspace.now_ms = expire_ms
        while more:
            begun = cpu_ns()
            self.position += 1
            self.arena.begin(<int>COMMIT_INTERNAL, self.position)
            more = self.keyspace.reap(REAP_BUDGET) if expire_ms is None else self.keyspace.expire_some(EXPIRE_BUDGET)
            self.arena.commit()
            ns.append(<uint32_t>min(cpu_ns() - begun, <int64_t>0xFFFFFFFF))
            steps += 1
        return steps

    def _keys(self, name: str, words: tuple[bytes, ...]) -> list[int]:
        """Which arguments are keys."""
        return find_keys(by_name[name], [*name.encode().split(b"|"), *words]) if name in by_name else []

    cdef int _parse(self, str name, tuple words, list keys) except -1:
        """Gives the call its arguments, and the hash of the first key."""
        cdef list arguments = [*name.encode().split(b"|"), *words]
        cdef bytes body = b"".join([*(len(word).to_bytes(4, "little") for word in arguments), *arguments])
        self.arguments = body
        self.call.parse(body, len(body), <uint32_t>len(arguments))
        self.call.command = command_id(name) if name in by_name else COMMANDS_MAX
        if keys:
            self.call.hash = hash_key(arguments[<int>keys[0]], len(arguments[<int>keys[0]]))
        return 0

    cdef int _set_clock(self, int64_t now_ms) except -1:
        cdef Shard shard
        self.call.now_ms = now_ms
        for shard in self.call.everywhere:
            shard.keyspace.now_ms = now_ms
            shard.keyspace.clock = <uint32_t>(now_ms // 1000) & 0xFFFFFF
            shard.keyspace.touch = True
        return 0

    cdef uint32_t _timed(self, Handler handler) except? 0xFFFFFFFF:
        cdef int64_t begun = cpu_ns()
        self._transact(handler, True)
        return <uint32_t>min(cpu_ns() - begun, <int64_t>0xFFFFFFFF)

    cdef int _transact(self, Handler handler, bint keep) except -1:
        cdef Shard shard
        self.call._reply.clear()
        self.position += 1
        self.transaction.take_part([shard.arena for shard in self.others])
        self.transaction.begin(0, self.position)
        try:
            done = self._execute(handler)
        except BaseException:
            self.transaction.rollback()
            raise
        self.journal_bytes = self.transaction.journalled()
        if done and keep:
            self.transaction.commit()
        else:
            self.transaction.rollback()
        return 0

    cdef bint _execute(self, Handler handler) except *:
        try:
            self.call.shards = self.shards_of(self.call.command) if self.call.command < COMMANDS_MAX else None
            handler.run(self.call)
            return True
        except CommandError as error:
            self.call._reply.clear()
            self.call._reply.error(error.text)
            return False
