"""Timers: which hashes of a database have fields that expire, and when the first of them may be due.

Beside its keys, a database has a table of timers: entries whose key is the hash's, whose expiry is the time when the
hash is to be swept, and whose value says how far a sweep has come:

    u64  cursor     of table_expired, where the sweep goes on; 0 = at the start
    i64  earliest   expiry among the fields that the sweep has passed, and of those set since it began

Invariants
 1. A hash with expiring fields has a timer, which is not later than the earliest of them; anything else has none.
 2. Each step is bounded: so many buckets and fields of a hash. What is left due stays due.
 3. Taking timers and fields out needs no memory.
"""
from libc.stdint cimport int64_t, uint64_t
from workers.memory.arena cimport Arena
from workers.memory.table cimport Place

cdef struct Timer:
    uint64_t cursor
    int64_t earliest

# `timers` is the offset of the table of timers; `hash` the one of `key`.
cdef Place timer_find(Arena arena, uint64_t timers, uint64_t hash, const char *key, uint64_t length) noexcept
# When the hash is to be swept; -1 = it has no timer.
cdef int64_t timer_due(Arena arena, uint64_t timers, uint64_t hash, const char *key, uint64_t length) noexcept
# A field of the hash has been given this expiry.
cdef int timer_note(
    Arena arena, uint64_t timers, uint64_t hash, const char *key, uint64_t length, int64_t expiry
) except -1
cdef int timer_forget(Arena arena, uint64_t timers, uint64_t hash, const char *key, uint64_t length) except -1
# Takes fields that expire up to `now` out of the hash whose table is at `root` and whose timer is at `place`, about
# `budget` of them and of the buckets looked at; sets the timer to when it is due again, or takes it out. Returns how
# many fields.
cdef int timer_sweep(Arena arena, uint64_t timers, Place *place, uint64_t root, int64_t now, int *budget) except -1
