"""Waits: the keys of a shard that clients wait for, and which of them changed: how a write finds out, at the cost of a
few nanoseconds, whether anybody waits for its key.

Whoever changes a key counts it in the Touches of the key's shard (shardkv/stats.pxd). A word there whose bit 0 is set
is of a key that is awaited: then the change is noted, too (`Databases.noted`). The worker goes through what is noted
after each transaction (workers/serving.pxd). Who has the shard on lease tells its owner, who goes first when it has
its arena again: by `waits_tell`, before the commit, in the words `stirred…`.

Invariants
 1. The keys are private memory of the worker, and may be lost: an acceptor tells a successor who waits
    (workers/waiters.pxd), which looks at every key that it is told of.
 2. counts[touch_slot(database, hash)] is the number of WaitKeys there. Where it is not 0, bit 0 of the word is set.
    Bits, as words, change under the arena's lock only. A successor begins with none of them set.
 3. A key that is noted may turn out to be as it was, if the transaction was undone: it is looked at once, and that is
    all.
 4. A WaitKey has waiters. A ready one is in the list of the ready, in the order in which they were noted.
 5. `stirred` is not 0 from the commit of a lease that changed an awaited key, until the owner has taken its lock and
    the words. Nobody else takes the arena on lease meanwhile: to everybody, who waited is served with the change.
"""
from libc.stdint cimport uint32_t, uint64_t

from shardkv.stats cimport Touches
from workers.memory.databases cimport Databases

cdef struct WaitKey:
    WaitKey *chain            # of the same bucket of the table
    WaitKey *next_ready
    void *first               # of the waiters, Links (workers/waiters.pxd)
    void *last
    uint64_t hash
    uint64_t waiters
    uint64_t on_nokey         # … that are served, with an error, when there is no such key
    int db
    bint ready
    uint32_t length
    char key[1]               # `length` bytes

cdef struct Waits:
    uint32_t counts[4096]     # TOUCH_SLOTS
    Touches *touches          # of the shard
    WaitKey **table           # by hash and database, chained
    uint64_t size             # a power of two
    uint64_t keys
    uint64_t keys_on_nokey
    WaitKey *first_ready
    WaitKey *last_ready

cdef bint waits_init(Waits *waits) noexcept nogil                              # False: no memory
cdef void waits_attach(Waits *waits, Touches *touches) noexcept nogil          # nobody waits yet
cdef void waits_free(Waits *waits) noexcept nogil                              # when nobody waits
cdef WaitKey *waits_find(Waits *waits, int db, uint64_t hash, const char *key, uint64_t length) noexcept nogil
cdef WaitKey *waits_make(Waits *waits, int db, uint64_t hash, const char *key, uint64_t length) noexcept nogil
cdef void waits_remove(Waits *waits, WaitKey *key) noexcept nogil              # that has no waiters and is not ready
cdef void waits_ready(Waits *waits, WaitKey *key) noexcept nogil
cdef WaitKey *waits_next_ready(Waits *waits) noexcept nogil                    # taken out of the list; NULL: none
# What was noted in our own shard, and what others tell of it: these keys are ready.
cdef void waits_gather(Waits *waits, Databases own) noexcept
# What was noted in a shard that we have on lease, for its owner.
cdef void waits_tell(Databases lent) noexcept
