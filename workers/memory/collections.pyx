"""Collections as values of keys: see collections.pxd."""
from libc.stdlib cimport free
from libc.string cimport memcpy

from shardkv.atomic cimport prefetch
from shardkv.hashing cimport hash_key
from workers.memory.buckets cimport TableGrave, bucket_at, directory_words, word_bucket
from workers.memory.entry cimport (
    HASH_TABLE, LIST_TREE, SET_TABLE, STREAM, STREAM_CONSUMER, STREAM_GROUP, STRING_BOXED, ZSET_TREE, entry_box,
    entry_length, entry_view,
)
from workers.memory.journal cimport Vector, vector_push
from workers.memory.table cimport Place, table_dismantle, table_each, table_find, table_insert, table_make, table_unlink
from workers.memory.tree cimport (
    TreeCursor, tree_blocks, tree_build, tree_dismantle, tree_first, tree_init, tree_item, tree_next,
    tree_weight,
)

cdef enum:
    MIB = 1 << 20
    LAZY_BLOCK = MIB        # from this length on, a block unlinked lazily goes to the graveyard
    SMALL_ITEMS = 64        # a collection of no more items is freed at once, unless it lies in another
    WHOLE = 1 << 30         # a budget that is never used up


cdef inline uint64_t root_bytes(int type) noexcept:
    """The length of the block that a type's Box names, 0 when Box.length tells it."""
    if type == SET_TABLE or type == HASH_TABLE:
        return sizeof(TableRoot)
    if type == LIST_TREE:
        return sizeof(ListRoot)
    if type == ZSET_TREE:
        return sizeof(ZsetRoot)
    if type == STREAM:
        return sizeof(StreamRoot)
    if type == STREAM_GROUP:
        return sizeof(GroupRoot)
    if type == STREAM_CONSUMER:
        return sizeof(ConsumerRoot)
    return 0


cdef inline uint64_t table_in(int type, uint64_t block) noexcept:
    """Where the table lies in the block of a type, 0 when it has none."""
    if type == SET_TABLE or type == HASH_TABLE:
        return block
    if type == ZSET_TREE:
        return block + <uint64_t>&(<ZsetRoot *>NULL).members
    if type == STREAM:
        return block + <uint64_t>&(<StreamRoot *>NULL).groups
    if type == STREAM_GROUP:
        return block + <uint64_t>&(<GroupRoot *>NULL).consumers
    return 0


cdef uint64_t collection_table(Arena arena, uint64_t entry) noexcept:
    cdef EntryView view
    cdef uint64_t block
    entry_view(arena.base, entry, &view)
    if view.type < STRING_BOXED:
        return 0
    block = entry_box(&view).block
    prefetch(arena.at(block))
    return table_in(view.type, block)


cdef inline bint has_tree(int type) noexcept:
    return type == LIST_TREE or type == ZSET_TREE or STREAM <= type <= STREAM_CONSUMER


cdef inline uint64_t tree_in(uint64_t block) noexcept:
    return block + <uint64_t>&(<TreeHead *>NULL).tree


# -- freeing

cdef struct Burial:
    void *arena
    KeyspaceRoot *root


cdef int bury_entry(void *context, uint64_t entry) except -1:
    cdef Arena arena = <Arena>(<Burial *>context).arena
    cdef EntryView view
    entry_view(arena.base, entry, &view)
    unlink(arena, (<Burial *>context).root, &view, True, 0)
    return arena.free(entry)


cdef int bury_item(void *context, uint64_t block) except -1:
    return release_block(<Arena>(<Burial *>context).arena, (<Burial *>context).root, block, True, 0)


cdef int collection_free(Arena arena, KeyspaceRoot *root, EntryView *entry, bint lazily) except -1:
    return unlink(arena, root, entry, lazily, 1)


cdef int unlink(Arena arena, KeyspaceRoot *root, EntryView *entry, bint lazily, uint64_t values) except -1:
    """A key's value (`values` = 1), or what lies in one (0)."""
    cdef Box box
    cdef uint64_t table, small = SMALL_ITEMS if values else 0
    if entry.type < STRING_BOXED:
        return 0
    box = entry_box(entry)
    if root_bytes(entry.type) == 0:
        return release_block(arena, root, box.block, lazily, values)
    table = table_in(entry.type, box.block)
    if table:
        release_table(arena, root, table, small, 0 if has_tree(entry.type) else values)
    if not has_tree(entry.type):
        return arena.free(box.block)
    if (<TreeHead *>arena.at(box.block)).tree.items <= small and reap_tree(arena, root, box.block, WHOLE):
        return arena.free(box.block)
    return bury_tree(arena, root, box.block, values)


