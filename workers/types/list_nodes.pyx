"""Nodes of a list's tree: see list_nodes.pxd for what they hold and the invariants."""
from libc.stdint cimport UINT64_MAX, uint16_t, uint32_t
from libc.string cimport memcpy

from workers.memory.listpack cimport (
    PACK_COUNT_UNKNOWN, PACK_EMPTY, PACK_HEADER, pack_delete, pack_insert, pack_make, pack_next, pack_room,
)
from workers.memory.nodes cimport node_at
from workers.memory.tree cimport (
    TreeRoot, tree_at, tree_end, tree_first, tree_insert, tree_item, tree_last, tree_next, tree_prev, tree_remove,
    tree_replace, tree_weight,
)
from workers.types.sealed cimport held_bytes, is_sealed, open_pack, seal_pack

cdef uint64_t packed_threshold = UINT64_MAX


cdef void set_packed_threshold(uint64_t length) noexcept:
    global packed_threshold
    packed_threshold = length


# -- packs

cdef uint64_t new_pack(Arena arena, uint64_t elements_bytes, uint64_t count) except 0:
    cdef uint64_t used = PACK_EMPTY + elements_bytes
    cdef uint64_t block = arena.alloc(used)
    cdef char *pack = arena.at(block)
    (<uint32_t *>pack)[0] = <uint32_t>used
    (<uint16_t *>(pack + 4))[0] = <uint16_t>min(count, <uint64_t>PACK_COUNT_UNKNOWN)
    pack[used - 1] = <char>0xFF
    return block


cdef uint64_t pack_part(Arena arena, const char *pack, uint64_t start, uint64_t end, uint64_t count) except 0:
    cdef uint64_t block = new_pack(arena, end - start, count)
    memcpy(arena.at(block) + PACK_HEADER, pack + start, end - start)
    return block


# -- a node

cdef uint64_t room_for(Element *element) noexcept:
    return pack_room(element, 1) if element.length < packed_threshold else NODE_BYTES


cdef bint gets_own_node(uint64_t length) noexcept:
    return length >= packed_threshold


cdef bint find_node(Arena arena, uint64_t root, uint64_t index, TreeCursor *cursor, uint64_t *within) noexcept:
    cdef uint64_t weight = (<TreeRoot *>arena.at(root)).weight
    if tree_last(arena, root, cursor):
        within[0] = index + tree_weight(arena, cursor) - weight
        if within[0] < tree_weight(arena, cursor):
            return True
        tree_first(arena, root, cursor)
        within[0] = index
        if index < tree_weight(arena, cursor):
            return True
    return tree_at(arena, root, index, cursor, within)


cdef int edit_node(Arena arena, uint64_t root, TreeCursor *node, Box *box) except -1:
    cdef uint64_t sealed = tree_item(arena, node)
    box[0] = box_of(arena, sealed)
    if is_sealed(arena.at(sealed)):
        box.block = arena.alloc(box.length)
        open_pack(arena.at(sealed), arena.at(box.block))
        arena.free(sealed)
        put_node(arena, root, node, box, 0)
    return 0


cdef int seal_node(Arena arena, uint64_t root, TreeCursor *node) except -1:
    cdef uint64_t plain = tree_item(arena, node), sealed
    if is_sealed(arena.at(plain)):
        return 0
    sealed = seal_pack(arena, arena.at(plain))
    if sealed == 0:
        return 0
    arena.free(plain)
    return tree_replace(arena, root, node, sealed, tree_weight(arena, node))


cdef int settle_node(Arena arena, uint64_t root, TreeCursor *node, bint at_head) except -1:
    """The cursor's node will not be the outermost at its end any more: trims it, and seals the one behind it."""
    trim_node(arena, root, node)
    if (<TreeRoot *>arena.at(root)).items < 2 * PLAIN_NODES:
        return 0
    if at_head:
        tree_next(arena, node)
        seal_node(arena, root, node)
        tree_prev(arena, node)
    else:
        tree_prev(arena, node)
        seal_node(arena, root, node)
        tree_next(arena, node)
    return 0


