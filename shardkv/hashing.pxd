"""XXH3 (64 bits) under a secret of the instance, Redis hash tags, and the shard of a key.

All that is hashed goes through `hash_key`: keys, for tables and for the shard that they belong to, hash tags, fields,
members, names of consumers. Clients choose what is hashed, so they must not know where it goes: of XXH3 with its public
secret anyone makes as many inputs of one hash as they like (8 bytes that equal a word of the secret make a product 0,
whatever is beside them).

The secret is SECRET_BYTES random bytes, made when an instance is first started and kept with its data (layout.py), in
each arena's header as well (format.pxd). It is the whole of XXH3's secret, not a seed: a seed of 64 bits is only added
to the public words and subtracted from them, so that the words of one input's parts stay related, and parts that change
places hash alike for far more seeds than chance would have. A random secret has independent words; it costs the same.

XXH3 is no cryptographic function. Who sees something of hashes, as cursors of SCAN and the order of SMEMBERS show it,
may in the end find words of the secret. So a table must stand keys of one hash: see table.pxd, invariant 6.

Invariants
 1. All processes of an instance, and all hashes in its arenas, have one secret. A process takes it from its assignment
    before it hashes anything; an arena made with another one is refused.
 2. It reaches no client, no argument list, no log and no file but those of the instance's folder.
"""
from libc.stdint cimport uint32_t, uint64_t

cpdef enum:
    SECRET_BYTES = 192

cdef uint64_t hash_key(const char *key, size_t length) noexcept nogil
# `whole` = hash_key of it; hash of the tag if it has one
cdef uint64_t hash_for_routing(const char *key, size_t length, uint64_t whole) noexcept nogil
cdef const char *hash_secret() noexcept nogil   # SECRET_BYTES

cdef inline uint32_t shard_of(uint64_t hash, uint32_t shards) noexcept nogil:
    # Mixed first, so that no single bit of the hash is the same for all keys of a shard: tables split by its high bits.
    return <uint32_t>((((hash * <uint64_t>0x9E3779B97F4A7C15) >> 32) * shards) >> 32)
