"""Housekeeping: what a worker does for its shard on its own account, a step at a time between two batches of requests.

    freeing     the memory of values that were deleted, and pages for the system
    expiry      deletes keys and fields whose time has come
    counters    what the control page tells others about this worker

Invariants
 1. A step is short: requests come in between. It is a few transactions, each bounded, committed to COMMIT_INTERNAL.
 2. A step that finds no room in a full arena leaves nothing behind and is tried again later.
 3. Counters are reported after changes and once in a tick: nobody needs them to be exact.
"""
from libc.stdint cimport int64_t, uint64_t
from workers.execution cimport Execution

cdef enum:
    TICK_MS = 100

cdef class Housekeeping:
    cdef public bint active_expire      # False only for DEBUG SET-ACTIVE-EXPIRE 0
    cdef Execution execution
    cdef int64_t next_tick              # Unix time, ms
    cdef int expire_slices              # of active expiry, that may still find nothing in this tick
    cdef int64_t expire_us              # that deleting may still take in this tick
    cdef uint64_t commits               # position last named for COMMIT_INTERNAL

    # One step; returns whether there is more to do at once.
    cdef int step(self, int64_t now_ms) except -1
    # Stores what has changed since the last time.
    cdef int report_counters(self) except -1

    cdef int _free(self) except -1
    cdef int _expire(self) except -1
    cdef int _transact(self, bint freeing) except -1
    cdef uint64_t _us_since(self, uint64_t started) noexcept
    cdef int _report_databases(self) except -1
    cdef int _report_usage(self) except -1
