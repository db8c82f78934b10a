"""Databases: the keys of one shard, whatever they hold, on an arena: found, made, given an expiry, moved, deleted.

What command handlers use is a Keyspace, which is built in layers, each a class that the next extends:

    databases.pxd  Databases: keys
    strings.pxd    Strings: their values, when they are strings
    keyspace.pxd   Keyspace: copies, whole databases, expiry and freeing in steps

In the arena's roots, word KEYSPACE_ROOT names the root block: a KeyspaceRoot, then Database[databases]. The
graveyard is what is unlinked and waits to be freed in steps: dead tables (a list through the TableGrave at the head
of each directory), dead trees and large blocks: collections.pxd has the structs.

Invariants
 1. No method is called outside a transaction of the arena.
 2. A key whose expiry has passed does not exist: `find` deletes it first (counted as expired).
 3. Pointers in an EntryView are valid until the next call that allocates, replaces or deletes the same key. After a
    call that changes a key through its Found, the Found describes the key as it is then. Another Found is brought up to
    date when it is used to change its key: `changes` tells whether anything has changed since it was looked up.
 4. Nothing that makes memory free needs memory: deleting, flushing and reaping work in a full arena.
 5. Whatever is unlinked is in the graveyard in the same transaction: a crash leaks nothing.
 6. Every change of a key is told to those who watch it (`touches`: shardkv/stats.pxd) and, if somebody waits for it,
    noted. What this module changes, it tells itself; who changes the content of a collection calls `modified`.
"""
from libc.stdint cimport int64_t, uint32_t, uint64_t
from shardkv.stats cimport EPOCHS, Touches, touch_slot
from workers.memory.arena cimport Arena
from workers.memory.buckets cimport TableRoot
from workers.memory.collections cimport KeyspaceRoot
from workers.memory.entry cimport Box, EntryView
from workers.memory.journal cimport Vector, vector_push
from workers.memory.table cimport Place

cdef enum:
    KEYSPACE_ROOT = 0           # index in the arena's roots
    DATABASES_MAX = 65536

cdef struct Database:
    TableRoot keys
    TableRoot timers            # of hashes with expiring fields, see timers.pxd

cdef struct Found:
    bint exists
    EntryView entry
    Place place
    uint64_t hash
    int db
    uint64_t changes            # the keyspace's count when this was true

cdef class Databases:
    cdef readonly Arena arena
    cdef readonly int databases
    cdef int64_t now_ms                    # the command's time, set by the worker's loop before each command
    cdef uint32_t clock                    # access clock for this second (LRU), set likewise
    cdef bint touch                        # False: lookups leave the access clock alone
    cdef public uint64_t expired           # keys deleted because their time had passed
    cdef uint64_t swept                    # fields of hashes, likewise
    cdef public bint lazy_expire           # False only for DEBUG: lookups then see keys whose time has passed
    cdef uint64_t root                     # offset of the root block
    cdef uint64_t changes                  # grows with each change to a key or a table
    cdef Touches *touches                  # of the shard, in the control page; of our own, when there is none
    cdef Touches *own_touches
    # What has changed since the executor last emptied them: pairs of database and hash, of keys that may be awaited; a
    # bit (by number & 15) for each database that was emptied or swapped as a whole, or of which a key found no room.
    cdef Vector noted
    cdef uint64_t noted_databases

    cdef uint64_t count(self, int db) noexcept
    # Sets the access clock.
    cdef int find(self, int db, const char *key, uint64_t length, uint64_t hash, Found *out) except -1
    # Does not (TYPE, TTL, OBJECT, EXISTS).
    cdef int peek(self, int db, const char *key, uint64_t length, uint64_t hash, Found *out) except -1
    # Before a batch of lookups: asks for the cache lines of the first step, then (a few lookups later) of the second,
    # which returns the entry that the lookup is likely to find, or 0.
    cdef void prefetch_slot(self, int db, uint64_t hash) noexcept
    cdef uint64_t prefetch_entry(self, int db, uint64_t hash) noexcept
    # Collections. The commands own what is in the block; the keyspace owns the key, and frees, copies and measures all.
    # Makes `key`, without expiry, a collection of this type, or changes type and box of a collection that is there,
    # whose expiry stays and whose old block is the caller's to free. (To overwrite another value: `delete` it first.)
    cdef int put_collection(
        self, int db, Found *found, const char *key, uint64_t length, int type, uint64_t block, uint64_t used
    ) except -1
    cdef void box_of(self, Found *found, Box *box) noexcept
    # After an edit has left another block or length; nothing is written when both are as they were.
    cdef int set_box(self, Found *found, uint64_t block, uint64_t used) except -1
    cdef int set_expiry(self, int db, Found *found, int64_t expiry) except -1                         # -1 = PERSIST
    cdef int set_clock(self, Found *found, uint32_t clock) except -1
    cdef int delete(self, int db, Found *found, bint lazily) except -1
    # RENAME, MOVE: same value, expiry kept; a key that is there under the new name is deleted. `found` is the moved
    # key afterwards.
    cdef int move(
        self, int from_db, Found *found, int to_db, const char *new_key, uint64_t new_length, uint64_t new_hash
    ) except -1
    # Of a HASH_TABLE: a field has been given this expiry.
    cdef int note_field_expiry(self, Found *found, int64_t expiry) except -1
    # … or a field that had an expiry is gone, or has none any more.
    cdef int note_no_field_expiry(self, Found *found) except -1
    # Takes out fields that have expired, if any may be due, about `budget` of them, and with the last field the key.
    cdef int sweep_fields(self, Found *found, int *budget) except -1

    cdef inline void modified(self, Found *found) noexcept:
        """What the key holds has changed, as WATCH understands it: not its access clock, not how it is encoded."""
        self.modified_key(found.db, found.hash)

    cdef inline void modified_key(self, int db, uint64_t hash) noexcept:
        cdef uint64_t *word = &self.touches.keys[touch_slot(db, hash)]
        word[0] += 2
        if word[0] & 1:
            self.note(db, hash)

    # Steps of the above and of the layers above.
    cdef uint64_t table_of(self, int db) except 0
    cdef uint64_t timers_of(self, int db) noexcept
    cdef uint64_t hash_table_of(self, EntryView *entry) noexcept
    cdef int look(self, int db, const char *key, uint64_t length, uint64_t hash, Found *out) except -1
    cdef int put_box(self, int db, Found *found, const char *key, uint64_t length, Box *box, int64_t expiry) except -1
    cdef char *make(
        self, int db, Found *found, const char *key, uint64_t length, int type, uint64_t value_length, uint64_t room,
        int64_t expiry
    ) except NULL
    cdef int forget_timer(self, int db, Found *found) except -1
    cdef int free_value(self, EntryView *entry, bint lazily) except -1
    cdef void changed(self, Found *found) noexcept
    cdef int modified_all(self, int db) noexcept
    cdef void note(self, int db, uint64_t hash) noexcept
    cdef int settle(self, int db, Found *found, const char *key, uint64_t length) except -1
    cdef bint still_there(self, int db, Found *found) except -1
    cdef int relocate(self, int db, Found *found, const char *key, uint64_t length) except -1
