"""Waiters: who waits for keys of this shard, in order; a worker's memory of what acceptors own.

A client waits from a request's reply REPLY_BLOCKED to its true reply, which the worker of any of its keys' shards may
give it (workers/serving.pxd). Each of these workers has the request, and a Link in the queue of each of its keys. The
shard that has tried the request has it from that moment (Call.wait); the others, and whoever succeeds a worker, are
told by `@wait`, and by `@unwait` that it is over.

Invariants
 1. It is private memory and may be lost: the acceptors send all of their waiters again to a worker whose waiting_epoch
    (shardkv/stats.pxd) is another than the one that had them.
 2. A key's queue is in the order of stamps (shardkv/claims.pxd): first come, first served.
 3. A waiter whose claim is DONE, or of another stamp, is over; who meets it removes it. Nothing but memory is lost if
    nobody does. One that another shard has claimed keeps its place: a death may give the claim back.
 4. `enter` of a stamp that is here changes nothing, nor does that of one that is over. But told of a waiter, a worker
    looks at its keys again, in any case.
 5. A waiter costs nothing while it waits: no list of all of them is ever gone through, but for an acceptor that died.
"""
from libc.stdint cimport uint16_t, uint32_t, uint64_t, uint8_t

from shardkv.claims cimport Claims
from workers.memory.waits cimport WaitKey, Waits

cdef struct Link:
    # One key of a waiter: its place in the key's queue.
    Waiter *waiter
    WaitKey *key
    Link *before
    Link *behind
    int index                 # of the argument

cdef struct Waiter:
    Waiter *chain             # of those whose stamps fall into the same place of the table
    uint64_t token
    uint64_t sequence
    uint64_t stamp
    uint64_t hash             # of its first key
    uint64_t bytes            # of the lengths and arguments
    uint32_t acceptor
    uint32_t argc
    uint32_t keys             # that it waits for, in all shards
    uint32_t links            # … and of them, ours
    uint16_t database
    uint16_t command
    uint8_t resp
    uint8_t flags             # NO_TOUCH
    uint8_t kind              # WaitKind
    Link link[1]              # `links` of them; then u32 lengths[argc], the arguments back to back

cdef inline uint32_t place_of(const Waiter *waiter) noexcept nogil:
    """Its client's place in the acceptor's table."""
    return <uint32_t>(waiter.token & 0xFFFFFF)

cdef inline char *body_of(Waiter *waiter) noexcept nogil:
    return <char *>(&waiter.link[0] + waiter.links)

cdef struct WaitArgument:
    const char *bytes
    uint64_t length

cdef class Waiters:
    cdef Waits waits
    cdef Waiter **table       # by stamp
    cdef uint64_t size
    cdef readonly uint64_t count
    cdef list claims          # Claims by acceptor
    cdef uint64_t epoch       # this worker's; 0 before it has taken over
    cdef uint32_t workers
    cdef uint32_t shard

    cdef Claims claims_of(self, uint32_t acceptor)
    # Puts `waiter`, of which all but the links' queues is filled in, into its queues; False: it is over, or here
    # already. Takes it either way.
    cdef bint enter(self, Waiter *waiter) noexcept
    # Makes one, for those of arguments first .. first + keys - 1 that are keys of this shard; `ready`: these are looked
    # at after the next commit. Raises MemoryError.
    cdef int add(
        self, const Waiter *facts, WaitArgument *arguments, uint32_t first, uint32_t keys, uint64_t first_hash,
        bint ready
    ) except -1
    cdef bint is_over(self, const Waiter *waiter) noexcept
    cdef Waiter *find(self, uint64_t stamp) noexcept nogil
    cdef void remove(self, Waiter *waiter) noexcept
    cdef bint _is_ours(self, const char *key, uint64_t length, uint64_t whole) noexcept
    cdef bint _queue(self, Link *link, int db, uint64_t hash, const char *key, uint64_t length) noexcept
    cdef void _unqueue(self, Link *link) noexcept
    cdef void _grow(self) noexcept
    cdef void _abandon(self, Waiter *waiter) noexcept
