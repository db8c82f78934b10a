"""Claims: who ends a client's wait. A file of words for each acceptor, two for each place of its client table: the
claim, and the token of the client whose it is.

A request that may block has a *stamp*, a number that no other request of this run has. While it waits, several may
want to end it: a worker that has something for it, its acceptor as its time is over or its client is gone. The claim at
the client's place is `stamp << 16 | state`, and who takes it from WAITING ends the wait:

    WAITING -> DONE                 its acceptor
    WAITING -> SHARD + s            worker s, just before it commits the transaction that serves the client
    SHARD + s -> DONE               worker s: the reply is in the acceptor's reply ring
    SHARD + s -> WAITING            worker s: that transaction did not commit, because of a death or for want of memory

Invariants
 1. A claim is only changed by compare-and-swap from one with the same stamp, but by its acceptor, which alone writes
    new stamps, and when it starts sets all to 0: what waited with its predecessor is over. A token is written while
    the claim is 0.
 2. A shard's claim is in the outbox of that shard's arena in the same commit (workers/outbox.pxd), until it is DONE: so
    a worker that takes over knows which claims of its shard were not committed, and gives those back.
 3. Word 0, of the place that no client has, is the number of places that are provided. It only grows. The file is
    mapped as long as it may become, and nobody touches a word behind those.
"""
from libc.stdint cimport uint32_t, uint64_t

from shardkv.atomic cimport atomic_swap_if, atomic_load_acquire

cdef enum:
    CLAIM_WAITING = 1
    CLAIM_DONE = 2
    CLAIM_SHARD = 3           # … plus the shard's number
    STATE_BITS = 16
    STATE_MASK = 0xFFFF

cdef class Claims:
    """One acceptor's words, mapped."""
    cdef uint64_t *words
    cdef int fd
    cdef readonly str path

    # For the acceptor: makes sure that a place has a word; False: there is no room.
    cdef bint provide(self, uint32_t place)
    cdef void begin(self, uint32_t place, uint64_t token, uint64_t stamp) noexcept nogil
    # The state of a stamp; 0 when it is none of this place, or not any more.
    cdef inline uint64_t state(self, uint32_t place, uint64_t stamp) noexcept nogil:
        cdef uint64_t claim
        if place >= atomic_load_acquire(&self.words[0]):
            return 0
        claim = atomic_load_acquire(&self.words[2 * place])
        return claim & STATE_MASK if claim >> STATE_BITS == stamp else 0

    cdef inline bint change(self, uint32_t place, uint64_t stamp, uint64_t state, uint64_t after) noexcept nogil:
        """Takes a stamp from one state to another; False: it is not in that state."""
        return place < atomic_load_acquire(&self.words[0]) and atomic_swap_if(
            &self.words[2 * place], stamp << STATE_BITS | state, stamp << STATE_BITS | after
        )

    cdef inline uint64_t waiting(self, uint32_t place, uint64_t token) noexcept nogil:
        """The stamp with which this client waits, 0: it does not, or not any more."""
        cdef uint64_t claim, owner
        if place == 0 or place >= atomic_load_acquire(&self.words[0]):
            return 0
        claim = atomic_load_acquire(&self.words[2 * place])
        owner = atomic_load_acquire(&self.words[2 * place + 1])
        if claim != atomic_load_acquire(&self.words[2 * place]) or owner != token:
            return 0
        return claim >> STATE_BITS if claim & STATE_MASK == CLAIM_WAITING else 0

    # For a worker that takes shard `shard` over: gives back the claims of it that are not among `stamps`.
    cdef void give_back(self, uint32_t shard, set stamps)
