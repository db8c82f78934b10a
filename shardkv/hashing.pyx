"""XXH3, hash tags, shards: see hashing.pxd.

XXH3 reads a key of up to 240 bytes in one of five ways, by its length; each mixes words of the key with words
of a fixed secret by wide multiplications. Longer keys are rare: the xxhash package hashes them.
"""
from cpython.buffer cimport PyBUF_READ
from cpython.memoryview cimport PyMemoryView_FromMemory
from libc.stdlib cimport abort
from libc.string cimport memchr, memcpy

from xxhash import xxh3_64_intdigest

cdef extern from *:
    """
    static const uint64_t PRIME64_1 = 0x9E3779B185EBCA87, PRIME64_2 = 0xC2B2AE3D27D4EB4F;
    static const uint64_t PRIME64_3 = 0x165667B19E3779F9;
    static const uint64_t MIX_1 = 0x165667919E3779F9, MIX_2 = 0x9FB21C651E98DF25;
    static const unsigned char SECRET[136] = {  /* as much of it as keys of up to 240 bytes need */
        0xb8, 0xfe, 0x6c, 0x39, 0x23, 0xa4, 0x4b, 0xbe, 0x7c, 0x01, 0x81, 0x2c, 0xf7, 0x21, 0xad, 0x1c,
        0xde, 0xd4, 0x6d, 0xe9, 0x83, 0x90, 0x97, 0xdb, 0x72, 0x40, 0xa4, 0xa4, 0xb7, 0xb3, 0x67, 0x1f,
        0xcb, 0x79, 0xe6, 0x4e, 0xcc, 0xc0, 0xe5, 0x78, 0x82, 0x5a, 0xd0, 0x7d, 0xcc, 0xff, 0x72, 0x21,
        0xb8, 0x08, 0x46, 0x74, 0xf7, 0x43, 0x24, 0x8e, 0xe0, 0x35, 0x90, 0xe6, 0x81, 0x3a, 0x26, 0x4c,
        0x3c, 0x28, 0x52, 0xbb, 0x91, 0xc3, 0x00, 0xcb, 0x88, 0xd0, 0x65, 0x8b, 0x1b, 0x53, 0x2e, 0xa3,
        0x71, 0x64, 0x48, 0x97, 0xa2, 0x0d, 0xf9, 0x4e, 0x38, 0x19, 0xef, 0x46, 0xa9, 0xde, 0xac, 0xd8,
        0xa8, 0xfa, 0x76, 0x3f, 0xe3, 0x9c, 0x34, 0x3f, 0xf9, 0xdc, 0xbb, 0xc7, 0xc7, 0x0b, 0x4f, 0x1d,
        0x8a, 0x51, 0xe0, 0x4b, 0xcd, 0xb4, 0x59, 0x31, 0xc8, 0x9f, 0x7e, 0xc9, 0xd9, 0x78, 0x73, 0x64,
        0xea, 0xc5, 0xac, 0x83, 0x34, 0xd3, 0xeb, 0xc3,
    };
    """
    const uint64_t PRIME64_1, PRIME64_2, PRIME64_3, MIX_1, MIX_2
    const unsigned char *SECRET
    # For Cython any integer will do: the C compiler sees the true type.
    ctypedef unsigned long long uint128_t "unsigned __int128"
    uint64_t swap64 "__builtin_bswap64" (uint64_t value) noexcept nogil

cdef enum:
    SHORT_MAX = 240  # longest key hashed here


cdef inline uint64_t read64(const char *at) noexcept nogil:
    cdef uint64_t word
    memcpy(&word, at, 8)
    return word


cdef inline uint64_t read32(const char *at) noexcept nogil:
    cdef uint32_t word
    memcpy(&word, at, 4)
    return word


cdef inline uint64_t secret(int at) noexcept nogil:
    return read64(<const char *>SECRET + at)


cdef inline uint64_t secret32(int at) noexcept nogil:
    return read32(<const char *>SECRET + at)


cdef inline uint64_t rotate(uint64_t word, int bits) noexcept nogil:
    return word << bits | word >> (64 - bits)


cdef inline uint64_t fold(uint64_t one, uint64_t other) noexcept nogil:
    cdef uint128_t product = <uint128_t>one * other
    return <uint64_t>product ^ <uint64_t>(product >> 64)


