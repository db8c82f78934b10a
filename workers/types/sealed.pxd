"""Sealed packs: listpacks of a list's tree, compressed.

    u32   1 << 31 | bytes of the pack
    u16   bytes that follow
    LZF of the pack, all but its first four bytes

Invariants
 1. A block is sealed only if it has SEALED_FROM elements or more, so that a push never pays for more than a part of it,
    is no longer than SEALED_MAX, and gets smaller by a quarter or more.
 2. A sealed block is never changed: to change its pack, put another block in its place.
"""
from libc.stdint cimport uint32_t, uint64_t
from workers.memory.arena cimport Arena

cdef enum:
    SEALED_FROM = 16            # elements
    SEALED_MAX = 2048           # bytes of the pack

# The highest bit is never set in a pack's length, which is at most PACK_BYTES_MAX.
cdef inline bint is_sealed(const char *block) noexcept nogil:
    return (<const uint32_t *>block)[0] >> 31

# Bytes of the pack that a block holds, sealed or not.
cdef inline uint64_t held_bytes(const char *block) noexcept nogil:
    return (<const uint32_t *>block)[0] & 0x7FFFFFFF

# A new block with the sealed pack; 0 if it is not worth it.
cdef uint64_t seal_pack(Arena arena, const char *pack) except? 0
# The pack that a block holds: the block itself, or expanded in `room`, of SEALED_MAX bytes.
cdef const char *open_pack(const char *block, char *room) noexcept nogil
