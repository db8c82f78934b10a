"""Sorted sets: see zset.pxd."""
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy

from shardkv.hashing cimport hash_key
from workers.memory.collections cimport OWNS_NOTHING, ZsetRoot
from workers.memory.entry cimport STRING_EMBEDDED, item_format, item_size
from workers.memory.listpack cimport (
    Element, PackBuilder, element_size, pack_count, pack_delete, pack_find, pack_first,
    pack_fits, pack_insert, pack_make, pack_next, pack_previous, pack_replace, pack_seek,
    string_element,
)
from workers.memory.table cimport table_find, table_insert, table_make, table_remove, table_scan
from workers.memory.tree cimport (
    TreeRoot, tree_at, tree_build, tree_init, tree_insert, tree_item, tree_next, tree_position, tree_prev,
    tree_remove,
)
from workers.types.zset_items cimport (
    SCORE_BYTES, SCORE_TEXT, bound_of, keeps_its_place, members_of, order_locate, order_of, order_seek, packed_place,
    packed_score, read_entry, read_packed, score_element,
)


# -- reading

cdef void zset_view(Keyspace keyspace, Found *found, Zset *out) noexcept:
    out.found = found[0]
    out.packed = True
    out.count = 0
    if not found.exists:
        return
    keyspace.box_of(found, &out.box)
    out.packed = found.entry.type == ZSET_PACKED
    if out.packed:
        out.count = pack_count(keyspace.arena.at(out.box.block)) // 2
    else:
        out.count = (<TreeRoot *>keyspace.arena.at(order_of(out))).items


cdef bint zset_find(Arena arena, Zset *zset, const char *member, uint64_t length, Spot *spot) noexcept:
    cdef ZsetItem item
    cdef const char *pack
    spot.exists = False
    if zset.packed:
        if zset.count == 0:
            return False
        pack = arena.at(zset.box.block)
        spot.at = pack_find(pack, pack_first(pack), member, length, 1)
        spot.exists = spot.at != 0
        if spot.exists:
            spot.score = packed_score(pack, pack_next(pack, spot.at))
        return spot.exists
    spot.hash = hash_key(member, length)
    spot.place = table_find(arena, members_of(zset), spot.hash, member, length)
    spot.exists = spot.place.entry != 0
    if spot.exists:
        read_entry(arena.at(spot.place.entry), &item)
        spot.score = item.score
    return spot.exists


cdef uint64_t zset_rank(Arena arena, Zset *zset, Bound *bound) noexcept:
    cdef TreeCursor cursor
    cdef uint64_t rank
    if zset.count == 0:
        return 0
    if zset.packed:
        packed_place(arena.at(zset.box.block), bound, &rank)
        return rank
    order_seek(arena, zset, bound, &cursor)
    return tree_position(arena, &cursor)


cdef void zset_at(Arena arena, Zset *zset, uint64_t rank, ZsetCursor *cursor) noexcept:
    if zset.packed:
        cursor.at = pack_seek(arena.at(zset.box.block), <int64_t>rank * 2)
    else:
        tree_at(arena, order_of(zset), rank, &cursor.tree, NULL)


cdef void zset_step(Arena arena, Zset *zset, ZsetCursor *cursor, bint backwards) noexcept:
    cdef const char *pack
    cdef uint64_t at
    if not zset.packed:
        if backwards:
            tree_prev(arena, &cursor.tree)
        else:
            tree_next(arena, &cursor.tree)
        return
    pack = arena.at(zset.box.block)
    if backwards:
        at = pack_previous(pack, cursor.at)
        cursor.at = pack_previous(pack, at) if at else 0
    else:
        cursor.at = pack_next(pack, pack_next(pack, cursor.at))


cdef void zset_item(Arena arena, Zset *zset, ZsetCursor *cursor, ZsetItem *out) noexcept:
    if zset.packed:
        read_packed(arena.at(zset.box.block), cursor.at, out)
    else:
        read_entry(arena.at(tree_item(arena, &cursor.tree)), out)


cdef list zset_pairs(Arena arena, Zset *zset, uint64_t first, uint64_t count, bint backwards):
    cdef list pairs = []
    cdef ZsetCursor cursor
    cdef ZsetItem item
    cdef uint64_t _each
    if count == 0:
        return pairs
    zset_at(arena, zset, first, &cursor)
    for _each in range(count):
        zset_item(arena, zset, &cursor, &item)
        pairs.append((item.score, PyBytes_FromStringAndSize(item.member, item.length)))
        zset_step(arena, zset, &cursor, backwards)
    return pairs


