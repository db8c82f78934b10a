"""Random choices of several: see sample.pxd."""
import random

from workers.memory.buckets cimport TableRoot
from workers.memory.table cimport table_each, table_random
from workers.types.dice cimport roll

cdef enum:
    SPARSE = 3          # of so many entries at most one is wanted: then rolling again for those met before is cheap


cdef list sample_indexes(uint64_t size, uint64_t count):
    return sorted(random.sample(range(size), count))


cdef list sample_entries(Arena arena, uint64_t root, uint64_t count):
    cdef set chosen = set()
    cdef list entries = []
    if count > (<TableRoot *>arena.at(root)).count // SPARSE:
        table_each(arena, root, collect, <void *>entries)
        return random.sample(entries, count)
    while <uint64_t>len(chosen) < count:
        chosen.add(table_random(arena, root, roll()))
    return list(chosen)


cdef int collect(void *context, uint64_t entry) except -1:
    (<list>context).append(entry)
    return 0
