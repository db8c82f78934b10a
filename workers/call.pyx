"""One request as its handler sees it: see call.pxd."""
from cpython.bytes cimport PyBytes_FromStringAndSize
from libc.stdint cimport uint8_t, uint16_t
from libc.stdlib cimport realloc, free

from shardkv.errors import NOT_INTEGER, WRONG_TYPE, CommandError

from shardkv.hashing cimport hash_for_routing, hash_key, shard_of
from shardkv.number cimport parse_int64
from shardkv.ring cimport NO_TOUCH, Blocked, Place
from workers.limits cimport Limits
from workers.memory.entry cimport STRING_BOXED


TAKES_NO_PART = "ERR internal error: a key lies in a shard that takes no part"


class BadRecord(Exception):
    """A ring record whose lengths do not add up."""


cdef class Shard:
    def __init__(self, int index, Arena arena, Keyspace keyspace) -> None:
        self.index = index
        self.arena = arena
        self.keyspace = keyspace


cdef class Call:
    def __init__(self, Shard home, worker: object) -> None:
        self.home = home
        self.everywhere = [home]
        self.worker = worker
        self._reply = Reply()
        self.limits = Limits()
        self.max_string = 512 << 20

    def __dealloc__(self):
        free(self.argv)

    cdef int parse(self, const char *body, uint64_t length, uint32_t argc) except -1:
        cdef uint32_t index, size
        cdef uint64_t at = <uint64_t>argc * sizeof(uint32_t)
        if argc == 0 or at > length:
            raise BadRecord("argument count does not fit")
        if <int>argc > self.capacity:
            self._grow(argc)
        for index in range(argc):
            size = (<const uint32_t *>body)[index]
            if size > length - at:
                raise BadRecord("argument length does not fit")
            self.argv[index].bytes = body + at
            self.argv[index].length = size
            at += size
        self.argc = argc
        return 0

    cdef int parse_places(self, const char *bytes, uint64_t size, uint64_t table, uint32_t argc) except -1:
        cdef const Place *place = <const Place *>(bytes + table)
        cdef uint32_t index
        if argc == 0 or table & 7 or table > size or argc > (size - table) // sizeof(Place):
            raise BadRecord("argument count does not fit")
        if <int>argc > self.capacity:
            self._grow(argc)
        for index in range(argc):
            if place[index].offset > table or place[index].length > table - place[index].offset:
                raise BadRecord("argument length does not fit")
            self.argv[index].bytes = bytes + place[index].offset
            self.argv[index].length = place[index].length
        self.argc = argc
        return 0

    cdef int _grow(self, uint32_t argc) except -1:
        cdef void *grown = realloc(self.argv, <size_t>argc * 2 * sizeof(Argument))
        if grown == NULL:
            raise MemoryError()
        self.argv = <Argument *>grown
        self.capacity = argc * 2
        return 0

    cdef uint64_t hash_of(self, int index, int key_number) noexcept:
        if key_number == 0:
            return self.hash
        return hash_key(self.argv[index].bytes, self.argv[index].length)

    cdef Shard owner_of(self, const char *key, uint64_t length, uint64_t hash):
        cdef uint64_t index = shard_of(hash_for_routing(key, length, hash), self.home.arena.header.shards)
        cdef Shard shard
        for shard in self.everywhere:
            if <uint64_t>shard.index == index:
                return shard
        raise CommandError(TAKES_NO_PART)

    cdef Shard owner_of_argument(self, int index):
        cdef Argument *key = &self.argv[index]
        return self.owner_of(key.bytes, key.length, hash_key(key.bytes, key.length))

    cdef int find(self, int index, int key_number, Found *out) except -1:
        self.shard_of_key(key_number).keyspace.find(
            self.db, self.argv[index].bytes, self.argv[index].length, self.hash_of(index, key_number), out
        )
        if out.exists:
            self.hits += 1
        else:
            self.misses += 1
        return 0

    cdef int peek(self, int index, int key_number, Found *out) except -1:
        self.shard_of_key(key_number).keyspace.peek(
            self.db, self.argv[index].bytes, self.argv[index].length, self.hash_of(index, key_number), out
        )
        return 0

    cdef bint is_option(self, int index, const char *lower) noexcept:
        cdef uint64_t at
        cdef char letter
        cdef const char *text = self.argv[index].bytes
        for at in range(self.argv[index].length):
            letter = text[at]
            if c'A' <= letter <= c'Z':
                letter += 32
            if lower[at] != letter:  # also at the literal's end, as no argument that matched so far holds a NUL there
                return False
            if letter == 0:
                return False
        return lower[self.argv[index].length] == 0

    cdef int wait(self, int kind, int64_t timeout_ms, int first, int keys) except -1:
        cdef Blocked blocked
        cdef Waiter facts
        cdef bytes padded
        self.waits = True
        if self.record == NULL:
            return 0
        blocked.timeout_ms, blocked.hash, blocked.epoch = <uint64_t>timeout_ms, self.hash, 0
        blocked.first, blocked.keys, blocked.kind = <uint32_t>first, <uint32_t>keys, <uint32_t>kind
        blocked.replacements = <uint32_t>len(self.replaced) if self.replaced else 0
        if self.waiters is not None:
            facts.token, facts.sequence = self.record.token, self.record.sequence
            facts.acceptor, facts.kind = self.acceptor, <uint8_t>kind
            facts.stamp = self.waiters.claims_of(self.acceptor).waiting(<uint32_t>(facts.token & 0xFFFFFF), facts.token)
            self.enter(&facts, 0, first, keys, False)
            blocked.epoch = self.waiters.epoch
        self._reply.raw(<const char *>&blocked, sizeof(blocked))
        for index, text in self.replaced or ():
            padded = int(index).to_bytes(4, "little") + len(text).to_bytes(4, "little")
            padded += text.ljust((len(text) + 7) // 8 * 8, b"\0")
            self._reply.raw(padded, len(padded))
        return 0

    cdef int enter(self, Waiter *facts, int skipped, int first, int keys, bint ready) except -1:
        """Remembers the request as a waiter, without its first arguments."""
        facts.database, facts.command = <uint16_t>self.db, <uint16_t>self.command
        facts.resp, facts.flags = <uint8_t>self._reply.resp, self.record.flags & NO_TOUCH
        facts.argc = <uint32_t>(self.argc - skipped)
        if facts.stamp == 0 or first < 0 or keys < 0 or first + keys > <int>facts.argc:
            return 0
        return self.waiters.add(facts, self.argv + skipped, <uint32_t>first, <uint32_t>keys, self.hash, ready)

    cdef int replace(self, int index, bytes text) except -1:
        if self.replaced is None:
            self.replaced = []
        self.replaced.append((index, text))
        self.argv[index].bytes, self.argv[index].length = text, <uint64_t>len(text)
        return 0

    cdef int64_t integer(self, int index) except? -1:
        cdef int64_t value
        if not parse_int64(self.argv[index].bytes, self.argv[index].length, &value):
            raise CommandError(NOT_INTEGER)
        return value

    # -- for Python handlers

    @property
    def reply(self) -> Reply:
        """Where the handler writes its one reply."""
        return self._reply

    @property
    def shard(self) -> Shard:
        """The executing worker's own shard, for commands without keys."""
        return self.home

    def arg(self, index: int) -> bytes:
        """Argument `index` (0 is the command's name) as bytes. Raises IndexError."""
        if not 0 <= index < self.argc:
            raise IndexError(index)
        return PyBytes_FromStringAndSize(self.argv[<int>index].bytes, self.argv[<int>index].length)

    def get(self, index: int, key_number: int = 0) -> bytes | None:
        """The string under the key at argument `index`, the `key_number`-th key; None when there is no such key.

        Raises CommandError when the key holds another type.
        """
        cdef Found found
        cdef uint64_t length
        cdef char scratch[24]
        cdef const char *value
        self.find(index, key_number, &found)
        if not found.exists:
            return None
        if found.entry.type > STRING_BOXED:
            raise CommandError(WRONG_TYPE)
        value = self.shard_of_key(key_number).keyspace.string_bytes(&found, &length, scratch)
        return PyBytes_FromStringAndSize(value, length)

    def set(self, index: int, value: bytes, key_number: int = 0, expiry: int = -1) -> None:
        """Makes or overwrites the key at argument `index` with a string. `expiry` is Unix time in ms, -1 for none.

        Raises OutOfMemory; the command then leaves nothing behind.
        """
        cdef Found found
        cdef Keyspace keyspace = self.shard_of_key(key_number).keyspace
        cdef Argument *key = &self.argv[<int>index]
        keyspace.find(self.db, key.bytes, key.length, self.hash_of(index, key_number), &found)
        keyspace.set_string(self.db, &found, key.bytes, key.length, value, len(value), expiry, False)

    def delete(self, index: int, key_number: int = 0) -> bool:
        """Deletes the key at argument `index`, whatever it holds; False when there was none."""
        cdef Found found
        self.peek(index, key_number, &found)
        if not found.exists:
            return False
        self.shard_of_key(key_number).keyspace.delete(self.db, &found, False)
        return True

    def args(self) -> list[bytes]:
        """All arguments, with the name."""
        return [self.arg(index) for index in range(self.argc)]

    def option(self, index: int) -> str:
        """Argument `index` in lower case, for options; bytes that are not ASCII are kept as escapes."""
        return self.arg(index).decode("ascii", "backslashreplace").lower()

    def number(self, index: int) -> int:
        """Argument `index` as a 64-bit integer. Raises CommandError when it is none."""
        return self.integer(index)
