"""Streams: see stream.pxd."""
from libc.stdint cimport int64_t
from libc.string cimport memcpy, memmove

from shardkv.errors import WRONG_TYPE, CommandError

from workers.memory.collections cimport OWNS_BLOCKS
from workers.memory.entry cimport STREAM, Box
from workers.memory.tree cimport (
    tree_end, tree_first, tree_init, tree_insert, tree_item, tree_last, tree_next, tree_prev, tree_remove,
    tree_replace, tree_seek,
)


cdef struct Sought:
    char *base
    StreamId id


# -- numbers of 7 bits a byte, low bits first

cdef inline uint64_t take(const char **at) noexcept:
    cdef uint64_t value = 0
    cdef int shift = 0
    cdef unsigned char byte = 0x80
    while byte & 0x80:
        byte = <unsigned char>at[0][0]
        at[0] += 1
        value |= <uint64_t>(byte & 0x7F) << shift
        shift += 7
    return value


cdef inline char *put(char *at, uint64_t value) noexcept:
    while value > 0x7F:
        at[0] = <char>(value & 0x7F | 0x80)
        at += 1
        value >>= 7
    at[0] = <char>value
    return at + 1


cdef inline uint64_t width(uint64_t value) noexcept:
    cdef uint64_t bytes = 1
    while value > 0x7F:
        value >>= 7
        bytes += 1
    return bytes


# -- places in memory

cdef inline uint64_t nodes_of(uint64_t root) noexcept:
    return root + <uint64_t>&(<StreamRoot *>NULL).head.tree


cdef inline NodeHead *head_at(Arena arena, uint64_t block) noexcept:
    return <NodeHead *>arena.at(block)


cdef uint64_t stream_open(Keyspace keyspace, Found *found) except? 0:
    cdef Box box
    if not found.exists:
        return 0
    if found.entry.type != STREAM:
        raise CommandError(WRONG_TYPE)
    keyspace.box_of(found, &box)
    return box.block


cdef uint64_t stream_make(Keyspace keyspace, int db, Found *found, const char *key, uint64_t length) except 0:
    cdef uint64_t block = keyspace.arena.alloc_zeroed(sizeof(StreamRoot))
    cdef StreamRoot *root = stream_at(keyspace.arena, block)
    root.head.owns = OWNS_BLOCKS
    tree_init(&root.head.tree, True)
    keyspace.put_collection(db, found, key, length, STREAM, block, 0)
    return block


cdef int stream_set_id(Arena arena, StreamId *field, StreamId id) except -1:
    arena.set_word(&field.ms, id.ms)
    return arena.set_word(&field.seq, id.seq)


# -- finding

cdef void read_entry(Arena arena, StreamCursor *cursor, uint64_t start) noexcept:
    cdef NodeHead *head = head_at(arena, cursor.block)
    cdef const char *base = <const char *>head
    cdef const char *at = base + start
    cdef uint64_t rest = take(&at)
    cursor.start = start
    cursor.end = <uint64_t>(at - base) + rest
    cursor.id.ms = head.base.ms + take(&at)
    cursor.id.seq = take(&at)
    cursor.strings = take(&at)
    cursor.at = <uint64_t>(at - base)


cdef inline void enter_node(Arena arena, StreamCursor *cursor) noexcept:
    cursor.block = tree_item(arena, &cursor.node)
    read_entry(arena, cursor, sizeof(NodeHead))


cdef void enter_last(Arena arena, StreamCursor *cursor, uint64_t before) noexcept:
    """Goes to the last entry of the node that starts before `before`; there must be one."""
    read_entry(arena, cursor, sizeof(NodeHead))
    while cursor.end < before:
        read_entry(arena, cursor, cursor.end)


cdef int before_or_at(void *context, uint64_t item) noexcept:
    cdef Sought *sought = <Sought *>context
    return -1 if compare_ids((<NodeHead *>(sought.base + item)).base, sought.id) <= 0 else 1


cdef bint node_of(Arena arena, uint64_t root, StreamId id, StreamCursor *cursor) noexcept:
    """Goes to the last node whose base is not behind `id`; if all are, False."""
    cdef Sought sought
    sought.base = arena.base
    sought.id = id
    tree_seek(arena, nodes_of(root), before_or_at, &sought, &cursor.node)
    return tree_prev(arena, &cursor.node)


cdef bint stream_seek(Arena arena, uint64_t root, StreamId id, StreamCursor *cursor) noexcept:
    if not node_of(arena, root, id, cursor) and not tree_first(arena, nodes_of(root), &cursor.node):
        return False
    enter_node(arena, cursor)
    while compare_ids(cursor.id, id) < 0:
        if not stream_next(arena, cursor):
            return False
    return True


cdef bint stream_seek_back(Arena arena, uint64_t root, StreamId id, StreamCursor *cursor) noexcept:
    if not node_of(arena, root, id, cursor):
        return False
    cursor.block = tree_item(arena, &cursor.node)
    enter_last(arena, cursor, head_at(arena, cursor.block).used)
    while compare_ids(cursor.id, id) > 0:
        if not stream_prev(arena, cursor):
            return False
    return True


cdef bint stream_next(Arena arena, StreamCursor *cursor) noexcept:
    if cursor.end < head_at(arena, cursor.block).used:
        read_entry(arena, cursor, cursor.end)
        return True
    if not tree_next(arena, &cursor.node):
        return False
    enter_node(arena, cursor)
    return True


