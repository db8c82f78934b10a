"""Keyspace: the databases of one shard, as command handlers and the worker's loop use them. Its ground, the layout and
the invariants are in databases.pxd; here is what goes through many keys, in steps where it can.
"""
from libc.stdint cimport int64_t, uint64_t
from workers.memory.databases cimport Found
from workers.memory.strings cimport Strings

cdef enum:
    # Of one transaction of the worker's own work. What freeing an entry costs differs a hundredfold: where entries of
    # one size fill thousands of slabs, the last ones freed each give a slab back. So a transaction is short, and a step
    # of the worker has as many as fit into its time.
    REAP_BUDGET = 32            # entries, items or blocks freed
    REAP_US = 100               # of a step: after that no transaction begins
    EXPIRE_BUDGET = 256         # buckets looked at, keys and fields deleted

cdef class Keyspace(Strings):
    cdef uint64_t reaped                   # values freed from the graveyard
    cdef int expire_db                     # where active expiry goes on
    cdef uint64_t expire_cursor
    cdef int sweep_db                      # … and the sweeping of hashes
    cdef uint64_t sweep_cursor

    # COPY; the target must not exist.
    cdef int copy(
        self, Keyspace target, int to_db, Found *found, const char *new_key, uint64_t new_length, uint64_t new_hash
    ) except -1
    cdef int swap(self, int a, int b) except -1
    # -1 = all; memory comes back through `reap`.
    cdef int flush(self, int db) except -1
    cdef uint64_t expiring(self, int db) noexcept
    cdef uint64_t sweeping(self, int db) noexcept                             # hashes with expiring fields
    # MEMORY USAGE: bytes from the allocator's true figures; of a collection's items, the first `samples` stand for all
    # (0 = each is looked at).
    cdef uint64_t memory_of(self, Found *found, uint64_t samples) except 0
    # None when there is none.
    cdef bytes random_key(self, int db)
    # Appends (key bytes, type) of a few entries to `into`, expired keys left out; returns the next cursor (48 bits),
    # 0 at the end.
    cdef uint64_t scan(self, int db, uint64_t cursor, list into) except? 0xFFFFFFFFFFFFFFFF
    # The worker's own work, each in a transaction of the caller (COMMIT_INTERNAL), each bounded:
    # Active expiry; budget: table buckets looked at, keys and fields deleted; returns how many keys and fields.
    cdef int expire_some(self, int budget) except -1
    # Frees from the graveyard, about `budget` entries or blocks, and gives pages back; 1 = more to do.
    cdef int reap(self, int budget) except -1
    cdef uint64_t to_reap(self) noexcept                                      # values in the graveyard

    cdef int sweep_some(self, int *budget) except -1
