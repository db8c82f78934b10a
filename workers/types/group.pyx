"""Consumer groups: see group.pxd."""
from cpython.bytes cimport PyBytes_FromStringAndSize
from libc.stdlib cimport free
from libc.string cimport memcpy

from shardkv.hashing cimport hash_key
from workers.memory.collections cimport (
    OWNS_BLOCKS, OWNS_NOTHING, KeyspaceRoot, StreamRoot, TreeHead, bury_tree, collection_free,
)
from workers.memory.entry cimport (
    STREAM_CONSUMER, STREAM_GROUP, Box, EntryView, entry_format, entry_size, entry_view,
)
from workers.memory.journal cimport Vector, vector_push
from workers.memory.table cimport Place, table_each, table_find, table_insert, table_remove
from workers.memory.tree cimport (
    TreeRoot, tree_build, tree_first, tree_init, tree_insert, tree_item, tree_last, tree_next, tree_remove,
    tree_seek,
)
from workers.types.stream cimport StreamCursor, compare_ids, stream_at, stream_first, stream_set_id

cdef enum:
    PART = 8        # a consumer with less than one in so many of its group's pending entries has a small part of them


cdef struct Sought:
    char *base
    StreamId id


cdef struct Naming:
    void *arena
    void *names             # list of (name, offset)


# -- places in memory

cdef inline uint64_t groups_of(uint64_t stream) noexcept:
    return stream + <uint64_t>&(<StreamRoot *>NULL).groups


cdef inline uint64_t consumers_of(uint64_t group) noexcept:
    return group + <uint64_t>&(<GroupRoot *>NULL).consumers


cdef inline uint64_t tree_of(uint64_t owner) noexcept:
    return owner + <uint64_t>&(<TreeHead *>NULL).tree


cdef inline TreeRoot *tree_root(Arena arena, uint64_t owner) noexcept:
    return &(<TreeHead *>arena.at(owner)).tree


cdef uint64_t pending_count(Arena arena, uint64_t owner) noexcept:
    return tree_root(arena, owner).items


# -- what has a name

cdef uint64_t root_of(Arena arena, uint64_t entry) noexcept:
    """The block that an entry of either table names."""
    cdef EntryView view
    cdef Box box
    entry_view(arena.base, entry, &view)
    memcpy(&box, view.value, sizeof(Box))
    return box.block


cdef uint64_t named(Arena arena, uint64_t table, const char *name, uint64_t length) noexcept:
    cdef Place place = table_find(arena, table, hash_key(name, length), name, length)
    return root_of(arena, place.entry) if place.entry else 0


cdef uint64_t add_named(
    Arena arena, uint64_t table, int type, const char *name, uint64_t length, uint64_t block
) except 0:
    """Makes the entry of a fresh root; returns it."""
    cdef uint64_t entry = arena.alloc(entry_size(length, sizeof(Box), False))
    cdef Place place
    cdef Box box
    box.block, box.length = block, 0
    memcpy(entry_format(arena.at(entry), type, name, length, sizeof(Box), -1, 0), &box, sizeof(Box))
    table_insert(arena, table, hash_key(name, length), entry, -1, &place)
    return entry


cdef bint remove_named(Keyspace keyspace, uint64_t table, const char *name, uint64_t length) except -1:
    """Takes out an entry with what it owns; returns whether there was one."""
    cdef Arena arena = keyspace.arena
    cdef Place place = table_find(arena, table, hash_key(name, length), name, length)
    cdef EntryView view
    if place.entry == 0:
        return False
    entry_view(arena.base, place.entry, &view)
    collection_free(arena, <KeyspaceRoot *>arena.at(keyspace.root), &view, False)
    table_remove(arena, table, &place, -1)
    arena.free(view.offset)
    return True


cdef int note_name(void *context, uint64_t entry) except -1:
    cdef Naming *naming = <Naming *>context
    cdef Arena arena = <Arena>naming.arena
    cdef EntryView view
    entry_view(arena.base, entry, &view)
    (<list>naming.names).append((PyBytes_FromStringAndSize(view.key, view.key_length), root_of(arena, entry)))
    return 0