cdef struct Scan:
    char *base
    void *into


cdef int scan_entry(void *context, uint64_t entry) except -1:
    cdef Scan *scan = <Scan *>context
    cdef ZsetItem item
    read_entry(scan.base + entry, &item)
    (<list>scan.into).append((item.score, PyBytes_FromStringAndSize(item.member, item.length)))
    return 0


cdef uint64_t zset_scan(Arena arena, Zset *zset, uint64_t cursor, list into) except? 0xFFFFFFFFFFFFFFFF:
    cdef Scan scan
    if zset.packed:
        into += zset_pairs(arena, zset, 0, zset.count, False)
        return 0
    scan.base, scan.into = arena.base, <void *>into
    return table_scan(arena, members_of(zset), cursor, scan_entry, &scan)


# -- inserting

cdef int zset_insert(
    Keyspace keyspace, Limits limits, Zset *zset, const char *key, uint64_t key_length, Spot *spot, const char *member,
    uint64_t length, double score
) except -1:
    if zset.packed and zset.count == 0:
        start(keyspace, limits, zset, key, key_length, length)
        spot.hash = hash_key(member, length)
    elif zset.packed and not stays_packed(keyspace.arena, limits, zset, member, length):
        unpack(keyspace, zset)
        spot.hash = hash_key(member, length)
    if zset.packed:
        insert_packed(keyspace, zset, member, length, score)
    else:
        insert_entry(keyspace.arena, zset, spot, member, length, score)
        keyspace.modified(&zset.found)
    zset.count += 1
    return 0


cdef bint stays_packed(Arena arena, Limits limits, Zset *zset, const char *member, uint64_t length) noexcept:
    cdef Element element = string_element(member, length)
    return (
        <int64_t>zset.count < limits.zset_max_listpack_entries
        and <int64_t>length <= limits.zset_max_listpack_value
        and pack_fits(arena.at(zset.box.block), element_size(&element) + SCORE_TEXT)
    )


cdef int start(
    Keyspace keyspace, Limits limits, Zset *zset, const char *key, uint64_t key_length, uint64_t member_length
) except -1:
    """Makes the key, with an empty set."""
    zset.packed = (
        limits.zset_max_listpack_entries > 0 and <int64_t>member_length <= limits.zset_max_listpack_value
    )
    if zset.packed:
        pack_make(keyspace.arena, &zset.box, NULL, 0)
    else:
        make_root(keyspace.arena, zset, 0)
    return put(keyspace, zset, key, key_length)


cdef int make_root(Arena arena, Zset *zset, uint64_t count) except -1:
    """An empty set, with room for so many members."""
    cdef ZsetRoot *root
    zset.box.block, zset.box.length = arena.alloc_zeroed(sizeof(ZsetRoot)), 0
    root = <ZsetRoot *>arena.at(zset.box.block)
    root.head.owns = OWNS_NOTHING
    tree_init(&root.head.tree, False)
    return table_make(arena, members_of(zset), count)


cdef inline int put(Keyspace keyspace, Zset *zset, const char *key, uint64_t key_length) except -1:
    return keyspace.put_collection(
        zset.found.db, &zset.found, key, key_length, ZSET_PACKED if zset.packed else ZSET_TREE, zset.box.block,
        zset.box.length,
    )


cdef inline int keep_box(Keyspace keyspace, Zset *zset) except -1:
    """After an edit of the pack."""
    return keyspace.set_box(&zset.found, zset.box.block, zset.box.length)


cdef int insert_packed(Keyspace keyspace, Zset *zset, const char *member, uint64_t length, double score) except -1:
    cdef Bound bound = bound_of(member, length, score)
    cdef char text[SCORE_TEXT]
    cdef Element pair[2]
    cdef uint64_t rank
    pair[0] = string_element(member, length)
    pair[1] = score_element(score, text)
    pack_insert(keyspace.arena, &zset.box, packed_place(keyspace.arena.at(zset.box.block), &bound, &rank), pair, 2)
    return keep_box(keyspace, zset)


cdef uint64_t make_entry(Arena arena, const char *member, uint64_t length, double score) except 0:
    cdef uint64_t entry = arena.alloc(item_size(length, SCORE_BYTES, False))
    memcpy(item_format(arena.at(entry), STRING_EMBEDDED, member, length, SCORE_BYTES, -1), &score, SCORE_BYTES)
    return entry


