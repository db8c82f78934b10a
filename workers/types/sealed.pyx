"""Sealed packs: see sealed.pxd."""
from libc.stdint cimport uint16_t
from libc.string cimport memcpy

from workers.memory.listpack cimport pack_bytes, pack_count
from workers.types.lzf cimport lzf_compress, lzf_expand

cdef enum:
    PLAIN = 4                   # bytes of a pack that are not compressed
    HEADER = 6


cdef uint64_t seal_pack(Arena arena, const char *pack) except? 0:
    cdef char packed[SEALED_MAX]
    cdef uint64_t bytes = pack_bytes(pack), length, block
    cdef char *sealed
    if bytes > SEALED_MAX or pack_count(pack) < SEALED_FROM:
        return 0
    length = lzf_compress(pack + PLAIN, bytes - PLAIN, packed, bytes * 3 // 4 - HEADER)
    if length == 0:
        return 0
    block = arena.alloc(HEADER + length)
    sealed = arena.at(block)
    (<uint32_t *>sealed)[0] = <uint32_t>bytes | <uint32_t>1 << 31
    (<uint16_t *>(sealed + PLAIN))[0] = <uint16_t>length
    memcpy(sealed + HEADER, packed, length)
    return block


cdef const char *open_pack(const char *block, char *room) noexcept nogil:
    cdef uint32_t bytes
    if not is_sealed(block):
        return block
    bytes = <uint32_t>held_bytes(block)
    memcpy(room, &bytes, PLAIN)
    lzf_expand(block + HEADER, (<const uint16_t *>(block + PLAIN))[0], room + PLAIN, bytes - PLAIN)
    return room