cdef int release_block(Arena arena, KeyspaceRoot *root, uint64_t block, bint lazily, uint64_t values) except -1:
    if lazily and arena.usable(block) >= LAZY_BLOCK:
        return bury_block(arena, root, block, values)
    return arena.free(block)


cdef int release_table(Arena arena, KeyspaceRoot *root, uint64_t table, uint64_t small, uint64_t values) except -1:
    cdef uint64_t items = (<TableRoot *>arena.at(table)).count
    cdef uint64_t directory = table_unlink(arena, table)
    if directory == 0 or (items <= small and reap_table(arena, root, directory, WHOLE)):
        return 0
    return bury_table(arena, root, directory, values)


cdef int bury_block(Arena arena, KeyspaceRoot *root, uint64_t block, uint64_t values=0) except -1:
    cdef DeadBlock dead
    dead.next, dead.values = root.dead_blocks, values
    arena.write(block, <const char *>&dead, sizeof(DeadBlock))
    arena.set_word(&root.dead_values, root.dead_values + values)
    return arena.set_word(&root.dead_blocks, block)


cdef int bury_table(Arena arena, KeyspaceRoot *root, uint64_t directory, uint64_t values=0) except -1:
    cdef TableGrave *grave = <TableGrave *>arena.at(directory)
    arena.put64(directory, root.dead_tables)        # TableGrave.next
    arena.put32(arena.offset_of(&grave.root.deepest), <uint32_t>values)
    arena.set_word(&root.dead_values, root.dead_values + values)
    return arena.set_word(&root.dead_tables, directory)


cdef int bury_tree(Arena arena, KeyspaceRoot *root, uint64_t block, uint64_t values=0) except -1:
    cdef TreeHead *head = <TreeHead *>arena.at(block)
    arena.put64(block, root.dead_trees)             # TreeHead.next
    arena.put32(arena.offset_of(&head.values), <uint32_t>values)
    arena.set_word(&root.dead_values, root.dead_values + values)
    return arena.set_word(&root.dead_trees, block)


cdef int exhume(Arena arena, KeyspaceRoot *root, uint64_t *first, uint64_t next, uint64_t values) except -1:
    """Takes the first off a list of the dead; `next` follows it."""
    arena.set_word(&root.dead_values, root.dead_values - values)
    return arena.set_word(first, next)


cdef int reap_table(Arena arena, KeyspaceRoot *root, uint64_t directory, int budget) except -1:
    cdef Burial burial
    burial.arena, burial.root = <void *>arena, root
    return table_dismantle(arena, directory, budget, bury_entry, &burial)


cdef int reap_tree(Arena arena, KeyspaceRoot *root, uint64_t block, int budget) except -1:
    cdef Burial burial
    cdef bint owns = (<TreeHead *>arena.at(block)).owns == OWNS_BLOCKS
    burial.arena, burial.root = <void *>arena, root
    if not owns:
        return tree_dismantle(arena, tree_in(block), budget, NULL, NULL)
    return tree_dismantle(arena, tree_in(block), budget, bury_item, &burial)