cdef list names_in(Arena arena, uint64_t table):
    cdef list names = []
    cdef Naming naming
    naming.arena, naming.names = <void *>arena, <void *>names
    table_each(arena, table, note_name, &naming)
    names.sort()
    return names


# -- groups

cdef uint64_t group_find(Arena arena, uint64_t stream, const char *name, uint64_t length) noexcept:
    return named(arena, groups_of(stream), name, length)


cdef uint64_t group_make(
    Arena arena, uint64_t stream, const char *name, uint64_t length, StreamId last, int64_t entries_read
) except 0:
    cdef uint64_t block = arena.alloc_zeroed(sizeof(GroupRoot))
    cdef GroupRoot *group = group_at(arena, block)
    group.head.owns = OWNS_BLOCKS
    tree_init(&group.head.tree, False)
    group.last, group.entries_read = last, entries_read
    add_named(arena, groups_of(stream), STREAM_GROUP, name, length, block)
    return block


cdef int group_set(Arena arena, uint64_t group, StreamId last, int64_t entries_read) except -1:
    cdef GroupRoot *root = group_at(arena, group)
    stream_set_id(arena, &root.last, last)
    return arena.set_word(<uint64_t *>&root.entries_read, <uint64_t>entries_read)


cdef inline StreamId first_id(Arena arena, uint64_t stream) noexcept:
    """Of a stream that has entries."""
    cdef StreamCursor cursor
    stream_first(arena, stream, &cursor)
    return cursor.id


cdef inline bint nothing_deleted(StreamRoot *stream) noexcept:
    return stream.max_deleted.ms == 0 and stream.max_deleted.seq == 0


cdef bint gap_behind(Arena arena, uint64_t stream, StreamId id) noexcept:
    """Whether an entry has been deleted at or behind this id, and not before all entries."""
    cdef StreamRoot *root = stream_at(arena, stream)
    if root.length == 0 or nothing_deleted(root) or compare_ids(id, root.max_deleted) > 0:
        return False
    return compare_ids(first_id(arena, stream), root.max_deleted) <= 0


cdef int64_t entries_until(Arena arena, uint64_t stream, StreamId id) noexcept:
    cdef StreamRoot *root = stream_at(arena, stream)
    cdef int order = compare_ids(id, root.last)
    cdef StreamId first
    if root.entries_added == 0:
        return 0
    if order == 0 or order < 0 and root.length == 0:
        return <int64_t>root.entries_added
    if order > 0:
        return NOT_KNOWN
    first = first_id(arena, stream)
    if not nothing_deleted(root) and compare_ids(root.max_deleted, first) >= 0 or compare_ids(id, first) > 0:
        return NOT_KNOWN
    return <int64_t>(root.entries_added - root.length) + (compare_ids(id, first) == 0)


cdef int group_advance(Arena arena, uint64_t stream, uint64_t group, StreamId id) except -1:
    cdef GroupRoot *root = group_at(arena, group)
    cdef int64_t entries_read = root.entries_read
    if compare_ids(id, root.last) <= 0:
        return 0
    if entries_read != NOT_KNOWN and not gap_behind(arena, stream, id):
        entries_read += 1
    elif stream_at(arena, stream).entries_added:
        entries_read = entries_until(arena, stream, id)
    return group_set(arena, group, id, entries_read)


cdef bint group_lag(Arena arena, uint64_t stream, uint64_t group, int64_t *lag) noexcept:
    cdef GroupRoot *root = group_at(arena, group)
    cdef int64_t added = <int64_t>stream_at(arena, stream).entries_added, entries_read = root.entries_read
    if added == 0:
        lag[0] = 0
        return True
    if entries_read == NOT_KNOWN or gap_behind(arena, stream, root.last):
        entries_read = entries_until(arena, stream, root.last)
    lag[0] = added - entries_read
    return entries_read != NOT_KNOWN


