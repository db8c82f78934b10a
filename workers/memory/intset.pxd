"""Intset: a set of integers in consecutive bytes, in the byte format of Redis.

    u32   bytes of a number: 2, 4 or 8      (little-endian, here and below)
    u32   numbers
    numbers, ascending

Invariants
 1. Numbers are as wide as the widest has needed since the set was made; never narrowed.
 2. Edits take a Box, as those of a listpack do: see listpack.pxd, invariants 3 and 5.
 3. Reading trusts the bytes: those from outside pass `ints_valid` first.
"""
from libc.stdint cimport int64_t, uint32_t, uint64_t
from libc.string cimport memcpy
from workers.memory.arena cimport Arena
from workers.memory.entry cimport Box

cdef enum:
    INTS_HEADER = 8

cdef inline uint64_t ints_count(const char *ints) noexcept nogil:
    cdef uint32_t count
    memcpy(&count, ints + 4, 4)     # as everywhere here: sets from outside lie unaligned
    return count

cdef inline uint64_t ints_bytes(const char *ints) noexcept nogil:
    cdef uint32_t width
    memcpy(&width, ints, 4)
    return INTS_HEADER + width * ints_count(ints)

cdef int64_t ints_get(const char *ints, uint64_t index) noexcept nogil      # index < ints_count
# Whether it is there; `place`, unless NULL, is its index or the one it would have.
cdef bint ints_find(const char *ints, int64_t number, uint64_t *place) noexcept nogil
# Checks bytes from outside: returns the count, -1 when they are no intset.
cdef int64_t ints_valid(const char *bytes, uint64_t length) noexcept nogil

# In a transaction:
cdef int ints_make(Arena arena, Box *box) except -1                         # a new, empty one
cdef int ints_store(Arena arena, Box *box, const char *bytes, uint64_t length) except -1    # a copy of a whole one
cdef int ints_add(Arena arena, Box *box, int64_t number) except -1          # 1 = added, 0 = it was there
cdef int ints_remove(Arena arena, Box *box, int64_t number) except -1       # 1 = removed, 0 = it was not there
