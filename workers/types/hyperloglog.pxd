"""HyperLogLogs: strings that estimate how many different elements were added, in the byte format of Redis.

    "HYLL"   u8 encoding   3 bytes of 0   u64 estimate, whose top bit says that it is out of date      HLL_HEADER bytes

    HLL_DENSE    16384 registers of 6 bits, the low bits of a byte first
    HLL_SPARSE   runs of registers:
                 00nnnnnn            n + 1 zeros
                 01nnnnnn nnnnnnnn   n + 1 zeros, high bits first
                 1vvvvvnn            n + 1 times v + 1

An element's hash names its register (low 14 bits) and its rank, the place of the lowest bit set in the rest; a register
keeps the highest rank. A sparse one becomes dense when it outgrows hll-sparse-max-bytes or gets a rank above 32.

Invariants
 1. The same elements in the same order make the same bytes as in Redis.
 2. All bytes are hostile: a string anyone could have written. The runs of a sparse one are checked wherever they are
    walked: nothing outside the bytes or the registers is read or written.
"""
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t

cdef enum:
    HLL_HEADER = 16
    HLL_REGISTERS = 16384
    HLL_DENSE_BYTES = HLL_HEADER + HLL_REGISTERS * 6 // 8
    HLL_ESTIMATE = 8            # where the estimate lies
    HLL_STALE = 15              # … and the byte of its top bit
    HLL_DENSE = 0
    HLL_SPARSE = 1

cdef enum Outcome:
    HLL_SAME = 0
    HLL_CHANGED = 1
    HLL_CORRUPT = 2

cdef struct Rank:
    uint32_t register
    uint8_t rank

cdef Rank hll_rank(const char *element, uint64_t length) noexcept nogil
# HLL_DENSE or HLL_SPARSE, -1 when it is no HyperLogLog.
cdef int hll_encoding(const char *bytes, uint64_t length) noexcept nogil

cdef inline uint8_t dense_get(const char *hll, uint32_t register) noexcept nogil:
    cdef const uint8_t *at = <const uint8_t *>hll + HLL_HEADER + register * 6 // 8
    cdef uint32_t shift = register * 6 % 8
    cdef uint32_t bits = at[0] >> shift
    if shift > 2:
        bits |= <uint32_t>at[1] << (8 - shift)
    return bits & 63

cdef inline void dense_set(char *hll, uint32_t register, uint8_t rank) noexcept nogil:
    cdef uint8_t *at = <uint8_t *>hll + HLL_HEADER + register * 6 // 8
    cdef uint32_t shift = register * 6 % 8
    at[0] = <uint8_t>((at[0] & ~(63 << shift)) | rank << shift)
    if shift > 2:
        at[1] = <uint8_t>((at[1] & ~(63 >> (8 - shift))) | rank >> (8 - shift))

# Raises each register to that of the HyperLogLog; returns whether this is whole.
cdef bint hll_merge(const char *hll, uint64_t length, uint8_t *registers) noexcept nogil
cdef uint64_t hll_estimate(const uint8_t *registers) noexcept nogil
# The runs of a sparse one as text. None when it is corrupt.
cdef bytes hll_decode(const char *hll, uint64_t length)

cdef class Sketch:
    """A HyperLogLog in private memory, to be changed."""
    cdef char *bytes
    cdef uint64_t length
    cdef uint64_t room

    cdef int reserve(self, uint64_t room) except -1
    cdef int load(self, const char *bytes, uint64_t length) except -1       # one that hll_encoding knows
    cdef int start(self) except -1                                          # an empty one
    # Raises a register; returns an Outcome. limit: bytes that a sparse one may have.
    cdef int add(self, Rank rank, int64_t limit) except -1
    cdef int to_dense(self) except -1                                       # returns an Outcome
    cdef void spoil(self) noexcept                                          # the estimate is out of date

    # Steps of `add`, see hyperloglog.pyx.
    cdef int add_sparse(self, Rank rank, int64_t limit) except -1
    cdef void replace(self, uint64_t at, uint64_t count, const uint8_t *runs, uint64_t made) noexcept
    cdef void join(self, uint64_t at) noexcept
