"""Call: one request as its handler sees it; Shard: the data it may touch.

A worker has one Call and fills it anew for each request. Native handlers read its fields; Python handlers use its `def`
methods.

Invariants
 1. argv points into the request ring or a segment: valid until the handler returns, never stored.
 2. A handler touches the shard of each of its keys through `shard_of_key`, those of keys that the request does not name
    as such through `owner_of`, and those in `everywhere` if it has no keys; no other.
 3. A handler writes exactly one reply, or raises: CommandError becomes an error reply and the transaction is rolled
    back; OutOfMemory becomes -OOM.
"""
from libc.stdint cimport int64_t, uint32_t, uint64_t
from shardkv.resp cimport Reply
from shardkv.ring cimport RequestRecord
from workers.limits cimport Limits
from workers.memory.arena cimport Arena
from workers.memory.databases cimport Found
from workers.memory.keyspace cimport Keyspace
from workers.waiters cimport WaitArgument, Waiter, Waiters

ctypedef WaitArgument Argument    # bytes, length

cdef class Shard:
    cdef readonly int index
    cdef readonly Arena arena
    cdef readonly Keyspace keyspace

cdef class Call:
    cdef readonly int argc
    cdef Argument *argv
    cdef uint64_t hash                  # of the first key
    cdef readonly int db
    cdef readonly int command           # id in the command table
    cdef readonly int64_t now_ms
    cdef Reply _reply
    cdef Shard home                     # the executing worker's own shard
    cdef list shards                    # shard of each key, in key order; None: all are `home`
    cdef list everywhere                # the shards that take part, ascending: what commands without keys speak of
    # the worker's own services for cold commands (settings, DEBUG): see workers/loop.pyx
    cdef readonly object worker
    cdef readonly Limits limits         # when a value takes its other encoding; kept by Worker.configure
    cdef uint64_t max_string            # bytes: the directive proto-max-bulk-len
    cdef uint64_t hits, misses          # keyspace_hits and keyspace_misses, since the loop last took them
    cdef int capacity                   # of argv
    # Waiting: what follows concerns commands that may block.
    cdef bint may_wait                  # False: one that finds nothing answers null (EXEC)
    cdef bint waits                     # it does; the reply is a Blocked (shardkv/ring.pxd)
    cdef int only                       # the argument of the one key to look at, 0 = all: a waiter is being served
    cdef RequestRecord *record          # NULL: no request, a waiter is being served
    cdef uint32_t acceptor              # whose it is
    cdef Waiters waiters                # None: there are none
    cdef list replaced                  # (index, bytes) of arguments that a waiter has instead of those given

    # Has the client wait for arguments first .. first + keys - 1, of kind WaitKind; timeout 0: for ever. It writes the
    # reply, and nothing may be written after it.
    cdef int wait(self, int kind, int64_t timeout_ms, int first, int keys) except -1
    cdef int enter(self, Waiter *facts, int skipped, int first, int keys, bint ready) except -1
    # Another argument from here on, and for as long as it waits.
    cdef int replace(self, int index, bytes text) except -1

    cdef inline bint looks_at(self, int index) noexcept:
        """Whether a command that may block is to look at this key."""
        return self.only == 0 or self.only == index

    cdef int _grow(self, uint32_t argc) except -1
    # lengths and arguments of a record, checked
    cdef int parse(self, const char *body, uint64_t length, uint32_t argc) except -1
    # the same of a segment, whose arguments lie where its table says
    cdef int parse_places(self, const char *bytes, uint64_t size, uint64_t table, uint32_t argc) except -1

    cdef inline Shard shard_of_key(self, int key_number):
        # A request that does not fit its command has fewer keys, or none: its handler will say so.
        if self.shards is None or key_number >= <int>len(self.shards):
            return self.home
        return <Shard>self.shards[key_number]

    # Raises CommandError when the key lies in a shard that takes no part.
    cdef Shard owner_of(self, const char *key, uint64_t length, uint64_t hash)
    cdef Shard owner_of_argument(self, int index)

    # of argv[index], the key_number-th key; counts hits and misses
    cdef int find(self, int index, int key_number, Found *out) except -1
    # without setting the access clock, nor counting
    cdef int peek(self, int index, int key_number, Found *out) except -1
    cdef uint64_t hash_of(self, int index, int key_number) noexcept
    # case-insensitive compare with a lower-case literal
    cdef bint is_option(self, int index, const char *lower) noexcept
    # raises CommandError("ERR value is not an integer or out of range")
    cdef int64_t integer(self, int index) except? -1
    # for Python handlers: call.argc, call.db, call.arg(i) -> bytes, call.reply -> Reply …
