"""The list type: see list.pxd for layout and invariants."""
from libc.stdint cimport UINT64_MAX
from libc.string cimport memcpy

from cpython.bytes cimport PyBytes_FromStringAndSize

from shardkv.errors import WRONG_TYPE, CommandError

from workers.memory.collections cimport OWNS_BLOCKS, ListRoot
from workers.memory.entry cimport LIST_PACKED, LIST_TREE
from workers.memory.listpack cimport (
    ELEMENT_TEXT, PACK_EMPTY, PACK_HEADER, pack_after, pack_append, pack_bytes, pack_count, pack_delete, pack_equals,
    pack_first, pack_insert, pack_last, pack_make, pack_next, pack_previous, pack_replace, pack_seek, pack_text,
)
from workers.memory.tree cimport (
    TreeRoot, tree_dismantle, tree_end, tree_first, tree_init, tree_insert, tree_item, tree_last, tree_next, tree_prev,
    tree_weight,
)
from workers.types.list_nodes cimport (
    NODE_BYTES, box_of, drop_node, edit_node, find_node, gets_own_node, insert_at, new_pack, pack_part, push_nodes,
    put_node, room_for,
)
from workers.types.sealed cimport held_bytes, open_pack

cdef enum:
    COUNTED_BYTES_MAX = 8192    # of a listpack that is limited by the number of its elements
    SIZED_BYTES_MIN = 4096      # of one that is limited by bytes: level -1; each further level doubles it
    SIZED_LEVELS = 5
    DISMANTLE_STEP = 1 << 20


# -- packs

cdef uint64_t count_equal(const char *pack, const char *bytes, uint64_t length) noexcept:
    cdef uint64_t at = pack_first(pack), count = 0
    while at:
        count += pack_equals(pack, at, bytes, length)
        at = pack_next(pack, at)
    return count


cdef int strip_pack(
    Arena arena, Box *box, const char *bytes, uint64_t length, uint64_t skipped, uint64_t removed, uint64_t left
) except -1:
    """Passes over the first `skipped` elements that equal `bytes`, and removes the next `removed` of them."""
    cdef const char *pack = arena.at(box.block)
    cdef uint64_t at = pack_first(pack), following, kept_from = PACK_HEADER, block = 0
    cdef char *out = NULL
    while removed:
        following = pack_next(pack, at)
        if pack_equals(pack, at, bytes, length):
            if skipped:
                skipped -= 1
            elif out == NULL and removed == 1:
                return pack_delete(arena, box, at, 1)
            else:
                if out == NULL:                 # equal elements have equal bytes
                    block = new_pack(arena, box.length - PACK_EMPTY - removed * (pack_after(pack, at) - at), left)
                    out = arena.at(block) + PACK_HEADER
                memcpy(out, pack + kept_from, at - kept_from)
                out += at - kept_from
                kept_from = pack_after(pack, at)
                removed -= 1
        at = following
    memcpy(out, pack + kept_from, box.length - 1 - kept_from)
    arena.free(box.block)
    box[0] = box_of(arena, block)
    return 0


# -- the tree

cdef inline uint64_t tree_of(Arena arena, List *it) noexcept:
    return arena.offset_of(&(<ListRoot *>arena.at(it.box.block)).head.tree)


cdef uint64_t new_root(Arena arena) except 0:
    cdef uint64_t block = arena.alloc_zeroed(sizeof(ListRoot))
    cdef ListRoot *root = <ListRoot *>arena.at(block)
    root.head.owns = OWNS_BLOCKS
    tree_init(&root.head.tree, True)
    return block


cdef int free_item(void *arena, uint64_t block) except -1:
    return (<Arena>arena).free(block)


# -- reading

