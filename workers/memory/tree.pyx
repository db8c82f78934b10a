"""The tree: see tree.pxd for layout and invariants."""
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy, memmove

from shardkv.atomic cimport prefetch
from workers.memory.nodes cimport (
    INNER_WORDS, JOINED_MAX, SLOTS_MAX, SLOTS_MIN, blocks_below, build_level, describe, new_node, set_child, set_used,
    weight_of,
)

from shardkv.errors import OutOfMemory

cdef inline NodeHeader *step_node(Arena arena, TreeCursor *cursor, uint64_t level) noexcept:
    return node_at(arena, cursor.path[level].node)


cdef inline uint64_t *step_slot(Arena arena, TreeCursor *cursor, uint64_t level) noexcept:
    return node_slot(step_node(arena, cursor, level), cursor.path[level].index)


cdef int swap_node(Arena arena, uint64_t root, TreeCursor *cursor, uint64_t level) except -1:
    """Writes a level's node into a block that fits it better."""
    cdef TreeStep *step = &cursor.path[level]
    cdef NodeHeader *header = node_at(arena, step.node)
    cdef uint64_t node = new_node(arena, header.words, node_slot(header, 0), header.used)
    if level + 1 < cursor.height:
        arena.set_word(&step_slot(arena, cursor, level + 1)[2], node)
    else:
        arena.put64(root, node)
    arena.free(step.node)
    step.node = node
    return 0


# -- finding

cdef inline TreeRoot *start(Arena arena, uint64_t root, TreeCursor *cursor) noexcept:
    cdef TreeRoot *tree = <TreeRoot *>arena.at(root)
    cursor.height = tree.height
    if tree.height:
        cursor.path[tree.height - 1].node = tree.node
    return tree


cdef inline void descend_first(Arena arena, TreeCursor *cursor, uint64_t level) noexcept:
    """From the node of `level` down to its first item."""
    cursor.path[level].index = 0
    while level:
        level -= 1
        cursor.path[level].node = step_slot(arena, cursor, level + 1)[2]
        cursor.path[level].index = 0


cdef inline void descend_last(Arena arena, TreeCursor *cursor, uint64_t level) noexcept:
    cursor.path[level].index = step_node(arena, cursor, level).used - 1
    while level:
        level -= 1
        cursor.path[level].node = step_slot(arena, cursor, level + 1)[2]
        cursor.path[level].index = step_node(arena, cursor, level).used - 1


cdef bint tree_first(Arena arena, uint64_t root, TreeCursor *cursor) noexcept:
    if start(arena, root, cursor).height == 0:
        return False
    descend_first(arena, cursor, cursor.height - 1)
    return True


cdef bint tree_last(Arena arena, uint64_t root, TreeCursor *cursor) noexcept:
    if start(arena, root, cursor).height == 0:
        return False
    descend_last(arena, cursor, cursor.height - 1)
    return True


cdef void tree_end(Arena arena, uint64_t root, TreeCursor *cursor) noexcept:
    if tree_last(arena, root, cursor):
        cursor.path[0].index += 1


cdef bint tree_at(Arena arena, uint64_t root, uint64_t position, TreeCursor *cursor, uint64_t *within) noexcept:
    cdef TreeRoot *tree = start(arena, root, cursor)
    cdef uint64_t level = tree.height, index
    cdef NodeHeader *header
    cdef uint64_t *slot
    if position >= tree.weight:
        tree_end(arena, root, cursor)
        return False
    while level:
        level -= 1
        header = step_node(arena, cursor, level)
        slot = node_slot(header, 0)
        index = 0
        if header.words == 1:
            index = position
            position = 0
        else:
            while position >= slot[1]:
                position -= slot[1]
                slot += header.words
                index += 1
        cursor.path[level].index = index
        if level:
            cursor.path[level - 1].node = slot[2]
    if within != NULL:
        within[0] = position
    return True