cdef bint stream_prev(Arena arena, StreamCursor *cursor) noexcept:
    if cursor.start > sizeof(NodeHead):
        enter_last(arena, cursor, cursor.start)
        return True
    if not tree_prev(arena, &cursor.node):
        return False
    cursor.block = tree_item(arena, &cursor.node)
    enter_last(arena, cursor, head_at(arena, cursor.block).used)
    return True


cdef uint64_t node_entries(Arena arena, StreamCursor *cursor) noexcept:
    return head_at(arena, cursor.block).entries


cdef StreamId node_last(Arena arena, StreamCursor *cursor) noexcept:
    cdef StreamCursor last = cursor[0]
    enter_last(arena, &last, head_at(arena, cursor.block).used)
    return last.id


cdef const char *stream_string(Arena arena, StreamCursor *cursor, uint64_t *length) noexcept:
    cdef const char *base = arena.at(cursor.block)
    cdef const char *at = base + cursor.at
    length[0] = take(&at)
    cursor.at = <uint64_t>(at - base) + length[0]
    return at


# -- editing

cdef uint64_t body_size(StreamId base, StreamId id, Argument *strings, uint64_t count) noexcept:
    cdef uint64_t index, bytes = width(id.ms - base.ms) + width(id.seq) + width(count)
    for index in range(count):
        bytes += width(strings[index].length) + strings[index].length
    return bytes


cdef void write_entry(char *at, uint64_t body, StreamId base, StreamId id, Argument *strings, uint64_t count) noexcept:
    cdef uint64_t index
    at = put(at, body)
    at = put(at, id.ms - base.ms)
    at = put(at, id.seq)
    at = put(at, count)
    for index in range(count):
        at = put(at, strings[index].length)
        memcpy(at, strings[index].bytes, strings[index].length)
        at += strings[index].length


cdef int add_node(Arena arena, uint64_t root, StreamId id, Argument *strings, uint64_t count) except -1:
    cdef TreeCursor cursor
    cdef uint64_t body = body_size(id, id, strings, count)
    cdef uint64_t used = sizeof(NodeHead) + width(body) + body
    cdef uint64_t block = arena.alloc(used)
    cdef NodeHead *head = head_at(arena, block)
    head.base, head.entries, head.used = id, 1, used
    write_entry(<char *>head + sizeof(NodeHead), body, id, id, strings, count)
    tree_end(arena, nodes_of(root), &cursor)
    return tree_insert(arena, nodes_of(root), &cursor, block, 1)


cdef int extend_node(
    Arena arena, uint64_t root, TreeCursor *cursor, StreamId id, Argument *strings, uint64_t count, Limits limits
) except -1:
    """Adds to the last node, if it has room; answers whether it had."""
    cdef uint64_t wanted, fresh, block = tree_item(arena, cursor)
    cdef NodeHead *head = head_at(arena, block)
    cdef uint64_t used = head.used, body = body_size(head.base, id, strings, count)
    cdef uint64_t most = STREAM_NODE_BYTES
    if 0 < limits.stream_node_max_bytes < STREAM_NODE_BYTES:
        most = <uint64_t>limits.stream_node_max_bytes
    wanted = used + width(body) + body
    if 0 < limits.stream_node_max_entries <= <int64_t>head.entries or wanted > most:
        return 0
    if wanted > arena.usable(block):
        fresh = arena.alloc(min(wanted + wanted // 2, STREAM_NODE_BYTES))
        memcpy(arena.at(fresh), arena.at(block), used)
        arena.free(block)
        block = fresh
    head = head_at(arena, block)
    arena.set_word(&head.entries, head.entries + 1)
    arena.set_word(&head.used, wanted)
    write_entry(<char *>head + used, body, head.base, id, strings, count)  # behind what was used: needs no journal
    tree_replace(arena, nodes_of(root), cursor, block, head.entries)
    return 1


cdef int stream_append(
    Arena arena, uint64_t root, StreamId id, Argument *strings, uint64_t count, Limits limits
) except -1:
    cdef TreeCursor cursor
    cdef StreamRoot *stream
    if not tree_last(arena, nodes_of(root), &cursor) or not extend_node(
        arena, root, &cursor, id, strings, count, limits
    ):
        add_node(arena, root, id, strings, count)
    stream = stream_at(arena, root)
    stream_set_id(arena, &stream.last, id)
    arena.set_word(&stream.length, stream.length + 1)
    return arena.set_word(&stream.entries_added, stream.entries_added + 1)


cdef int stream_remove_node(Arena arena, uint64_t root, StreamCursor *cursor) except -1:
    cdef StreamRoot *stream = stream_at(arena, root)
    arena.set_word(&stream.length, stream.length - head_at(arena, cursor.block).entries)
    arena.free(cursor.block)
    return tree_remove(arena, nodes_of(root), &cursor.node)


cdef int stream_remove(Arena arena, uint64_t root, StreamCursor *cursor) except -1:
    cdef StreamRoot *stream = stream_at(arena, root)
    cdef NodeHead *head = head_at(arena, cursor.block)
    cdef char *base = <char *>head
    if head.entries == 1:
        return stream_remove_node(arena, root, cursor)
    arena.save(cursor.block + cursor.start, head.used - cursor.start)
    memmove(base + cursor.start, base + cursor.end, head.used - cursor.end)
    arena.set_word(&head.used, head.used - (cursor.end - cursor.start))
    arena.set_word(&head.entries, head.entries - 1)
    arena.set_word(&stream.length, stream.length - 1)
    return tree_replace(arena, nodes_of(root), &cursor.node, cursor.block, head.entries)
