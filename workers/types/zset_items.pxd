"""Items of a sorted set in either encoding: where they lie, how they are read, and the order between them.

zset.pxd has the encodings and the invariants.
"""
from libc.stdint cimport uint64_t
from libc.string cimport memcpy
from workers.memory.arena cimport Arena
from workers.memory.collections cimport ZsetRoot
from workers.memory.databases cimport Found
from workers.memory.entry cimport COMPACT, COMPACT_HEADER, LONG, Box
from workers.memory.listpack cimport Element
from workers.memory.tree cimport TreeCursor

cdef enum:
    SCORE_BYTES = 8
    SCORE_TEXT = 40         # bytes, more than any double takes

cdef struct Zset:
    Found found             # not there: an empty set
    bint packed
    Box box                 # of the entry
    uint64_t count          # members; 0 = the key does not exist

cdef struct ZsetItem:
    const char *member
    uint64_t length
    double score
    char scratch[24]        # digits of a packed integer: `member` may point here, so a ZsetItem does not move

cdef enum BoundKind:
    BY_SCORE = 1
    BY_MEMBER = 2           # means something only where all scores are equal
    BY_BOTH = 3

cdef struct Bound:
    # A place between items: before those that are like it, or `after` them.
    int kind
    int infinite            # -1: before all items, 1: behind all
    bint after
    double score
    const char *member
    uint64_t length

cdef inline uint64_t members_of(Zset *zset) noexcept nogil:
    return zset.box.block + <uint64_t>&(<ZsetRoot *>NULL).members

cdef inline uint64_t order_of(Zset *zset) noexcept nogil:
    return zset.box.block + <uint64_t>&(<ZsetRoot *>NULL).head.tree

cdef inline void read_entry(const char *at, ZsetItem *item) noexcept nogil:
    # Of a member's entry, which has no expiry.
    cdef uint64_t word = (<const uint64_t *>at)[0], flags = word >> 5
    if flags & COMPACT:
        item.length = word >> 8 & 0xFF
        at += COMPACT_HEADER
    else:
        item.length = (<const unsigned int *>at)[2] if flags & LONG else word >> 32 & 0x3FF
        at += 16 if flags & LONG else 8
    item.member = at
    memcpy(&item.score, at + item.length, SCORE_BYTES)

cdef inline Bound bound_of(const char *member, uint64_t length, double score) noexcept nogil:
    cdef Bound bound
    bound.kind, bound.infinite, bound.after = BY_BOTH, 0, False
    bound.member, bound.length, bound.score = member, length, score
    return bound

cdef double packed_score(const char *pack, uint64_t at) noexcept
cdef void read_packed(const char *pack, uint64_t at, ZsetItem *item) noexcept
# As a listpack keeps it; may point into `scratch`, of SCORE_TEXT bytes.
cdef Element score_element(double score, char *scratch) noexcept

# In the tree: a cursor on the first item that does not lie before the place; returns whether there is one.
cdef bint order_seek(Arena arena, Zset *zset, Bound *bound, TreeCursor *cursor) noexcept
# A cursor on the item of an entry that is there; `bound` is its place.
cdef bint order_locate(Arena arena, Zset *zset, Bound *bound, uint64_t entry, TreeCursor *cursor) noexcept
# Whether the item under the cursor stays between its neighbours when it moves to the place `bound`.
cdef bint keeps_its_place(Arena arena, TreeCursor *cursor, Bound *bound) noexcept
# In a listpack: the first item that does not lie before the place, 0 if all do; and how many do.
cdef uint64_t packed_place(const char *pack, Bound *bound, uint64_t *rank) noexcept