cdef int collections_reap(Arena arena, KeyspaceRoot *root, int budget, uint64_t *reaped) except -1:
    # What is dismantled is off its list meanwhile, as its items may be put on that list.
    cdef uint64_t dead, items, values
    while budget > 0 and root.dead_blocks:
        dead = root.dead_blocks
        values = (<DeadBlock *>arena.at(dead)).values
        budget -= 1 + <int>(arena.usable(dead) // MIB)
        exhume(arena, root, &root.dead_blocks, (<DeadBlock *>arena.at(dead)).next, values)
        arena.free(dead)
        reaped[0] += values
    while budget > 0 and root.dead_tables:
        dead = root.dead_tables
        values = (<TableGrave *>arena.at(dead)).root.deepest
        items = (<TableGrave *>arena.at(dead)).root.count
        exhume(arena, root, &root.dead_tables, (<TableGrave *>arena.at(dead)).next, values)
        if not reap_table(arena, root, dead, budget):
            bury_table(arena, root, dead, values)
            return 1
        budget -= 1 + <int>items
        reaped[0] += values
    while budget > 0 and root.dead_trees:
        dead = root.dead_trees
        values = (<TreeHead *>arena.at(dead)).values
        items = (<TreeHead *>arena.at(dead)).tree.items
        exhume(arena, root, &root.dead_trees, (<TreeHead *>arena.at(dead)).next, values)
        if not reap_tree(arena, root, dead, budget):
            bury_tree(arena, root, dead, values)
            return 1
        arena.free(dead)
        budget -= 1 + <int>items
        reaped[0] += values
    return root.dead_blocks != 0 or root.dead_tables != 0 or root.dead_trees != 0


# -- copying

cdef struct Copying:
    void *source
    void *target
    uint64_t table          # where clones go


cdef uint64_t clone_block(Arena source, Arena target, uint64_t block, uint64_t length) except 0:
    cdef uint64_t made = target.alloc(length)
    memcpy(target.at(made), source.at(block), length)
    return made


cdef uint64_t clone_entry(Arena source, Arena target, uint64_t entry, uint64_t table) except 0:
    """The same entry, with what it owns, in a table of the target."""
    cdef EntryView view
    cdef Place place
    cdef Box box
    cdef uint64_t made
    entry_view(source.base, entry, &view)
    made = clone_block(source, target, entry, entry_length(source.base, &view))
    if view.type >= STRING_BOXED:
        collection_copy(source, target, &view, &box)
        memcpy(target.at(made) + (view.value - source.at(entry)), &box, sizeof(Box))
    if view.type == STREAM_CONSUMER:
        (<ConsumerRoot *>target.at(box.block)).entry = made
    table_insert(target, table, hash_key(view.key, view.key_length), made, view.expiry, &place)
    return made


cdef int clone_visited(void *context, uint64_t entry) except -1:
    cdef Copying *copying = <Copying *>context
    clone_entry(<Arena>copying.source, <Arena>copying.target, entry, copying.table)
    return 0


cdef int copy_table(Arena source, Arena target, uint64_t table, uint64_t made) except -1:
    cdef Copying copying
    copying.source, copying.target, copying.table = <void *>source, <void *>target, made
    return table_each(source, table, clone_visited, &copying)


cdef int collection_copy(Arena source, Arena target, EntryView *entry, Box *box) except -1:
    cdef Box old = entry_box(entry)
    cdef int type = entry.type
    cdef uint64_t length = root_bytes(type), table
    cdef TreeHead *head
    box.block = clone_block(source, target, old.block, length if length else old.length)
    box.length = old.length
    table = table_in(type, box.block)
    if table:
        clear_table(target, table)
        table_make(target, table, (<TableRoot *>source.at(table_in(type, old.block))).count)
    if has_tree(type):
        head = <TreeHead *>target.at(box.block)
        tree_init(&head.tree, head.tree.weighted)
    if table and type != ZSET_TREE:
        copy_table(source, target, table_in(type, old.block), table)
    if type == STREAM_GROUP:
        return copy_pending(source, target, old.block, box.block)
    if has_tree(type) and type != STREAM_CONSUMER:
        return copy_tree(source, target, old.block, box.block, table if type == ZSET_TREE else 0)
    return 0


cdef void clear_table(Arena target, uint64_t table) noexcept:
    cdef TableRoot *root = <TableRoot *>target.at(table)
    root.directory = root.count = root.expiring = 0
    root.depth = root.deepest = 0


cdef int copy_tree(Arena source, Arena target, uint64_t block, uint64_t made, uint64_t members) except -1:
    """Copies a tree and the blocks its items name; those of a sorted set are entries, and go into `members` too."""
    cdef TreeCursor cursor
    cdef Vector slots
    cdef uint64_t item
    cdef bint weighted = (<TreeHead *>source.at(block)).tree.weighted, more
    slots.items, slots.size, slots.room = NULL, 0, 0
    try:
        more = tree_first(source, tree_in(block), &cursor)
        while more:
            item = tree_item(source, &cursor)
            if members:
                item = clone_entry(source, target, item, members)
            else:
                item = clone_block(source, target, item, source.usable(item))
            vector_push(&slots, item)
            if weighted:
                vector_push(&slots, tree_weight(source, &cursor))
            more = tree_next(source, &cursor)
        if slots.size:
            tree_build(target, tree_in(made), slots.items, slots.size // (1 + weighted))
    finally:
        free(slots.items)
    return 0


cdef int copy_pending(Arena source, Arena target, uint64_t block, uint64_t made) except -1:
    """A group's pending entries; its consumers have been copied, without theirs."""
    cdef TreeCursor cursor
    cdef Pending *pending
    cdef Vector items
    cdef uint64_t item, consumer
    cdef dict consumers = {}, shares = {}
    cdef Copying copying
    cdef bint more
    copying.source, copying.target, copying.table = <void *>source, <void *>target, table_in(STREAM_GROUP, made)
    consumers_context = (consumers, <uint64_t>&copying)
    table_each(source, table_in(STREAM_GROUP, block), match_consumer, <void *>consumers_context)
    items.items, items.size, items.room = NULL, 0, 0
    more = tree_first(source, tree_in(block), &cursor)
    try:
        while more:
            item = clone_block(source, target, tree_item(source, &cursor), sizeof(Pending))
            pending = <Pending *>target.at(item)
            consumer = consumers[pending.consumer]
            pending.consumer = consumer
            vector_push(&items, item)
            shares.setdefault(consumer, []).append(item)
            more = tree_next(source, &cursor)
        tree_build(target, tree_in(made), items.items, items.size)
        for consumer, share in shares.items():
            items.size = 0
            for item in share:
                vector_push(&items, item)
            tree_build(target, tree_in(consumer), items.items, items.size)
    finally:
        free(items.items)
    return 0


cdef int match_consumer(void *context, uint64_t entry) except -1:
    """Notes which block of the target is the copy of a consumer's."""
    cdef tuple both = <tuple>context
    cdef Copying *copying = <Copying *><uint64_t>both[1]
    cdef Arena target = <Arena>copying.target
    cdef EntryView view, made
    cdef Place place
    entry_view((<Arena>copying.source).base, entry, &view)
    place = table_find(target, copying.table, hash_key(view.key, view.key_length), view.key, view.key_length)
    entry_view(target.base, place.entry, &made)
    (<dict>both[0])[entry_box(&view).block] = entry_box(&made).block
    return 0


# -- measuring

cdef struct Measure:
    void *arena
    uint64_t samples        # 0 = all
    uint64_t seen           # items measured
    uint64_t items          # bytes of those
    uint64_t blocks         # bytes beside the items


cdef inline bint enough(Measure *measure) noexcept:
    return measure.samples != 0 and measure.seen >= measure.samples


cdef int measure_entry(void *context, uint64_t entry) except -1:
    cdef Measure *measure = <Measure *>context
    cdef Arena arena = <Arena>measure.arena
    cdef EntryView view
    entry_view(arena.base, entry, &view)
    measure.seen += 1
    measure.items += arena.usable(entry)
    if view.type >= STRING_BOXED:
        measure.items += collection_memory(arena, &view, measure.samples)
    return enough(measure)


cdef int measure_node(void *context, uint64_t block) except -1:
    cdef Measure *measure = <Measure *>context
    measure.blocks += (<Arena>measure.arena).usable(block)
    return 0


cdef uint64_t items_estimate(Measure *measure, uint64_t count) noexcept:
    """Bytes of all items, from those measured."""
    return measure.items if measure.seen in (0, count) else <uint64_t>(<double>measure.items / measure.seen * count)


cdef uint64_t table_memory(Arena arena, uint64_t table, uint64_t samples) except? 0xFFFFFFFFFFFFFFFF:
    cdef TableRoot *root = <TableRoot *>arena.at(table)
    cdef Measure measure
    cdef uint64_t index = 0, bucket
    if root.directory == 0:
        return 0
    measure.arena, measure.samples = <void *>arena, samples
    measure.seen = measure.items = 0
    measure.blocks = arena.usable(root.directory)
    while index >> root.depth == 0:
        bucket = word_bucket(directory_words(arena, root)[index])
        measure.blocks += arena.usable(bucket)
        index += <uint64_t>1 << (root.depth - bucket_at(arena, bucket).depth)
    table_each(arena, table, measure_entry, &measure)
    return measure.blocks + items_estimate(&measure, root.count)


cdef uint64_t tree_memory(Arena arena, uint64_t block, uint64_t samples) except? 0xFFFFFFFFFFFFFFFF:
    cdef TreeHead *head = <TreeHead *>arena.at(block)
    cdef Measure measure
    cdef TreeCursor cursor
    cdef bint more
    measure.arena, measure.samples = <void *>arena, samples
    measure.seen = measure.items = measure.blocks = 0
    tree_blocks(arena, tree_in(block), measure_node, &measure)
    more = head.owns == OWNS_BLOCKS and tree_first(arena, tree_in(block), &cursor)
    while more and not enough(&measure):
        measure.seen += 1
        measure.items += arena.usable(tree_item(arena, &cursor))
        more = tree_next(arena, &cursor)
    return measure.blocks + items_estimate(&measure, head.tree.items)


cdef uint64_t collection_memory(Arena arena, EntryView *entry, uint64_t samples) except? 0:
    cdef uint64_t block, table, used
    if entry.type < STRING_BOXED:
        return 0
    block = entry_box(entry).block
    used = arena.usable(block)
    table = table_in(entry.type, block)
    if table:
        used += table_memory(arena, table, samples)
    if has_tree(entry.type):
        used += tree_memory(arena, block, samples)
    return used