cdef uint64_t search(
    Arena arena, NodeHeader *header, uint64_t low, compare_item compare, void *context
) noexcept:
    """The first slot from `low` on whose item is not before what is sought."""
    cdef uint64_t high = header.used, middle
    while low < high:
        middle = (low + high) >> 1
        # Items are compared by what they name: both that may be next are asked of the memory while this one comes.
        prefetch(arena.at(node_slot(header, (low + middle) >> 1)[0]))
        prefetch(arena.at(node_slot(header, min((middle + 1 + high) >> 1, header.used - <uint64_t>1))[0]))
        if compare(context, node_slot(header, middle)[0]) < 0:
            low = middle + 1
        else:
            high = middle
    return low


cdef bint descend(Arena arena, uint64_t root, compare_item compare, void *context, TreeCursor *cursor) noexcept:
    """To the leaf where what is sought belongs; returns whether the leaf's first item is known to be before it."""
    cdef uint64_t level = start(arena, root, cursor).height, low
    cdef NodeHeader *header
    cdef bint known = False
    while level > 1:
        level -= 1
        header = step_node(arena, cursor, level)
        low = search(arena, header, 1, compare, context) - 1      # the last child whose first item is before it
        known |= low > 0
        cursor.path[level].index = low
        cursor.path[level - 1].node = node_slot(header, low)[2]
    return known


cdef bint tree_seek(Arena arena, uint64_t root, compare_item compare, void *context, TreeCursor *cursor) noexcept:
    cdef bint known
    if (<TreeRoot *>arena.at(root)).height == 0:
        cursor.height = 0
        return False
    known = descend(arena, root, compare, context, cursor)
    cursor.path[0].index = search(arena, step_node(arena, cursor, 0), known, compare, context)
    return settle(arena, cursor)


cdef bint tree_locate(
    Arena arena, uint64_t root, compare_item compare, void *context, uint64_t item, TreeCursor *cursor
) noexcept:
    cdef NodeHeader *header
    cdef uint64_t index = 0
    if (<TreeRoot *>arena.at(root)).height == 0:
        cursor.height = 0
        return False
    descend(arena, root, compare, context, cursor)
    header = step_node(arena, cursor, 0)
    while index < header.used and node_slot(header, index)[0] != item:
        index += 1
    cursor.path[0].index = index
    return settle(arena, cursor)        # behind the leaf's last: it is the first one of the next


cdef inline bint settle(Arena arena, TreeCursor *cursor) noexcept:
    """Moves a cursor behind a leaf's last item to the next leaf, if there is one."""
    cdef uint64_t level = 1
    if cursor.path[0].index < step_node(arena, cursor, 0).used:
        return True
    while level < cursor.height and cursor.path[level].index + 1 == step_node(arena, cursor, level).used:
        level += 1
    if level >= cursor.height:
        return False
    cursor.path[level].index += 1
    cursor.path[level - 1].node = step_slot(arena, cursor, level)[2]
    descend_first(arena, cursor, level - 1)
    return True


cdef bint tree_next(Arena arena, TreeCursor *cursor) noexcept:
    if cursor.height == 0:
        return False
    if cursor.path[0].index < step_node(arena, cursor, 0).used:
        cursor.path[0].index += 1
    return settle(arena, cursor)


cdef bint tree_prev(Arena arena, TreeCursor *cursor) noexcept:
    cdef uint64_t level = 0
    while level < cursor.height and cursor.path[level].index == 0:
        level += 1
    if level == cursor.height:
        return False
    cursor.path[level].index -= 1
    if level:
        cursor.path[level - 1].node = step_slot(arena, cursor, level)[2]
        descend_last(arena, cursor, level - 1)
    return True


cdef uint64_t tree_position(Arena arena, TreeCursor *cursor) noexcept:
    cdef uint64_t level, weight = 0
    for level in range(cursor.height):
        weight += weight_of(step_node(arena, cursor, level), cursor.path[level].index)
    return weight


# -- changing

cdef int lift(Arena arena, TreeCursor *cursor, uint64_t level, uint64_t weight) except -1:
    """Tells the levels above `level` that its node's weight has changed by `weight`, and its first item perhaps."""
    cdef uint64_t first = node_slot(step_node(arena, cursor, level), 0)[0]
    cdef uint64_t *slot
    for level in range(level + 1, cursor.height):
        slot = step_slot(arena, cursor, level)
        if weight:
            arena.set_word(&slot[1], slot[1] + weight)
        if slot[0] != first:
            arena.set_word(&slot[0], first)
        first = node_slot(step_node(arena, cursor, level), 0)[0]
    return 0


