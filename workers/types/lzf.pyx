"""LZF: see lzf.pxd."""
from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.string cimport memcpy, memset

cdef enum:
    BITS_MAX = 13               # of the table of places;
    SHORT = 4096                # up to so many bytes a smaller one does,
    BITS_SHORT = 10             # which is cleared sooner
    REACH = 1 << 13             # bytes back
    MATCH_MAX = 264
    LITERALS_MAX = 32


cdef inline uint32_t three(const uint8_t *at) noexcept nogil:
    return <uint32_t>at[0] << 16 | <uint32_t>at[1] << 8 | at[2]


cdef inline uint64_t put_literals(uint8_t *to, const uint8_t *start, uint64_t count) noexcept nogil:
    to[0] = <uint8_t>(count - 1)
    memcpy(to + 1, start, count)
    return count + 1


cdef uint64_t flush_literals(
    uint8_t *out, uint64_t used, uint64_t room, const uint8_t *start, uint64_t count
) noexcept nogil:
    """Returns how much of `out` is used then, or more than `room`."""
    cdef uint64_t part
    while count:
        part = min(count, <uint64_t>LITERALS_MAX)
        if used + part + 1 > room:
            return room + 1
        used += put_literals(out + used, start, part)
        start += part
        count -= part
    return used


cdef inline uint64_t put_match(uint8_t *to, uint64_t back, uint64_t length) noexcept nogil:
    back -= 1
    length -= 2
    if length < 7:
        to[0], to[1] = <uint8_t>(length << 5 | back >> 8), <uint8_t>(back & 0xFF)
        return 2
    to[0], to[1], to[2] = <uint8_t>(0xE0 | back >> 8), <uint8_t>(length - 7), <uint8_t>(back & 0xFF)
    return 3


cdef uint64_t lzf_compress(const char *bytes, uint64_t length, char *out, uint64_t room) noexcept nogil:
    cdef uint32_t place_of[1 << BITS_MAX]       # of three bytes, by their hash, + 1
    cdef int shift = 32 - (BITS_SHORT if length <= SHORT else BITS_MAX)
    cdef const uint8_t *all_bytes = <const uint8_t *>bytes
    cdef uint64_t at = 0, literals = 0, used = 0, before, matched, longest
    cdef uint32_t slot
    if length >= <uint64_t>0xFFFFFFFF:
        return 0
    memset(place_of, 0, sizeof(uint32_t) << (32 - shift))
    while at + 3 <= length:
        slot = (three(all_bytes + at) * <uint32_t>2654435761) >> shift
        before = place_of[slot]
        place_of[slot] = <uint32_t>(at + 1)
        if before == 0 or at + 1 - before > REACH or three(all_bytes + before - 1) != three(all_bytes + at):
            at += 1
            continue
        before -= 1
        matched, longest = 3, min(<uint64_t>MATCH_MAX, length - at)
        while matched < longest and all_bytes[before + matched] == all_bytes[at + matched]:
            matched += 1
        used = flush_literals(<uint8_t *>out, used, room, all_bytes + literals, at - literals)
        if used + 3 > room:
            return 0
        used += put_match(<uint8_t *>out + used, at - before, matched)
        at += matched
        literals = at
    used = flush_literals(<uint8_t *>out, used, room, all_bytes + literals, length - literals)
    return used if used <= room else 0


cdef bint lzf_expand(const char *bytes, uint64_t length, char *out, uint64_t made) noexcept nogil:
    cdef const uint8_t *at = <const uint8_t *>bytes
    cdef const uint8_t *end = at + length
    cdef uint64_t used = 0, count, back
    while at < end:
        if at[0] < LITERALS_MAX:
            count = at[0] + 1
            if count > <uint64_t>(end - at - 1) or count > made - used:
                return False
            memcpy(out + used, at + 1, count)
            at += count + 1
            used += count
            continue
        count = at[0] >> 5
        back = <uint64_t>(at[0] & 31) << 8
        if end - at < (3 if count == 7 else 2):
            return False
        if count == 7:
            at += 1
            count += at[0]
        back += at[1] + 1
        at += 2
        count += 2
        if back > used or count > made - used:
            return False
        if back >= count:
            memcpy(out + used, out + used - back, count)
            used += count
            continue
        while count:            # byte by byte: the match reaches into what it makes
            out[used] = out[used - back]
            used += 1
            count -= 1
    return used == made
