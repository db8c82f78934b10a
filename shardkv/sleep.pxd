"""Sleeping and waking: who waits at a ring, and who wakes whom.

    waits                  for                                            moved by
    worker, RECORDS        the tail of a request ring                     its acceptor's `publish`
    worker, ROOM           the head of a reply ring too full to go on     its acceptor, when it released replies
    acceptor, RECORDS      the tail of a reply ring                       its worker's `publish`
    acceptor, ROOM         the head of a request ring, for clients   its worker's `publish`, behind the reply's tail
    worker, LEASE          a request to be decided, a lock, or a     the worker that decides it, has the lock, or is
                           participant (workers/leases.pxd)          to arrive

`ProcessBlock.sleeping` tells for which of them a process may be blocked; 0: it is awake.

Invariants
 1. Only the process itself stores its `sleeping`.
 2. Who wants to block stores its reasons, fences, and examines *every* position that it may be waiting for, its reasons
    naming all of them. If one has moved it stores 0 and goes on; else it may block.
 3. Who moves a tail or a head fences behind the store (behind both, if it moves both) and then looks at the other
    side's `sleeping`; if that names what was moved, it writes to the other's eventfd. Of the fences of 2 and 3 one is
    first: either the sleeper sees the position, or the mover sees the reason.
 4. That a position has not moved is known by a load behind the fence alone, never by one remembered (as Ring.seen).
 5. What waits for room remembers the head at which there was too little, and is tried again once the head is another:
    not when replies came, which may be sooner. It waits only while the ring holds records, so the head will move.
 6. Between storing 0 and blocking again lies 2, on every way, an exception's too: an acceptor's turn that does not end
    with 2 has scheduled the next one.
 7. A death leaves any value. A successor looks at all its rings before it first blocks; a reason that nobody has any
    more costs a needless write. A death between the store and the look of 3 loses a wake-up: a successor's first
    publish is to everybody, as if all of its positions had just moved.
 8. Event descriptors are edge-triggered where they are watched: their counts are never read.

`delay_point` stands at every store and look of this protocol, for tests: see sleep.pyx.
"""
from libc.stdint cimport uint64_t

from shardkv.atomic cimport atomic_fence, atomic_load_relaxed, atomic_store_relaxed

cdef enum:
    AWAKE = 0
    SLEEPS_FOR_RECORDS = 1
    SLEEPS_FOR_ROOM = 2
    SLEEPS_FOR_LEASE = 4

cdef uint64_t delaying        # 0 but in tests
cdef uint64_t dying           # in tests: the delay point, counted from now on, at which the process kills itself
cdef void delay() noexcept nogil
cdef void wake(int fd) noexcept nogil

cdef inline void delay_point() noexcept nogil:
    if delaying:
        delay()

cdef inline void fall_asleep(uint64_t *sleeping, uint64_t reasons) noexcept nogil:
    """Invariant 2: what comes next is to examine everything that `reasons` name."""
    delay_point()
    atomic_store_relaxed(sleeping, reasons)
    delay_point()
    atomic_fence()

cdef inline void stay_awake(uint64_t *sleeping) noexcept nogil:
    atomic_store_relaxed(sleeping, AWAKE)
    delay_point()

cdef inline void wake_if(uint64_t *sleeping, uint64_t moved, int fd) noexcept nogil:
    """Invariant 3, behind the fence: wakes the other side if it sleeps for what was moved."""
    delay_point()
    if atomic_load_relaxed(sleeping) & moved:
        wake(fd)

cdef inline int longest_sleep(int milliseconds) noexcept nogil:
    """How long to block at most. For ever, in tests: a wake-up that is lost must not be made good by the clock."""
    return -1 if delaying else milliseconds