cdef int count_change(Arena arena, uint64_t root, uint64_t items, uint64_t weight) except -1:
    cdef TreeRoot *tree = <TreeRoot *>arena.at(root)
    arena.save(arena.offset_of(&tree.items), 16)
    tree.items += items
    tree.weight += weight
    return 0


cdef int set_root(Arena arena, uint64_t root, uint64_t node, uint64_t height) except -1:
    cdef TreeRoot *tree = <TreeRoot *>arena.at(root)
    arena.save(root, 16)
    tree.node = node
    tree.height = <uint32_t>height
    return 0


cdef int tree_insert(Arena arena, uint64_t root, TreeCursor *cursor, uint64_t item, uint64_t weight) except -1:
    cdef TreeRoot *tree = <TreeRoot *>arena.at(root)
    cdef uint64_t slot[INNER_WORDS]
    cdef uint64_t position, level = 0
    slot[0] = item
    slot[1] = weight
    count_change(arena, root, 1, weight)
    if tree.height == 0:
        set_root(arena, root, new_node(arena, 1 + tree.weighted, slot, 1), 1)
        tree_first(arena, root, cursor)
        return 0
    if step_node(arena, cursor, 0).used < SLOTS_MAX:
        add_slot(arena, root, cursor, 0, slot)
        return lift(arena, cursor, 0, weight)
    position = tree_position(arena, cursor)
    while level < cursor.height and step_node(arena, cursor, level).used == SLOTS_MAX:
        split(arena, root, cursor, level, slot)
        level += 1
    if level < cursor.height:
        add_slot(arena, root, cursor, level, slot)
        lift(arena, cursor, level, weight)
    tree_at(arena, root, position, cursor, NULL)
    return 0


cdef int add_slot(Arena arena, uint64_t root, TreeCursor *cursor, uint64_t level, const uint64_t *slot) except -1:
    """Puts a slot into a node that is not full, at the cursor's index."""
    cdef NodeHeader *header = step_node(arena, cursor, level)
    cdef uint64_t *place
    cdef uint64_t size, tail
    if header.used == header.room:
        swap_node(arena, root, cursor, level)
        header = step_node(arena, cursor, level)
    size = header.words * 8
    tail = (header.used - cursor.path[level].index) * size
    place = step_slot(arena, cursor, level)
    arena.save(arena.offset_of(place), tail + size)
    memmove(<char *>place + size, place, tail)
    memcpy(place, slot, size)
    return set_used(arena, header, header.used + 1)


cdef int split(Arena arena, uint64_t root, TreeCursor *cursor, uint64_t level, uint64_t *slot) except -1:
    """Puts a slot into a full node, which becomes two: the level above describes the first, at the cursor's index, and
    is to get `slot`, then the second's, behind it. Above a root that splits, does that at once."""
    cdef NodeHeader *header = step_node(arena, cursor, level)
    cdef uint64_t words = header.words, index = cursor.path[level].index
    cdef uint64_t slots[(SLOTS_MAX + 1) * INNER_WORDS]
    cdef uint64_t pair[2 * INNER_WORDS]
    cdef uint64_t first, second, kept
    memcpy(slots, node_slot(header, 0), index * words * 8)
    memcpy(slots + index * words, slot, words * 8)
    memcpy(slots + (index + 1) * words, node_slot(header, index), (SLOTS_MAX - index) * words * 8)
    kept = first_share(arena, cursor, level)
    first = new_node(arena, words, slots, kept)
    second = new_node(arena, words, slots + kept * words, SLOTS_MAX + 1 - kept)
    arena.free(cursor.path[level].node)
    describe(arena, second, slot)
    if level + 1 < cursor.height:
        set_child(arena, cursor.path[level + 1].node, cursor.path[level + 1].index, first)
        cursor.path[level + 1].index += 1
        return 0
    describe(arena, first, pair)
    memcpy(pair + INNER_WORDS, slot, INNER_WORDS * 8)
    return set_root(arena, root, new_node(arena, INNER_WORDS, pair, 2), cursor.height + 1)