cdef int list_open(Keyspace keyspace, Found *found, List *out) except -1:
    cdef Arena arena = keyspace.arena
    out.type = 0
    out.length = out.box.block = out.box.length = 0
    if not found.exists:
        return 0
    if found.entry.type != LIST_PACKED and found.entry.type != LIST_TREE:
        raise CommandError(WRONG_TYPE)
    out.type = found.entry.type
    keyspace.box_of(found, &out.box)
    if out.type == LIST_PACKED:
        out.length = pack_count(arena.at(out.box.block))
    else:
        out.length = (<ListRoot *>arena.at(out.box.block)).head.tree.weight
    return 0


cdef bint list_seek(Arena arena, List *it, uint64_t index, ListCursor *cursor) noexcept:
    cdef uint64_t within = index, count = it.length
    cursor.in_tree = it.type == LIST_TREE
    cursor.at = 0
    if index >= it.length:
        return False
    cursor.pack = arena.at(it.box.block)
    if cursor.in_tree:
        find_node(arena, tree_of(arena, it), index, &cursor.node, &within)
        cursor.pack = open_pack(arena.at(tree_item(arena, &cursor.node)), cursor.room)
        count = tree_weight(arena, &cursor.node)
    cursor.at = pack_seek(cursor.pack, <int64_t>within - (<int64_t>count if within > count // 2 else 0))
    return True


cdef bint list_next(Arena arena, ListCursor *cursor) noexcept:
    cursor.at = pack_next(cursor.pack, cursor.at)
    if cursor.at == 0 and cursor.in_tree and tree_next(arena, &cursor.node):
        cursor.pack = open_pack(arena.at(tree_item(arena, &cursor.node)), cursor.room)
        cursor.at = pack_first(cursor.pack)
    return cursor.at != 0


cdef bint list_prev(Arena arena, ListCursor *cursor) noexcept:
    cursor.at = pack_previous(cursor.pack, cursor.at)
    if cursor.at == 0 and cursor.in_tree and tree_prev(arena, &cursor.node):
        cursor.pack = open_pack(arena.at(tree_item(arena, &cursor.node)), cursor.room)
        cursor.at = pack_last(cursor.pack)
    return cursor.at != 0


cdef const char *list_text(Arena arena, ListCursor *cursor, char *scratch, uint64_t *length) noexcept:
    return pack_text(cursor.pack, cursor.at, scratch, length)


cdef bint list_equals(Arena arena, ListCursor *cursor, const char *bytes, uint64_t length) noexcept:
    return pack_equals(cursor.pack, cursor.at, bytes, length)


cdef list list_values(Arena arena, List *it, uint64_t first, uint64_t count, bint backwards):
    cdef ListCursor cursor
    cdef char scratch[ELEMENT_TEXT]
    cdef uint64_t length
    cdef const char *text
    cdef list values = []
    list_seek(arena, it, first, &cursor)
    while count:
        text = list_text(arena, &cursor, scratch, &length)
        values.append(PyBytes_FromStringAndSize(text, <Py_ssize_t>length))
        count -= 1
        if backwards:
            list_prev(arena, &cursor)
        else:
            list_next(arena, &cursor)
    return values


# -- encodings

cdef inline void pack_limits(int64_t setting, uint64_t *bytes, uint64_t *count) noexcept:
    """What the directive list-max-listpack-size means: elements, or below 0 a level of bytes."""
    if setting < 0:
        bytes[0] = <uint64_t>SIZED_BYTES_MIN << (min(-setting, <int64_t>SIZED_LEVELS) - 1)
        count[0] = UINT64_MAX
    else:
        bytes[0] = COUNTED_BYTES_MAX
        count[0] = max(setting, 1)


cdef int list_grow(Arena arena, List *it, Limits limits, uint64_t bytes, uint64_t count) except -1:
    cdef uint64_t bytes_max, count_max, used = it.box.length if it.box.block else PACK_EMPTY
    if it.type == LIST_TREE:
        return 0
    pack_limits(limits.list_max_listpack_size, &bytes_max, &count_max)
    if bytes > bytes_max or used + bytes > bytes_max or it.length + count > count_max:
        return spread(arena, it)
    it.type = LIST_PACKED
    return 0


cdef int spread(Arena arena, List *it) except -1:
    """Cuts the pack into the nodes of a tree."""
    cdef const char *pack = arena.at(it.box.block)
    cdef uint64_t old = it.box.block, root, start, count, block, end = PACK_HEADER, left = it.length
    cdef uint64_t following = end
    cdef TreeCursor cursor
    it.box.block, it.box.length = new_root(arena), 0
    it.type = LIST_TREE
    root = tree_of(arena, it)
    while left:
        start, count = end, 0
        while count < left:
            following = pack_after(pack, end)
            if count and PACK_EMPTY + following - start > NODE_BYTES:
                break
            end = following
            count += 1
        block = pack_part(arena, pack, start, end, count)
        tree_end(arena, root, &cursor)
        tree_insert(arena, root, &cursor, block, count)
        left -= count
    if old:
        arena.free(old)
    return 0


cdef int list_shrink(Arena arena, List *it, Limits limits) except -1:
    cdef uint64_t bytes_max, count_max
    if it.type != LIST_TREE or it.length == 0:
        return 0
    pack_limits(limits.list_max_listpack_size, &bytes_max, &count_max)
    if limits.list_max_listpack_size < 0:       # half of either limit, lest the encoding go back and forth
        bytes_max //= 2
    if it.length > min(count_max // 2, bytes_max // 2):     # an element takes two bytes
        return 0
    return gather(arena, it, bytes_max)


cdef int gather(Arena arena, List *it, uint64_t bytes_max) except -1:
    """Makes one pack of the nodes, if it would be no longer than that and none has an element of its own."""
    cdef uint64_t root = tree_of(arena, it), bytes = PACK_EMPTY, block, part
    cdef TreeCursor cursor
    cdef const char *pack
    cdef char *out
    cdef char room[SEALED_MAX]
    cdef bint more = tree_first(arena, root, &cursor)
    while more:
        part = held_bytes(arena.at(tree_item(arena, &cursor))) - PACK_EMPTY
        bytes += part
        if bytes > bytes_max or (tree_weight(arena, &cursor) == 1 and gets_own_node(part)):
            return 0
        more = tree_next(arena, &cursor)
    block = new_pack(arena, bytes - PACK_EMPTY, it.length)
    out = arena.at(block) + PACK_HEADER
    more = tree_first(arena, root, &cursor)
    while more:
        pack = open_pack(arena.at(tree_item(arena, &cursor)), room)
        part = pack_bytes(pack) - PACK_EMPTY
        memcpy(out, pack + PACK_HEADER, part)
        out += part
        more = tree_next(arena, &cursor)
    while not tree_dismantle(arena, root, DISMANTLE_STEP, free_item, <void *>arena):
        pass
    arena.free(it.box.block)
    it.box = box_of(arena, block)
    it.type = LIST_PACKED
    return 0


# -- editing

cdef int list_push(Arena arena, List *it, Element *elements, uint64_t count, bint at_head) except -1:
    it.length += count
    if it.type == LIST_TREE:
        return push_nodes(arena, tree_of(arena, it), elements, count, at_head)
    if it.box.block == 0:
        return pack_make(arena, &it.box, elements, count)
    if at_head:
        return pack_insert(arena, &it.box, pack_first(arena.at(it.box.block)), elements, count)
    return pack_append(arena, &it.box, elements, count)


cdef int list_insert(Arena arena, List *it, ListCursor *cursor, Element *element, bint behind) except -1:
    cdef uint64_t at = pack_after(cursor.pack, cursor.at) if behind else cursor.at
    it.length += 1
    if it.type == LIST_PACKED:
        return pack_insert(arena, &it.box, at, element, 1)
    return insert_at(arena, tree_of(arena, it), &cursor.node, at, element)


cdef int list_replace(Arena arena, List *it, ListCursor *cursor, Element *element) except -1:
    cdef uint64_t root, old_bytes
    cdef TreeCursor *node = &cursor.node
    cdef Box box
    if it.type == LIST_PACKED:
        return pack_replace(arena, &it.box, cursor.at, element, 1)
    root = tree_of(arena, it)
    edit_node(arena, root, node, &box)
    if tree_weight(arena, node) == 1:
        arena.free(box.block)
        pack_make(arena, &box, element, 1)
        return put_node(arena, root, node, &box, 0)
    old_bytes = pack_after(cursor.pack, cursor.at) - cursor.at
    if box.length - old_bytes + room_for(element) <= NODE_BYTES:
        pack_replace(arena, &box, cursor.at, element, 1)
        return put_node(arena, root, node, &box, 0)
    pack_delete(arena, &box, cursor.at, 1)
    put_node(arena, root, node, &box, -1)
    return insert_at(arena, root, node, cursor.at, element)


cdef int list_remove(Arena arena, List *it, uint64_t first, uint64_t count) except -1:
    cdef uint64_t root, within = 0, weight, part
    cdef TreeCursor node
    cdef Box box
    it.length -= count
    if it.length == 0 or count == 0:
        return 0
    if it.type == LIST_PACKED:
        return pack_delete(arena, &it.box, pack_seek(arena.at(it.box.block), <int64_t>first), count)
    root = tree_of(arena, it)
    find_node(arena, root, first, &node, &within)
    while count:
        weight = tree_weight(arena, &node)
        part = min(count, weight - within)
        if part == weight:
            drop_node(arena, root, &node)
        else:
            edit_node(arena, root, &node, &box)
            pack_delete(arena, &box, pack_seek(arena.at(box.block), <int64_t>within), part)
            put_node(arena, root, &node, &box, -<int64_t>part)
            tree_next(arena, &node)
        count -= part
        within = 0
    return 0


cdef int64_t list_remove_equal(
    Arena arena, List *it, const char *bytes, uint64_t length, uint64_t most, bint from_tail
) except -1:
    cdef uint64_t root, matches, removed, total = 0
    cdef TreeCursor node
    cdef Box box
    cdef uint64_t nodes
    cdef char room[SEALED_MAX]
    if it.type == LIST_PACKED:
        matches = count_equal(arena.at(it.box.block), bytes, length)
        total = min(matches, most)
        it.length -= total
        if it.length and total:
            strip_pack(arena, &it.box, bytes, length, matches - total if from_tail else 0, total, it.length)
        return <int64_t>total
    root = tree_of(arena, it)
    nodes = (<TreeRoot *>arena.at(root)).items
    if from_tail:
        tree_last(arena, root, &node)
    else:
        tree_first(arena, root, &node)
    while nodes and total < most:
        nodes -= 1
        matches = count_equal(open_pack(arena.at(tree_item(arena, &node)), room), bytes, length)
        removed = min(matches, most - total)
        total += removed
        if removed == tree_weight(arena, &node):
            drop_node(arena, root, &node)
            if from_tail:
                tree_prev(arena, &node)
            continue
        if removed:
            edit_node(arena, root, &node, &box)
            strip_pack(
                arena, &box, bytes, length, matches - removed if from_tail else 0, removed,
                tree_weight(arena, &node) - removed,
            )
            put_node(arena, root, &node, &box, -<int64_t>removed)
        if from_tail:
            tree_prev(arena, &node)
        else:
            tree_next(arena, &node)
    it.length -= total
    return <int64_t>total


# -- the key

cdef int list_save(Keyspace keyspace, int db, Found *found, const char *key, uint64_t length, List *it) except -1:
    if it.length == 0:
        return keyspace.delete(db, found, False) if found.exists else 0
    if found.exists and found.entry.type == it.type:
        keyspace.modified(found)
        return keyspace.set_box(found, it.box.block, it.box.length)
    return keyspace.put_collection(db, found, key, length, it.type, it.box.block, it.box.length)
