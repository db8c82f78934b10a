"""XXH3 (64 bits, seed 0), Redis hash tags, and the shard of a key."""
from libc.stdint cimport uint32_t, uint64_t

cdef uint64_t hash_key(const char *key, size_t length) noexcept    # equals xxhash.xxh3_64_intdigest
# `whole` = hash_key of it; hash of the tag if it has one
cdef uint64_t hash_for_routing(const char *key, size_t length, uint64_t whole) noexcept

cdef inline uint32_t shard_of(uint64_t hash, uint32_t shards) noexcept nogil:
    # Mixed first, so that no single bit of the hash is the same for all keys of a shard: tables split by its high bits.
    return <uint32_t>((((hash * <uint64_t>0x9E3779B97F4A7C15) >> 32) * shards) >> 32)
