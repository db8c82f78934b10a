"""Random numbers: see dice.pxd. The generator is a counter that is mixed well (SplitMix64)."""
import os

cdef uint64_t state = int.from_bytes(os.urandom(8), "little")


cdef uint64_t roll() noexcept:
    global state
    cdef uint64_t mixed
    state += <uint64_t>0x9E3779B97F4A7C15
    mixed = (state ^ state >> 30) * <uint64_t>0xBF58476D1CE4E5B9
    mixed = (mixed ^ mixed >> 27) * <uint64_t>0x94D049BB133111EB
    return mixed ^ mixed >> 31


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