cdef uint64_t first_share(Arena arena, TreeCursor *cursor, uint64_t level) noexcept:
    """How many slots the first half of a split gets: where all comes at one end of the tree, one half stays full."""
    cdef uint64_t index = cursor.path[level].index, above = level + 1
    if index == SLOTS_MAX:
        while above < cursor.height and cursor.path[above].index + 1 == step_node(arena, cursor, above).used:
            above += 1
        if above == cursor.height:
            return SLOTS_MAX
    elif index <= (level > 0):          # above the leaves the first of the two is already in its place
        while above < cursor.height and cursor.path[above].index == 0:
            above += 1
        if above == cursor.height:
            return 1
    return (SLOTS_MAX + 1) // 2


cdef int tree_remove(Arena arena, uint64_t root, TreeCursor *cursor) except -1:
    cdef uint64_t weight = tree_weight(arena, cursor), position, level = 0
    count_change(arena, root, <uint64_t>-1, -weight)
    if step_node(arena, cursor, 0).used > SLOTS_MIN:
        drop_slot(arena, root, cursor, 0)
        lift(arena, cursor, 0, -weight)
        settle(arena, cursor)
        return 0
    position = tree_position(arena, cursor)
    while level < cursor.height and step_node(arena, cursor, level).used == 1:
        arena.free(cursor.path[level].node)
        level += 1
    if level == cursor.height:
        cursor.height = 0
        return set_root(arena, root, 0, 0)
    drop_slot(arena, root, cursor, level)
    lift(arena, cursor, level, -weight)
    tidy(arena, root, cursor, level)
    tree_at(arena, root, position, cursor, NULL)
    return 0


cdef int drop_slot(Arena arena, uint64_t root, TreeCursor *cursor, uint64_t level) except -1:
    """Takes the cursor's slot out of a node that has others."""
    cdef NodeHeader *header = step_node(arena, cursor, level)
    cdef uint64_t *place = step_slot(arena, cursor, level)
    cdef uint64_t size = header.words * 8, tail = (header.used - cursor.path[level].index - 1) * size
    arena.save(arena.offset_of(place), tail + size)
    memmove(place, <char *>place + size, tail)
    set_used(arena, header, header.used - 1)
    if header.room > 2 * header.used + 4:
        swap_node(arena, root, cursor, level)
    return 0


cdef int tidy(Arena arena, uint64_t root, TreeCursor *cursor, uint64_t level) except -1:
    """Brings invariant 2 back, from a level that has lost a slot upward."""
    cdef TreeRoot *tree = <TreeRoot *>arena.at(root)
    cdef NodeHeader *header
    while level + 1 < cursor.height and step_node(arena, cursor, level).used < SLOTS_MIN:
        if not join(arena, root, cursor, level):
            break
        level += 1
    header = node_at(arena, tree.node)
    while tree.height > 1 and header.used == 1:
        arena.free(tree.node)
        set_root(arena, root, node_slot(header, 0)[2], tree.height - 1)
        header = node_at(arena, tree.node)
    return 0


