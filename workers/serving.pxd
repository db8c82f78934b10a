"""Serving: after each transaction of a shard, those who wait for a key that it has touched.

A waiter is served in a transaction of its own, before anything else is executed on the shard:

    1. the handler of its command runs, with the one key to look at; it may find that there is still nothing
    2. its reply is put into the outbox
    3. the claim: from here on nobody else ends the wait (shardkv/claims.pxd)
    4. the commit
    5. when this worker has published everything else, the outbox is sent

What it changes may touch keys that others wait for (BLMOVE), so this goes on until no key is ready.

Invariants
 1. An element leaves its list in the same commit as the reply that has it enters the outbox, and only with the claim.
    So it is given to one waiter, whoever dies when: before 4 nothing has happened, and the successor gives the claim
    back; after it the reply is there.
 2. Nobody is served before one who waits longer for the same key and whose command finds something. A waiter whose
    command still finds nothing keeps its place.
 3. A waiter whose command writes to a key of another shard (BLMOVE) is served with that shard on lease, taken without a
    marker: its client has nothing else under way. If it cannot be had at once, nobody behind that waiter is served for
    that key, and the worker sleeps for the lease.
 4. A transaction that finds no memory leaves its waiter waiting; its key is looked at again in the next tick.
 5. It commits to COMMIT_WAITING, and its position is the waiter's stamp: who dies in it is known.
"""
from libc.stdint cimport uint64_t

from shardkv.atomic cimport atomic_load_relaxed
from workers.call cimport Call
from workers.execution cimport Execution
from workers.memory.databases cimport Found
from workers.memory.waits cimport WaitKey
from workers.outbox cimport Outbox
from workers.waiters cimport Link, Waiter, Waiters

cdef enum Served:
    SERVED
    STILL_WAITS
    OVER                      # it is not waiting any more
    NO_MEMORY
    NEEDS_LEASE               # of a shard that cannot be had now

cdef class Serving:
    cdef Execution execution
    cdef Waiters waiters
    cdef Outbox outbox
    cdef Call call
    cdef char *moves          # by command id: it moves an element to another key, which is argument 2
    cdef list starved         # (database, hash, key) of those looked at again in the next tick …
    cdef list held_up         # … and when another shard can be had, …
    cdef int wanted_shard     # … this one; -1: none

    cdef inline bint changed(self) noexcept:
        """Whether a key may be ready."""
        return (
            self.waiters.waits.first_ready != NULL or self.execution.keyspace.noted.size != 0
            or self.execution.keyspace.noted_databases != 0
            or atomic_load_relaxed(&self.execution.keyspace.touches.stirred) != 0
        )

    cdef inline bint due(self) noexcept:
        return self.changed() or self.wanted_shard >= 0

    cdef bint could_serve(self) except -1                           # before it sleeps
    cdef int serve(self) except -1                                  # all who wait for keys that are ready
    cdef int tick(self) except -1
    cdef int _serve_key(self, WaitKey *key) except -1
    cdef int _look(self, WaitKey *key, Found *found) except -1
    cdef bint _may_claim(self, Waiter *waiter) noexcept
    cdef Served _serve_waiter(self, Link *link) except? OVER
    cdef bint _run(self, Link *link) except -1
    cdef Served _lease(self, Waiter *waiter) except? OVER
    cdef Served _transact(self, Link *link) except? OVER
    cdef int _again(self, list keys) except -1