cdef bint group_destroy(Keyspace keyspace, uint64_t stream, const char *name, uint64_t length) except -1:
    return remove_named(keyspace, groups_of(stream), name, length)


cdef list named_groups(Arena arena, uint64_t stream):
    return names_in(arena, groups_of(stream))


# -- consumers

cdef uint64_t consumer_find(Arena arena, uint64_t group, const char *name, uint64_t length) noexcept:
    return named(arena, consumers_of(group), name, length)


cdef uint64_t consumer_make(
    Arena arena, uint64_t group, const char *name, uint64_t length, int64_t seen_ms
) except 0:
    cdef uint64_t block = arena.alloc_zeroed(sizeof(ConsumerRoot)), entry
    cdef ConsumerRoot *consumer = consumer_at(arena, block)
    consumer.head.owns = OWNS_NOTHING
    tree_init(&consumer.head.tree, False)
    consumer.seen_ms, consumer.active_ms = seen_ms, -1
    entry = add_named(arena, consumers_of(group), STREAM_CONSUMER, name, length, block)
    consumer_at(arena, block).entry = entry
    return block


cdef const char *consumer_name(Arena arena, uint64_t consumer, uint64_t *length) noexcept:
    cdef EntryView view
    entry_view(arena.base, consumer_at(arena, consumer).entry, &view)
    length[0] = view.key_length
    return view.key


cdef list named_consumers(Arena arena, uint64_t group):
    return names_in(arena, consumers_of(group))


cdef int consumer_seen(Arena arena, uint64_t consumer, int64_t now_ms) except -1:
    return arena.set_word(<uint64_t *>&consumer_at(arena, consumer).seen_ms, <uint64_t>now_ms)


cdef int consumer_active(Arena arena, uint64_t consumer, int64_t now_ms) except -1:
    return arena.set_word(<uint64_t *>&consumer_at(arena, consumer).active_ms, <uint64_t>now_ms)


cdef bint consumer_destroy(Keyspace keyspace, uint64_t group, const char *name, uint64_t length) except -1:
    cdef Arena arena = keyspace.arena
    cdef uint64_t consumer = consumer_find(arena, group, name, length)
    if consumer == 0:
        return False
    if pending_count(arena, consumer) > pending_count(arena, group) // PART:
        take_all(keyspace, group, consumer)
    else:
        take_each(arena, group, consumer)
    arena.put32(arena.offset_of(&consumer_at(arena, consumer).head.owns), OWNS_BLOCKS)      # nothing else does any more
    return remove_named(keyspace, consumers_of(group), name, length)


cdef int take_each(Arena arena, uint64_t group, uint64_t consumer) except -1:
    """Takes a consumer's pending entries out of the group's tree one by one."""
    cdef TreeCursor cursor, place
    cdef bint more = tree_first(arena, tree_of(consumer), &cursor)
    while more:
        seek(arena, group, pending_at(arena, tree_item(arena, &cursor)).id, &place)
        tree_remove(arena, tree_of(group), &place)
        more = tree_next(arena, &cursor)
    return 0


cdef int take_all(Keyspace keyspace, uint64_t group, uint64_t consumer) except -1:
    """The same, by making the group's tree anew of all others, if there are any."""
    cdef Arena arena = keyspace.arena
    cdef uint64_t old = arena.alloc_zeroed(sizeof(TreeHead))
    cdef TreeCursor cursor
    cdef Vector others
    cdef bint more = tree_first(arena, tree_of(group), &cursor)
    others.items, others.size, others.room = NULL, 0, 0
    try:
        while more and pending_count(arena, consumer) < pending_count(arena, group):
            if pending_at(arena, tree_item(arena, &cursor)).consumer != consumer:
                vector_push(&others, tree_item(arena, &cursor))
            more = tree_next(arena, &cursor)
        tree_root(arena, old)[0] = tree_root(arena, group)[0]
        arena.save(tree_of(group), sizeof(TreeRoot))
        tree_init(tree_root(arena, group), False)
        tree_build(arena, tree_of(group), others.items, others.size)
    finally:
        free(others.items)
    (<TreeHead *>arena.at(old)).owns = OWNS_NOTHING
    return bury_tree(arena, <KeyspaceRoot *>arena.at(keyspace.root), old)


