"""Streams: see stream.pxd."""
from libc.string cimport memcmp, memcpy, memmove

from shardkv.errors import WRONG_TYPE, CommandError

from workers.memory.collections cimport OWNS_BLOCKS
from workers.memory.entry cimport STREAM, Box
from workers.memory.tree cimport (
    tree_end, tree_first, tree_init, tree_insert, tree_item, tree_last, tree_next, tree_prev, tree_remove,
    tree_replace, tree_seek,
)

TOO_LARGE = "ERR Elements are too large to be stored"


cdef struct Sought:
    char *base
    StreamId id


cdef struct Entry:
    # One that is to be written.
    StreamId id
    Argument *strings
    uint64_t count              # of strings
    bint alike
    uint64_t size               # as its head says
    uint64_t length             # of all but the back length


# -- numbers of 7 bits a byte, low bits first

cdef inline uint64_t take(const char **at) noexcept:
    cdef unsigned char byte = <unsigned char>at[0][0]
    cdef uint64_t value = byte & 0x7F
    cdef int shift = 7
    at[0] += 1
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


cdef inline uint64_t take_back(const char **end) noexcept:
    """Takes a number that is read backwards and ends before `end`."""
    cdef unsigned char byte = 0x80
    cdef uint64_t value = 0
    cdef int shift = 0
    while byte & 0x80:
        end[0] -= 1
        byte = <unsigned char>end[0][0]
        value |= <uint64_t>(byte & 0x7F) << shift
        shift += 7
    return value


cdef inline char *put_back(char *at, uint64_t value) noexcept:
    cdef char *end = at + width(value)
    at = end - 1
    while value > 0x7F:
        at[0] = <char>(value & 0x7F | 0x80)
        at -= 1
        value >>= 7
    at[0] = <char>value
    return end


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
    tree_init(&root.head.tree, False)
    keyspace.put_collection(db, found, key, length, STREAM, block, 0)
    return block


cdef int stream_set_id(Arena arena, StreamId *field, StreamId id) except -1:
    arena.set_word(&field.ms, id.ms)
    return arena.set_word(&field.seq, id.seq)


cdef uint64_t stream_nodes(Arena arena, uint64_t root) noexcept:
    return stream_at(arena, root).head.tree.items


# -- finding

cdef void read_entry(Arena arena, StreamCursor *cursor, uint64_t start) noexcept:
    cdef NodeHead *head = head_at(arena, cursor.block)
    cdef const char *base = <const char *>head
    cdef const char *names = base + sizeof(NodeHead)
    cdef const char *at = base + start
    cdef uint64_t size = take(&at), end = <uint64_t>(at - base) + (size >> 1), ms = take(&at)
    cursor.start = start
    cursor.end = end + width(end - start)
    cursor.id.ms = head.base.ms + ms
    cursor.id.seq = take(&at)
    if ms == 0:
        cursor.id.seq += head.base.seq
    if size & 1:
        cursor.strings = 2 * take(&names)
        cursor.names = <uint64_t>(names - base)
    else:
        cursor.strings = 2 * take(&at)
        cursor.names = 0
    cursor.told = 0
    cursor.at = <uint64_t>(at - base)


cdef void read_entry_before(Arena arena, StreamCursor *cursor, uint64_t end) noexcept:
    """Goes to the entry of the node that ends at `end`."""
    cdef const char *base = arena.at(cursor.block)
    cdef const char *at = base + end
    cdef uint64_t length = take_back(&at)
    read_entry(arena, cursor, <uint64_t>(at - base) - length)


cdef inline void enter_first(Arena arena, StreamCursor *cursor) noexcept:
    cursor.block = tree_item(arena, &cursor.node)
    read_entry(arena, cursor, head_at(arena, cursor.block).start)


cdef inline void enter_last(Arena arena, StreamCursor *cursor) noexcept:
    cursor.block = tree_item(arena, &cursor.node)
    read_entry_before(arena, cursor, head_at(arena, cursor.block).end)


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


cdef bint stream_first(Arena arena, uint64_t root, StreamCursor *cursor) noexcept:
    if not tree_first(arena, nodes_of(root), &cursor.node):
        return False
    enter_first(arena, cursor)
    return True


cdef bint stream_last(Arena arena, uint64_t root, StreamCursor *cursor) noexcept:
    if not tree_last(arena, nodes_of(root), &cursor.node):
        return False
    enter_last(arena, cursor)
    return True


cdef bint stream_seek(Arena arena, uint64_t root, StreamId id, StreamCursor *cursor) noexcept:
    if not node_of(arena, root, id, cursor):
        return stream_first(arena, root, cursor)
    enter_first(arena, cursor)
    while compare_ids(cursor.id, id) < 0:
        if not stream_next(arena, cursor):
            return False
    return True


