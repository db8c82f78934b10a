"""Looking a moment longer before one sleeps.

To wake a sleeping core takes as long as to serve several requests. A process that waits looks at its rings and sockets
for up to `busy-poll-us` more before it blocks, as long as that pays:

    not looking   every wait blocks at once. A wait that turns out short (SHORT_US) suggests to try, the first time
                  at once, after looking has failed n times in a row only the 2^n-th time.
    looking       found something: credit for more waits. Nothing came: credit for fewer; without credit, or when the
                  block that follows was long, it stops.

Invariants
 1. Looking ends at once when others want the core: each look ends with sched_yield, and one that took CONTENDED_US had
    somebody else run for long. For CONTENDED_MS after that it neither looks nor lingers, twice as long each time it
    happens again within QUIET_MS: Linux takes the place in the queue from who yields, so trying is dear there.
 2. An idle process does not look: behind every long wait `looking` is 0. A single request costs no look, a burst one.
 3. Between `poll_begin` and the block `sleeping` is AWAKE, so nobody spends a system call on waking who looks.
"""
from libc.stdint cimport int64_t, uint64_t

cdef extern from *:
    """
    #if defined(__x86_64__)
    #include <immintrin.h>
    #define shardkv_pause() _mm_pause()
    #elif defined(__aarch64__)
    #define shardkv_pause() __asm__ volatile("yield")
    #else
    #define shardkv_pause() ((void)0)
    #endif
    """
    void pause "shardkv_pause"() noexcept nogil

cdef struct Polling:
    uint64_t ticks_per_us
    uint64_t window           # ticks that one look may take; 0: off
    uint64_t began            # when the wait did
    bint blocked              # … and it came to blocking
    bint looking
    int64_t credit
    uint64_t failures         # looks given up since one was worth it
    uint64_t skip             # short waits until the next try
    uint64_t contended_until
    uint64_t contended_ms     # how long it lasts

cdef void poll_configure(Polling *polling, uint64_t ticks_per_ms, uint64_t window_us) noexcept nogil
cdef bint poll_begin(Polling *polling, uint64_t now) noexcept nogil         # a wait begins; whether to look
cdef bint poll_contended(Polling *polling, uint64_t now) noexcept nogil     # others wanted the core a moment ago
cdef bint poll_yield(Polling *polling, uint64_t *now) noexcept nogil        # False: others want the core
cdef void poll_found(Polling *polling) noexcept nogil
cdef void poll_gave_up(Polling *polling) noexcept nogil
cdef void poll_woken(Polling *polling, uint64_t now) noexcept nogil         # after it has blocked