cdef int join(Arena arena, uint64_t root, TreeCursor *cursor, uint64_t level) except -1:
    """Joins a small node with its neighbour, and returns 1; or shares the neighbour's slots with it, unless it is the
    first or last of its level."""
    cdef TreeStep *above = &cursor.path[level + 1]
    cdef NodeHeader *parent = node_at(arena, above.node)
    cdef NodeHeader *left
    cdef NodeHeader *right
    cdef uint64_t slots[2 * SLOTS_MAX * INNER_WORDS]
    cdef uint64_t words, total, kept, index = above.index
    cdef bint small_stays = at_edge(arena, cursor, level)
    if parent.used == 1:
        return 0
    if index + 1 == parent.used:
        index -= 1
    left = node_at(arena, node_slot(parent, index)[2])
    right = node_at(arena, node_slot(parent, index + 1)[2])
    words = left.words
    total = left.used + right.used
    if small_stays and total > JOINED_MAX:
        return 0
    memcpy(slots, node_slot(left, 0), left.used * words * 8)
    memcpy(slots + left.used * words, node_slot(right, 0), right.used * words * 8)
    arena.free(arena.offset_of(left))
    arena.free(arena.offset_of(right))
    if total > JOINED_MAX:
        kept = total // 2
        set_child(arena, above.node, index, new_node(arena, words, slots, kept))
        set_child(arena, above.node, index + 1, new_node(arena, words, slots + kept * words, total - kept))
        return 0
    set_child(arena, above.node, index, new_node(arena, words, slots, total))
    above.index = index + 1
    drop_slot(arena, root, cursor, level + 1)
    return 1


cdef bint at_edge(Arena arena, TreeCursor *cursor, uint64_t level) noexcept:
    """Whether the cursor's node is the first or last of its level."""
    cdef bint first = True, last = True
    for level in range(level + 1, cursor.height):
        first = first and cursor.path[level].index == 0
        last = last and cursor.path[level].index + 1 == step_node(arena, cursor, level).used
    return first or last


cdef int tree_replace(Arena arena, uint64_t root, TreeCursor *cursor, uint64_t item, uint64_t weight) except -1:
    cdef uint64_t change = weight - tree_weight(arena, cursor)
    cdef uint64_t *slot = step_slot(arena, cursor, 0)
    if slot[0] != item:
        arena.set_word(&slot[0], item)
    if change:
        arena.set_word(&slot[1], weight)
        count_change(arena, root, 0, change)
    return lift(arena, cursor, 0, change)


# -- as a whole

cdef int tree_build(Arena arena, uint64_t root, const uint64_t *slots, uint64_t count) except -1:
    cdef TreeRoot *tree = <TreeRoot *>arena.at(root)
    cdef uint64_t words = 1 + tree.weighted, items = count, height = 1, weight = 0, _index
    cdef const uint64_t *slot = slots
    cdef uint64_t *level
    if count == 0:
        return 0
    for _index in range(count):
        weight += slot[1] if words > 1 else 1
        slot += words
    level = <uint64_t *>malloc((count // SLOTS_MAX + 1) * INNER_WORDS * 8)
    if level == NULL:
        raise OutOfMemory("no private memory to build a tree")
    try:
        count = build_level(arena, words, slots, count, level)
        while count > 1:
            count = build_level(arena, INNER_WORDS, level, count, level)
            height += 1
        arena.save(root, sizeof(TreeRoot))
        tree.node = level[2]
    finally:
        free(level)
    tree.height = <uint32_t>height
    tree.items = items
    tree.weight = weight
    return 0


cdef int tree_blocks(Arena arena, uint64_t root, visit_word visit, void *context) except -1:
    cdef TreeRoot *tree = <TreeRoot *>arena.at(root)
    if tree.height:
        blocks_below(arena, tree.node, tree.height, visit, context)
    return 0


cdef int tree_dismantle(Arena arena, uint64_t root, int budget, visit_word visit, void *context) except -1:
    cdef TreeRoot *tree = <TreeRoot *>arena.at(root)
    cdef TreeCursor cursor
    cdef NodeHeader *header
    cdef uint64_t index, level, freed = 0
    while tree.height and (budget > 0 or freed == 0):
        tree_last(arena, root, &cursor)
        header = step_node(arena, &cursor, 0)
        if visit != NULL:
            for index in range(header.used):
                visit(context, node_slot(header, index)[0])
        freed += header.used
        budget -= header.used
        arena.free(cursor.path[0].node)
        level = 1
        while level < cursor.height and step_node(arena, &cursor, level).used == 1:
            arena.free(cursor.path[level].node)
            level += 1
        if level < cursor.height:
            set_used(arena, step_node(arena, &cursor, level), cursor.path[level].index)
        else:
            set_root(arena, root, 0, 0)
    if freed:
        count_change(arena, root, -freed, -tree.weight)
    return tree.height == 0
