"""SplitMix64: a counter that is mixed well, from which dice and tables draw (Steele, Lea, Flood: Fast Splittable
Pseudorandom Number Generators, 2014)."""
from libc.stdint cimport uint64_t

cdef inline uint64_t splitmix(uint64_t *state) noexcept nogil:
    """The next number of a sequence, any of 2^64."""
    cdef uint64_t mixed
    state[0] += <uint64_t>0x9E3779B97F4A7C15
    mixed = (state[0] ^ state[0] >> 30) * <uint64_t>0xBF58476D1CE4E5B9
    mixed = (mixed ^ mixed >> 27) * <uint64_t>0x94D049BB133111EB
    return mixed ^ mixed >> 31
