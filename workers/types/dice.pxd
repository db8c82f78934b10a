"""Dice: random numbers for the commands that answer random elements. Private to the process, seeded by the system."""
from libc.stdint cimport uint64_t

cdef uint64_t roll() noexcept                       # any of 2^64
cdef uint64_t roll_below(uint64_t bound) noexcept   # 0 .. bound - 1, evenly; bound > 0
cdef void reseed(uint64_t seed) noexcept            # for tests: the same numbers from here on
