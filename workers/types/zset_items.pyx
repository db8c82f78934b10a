"""Items of sorted sets: see zset_items.pxd."""
from libc.math cimport fabs
from libc.stdint cimport int64_t
from libc.string cimport memcmp

from shardkv.number cimport parse_double, print_double
from workers.memory.listpack cimport number_element, pack_first, pack_get, pack_next, pack_text, string_element
from workers.memory.tree cimport tree_item, tree_locate, tree_next, tree_prev, tree_seek

cdef enum:
    INTEGERS_BITS = 62              # a packed score below 2^62 without a fraction is kept as an integer


cdef double packed_score(const char *pack, uint64_t at) noexcept:
    cdef Element element
    cdef double score = 0
    pack_get(pack, at, &element)
    if element.bytes == NULL:
        return <double>element.number
    parse_double(element.bytes, element.length, &score)
    return score


cdef void read_packed(const char *pack, uint64_t at, ZsetItem *item) noexcept:
    item.member = pack_text(pack, at, item.scratch, &item.length)
    item.score = packed_score(pack, pack_next(pack, at))


cdef Element score_element(double score, char *scratch) noexcept:
    if fabs(score) < <double>(<int64_t>1 << INTEGERS_BITS) and <double><int64_t>score == score:
        return number_element(<int64_t>score)
    return string_element(scratch, print_double(score, scratch))


# -- order

cdef struct Sought:
    # What the tree's comparison needs.
    char *base
    Bound *bound


cdef int compare(Bound *bound, const char *member, uint64_t length, double score) noexcept nogil:
    """Below 0 if the item lies before the place."""
    cdef uint64_t shared
    cdef int order
    if bound.infinite:
        return -bound.infinite
    if bound.kind & BY_SCORE and score != bound.score:
        return -1 if score < bound.score else 1
    if bound.kind & BY_MEMBER:
        shared = length if length < bound.length else bound.length
        order = memcmp(member, bound.member, shared)
        if order == 0 and length != bound.length:
            order = -1 if length < bound.length else 1
        if order:
            return order
    return -1 if bound.after else 0


cdef int compare_entry(void *context, uint64_t entry) noexcept:
    cdef Sought *sought = <Sought *>context
    cdef ZsetItem item
    read_entry(sought.base + entry, &item)
    return compare(sought.bound, item.member, item.length, item.score)


cdef bint order_seek(Arena arena, Zset *zset, Bound *bound, TreeCursor *cursor) noexcept:
    cdef Sought sought
    sought.base, sought.bound = arena.base, bound
    return tree_seek(arena, order_of(zset), compare_entry, &sought, cursor)


cdef bint order_locate(Arena arena, Zset *zset, Bound *bound, uint64_t entry, TreeCursor *cursor) noexcept:
    cdef Sought sought
    sought.base, sought.bound = arena.base, bound
    return tree_locate(arena, order_of(zset), compare_entry, &sought, entry, cursor)


cdef uint64_t packed_place(const char *pack, Bound *bound, uint64_t *rank) noexcept:
    cdef ZsetItem item
    cdef uint64_t at = pack_first(pack)
    rank[0] = 0
    while at:
        read_packed(pack, at, &item)
        if compare(bound, item.member, item.length, item.score) >= 0:
            break
        rank[0] += 1
        at = pack_next(pack, pack_next(pack, at))
    return at


cdef bint keeps_its_place(Arena arena, TreeCursor *cursor, Bound *bound) noexcept:
    cdef TreeCursor beside = cursor[0]
    cdef Sought sought
    sought.base, sought.bound = arena.base, bound
    if tree_prev(arena, &beside) and compare_entry(&sought, tree_item(arena, &beside)) >= 0:
        return False
    beside = cursor[0]
    return not tree_next(arena, &beside) or compare_entry(&sought, tree_item(arena, &beside)) >= 0
