"""Random numbers and choices: see dice.pxd."""
import os

from workers.memory.buckets cimport TableRoot
from workers.memory.splitmix cimport splitmix
from workers.memory.table cimport table_each, table_random

cdef enum:
    SPARSE = 3          # of so many entries at most one is wanted: then rolling again for those met before is cheap
    ROLLS_EACH = 4      # at most, of an entry wanted, on average: a third is met before at worst, so 1.3 are the rule …
    ROLLS_MORE = 64     # … and so many more; where it takes more than that, chance is far from even

cdef uint64_t state = int.from_bytes(os.urandom(8), "little")


cdef uint64_t roll() noexcept:
    return splitmix(&state)


cdef uint64_t roll_below(uint64_t bound) noexcept:
    cdef uint64_t uneven = (0 - bound) % bound      # so many of the 2^64 numbers are one too many for some remainders
    cdef uint64_t rolled = roll()
    while rolled < uneven:
        rolled = roll()
    return rolled % bound


cdef void reseed(uint64_t seed) noexcept:
    global state
    state = seed


def reseed_from_system() -> None:
    """Makes the numbers from here on those of this process alone; a fork begins with its parent's."""
    reseed(int.from_bytes(os.urandom(8), "little"))


# -- choices of several

cdef list sample_indexes(uint64_t size, uint64_t count):
    # Floyd's: with each step the numbers below `bound` are sampled; whoever is rolled again gives way to the newest.
    cdef set chosen = set()
    cdef uint64_t bound, rolled
    for bound in range(size - count, size):
        rolled = roll_below(bound + 1)
        chosen.add(bound if rolled in chosen else rolled)
    return sorted(chosen)


cdef list sample_entries(Arena arena, uint64_t root, uint64_t count):
    cdef set chosen = set()
    cdef list entries = []
    cdef uint64_t place, other, _rolls
    if count <= (<TableRoot *>arena.at(root)).count // SPARSE:
        for _rolls in range(ROLLS_EACH * count + ROLLS_MORE):
            if <uint64_t>len(chosen) == count:
                return list(chosen)
            chosen.add(table_random(arena, root, roll()))
    table_each(arena, root, collect, <void *>entries)
    for place in range(count):
        other = place + roll_below(<uint64_t>len(entries) - place)
        entries[place], entries[other] = entries[other], entries[place]
    return entries[:count]


cdef int collect(void *context, uint64_t entry) except -1:
    (<list>context).append(entry)
    return 0
