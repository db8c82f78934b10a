"""Keyspace: the databases of one shard, on an arena; what command handlers use to find, make, change and delete keys.

In the arena's roots: a block with TableRoot[databases], and the graveyard, a list of unlinked tables and blocks that are freed in steps.

Invariants
 1. No method is called outside a transaction of the arena.
 2. A key whose expiry has passed does not exist: `find` deletes it first (counted as expired).
 3. Pointers in an EntryView are valid until the next call that allocates, replaces or deletes the same key.
"""
from libc.stdint cimport int64_t, uint32_t, uint64_t, uint8_t
from workers.memory.arena cimport Arena
from workers.memory.entry cimport EntryView
from workers.memory.table cimport Place

cdef struct Found:
    bint exists
    EntryView entry
    Place place
    uint64_t hash

cdef class Keyspace:
    cdef readonly Arena arena
    cdef readonly int databases
    cdef int64_t now_ms                    # the command's time, set by the worker's loop before each command
    cdef uint32_t clock                    # access clock for this second (LRU), set likewise
    cdef bint touch                        # False: lookups leave the access clock alone
    cdef public uint64_t expired           # keys deleted because their time had passed
    cdef public bint lazy_expire           # False only for DEBUG

    cdef int find(self, int db, const char *key, uint64_t length, uint64_t hash, Found *out) except -1    # sets the access clock
    cdef int peek(self, int db, const char *key, uint64_t length, uint64_t hash, Found *out) except -1    # does not (TYPE, TTL, OBJECT, EXISTS)
    # A string value, wherever it lies.
    cdef const char *string_bytes(self, Found *found, uint64_t *length, char *scratch) noexcept      # scratch: 24 bytes, for STRING_INT
    # Makes or overwrites `key` with a string (int-encoded when canonical and `as_raw` is False). expiry: unix ms, -1 = none. In place where it fits.
    cdef int set_string(self, int db, Found *found, const char *key, uint64_t length, const char *value, uint64_t value_length, int64_t expiry, bint as_raw) except -1
    cdef int set_int(self, int db, Found *found, const char *key, uint64_t length, int64_t value, int64_t expiry) except -1
    # Makes the value raw and `new_length` long (new bytes zero), keeps key and expiry; answers where the value's bytes are. Bytes [0, keep) stay; the caller
    # overwrites [from, from + count) itself, so only those are journalled when the value can stay in place.
    cdef char *edit_string(self, int db, Found *found, const char *key, uint64_t length, uint64_t new_length, uint64_t edit_from, uint64_t edit_count) except NULL
    cdef int set_expiry(self, int db, Found *found, int64_t expiry) except -1                         # -1 = PERSIST
    cdef int delete(self, int db, Found *found, bint lazily) except -1
    cdef int move(self, int from_db, Found *found, int to_db, const char *new_key, uint64_t new_length, uint64_t new_hash) except -1   # RENAME, MOVE: same value, expiry kept
    cdef int copy(self, Keyspace target, int to_db, Found *found, const char *new_key, uint64_t new_length, uint64_t new_hash) except -1  # COPY; the target must not exist
    cdef int swap(self, int a, int b) except -1
    cdef int flush(self, int db) except -1                                                            # -1 = all; memory comes back through `reap`
    cdef uint64_t count(self, int db) noexcept
    cdef uint64_t expiring(self, int db) noexcept
    cdef uint64_t memory_of(self, Found *found) noexcept                                              # MEMORY USAGE: bytes from the allocator's true figures
    cdef bytes random_key(self, int db)                                                               # None when there is none
    cdef uint64_t scan(self, int db, uint64_t cursor, list into) except? 0xFFFFFFFFFFFFFFFF           # appends (key bytes, type) of one cluster; expired keys left out
    # The worker's own work, each in a transaction of the caller (COMMIT_INTERNAL), each bounded:
    cdef int expire_some(self, int budget) except -1       # active expiry; answers the keys deleted
    cdef int reap(self, int budget) except -1              # frees from the graveyard; 1 = more to do