cdef bint stream_seek_back(Arena arena, uint64_t root, StreamId id, StreamCursor *cursor) noexcept:
    if not node_of(arena, root, id, cursor):
        return False
    enter_last(arena, cursor)
    while compare_ids(cursor.id, id) > 0:
        if not stream_prev(arena, cursor):
            return False
    return True


cdef bint stream_next(Arena arena, StreamCursor *cursor) noexcept:
    if cursor.end < head_at(arena, cursor.block).end:
        read_entry(arena, cursor, cursor.end)
        return True
    if not tree_next(arena, &cursor.node):
        return False
    enter_first(arena, cursor)
    return True


cdef bint stream_prev(Arena arena, StreamCursor *cursor) noexcept:
    if cursor.start > head_at(arena, cursor.block).start:
        read_entry_before(arena, cursor, cursor.start)
        return True
    if not tree_prev(arena, &cursor.node):
        return False
    enter_last(arena, cursor)
    return True


cdef NodeHead *node_head(Arena arena, StreamCursor *cursor) noexcept:
    return head_at(arena, cursor.block)


cdef const char *stream_string(Arena arena, StreamCursor *cursor, uint64_t *length) noexcept:
    cdef const char *base = arena.at(cursor.block)
    cdef bint named = cursor.names != 0 and cursor.told & 1 == 0
    cdef uint64_t *place = &cursor.names if named else &cursor.at
    cdef const char *at = base + place[0]
    length[0] = take(&at)
    place[0] = <uint64_t>(at - base) + length[0]
    cursor.told += 1
    return at


cdef void stream_names(Arena arena, StreamCursor *cursor) noexcept:
    cdef const char *base = arena.at(cursor.block)
    cdef const char *at = base + sizeof(NodeHead)
    cursor.strings = take(&at)
    cursor.told = cursor.names = 0
    cursor.at = <uint64_t>(at - base)


# -- writing entries

cdef bint has_names(NodeHead *head, Argument *strings, uint64_t count) noexcept:
    """Whether the fields are those of the node."""
    cdef const char *at = <const char *>head + sizeof(NodeHead)
    cdef uint64_t index, length
    if take(&at) * 2 != count:
        return False
    for index in range(0, count, 2):
        length = take(&at)
        if length != strings[index].length or memcmp(at, strings[index].bytes, length):
            return False
        at += length
    return True


cdef inline uint64_t string_size(Argument *text) noexcept:
    return width(text.length) + text.length


cdef inline char *put_string(char *at, Argument *text) noexcept:
    at = put(at, text.length)
    memcpy(at, text.bytes, text.length)
    return at + text.length


cdef inline uint64_t relative_seq(StreamId id, StreamId base) noexcept:
    return id.seq - base.seq if id.ms == base.ms else id.seq


cdef void measure(Entry *entry, StreamId base) noexcept:
    cdef uint64_t index, step = 1 + entry.alike
    cdef uint64_t body = width(entry.id.ms - base.ms) + width(relative_seq(entry.id, base))
    if not entry.alike:
        body += width(entry.count >> 1)
    index = step - 1
    while index < entry.count:
        body += string_size(&entry.strings[index])
        index += step
    entry.size = body << 1 | entry.alike
    entry.length = width(entry.size) + body


cdef void write_entry(char *at, Entry *entry, StreamId base) noexcept:
    cdef uint64_t index, step = 1 + entry.alike
    at = put(at, entry.size)
    at = put(at, entry.id.ms - base.ms)
    at = put(at, relative_seq(entry.id, base))
    if not entry.alike:
        at = put(at, entry.count >> 1)
    index = step - 1
    while index < entry.count:
        at = put_string(at, &entry.strings[index])
        index += step
    put_back(at, entry.length)


cdef int check_bytes(Argument *strings, uint64_t count) except -1:
    cdef uint64_t index, total = 0
    for index in range(count):
        total += strings[index].length
    if total > ENTRY_BYTES_MAX:
        raise CommandError(TOO_LARGE)
    return 0


# -- editing

cdef inline int save_counts(Arena arena, NodeHead *head) except -1:
    """Before any field of a node's head but its base changes."""
    return arena.save(arena.offset_of(&head.entries), sizeof(NodeHead) - sizeof(StreamId))


cdef inline uint64_t node_limit(Limits limits) noexcept:
    cdef uint64_t most = <uint64_t>limits.stream_node_max_bytes
    return most if 0 < most < NODE_BYTES_MAX else NODE_BYTES_MAX


