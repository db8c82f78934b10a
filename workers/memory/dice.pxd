"""Dice: random numbers, and random choices of numbers and of a table's entries: the one source of chance of a worker.
Private to the process, seeded by the system.
"""
from libc.stdint cimport uint64_t
from workers.memory.arena cimport Arena

cdef uint64_t roll() noexcept                       # any of 2^64
cdef uint64_t roll_below(uint64_t bound) noexcept   # 0 .. bound - 1, evenly; bound > 0
cdef void reseed(uint64_t seed) noexcept            # for tests: the same numbers from here on

# Several different ones, each choice as likely as any other:
# `count` numbers below `size`, ascending; count <= size.
cdef list sample_indexes(uint64_t size, uint64_t count)
# Offsets of `count` entries of a table that has at least that many.
cdef list sample_entries(Arena arena, uint64_t root, uint64_t count)