cdef inline uint64_t mix16(const char *key, int at) noexcept nogil:
    # 16 bytes of the key with 16 bytes of the secret.
    return fold(read64(key) ^ secret(at), read64(key + 8) ^ secret(at + 8))


cdef inline uint64_t finish(uint64_t hash) noexcept nogil:
    hash ^= hash >> 37
    hash *= MIX_1
    return hash ^ hash >> 32


cdef inline uint64_t finish_tiny(uint64_t hash) noexcept nogil:
    hash ^= hash >> 33
    hash *= PRIME64_2
    hash ^= hash >> 29
    hash *= PRIME64_3
    return hash ^ hash >> 32


cdef inline uint64_t hash_0_to_3(const char *key, size_t length) noexcept nogil:
    cdef const unsigned char *bytes = <const unsigned char *>key
    if length == 0:
        return finish_tiny(secret(56) ^ secret(64))
    cdef uint64_t first = bytes[0], middle = bytes[length >> 1], last = bytes[length - 1]
    return finish_tiny((first << 16 | middle << 24 | last | length << 8) ^ secret32(0) ^ secret32(4))


cdef inline uint64_t hash_4_to_8(const char *key, size_t length) noexcept nogil:
    cdef uint64_t hash = read32(key + length - 4) + (read32(key) << 32) ^ secret(8) ^ secret(16)
    hash ^= rotate(hash, 49) ^ rotate(hash, 24)
    hash *= MIX_2
    hash ^= (hash >> 35) + length
    hash *= MIX_2
    return hash ^ hash >> 28


cdef inline uint64_t hash_9_to_16(const char *key, size_t length) noexcept nogil:
    cdef uint64_t low = read64(key) ^ secret(24) ^ secret(32)
    cdef uint64_t high = read64(key + length - 8) ^ secret(40) ^ secret(48)
    return finish(length + swap64(low) + high + fold(low, high))


cdef uint64_t hash_17_to_128(const char *key, size_t length) noexcept nogil:
    # Pairs of 16 bytes from both ends towards the middle, where they may overlap.
    cdef uint64_t hash = length * PRIME64_1
    cdef int pair
    for pair in range(<int>((length + 31) >> 5)):
        hash += mix16(key + 16 * pair, 32 * pair) + mix16(key + length - 16 * (pair + 1), 32 * pair + 16)
    return finish(hash)


cdef uint64_t hash_129_to_240(const char *key, size_t length) noexcept nogil:
    cdef uint64_t hash = length * PRIME64_1
    cdef int block
    for block in range(8):
        hash += mix16(key + 16 * block, 16 * block)
    hash = finish(hash)
    for block in range(8, <int>(length >> 4)):
        hash += mix16(key + 16 * block, 16 * (block - 8) + 3)
    return finish(hash + mix16(key + length - 16, 119))


cdef uint64_t hash_long(const char *key, size_t length) noexcept:
    try:
        return xxh3_64_intdigest(PyMemoryView_FromMemory(<char *>key, length, PyBUF_READ))
    except MemoryError:
        abort()  # a wrong answer would send the key to a wrong shard; a process may die, data may not go astray


cdef uint64_t hash_key(const char *key, size_t length) noexcept:
    if 9 <= length <= 16:
        return hash_9_to_16(key, length)
    if length <= 3:
        return hash_0_to_3(key, length)
    if length <= 8:
        return hash_4_to_8(key, length)
    if length <= 128:
        return hash_17_to_128(key, length)
    if length <= SHORT_MAX:
        return hash_129_to_240(key, length)
    return hash_long(key, length)


cdef uint64_t hash_for_routing(const char *key, size_t length, uint64_t whole) noexcept:
    # The tag is what stands between the first '{' and the first '}' behind it; an empty one does not count.
    cdef const char *start = <const char *>memchr(key, c'{', length)
    if start == NULL:
        return whole
    start += 1
    cdef const char *end = <const char *>memchr(start, c'}', key + length - start)
    if end == NULL or end == start:
        return whole
    return hash_key(start, end - start)


def key_shard(key: bytes, shards: int) -> int:
    """Answers the number of the shard, out of `shards`, that owns `key`."""
    cdef size_t length = len(key)
    return shard_of(hash_for_routing(key, length, hash_key(key, length)), shards)