cdef int add_node(Arena arena, uint64_t root, Entry *entry, uint64_t room) except -1:
    """Adds a node that has the entry, with room for `room` bytes if they are more than it needs."""
    cdef TreeCursor cursor
    cdef NodeHead *head
    cdef char *at
    cdef uint64_t index, block, start = sizeof(NodeHead) + width(entry.count >> 1)
    for index in range(0, entry.count, 2):
        start += string_size(&entry.strings[index])
    entry.alike = True
    measure(entry, entry.id)
    block = arena.alloc(max(start + entry.length + width(entry.length), room))
    head = head_at(arena, block)
    head.base, head.last, head.entries, head.added = entry.id, entry.id, 1, 1
    head.start, head.end = <uint32_t>start, <uint32_t>(start + entry.length + width(entry.length))
    at = put(<char *>head + sizeof(NodeHead), entry.count >> 1)
    for index in range(0, entry.count, 2):
        at = put_string(at, &entry.strings[index])
    write_entry(at, entry, entry.id)
    tree_end(arena, nodes_of(root), &cursor)
    return tree_insert(arena, nodes_of(root), &cursor, block, 1)


cdef int extend_node(Arena arena, uint64_t root, TreeCursor *cursor, Entry *entry, Limits limits) except -1:
    """Adds to the last node, if it has room; returns whether it had."""
    cdef uint64_t fresh, block = tree_item(arena, cursor), most = node_limit(limits)
    cdef NodeHead *head = head_at(arena, block)
    cdef uint64_t used = head.end, end
    if 0 < limits.stream_node_max_entries <= head.added:
        return 0
    entry.alike = has_names(head, entry.strings, entry.count)
    measure(entry, head.base)
    end = used + entry.length + width(entry.length)
    if end > most:
        return 0
    if end > arena.usable(block):
        fresh = arena.alloc(min(end + end // 2, most))
        memcpy(arena.at(fresh), head, used)
        arena.free(block)
        tree_replace(arena, nodes_of(root), cursor, fresh, 1)
        head = head_at(arena, fresh)
    else:
        save_counts(arena, head)
        arena.save(block + used, end - used)
    head.entries += 1
    head.added += 1
    head.last = entry.id
    head.end = <uint32_t>end
    write_entry(<char *>head + used, entry, head.base)
    return 1


cdef uint64_t settle_node(Arena arena, uint64_t root, TreeCursor *cursor) except 0:
    """Gives a node that is full a block that fits; returns the bytes it uses."""
    cdef uint64_t fresh, block = tree_item(arena, cursor), used = head_at(arena, block).end
    if arena.good_size(used) < arena.usable(block):
        fresh = arena.alloc(used)
        memcpy(arena.at(fresh), arena.at(block), used)
        arena.free(block)
        tree_replace(arena, nodes_of(root), cursor, fresh, 1)
    return used


cdef int stream_append(
    Arena arena, uint64_t root, StreamId id, Argument *strings, uint64_t count, Limits limits
) except -1:
    cdef TreeCursor cursor
    cdef StreamRoot *stream
    cdef Entry entry
    check_bytes(strings, count)
    entry.id, entry.strings, entry.count = id, strings, count
    if not tree_last(arena, nodes_of(root), &cursor):
        add_node(arena, root, &entry, 0)
    elif not extend_node(arena, root, &cursor, &entry, limits):
        # The next node will likely be as long.
        add_node(arena, root, &entry, min(settle_node(arena, root, &cursor), node_limit(limits)))
    stream = stream_at(arena, root)
    arena.save(arena.offset_of(&stream.length), 4 * sizeof(uint64_t))
    stream.length += 1
    stream.entries_added += 1
    stream.last = id
    return 0


cdef int stream_remove_node(Arena arena, uint64_t root, StreamCursor *cursor) except -1:
    cdef StreamRoot *stream = stream_at(arena, root)
    arena.set_word(&stream.length, stream.length - head_at(arena, cursor.block).entries)
    arena.free(cursor.block)
    return tree_remove(arena, nodes_of(root), &cursor.node)


cdef int stream_remove_before(Arena arena, uint64_t root, StreamCursor *cursor, uint64_t count) except -1:
    cdef StreamRoot *stream = stream_at(arena, root)
    cdef NodeHead *head = head_at(arena, cursor.block)
    save_counts(arena, head)
    head.start = <uint32_t>cursor.start
    head.entries -= <uint32_t>count
    return arena.set_word(&stream.length, stream.length - count)


cdef int stream_remove(Arena arena, uint64_t root, StreamCursor *cursor) except -1:
    cdef StreamRoot *stream = stream_at(arena, root)
    cdef NodeHead *head = head_at(arena, cursor.block)
    cdef char *base = <char *>head
    if head.entries == 1:
        return stream_remove_node(arena, root, cursor)
    save_counts(arena, head)
    if cursor.start == head.start:
        head.start = <uint32_t>cursor.end
    else:
        if cursor.end < head.end:
            arena.save(cursor.block + cursor.start, head.end - cursor.start)
            memmove(base + cursor.start, base + cursor.end, head.end - cursor.end)
        head.end -= <uint32_t>(cursor.end - cursor.start)
    head.entries -= 1
    return arena.set_word(&stream.length, stream.length - 1)
