"""LZF, the compression of Redis: bytes as they are, and matches with what came before.

    000nnnnn  bytes                 n + 1 bytes as they are
    nnnddddd dddddddd               n + 2 bytes that are d + 1 bytes back; n is not 0 and not 7
    111ddddd nnnnnnnn dddddddd      n + 9 bytes that are d + 1 bytes back
"""
from libc.stdint cimport uint64_t

cdef enum:
    LZF_GROWTH = 264            # bytes that one byte can stand for, at most

# Returns the compressed length; 0 = it would be more than `room`.
cdef uint64_t lzf_compress(const char *bytes, uint64_t length, char *out, uint64_t room) noexcept nogil
# Returns whether the bytes are LZF of exactly `made` bytes.
cdef bint lzf_expand(const char *bytes, uint64_t length, char *out, uint64_t made) noexcept nogil