cdef int trim_node(Arena arena, uint64_t root, TreeCursor *node) except -1:
    """Gives back the room in which a node has grown, as it will not grow on."""
    cdef uint64_t old = tree_item(arena, node), block
    cdef uint64_t used = held_bytes(arena.at(old))
    if is_sealed(arena.at(old)) or arena.usable(old) <= arena.good_size(used):
        return 0
    block = pack_part(arena, arena.at(old), PACK_HEADER, used - 1, tree_weight(arena, node))
    arena.free(old)
    return tree_replace(arena, root, node, block, tree_weight(arena, node))


cdef int drop_node(Arena arena, uint64_t root, TreeCursor *node) except -1:
    arena.free(tree_item(arena, node))
    return tree_remove(arena, root, node)


# -- elements into nodes

cdef uint64_t how_many(Element *elements, uint64_t count, bint from_end, uint64_t room) noexcept:
    """How many elements fit."""
    cdef uint64_t fitting = 0, size
    while fitting < count:
        size = room_for(&elements[count - fitting - 1 if from_end else fitting])
        if size > room:
            break
        room -= size
        fitting += 1
    return fitting


cdef int push_nodes(Arena arena, uint64_t root, Element *elements, uint64_t count, bint at_head) except -1:
    cdef TreeCursor node
    cdef uint64_t part
    cdef Box box
    cdef Element *those
    cdef bint fresh
    while count:
        part = 0
        if tree_first(arena, root, &node) if at_head else tree_last(arena, root, &node):
            box = box_of(arena, tree_item(arena, &node))
            part = how_many(elements, count, at_head, NODE_BYTES - min(box.length, <uint64_t>NODE_BYTES))
        fresh = part == 0
        if fresh:
            part = max(how_many(elements, count, at_head, NODE_BYTES - PACK_EMPTY), <uint64_t>1)
        those = &elements[count - part] if at_head else elements
        if fresh:
            if node.height:
                settle_node(arena, root, &node, at_head)
            pack_make(arena, &box, those, part)
            if not at_head:
                tree_end(arena, root, &node)
            tree_insert(arena, root, &node, box.block, part)
        else:
            edit_node(arena, root, &node, &box)
            pack_insert(arena, &box, PACK_HEADER if at_head else 0, those, part)
            put_node(arena, root, &node, &box, <int64_t>part)
        count -= part
        if not at_head:
            elements += part
    return 0


cdef bint join(Arena arena, uint64_t root, TreeCursor *node, uint64_t at, Element *element) except -1:
    """Inserts the element into the node, if it has room; at = 0: at its end."""
    cdef Box box = box_of(arena, tree_item(arena, node))
    if box.length + room_for(element) > NODE_BYTES:
        return False
    edit_node(arena, root, node, &box)
    pack_insert(arena, &box, at, element, 1)
    put_node(arena, root, node, &box, 1)
    return True


cdef int insert_at(Arena arena, uint64_t root, TreeCursor *node, uint64_t at, Element *element) except -1:
    cdef Box box
    if join(arena, root, node, at, element):
        return 0
    divide(arena, root, node, at)
    if node.path[0].index < node_at(arena, node.path[0].node).used and join(arena, root, node, PACK_HEADER, element):
        return 0
    if tree_prev(arena, node):
        if join(arena, root, node, 0, element):
            return 0
        tree_next(arena, node)
    pack_make(arena, &box, element, 1)
    return tree_insert(arena, root, node, box.block, 1)


cdef int divide(Arena arena, uint64_t root, TreeCursor *node, uint64_t at) except -1:
    """Divides a node at a place in its pack; the cursor is on what is behind it then, or at the end."""
    cdef Box box = box_of(arena, tree_item(arena, node))
    cdef const char *pack
    cdef uint64_t end = box.length - 1, count = 0, place, behind
    if at == PACK_HEADER:
        return 0
    if at < end:
        edit_node(arena, root, node, &box)
        pack = arena.at(box.block)
        place = at
        while place:
            count += 1
            place = pack_next(pack, place)
        behind = pack_part(arena, pack, at, end, count)
        pack_delete(arena, &box, at, count)
        put_node(arena, root, node, &box, -<int64_t>count)
        tree_next(arena, node)
        return tree_insert(arena, root, node, behind, count)
    tree_next(arena, node)
    return 0
