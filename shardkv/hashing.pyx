"""XXH3, hash tags, shards: see hashing.pxd.

XXH3 reads a key in one of six ways, by its length; each mixes words of the key with words of the secret by wide
multiplications.
"""
from libc.string cimport memchr, memcpy

import os

cdef extern from *:
    """
    static const uint64_t PRIME32_1 = 0x9E3779B1, PRIME32_2 = 0x85EBCA77, PRIME32_3 = 0xC2B2AE3D;
    static const uint64_t PRIME64_1 = 0x9E3779B185EBCA87, PRIME64_2 = 0xC2B2AE3D27D4EB4F;
    static const uint64_t PRIME64_3 = 0x165667B19E3779F9, PRIME64_4 = 0x85EBCA77C2B2AE63;
    static const uint64_t PRIME64_5 = 0x27D4EB2F165667C5;
    static const uint64_t MIX_1 = 0x165667919E3779F9, MIX_2 = 0x9FB21C651E98DF25;
    static unsigned char SECRET[192];
    """
    const uint64_t PRIME32_1, PRIME32_2, PRIME32_3, PRIME64_1, PRIME64_2, PRIME64_3, PRIME64_4, PRIME64_5, MIX_1, MIX_2
    char *SECRET
    # For Cython any integer will do: the C compiler sees the true type.
    ctypedef unsigned long long uint128_t "unsigned __int128"
    uint64_t swap64 "__builtin_bswap64" (uint64_t value) noexcept nogil

cdef enum:
    SHORT_MAX = 240         # longest key of which each 16 bytes are mixed with 16 of the secret
    LANES = 8               # words of a stripe, each with a sum of its own
    STRIPE = 64
    STEP = 8                # from one stripe to the next, in the secret
    BLOCK_STRIPES = (SECRET_BYTES - STRIPE) // STEP
    BLOCK = BLOCK_STRIPES * STRIPE


cdef inline uint64_t read64(const char *at) noexcept nogil:
    cdef uint64_t word
    memcpy(&word, at, 8)
    return word


cdef inline uint64_t read32(const char *at) noexcept nogil:
    cdef uint32_t word
    memcpy(&word, at, 4)
    return word


cdef inline uint64_t secret(int at) noexcept nogil:
    return read64(SECRET + at)


cdef inline uint64_t secret32(int at) noexcept nogil:
    return read32(SECRET + at)


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


cdef inline void add_stripe(uint64_t *sums, const char *key, int at) noexcept nogil:
    """Adds 64 bytes of the key, mixed with the secret from `at` on."""
    cdef uint64_t word, mixed
    cdef int lane
    for lane in range(LANES):
        word = read64(key + 8 * lane)
        mixed = word ^ secret(at + 8 * lane)
        sums[lane ^ 1] += word
        sums[lane] += (mixed & <uint64_t>0xFFFFFFFF) * (mixed >> 32)


cdef inline void scramble(uint64_t *sums) noexcept nogil:
    cdef int lane
    for lane in range(LANES):
        sums[lane] = (sums[lane] ^ sums[lane] >> 47 ^ secret(SECRET_BYTES - STRIPE + 8 * lane)) * PRIME32_1


cdef uint64_t hash_long(const char *key, size_t length) noexcept nogil:
    cdef uint64_t sums[LANES]
    cdef uint64_t hash = length * PRIME64_1
    cdef size_t left = length
    cdef const char *at = key
    cdef int stripe, pair
    sums[0], sums[1], sums[2], sums[3] = PRIME32_3, PRIME64_1, PRIME64_2, PRIME64_3
    sums[4], sums[5], sums[6], sums[7] = PRIME64_4, PRIME32_2, PRIME64_5, PRIME32_1
    while left > BLOCK:
        for stripe in range(BLOCK_STRIPES):
            add_stripe(sums, at + STRIPE * stripe, STEP * stripe)
        scramble(sums)
        at += BLOCK
        left -= BLOCK
    for stripe in range(<int>((left - 1) // STRIPE)):
        add_stripe(sums, at + STRIPE * stripe, STEP * stripe)
    add_stripe(sums, key + length - STRIPE, SECRET_BYTES - STRIPE - 7)      # the last one, which may overlap
    for pair in range(LANES // 2):
        hash += fold(sums[2 * pair] ^ secret(16 * pair + 11), sums[2 * pair + 1] ^ secret(16 * pair + 19))
    return finish(hash)


cdef uint64_t hash_key(const char *key, size_t length) noexcept nogil:
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


cdef uint64_t hash_for_routing(const char *key, size_t length, uint64_t whole) noexcept nogil:
    # The tag is what stands between the first '{' and the first '}' behind it; an empty one does not count.
    cdef const char *start = <const char *>memchr(key, c'{', length)
    if start == NULL:
        return whole
    start += 1
    cdef const char *end = <const char *>memchr(start, c'}', key + length - start)
    if end == NULL or end == start:
        return whole
    return hash_key(start, end - start)


cdef const char *hash_secret() noexcept nogil:
    return SECRET


def set_secret(secret: bytes) -> None:
    """Makes `secret` the one that this process hashes with from now on. Raises ValueError when it is of another length.

    Until the first call it is a random one of the process's own.
    """
    if len(secret) != SECRET_BYTES:
        raise ValueError(f"a secret of {len(secret)} bytes instead of {<int>SECRET_BYTES}")
    memcpy(SECRET, <const char *>secret, SECRET_BYTES)


def current_secret() -> bytes:
    """Returns the secret that this process hashes with."""
    return SECRET[:SECRET_BYTES]


def key_shard(key: bytes, shards: int) -> int:
    """Returns the number of the shard, out of `shards`, that owns `key`."""
    cdef size_t length = len(key)
    return shard_of(hash_for_routing(key, length, hash_key(key, length)), shards)


set_secret(os.urandom(SECRET_BYTES))
