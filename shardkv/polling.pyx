"""Looking a moment longer before one sleeps: see polling.pxd."""
from libc.stdint cimport uint64_t

from shardkv.atomic cimport ticks

cdef extern from "<sched.h>" nogil:
    int sched_yield()

cdef enum:
    SHORT_US = 250             # a wait of which looking may have spared the end, wake-ups of both sides included
    CREDIT_FIRST = 4
    CREDIT_MOST = 16
    FAILURES_MOST = 10
    CONTENDED_US = 400         # more than what a client does between two requests, less than a time slice
    CONTENDED_MS = 5
    CONTENDED_MS_MOST = 320
    QUIET_MS = 100             # so long after it was over, the core has been quiet


cdef void poll_configure(Polling *polling, uint64_t ticks_per_ms, uint64_t window_us) noexcept nogil:
    polling.ticks_per_us = ticks_per_ms // 1000
    polling.window = window_us * ticks_per_ms // 1000
    polling.looking = False


cdef bint poll_begin(Polling *polling, uint64_t now) noexcept nogil:
    polling.began = now
    return polling.looking and now >= polling.contended_until


cdef bint poll_yield(Polling *polling, uint64_t *now) noexcept nogil:
    cdef uint64_t before = ticks()
    sched_yield()
    now[0] = ticks()
    if now[0] - before < CONTENDED_US * polling.ticks_per_us:
        return True
    if now[0] > polling.contended_until + QUIET_MS * 1000 * polling.ticks_per_us:
        polling.contended_ms = CONTENDED_MS
    else:
        polling.contended_ms = min(2 * polling.contended_ms, <uint64_t>CONTENDED_MS_MOST)
    polling.contended_until = now[0] + polling.contended_ms * 1000 * polling.ticks_per_us
    return False


cdef void poll_found(Polling *polling) noexcept nogil:
    polling.failures = 0
    if polling.credit < CREDIT_MOST:
        polling.credit += 2


cdef void poll_gave_up(Polling *polling) noexcept nogil:
    polling.credit -= 1
    if polling.credit <= 0:
        polling.looking = False
        polling.skip = <uint64_t>1 << polling.failures
        if polling.failures < FAILURES_MOST:
            polling.failures += 1


cdef void poll_woken(Polling *polling, uint64_t now) noexcept nogil:
    if not polling.blocked:
        return
    polling.blocked = False
    if now - polling.began > SHORT_US * polling.ticks_per_us:
        polling.looking = False
    elif not polling.looking and polling.window:
        if polling.skip:
            polling.skip -= 1
        else:
            polling.looking = True
            polling.credit = CREDIT_FIRST