cdef int insert_entry(
    Arena arena, Zset *zset, Spot *spot, const char *member, uint64_t length, double score
) except -1:
    cdef Bound bound = bound_of(member, length, score)
    cdef TreeCursor cursor
    cdef uint64_t entry = make_entry(arena, member, length, score)
    table_insert(arena, members_of(zset), spot.hash, entry, -1, &spot.place)
    order_seek(arena, zset, &bound, &cursor)
    return tree_insert(arena, order_of(zset), &cursor, entry, 1)


cdef int unpack(Keyspace keyspace, Zset *zset) except -1:
    """Makes a packed set a tree."""
    cdef Arena arena = keyspace.arena
    cdef uint64_t pack = zset.box.block
    cdef uint64_t *entries = <uint64_t *>malloc(zset.count * sizeof(uint64_t))
    if entries == NULL:
        raise MemoryError()
    try:
        make_root(arena, zset, zset.count)
        zset.packed = False
        fill_from_pack(arena, zset, pack, entries)
        tree_build(arena, order_of(zset), entries, zset.count)
    finally:
        free(entries)
    put(keyspace, zset, zset.found.entry.key, zset.found.entry.key_length)
    return arena.free(pack)


cdef int fill_from_pack(Arena arena, Zset *zset, uint64_t pack, uint64_t *entries) except -1:
    """Makes entries of a listpack's pairs, in order, and puts them in the table of members."""
    cdef ZsetItem item
    cdef Place place
    cdef uint64_t at = pack_first(arena.at(pack)), count = 0
    while at:
        read_packed(arena.at(pack), at, &item)
        entries[count] = make_entry(arena, item.member, item.length, item.score)
        table_insert(arena, members_of(zset), hash_key(item.member, item.length), entries[count], -1, &place)
        count += 1
        at = pack_next(arena.at(pack), pack_next(arena.at(pack), at))
    return 0


# -- another score

cdef int zset_rescore(
    Keyspace keyspace, Zset *zset, Spot *spot, const char *member, uint64_t length, double score
) except -1:
    keyspace.modified(&zset.found)
    if zset.packed:
        return rescore_packed(keyspace, zset, spot.at, member, length, score)
    return rescore_entry(keyspace.arena, zset, spot, member, length, score)


cdef int rescore_packed(
    Keyspace keyspace, Zset *zset, uint64_t at, const char *member, uint64_t length, double score
) except -1:
    cdef Bound bound = bound_of(member, length, score)
    cdef const char *pack = keyspace.arena.at(zset.box.block)
    cdef uint64_t rank, score_at = pack_next(pack, at)
    cdef uint64_t place = packed_place(pack, &bound, &rank)
    cdef char text[SCORE_TEXT]
    cdef Element element
    if place != at and place != pack_next(pack, score_at):
        pack_delete(keyspace.arena, &zset.box, at, 2)
        return insert_packed(keyspace, zset, member, length, score)
    element = score_element(score, text)
    pack_replace(keyspace.arena, &zset.box, score_at, &element, 1)
    return keep_box(keyspace, zset)


cdef int rescore_entry(
    Arena arena, Zset *zset, Spot *spot, const char *member, uint64_t length, double score
) except -1:
    cdef Bound bound = bound_of(member, length, spot.score)
    cdef uint64_t entry = spot.place.entry
    cdef TreeCursor cursor
    cdef ZsetItem item
    cdef bint in_place
    order_locate(arena, zset, &bound, entry, &cursor)
    bound.score = score
    in_place = keeps_its_place(arena, &cursor, &bound)
    if not in_place:
        tree_remove(arena, order_of(zset), &cursor)
    read_entry(arena.at(entry), &item)
    arena.write(arena.offset_of(item.member + item.length), <const char *>&score, SCORE_BYTES)
    if not in_place:
        order_seek(arena, zset, &bound, &cursor)
        tree_insert(arena, order_of(zset), &cursor, entry, 1)
    return 0


# -- removing

