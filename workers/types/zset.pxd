"""Sorted sets: what their commands, and SORT, DUMP and GEO, do with either encoding.

ZSET_PACKED     a listpack of member, score, member, score, … by (score, member); a score is an integer where it is
                one, else the text Redis prints
ZSET_TREE       a ZsetRoot (collections.pxd): a table of entries by member, each with its score, and a tree of the same
                entries by (score, member)

Members are ordered as bytes, a prefix first. Ranks count from 0, the lowest score's.

Invariants
 1. Scores are never NaN. No two items have the same member.
 2. An entry's score changes only while the entry is out of the tree, or where the order stays as it is.
 3. A packed set has at most zset-max-listpack-entries members, none above zset-max-listpack-value bytes, as these were
    at its last growth. A set that has become a tree stays one.
 4. A set without members does not exist: the call that takes its last member deletes the key.
 5. A Zset describes its set through every change made with it. A Spot, ZsetCursor or ZsetItem is dead after any change.
"""
from libc.stdint cimport int64_t, uint64_t
from workers.limits cimport Limits
from workers.memory.arena cimport Arena
from workers.memory.databases cimport Found
from workers.memory.entry cimport ZSET_PACKED, ZSET_TREE, Box
from workers.memory.keyspace cimport Keyspace
from workers.memory.table cimport Place
from workers.memory.tree cimport TreeCursor
from workers.types.zset_items cimport BY_BOTH, BY_MEMBER, BY_SCORE, Bound, Zset, ZsetItem

cdef struct Spot:
    # Where a member is, if it is there.
    bint exists
    double score
    uint64_t at             # packed: its offset in the listpack
    uint64_t hash           # tree: of the member, also if it is not there
    Place place

cdef struct ZsetCursor:
    uint64_t at             # packed
    TreeCursor tree

cdef inline bint is_zset(Found *found) noexcept nogil:
    return found.entry.type == ZSET_PACKED or found.entry.type == ZSET_TREE

# -- reading

# Of a Found that is a sorted set or does not exist.
cdef void zset_view(Keyspace keyspace, Found *found, Zset *out) noexcept
# Returns whether `member` is there.
cdef bint zset_find(Arena arena, Zset *zset, const char *member, uint64_t length, Spot *spot) noexcept
# How many items lie before a place.
cdef uint64_t zset_rank(Arena arena, Zset *zset, Bound *bound) noexcept
# A cursor on the item of a rank, which must be one.
cdef void zset_at(Arena arena, Zset *zset, uint64_t rank, ZsetCursor *cursor) noexcept
# To the next or previous item, if there is one; the caller counts.
cdef void zset_step(Arena arena, Zset *zset, ZsetCursor *cursor, bint backwards) noexcept
cdef void zset_item(Arena arena, Zset *zset, ZsetCursor *cursor, ZsetItem *out) noexcept
# Appends (member, score) of some items to `into`; returns the next cursor, 0 = done. A packed set comes at once.
cdef uint64_t zset_scan(Arena arena, Zset *zset, uint64_t cursor, list into) except? 0xFFFFFFFFFFFFFFFF
# Pairs of score (float) and member (bytes) of `count` items, which must be there, from rank `first` on.
cdef list zset_pairs(Arena arena, Zset *zset, uint64_t first, uint64_t count, bint backwards)

# -- changing

# A member that is not there, whose Spot says so; makes the key if need be.
cdef int zset_insert(
    Keyspace keyspace, Limits limits, Zset *zset, const char *key, uint64_t key_length, Spot *spot, const char *member,
    uint64_t length, double score
) except -1
# Another score for a member that is there.
cdef int zset_rescore(
    Keyspace keyspace, Zset *zset, Spot *spot, const char *member, uint64_t length, double score
) except -1
# A member that is there.
cdef int zset_remove(Keyspace keyspace, Zset *zset, Spot *spot, const char *member, uint64_t length) except -1
# Those of ranks first … first + count - 1, which must be there.
cdef int zset_remove_ranks(Keyspace keyspace, Zset *zset, uint64_t first, uint64_t count) except -1
# Makes `key` a sorted set of these pairs of score (float) and member (bytes), in any order, no member twice; it
# replaces what the key held. Without pairs, deletes the key.
cdef int zset_store(
    Keyspace keyspace, Limits limits, Found *found, const char *key, uint64_t key_length, list pairs
) except -1
