"""Housekeeping: what a worker does for its shard on its own account, a step at a time between two batches of requests.

    freeing     the memory of values that were deleted, and pages for the system
    expiry      deletes keys and fields whose time has come
    counters    what the control page tells others about this worker

Invariants
 1. A step is short: requests come in between. It is a few transactions, each bounded.
 2. Freeing commits to COMMIT_INTERNAL and expiry to COMMIT_EXPIRY, so a death names the kind of work it came in. Work
    that has killed its worker ATTEMPTS_MAX times (workers/recovery.pxd has the weights) pauses, longer each time, up to
    PAUSE_MAX_MS; the deaths are forgotten when it has gone on for FORGIVE_MS. Both are kept in the worker's block of
    the control page, for the next worker.
 3. A step that finds no room in a full arena leaves nothing behind and is tried again later.
 4. All times are those of the monotonic clock: a wall clock that is set back would hold up ticks and pauses until it is
    where it was. Only expiry itself, and what estimates it, go by the wall clock.
 5. Counters are reported after changes and once in a tick: nobody needs them to be exact.
"""
from libc.stdint cimport int64_t, uint32_t, uint64_t
from shardkv.stats cimport ProcessBlock
from workers.execution cimport Execution
from workers.memory.keyspace cimport Keyspace
from workers.recovery cimport ATTEMPTS_MAX, WEIGHT_CRASH

cdef enum:
    TICK_MS = 100
    DEATHS_MAX = ATTEMPTS_MAX * WEIGHT_CRASH
    PAUSE_MAX_MS = 600_000
    FORGIVE_MS = 60_000

cdef enum Work:
    FREEING
    EXPIRY
    WORKS

cdef class Housekeeping:
    cdef Execution execution
    cdef object log
    cdef int64_t next_tick              # monotonic, ms
    cdef int expire_slices              # of active expiry, that may still find nothing in this tick
    cdef int64_t expire_us              # that deleting may still take in this tick
    cdef double expiry_mean[16]         # of each database, unix ms: estimated from samples; 0 = nothing expires

    # `now_ms` is monotonic, in ms.
    # Counts the death of the last worker, in a transaction of `slot`, against that work.
    cdef int count_death(self, uint32_t slot, int weight, int64_t now_ms) except -1
    # One step; returns whether there is more to do at once.
    cdef int step(self, int64_t now_ms) except -1
    # Stores what has changed since the last time.
    cdef int report_counters(self) except -1
    # … in the shards that are on lease.
    cdef int report_lent(self) except -1

    cdef int _free(self) except -1
    cdef int _expire(self) except -1
    cdef int _transact(self, Work work) except -1
    cdef bint _expiry_is_off(self) noexcept
    cdef bint _may(self, Work work, int64_t now_ms) noexcept
    cdef int _forgive(self, int64_t now_ms) except -1
    cdef uint64_t _us_since(self, uint64_t started) noexcept
    cdef int _report_databases(self, ProcessBlock *block, Keyspace keyspace) except -1
    cdef int _report_usage(self) except -1
    cdef int _estimate_ttl(self) except -1
