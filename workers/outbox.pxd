"""Outbox: replies to clients other than the one whose request is executing: of a waiter, served by somebody's write.

It lies in the arena, so that a reply is there in the same commit as what it tells: a list of Parcels from the root word
OUTBOX_ROOT. After the commit `send` appends each as a reply record to its acceptor's ring, and when those are
published `settle` removes them, in a transaction of its own.

Invariants
 1. A parcel is appended to a ring only while nothing unpublished lies in it: so behind a published tail there is, as
    recovery needs it (workers/recovery.pxd), one record for each committed request, and nothing else.
 2. A parcel is removed when its record is published and its claim is DONE (shardkv/claims.pxd). A death before that
    has it sent again: an acceptor drops what it does not await.
 3. A full reply ring keeps its parcels here; nobody waits for it. One that needs a segment and finds no room for it
    stays likewise, and is tried again.
 4. `items` mirrors the list of the arena, and knows what has been sent.
"""
from libc.stdint cimport uint32_t, uint64_t

from shardkv.resp cimport Reply
from shardkv.ring cimport RingPair
from shardkv.segment cimport SegmentStore
from workers.memory.arena cimport Arena
from workers.waiters cimport Waiter, Waiters

cdef enum:
    OUTBOX_ROOT = 1           # index in the arena's roots

cdef struct Parcel:
    uint64_t next             # offset of another, 0: none
    uint64_t acceptor
    uint64_t token
    uint64_t sequence
    uint64_t stamp
    uint64_t length           # bytes of the reply, which follow

cdef struct Item:
    uint64_t offset           # of a Parcel
    uint32_t acceptor
    bint sent

cdef class Outbox:
    cdef Arena arena
    cdef Waiters waiters
    cdef uint32_t shard
    cdef Item *items
    cdef readonly uint32_t count
    cdef uint32_t sent        # of them
    cdef uint32_t room
    cdef bint no_segment      # what was to be sent last found no room in the file system

    # In a transaction; who undoes that sets `count` back.
    cdef int put(self, const Waiter *waiter, Reply reply) except -1
    cdef bint has(self, int acceptor) noexcept                            # something to be sent
    # Appends records for an acceptor, as many as there is room for; whether there are any.
    cdef bint send(self, RingPair pair, int acceptor, SegmentStore segments) except -1
    # What was sent is published: removes it.
    cdef int settle(self) except -1
    cdef bint _append(self, RingPair pair, Parcel *parcel, SegmentStore segments) except -1
    cdef int _remove(self) except -1
    cdef void _forget_sent(self) noexcept
    cdef void _reverse(self) noexcept
    cdef int _remember(self, uint64_t offset, uint32_t acceptor) except -1