cdef int zset_remove(Keyspace keyspace, Zset *zset, Spot *spot, const char *member, uint64_t length) except -1:
    cdef Bound bound
    cdef TreeCursor cursor
    cdef uint64_t entry = spot.place.entry
    if zset.count == 1:
        return drop(keyspace, zset)
    if zset.packed:
        pack_delete(keyspace.arena, &zset.box, spot.at, 2)
        keep_box(keyspace, zset)
    else:
        bound = bound_of(member, length, spot.score)
        order_locate(keyspace.arena, zset, &bound, entry, &cursor)
        tree_remove(keyspace.arena, order_of(zset), &cursor)
        table_remove(keyspace.arena, members_of(zset), &spot.place, -1)
        keyspace.arena.free(entry)
        keyspace.modified(&zset.found)
    zset.count -= 1
    return 0


cdef int drop(Keyspace keyspace, Zset *zset) except -1:
    """Deletes the key with all that is left."""
    keyspace.delete(zset.found.db, &zset.found, True)
    zset.packed = True
    zset.count = 0
    return 0


cdef int zset_remove_ranks(Keyspace keyspace, Zset *zset, uint64_t first, uint64_t count) except -1:
    cdef ZsetCursor cursor
    cdef uint64_t _each
    if count == 0:
        return 0
    if count == zset.count:
        return drop(keyspace, zset)
    zset_at(keyspace.arena, zset, first, &cursor)
    if zset.packed:
        pack_delete(keyspace.arena, &zset.box, cursor.at, count * 2)
        keep_box(keyspace, zset)
    else:
        for _each in range(count):
            remove_at(keyspace.arena, zset, &cursor.tree)
        keyspace.modified(&zset.found)
    zset.count -= count
    return 0


cdef int remove_at(Arena arena, Zset *zset, TreeCursor *cursor) except -1:
    """The item under the cursor, which is on the next one then."""
    cdef uint64_t entry = tree_item(arena, cursor)
    cdef ZsetItem item
    cdef Place place
    read_entry(arena.at(entry), &item)
    place = table_find(arena, members_of(zset), hash_key(item.member, item.length), item.member, item.length)
    tree_remove(arena, order_of(zset), cursor)
    table_remove(arena, members_of(zset), &place, -1)
    return arena.free(entry)


# -- whole sets

cdef int zset_store(
    Keyspace keyspace, Limits limits, Found *found, const char *key, uint64_t key_length, list pairs
) except -1:
    cdef Zset zset
    keyspace.delete(found.db, found, True)
    if not pairs:
        return 0
    pairs = sorted(pairs)
    zset_view(keyspace, found, &zset)
    zset.packed = pairs_fit(limits, pairs)
    zset.count = len(pairs)
    if zset.packed:
        pack_pairs(keyspace.arena, &zset.box, pairs)
    else:
        plant_pairs(keyspace.arena, &zset, pairs)
    put(keyspace, &zset, key, key_length)
    found[0] = zset.found
    return 0


cdef bint pairs_fit(Limits limits, list pairs) except -1:
    """Whether so many members of such lengths are to be packed."""
    cdef Element element
    cdef uint64_t total = 0
    cdef bytes member
    if <int64_t>len(pairs) > limits.zset_max_listpack_entries:
        return False
    for _score, member in pairs:
        if PyBytes_GET_SIZE(member) > limits.zset_max_listpack_value:
            return False
        element = string_element(PyBytes_AS_STRING(member), PyBytes_GET_SIZE(member))
        total += element_size(&element) + SCORE_TEXT
    return pack_fits(NULL, total)


cdef int pack_pairs(Arena arena, Box *box, list pairs) except -1:
    cdef PackBuilder builder = PackBuilder()
    cdef char text[SCORE_TEXT]
    cdef Element element
    cdef bytes member
    cdef double score
    for score, member in pairs:
        builder.add_string(PyBytes_AS_STRING(member), PyBytes_GET_SIZE(member))
        element = score_element(score, text)
        builder.add(&element)
    return builder.store(arena, box)


cdef int plant_pairs(Arena arena, Zset *zset, list pairs) except -1:
    cdef uint64_t *entries = <uint64_t *>malloc(zset.count * sizeof(uint64_t))
    cdef uint64_t count = 0
    cdef const char *text
    cdef uint64_t length
    cdef Place place
    cdef bytes member
    cdef double score
    if entries == NULL:
        raise MemoryError()
    try:
        make_root(arena, zset, zset.count)
        for score, member in pairs:
            text, length = PyBytes_AS_STRING(member), PyBytes_GET_SIZE(member)
            entries[count] = make_entry(arena, text, length, score)
            table_insert(arena, members_of(zset), hash_key(text, length), entries[count], -1, &place)
            count += 1
        return tree_build(arena, order_of(zset), entries, count)
    finally:
        free(entries)
