"""Sample: several different elements of a collection at random, for the commands that take a count."""
from libc.stdint cimport uint64_t
from workers.memory.arena cimport Arena

# `count` different numbers below `size`, ascending; count < size.
cdef list sample_indexes(uint64_t size, uint64_t count)
# Offsets of `count` different entries of a table that has more than that, each choice as likely as any other.
cdef list sample_entries(Arena arena, uint64_t root, uint64_t count)