# -- pending entries

cdef int compare_pending(void *context, uint64_t item) noexcept:
    cdef Sought *sought = <Sought *>context
    return compare_ids((<Pending *>(sought.base + item)).id, sought.id)


cdef inline bint seek(Arena arena, uint64_t owner, StreamId id, TreeCursor *cursor) noexcept:
    cdef Sought sought
    sought.base, sought.id = arena.base, id
    return tree_seek(arena, tree_of(owner), compare_pending, &sought, cursor)


cdef uint64_t pending_seek(Arena arena, uint64_t owner, StreamId id, TreeCursor *cursor) noexcept:
    return tree_item(arena, cursor) if seek(arena, owner, id, cursor) else 0


cdef uint64_t pending_next(Arena arena, TreeCursor *cursor) noexcept:
    return tree_item(arena, cursor) if tree_next(arena, cursor) else 0


cdef uint64_t pending_find(Arena arena, uint64_t owner, StreamId id) noexcept:
    cdef TreeCursor cursor
    cdef uint64_t pending = pending_seek(arena, owner, id, &cursor)
    return pending if pending and compare_ids(pending_at(arena, pending).id, id) == 0 else 0


cdef uint64_t pending_first(Arena arena, uint64_t owner) noexcept:
    cdef TreeCursor cursor
    return tree_item(arena, &cursor) if tree_first(arena, tree_of(owner), &cursor) else 0


cdef uint64_t pending_last(Arena arena, uint64_t owner) noexcept:
    cdef TreeCursor cursor
    return tree_item(arena, &cursor) if tree_last(arena, tree_of(owner), &cursor) else 0


cdef int add_to(Arena arena, uint64_t owner, uint64_t pending) except -1:
    cdef TreeCursor cursor
    seek(arena, owner, pending_at(arena, pending).id, &cursor)
    return tree_insert(arena, tree_of(owner), &cursor, pending, 1)


cdef int take_from(Arena arena, uint64_t owner, uint64_t pending) except -1:
    cdef TreeCursor cursor
    seek(arena, owner, pending_at(arena, pending).id, &cursor)
    return tree_remove(arena, tree_of(owner), &cursor)


cdef uint64_t pending_make(
    Arena arena, uint64_t group, uint64_t consumer, StreamId id, int64_t delivered_ms, uint64_t deliveries
) except 0:
    cdef uint64_t block = arena.alloc(sizeof(Pending))
    cdef Pending *pending = pending_at(arena, block)
    pending.id, pending.consumer = id, consumer
    pending.delivered_ms, pending.deliveries = delivered_ms, deliveries
    add_to(arena, group, block)
    add_to(arena, consumer, block)
    return block


cdef int pending_move(Arena arena, uint64_t pending, uint64_t consumer) except -1:
    cdef uint64_t owner = pending_at(arena, pending).consumer
    if owner == consumer:
        return 0
    take_from(arena, owner, pending)
    add_to(arena, consumer, pending)
    return arena.set_word(&pending_at(arena, pending).consumer, consumer)


cdef int pending_delivered(Arena arena, uint64_t pending, int64_t delivered_ms, uint64_t deliveries) except -1:
    arena.set_word(<uint64_t *>&pending_at(arena, pending).delivered_ms, <uint64_t>delivered_ms)
    return arena.set_word(&pending_at(arena, pending).deliveries, deliveries)


cdef int pending_remove(Arena arena, uint64_t group, uint64_t pending) except -1:
    take_from(arena, group, pending)
    take_from(arena, pending_at(arena, pending).consumer, pending)
    return arena.free(pending)
