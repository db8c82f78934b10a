"""Collections of every type, made and read without the commands that own them."""
from libc.stdint cimport uint64_t
from libc.string cimport memcpy
from shardkv.hashing cimport hash_key
from workers.memory.arena cimport Arena
from workers.memory.buckets cimport TableRoot
from workers.memory.collections cimport (
    OWNS_BLOCKS, OWNS_NOTHING, ConsumerRoot, GroupRoot, ListRoot, Pending, StreamRoot, TreeHead, ZsetRoot,
)
from workers.memory.databases cimport Found
from workers.memory.entry cimport (
    HASH_TABLE, LIST_TREE, SET_TABLE, STREAM, STREAM_CONSUMER, STREAM_GROUP, STRING_BOXED, STRING_EMBEDDED, ZSET_TREE,
    Box, EntryView, entry_view, item_format, item_size,
)
from workers.memory.keyspace cimport Keyspace
from workers.memory.listpack cimport Element, number_element, pack_bytes, pack_make
from workers.memory.table cimport Place, table_insert, table_scan
from workers.memory.tree cimport TreeCursor, tree_end, tree_first, tree_init, tree_insert, tree_item, tree_next


cdef uint64_t add_entry(Arena arena, uint64_t table, int type, bytes key, bytes value) except 0:
    cdef Place place
    cdef uint64_t entry = arena.alloc(item_size(len(key), len(value), False))
    memcpy(item_format(arena.at(entry), type, key, len(key), len(value), -1), <const char *>value, len(value))
    table_insert(arena, table, hash_key(key, len(key)), entry, -1, &place)
    return entry


cdef bytes box_bytes(uint64_t block, uint64_t length):
    cdef Box box
    box.block, box.length = block, length
    return (<char *>&box)[:sizeof(Box)]


cdef int append(Arena arena, uint64_t tree, uint64_t item, uint64_t weight) except -1:
    cdef TreeCursor cursor
    tree_end(arena, tree, &cursor)
    return tree_insert(arena, tree, &cursor, item, weight)


cdef uint64_t tree_of(Arena arena, uint64_t block) noexcept:
    return arena.offset_of(&(<TreeHead *>arena.at(block)).tree)


cdef uint64_t new_root(Arena arena, uint64_t length, int owns, bint weighted) except 0:
    cdef uint64_t block = arena.alloc_zeroed(length)
    (<TreeHead *>arena.at(block)).owns = owns
    tree_init(&(<TreeHead *>arena.at(block)).tree, weighted)
    return block


cdef uint64_t make_pack(Arena arena, int number) except 0:
    cdef Box box
    cdef Element element = number_element(number)
    pack_make(arena, &box, &element, 1)
    return box.block


cdef uint64_t make_table(Arena arena, int items, bytes value) except 0:
    cdef uint64_t block = arena.alloc_zeroed(sizeof(TableRoot)), own
    for number in range(items):
        own = 0
        if len(value) > 2048:
            own = arena.alloc(len(value))
            memcpy(arena.at(own), <const char *>value, len(value))
        add_entry(
            arena, block, STRING_BOXED if own else STRING_EMBEDDED, b"item:%d" % number,
            box_bytes(own, len(value)) if own else value,
        )
    return block


cdef uint64_t make_list(Arena arena, int items) except 0:
    cdef uint64_t block = new_root(arena, sizeof(ListRoot), OWNS_BLOCKS, True)
    for number in range(items):
        append(arena, tree_of(arena, block), make_pack(arena, number), 1 + number % 3)
    return block


cdef uint64_t make_zset(Arena arena, int items) except 0:
    cdef uint64_t block = new_root(arena, sizeof(ZsetRoot), OWNS_NOTHING, False), entry
    cdef uint64_t members = arena.offset_of(&(<ZsetRoot *>arena.at(block)).members)
    for number in range(items):
        entry = add_entry(arena, members, STRING_EMBEDDED, b"item:%d" % number, number.to_bytes(8, "little"))
        append(arena, tree_of(arena, block), entry, 1)
    return block


cdef uint64_t make_group(Arena arena, int items) except 0:
    cdef uint64_t block = new_root(arena, sizeof(GroupRoot), OWNS_BLOCKS, False), pending
    cdef uint64_t consumers = arena.offset_of(&(<GroupRoot *>arena.at(block)).consumers)
    made = []
    for number in range(3):
        made.append(new_root(arena, sizeof(ConsumerRoot), OWNS_NOTHING, False))
        add_entry(arena, consumers, STREAM_CONSUMER, b"consumer:%d" % number, box_bytes(made[number], 0))
    for number in range(items):
        pending = arena.alloc_zeroed(sizeof(Pending))
        (<Pending *>arena.at(pending)).id.ms = number
        (<Pending *>arena.at(pending)).consumer = made[number % 3]
        append(arena, tree_of(arena, block), pending, 1)
        append(arena, tree_of(arena, made[number % 3]), pending, 1)
    return block


cdef uint64_t make_stream(Arena arena, int items) except 0:
    cdef uint64_t block = new_root(arena, sizeof(StreamRoot), OWNS_BLOCKS, False)
    cdef uint64_t groups = arena.offset_of(&(<StreamRoot *>arena.at(block)).groups)
    for number in range(items):
        append(arena, tree_of(arena, block), make_pack(arena, number), 1)
    for number in range(2):
        add_entry(arena, groups, STREAM_GROUP, b"group:%d" % number, box_bytes(make_group(arena, items), 0))
    return block


def put_collection(Keyspace keyspace, db: int, key: bytes, type: int, items: int, value: bytes = b"") -> None:
    """Makes `key` a collection of that type, of numbered items. A key that was there is deleted."""
    cdef Found found
    cdef Arena arena = keyspace.arena
    cdef uint64_t block, used = 0
    keyspace.find(db, key, len(key), hash_key(key, len(key)), &found)
    if found.exists:
        keyspace.delete(db, &found, False)
    if type in (SET_TABLE, HASH_TABLE):
        block = make_table(arena, items, value)
    elif type == LIST_TREE:
        block = make_list(arena, items)
    elif type == ZSET_TREE:
        block = make_zset(arena, items)
    elif type == STREAM:
        block = make_stream(arena, items)
    else:
        block = make_pack(arena, items)
        used = pack_bytes(arena.at(block))
    keyspace.put_collection(db, &found, key, len(key), type, block, used)


def set_box(Keyspace keyspace, db: int, key: bytes, type: int, block: int, used: int) -> tuple[int, int]:
    """Gives a collection another type and box; returns the box it had."""
    cdef Found found
    cdef Box old
    keyspace.find(db, key, len(key), hash_key(key, len(key)), &found)
    keyspace.box_of(&found, &old)
    if found.entry.type != type:
        keyspace.put_collection(db, &found, key, len(key), type, block, used)
    else:
        keyspace.set_box(&found, block, used)
    return old.block, old.length


cdef struct Reading:
    void *arena
    void *into


cdef int read_entry(void *context, uint64_t entry) except -1:
    cdef EntryView view
    cdef Arena arena = <Arena>(<Reading *>context).arena
    cdef Box box
    entry_view(arena.base, entry, &view)
    value = view.value[:view.value_length]
    if view.type >= STRING_BOXED:
        memcpy(&box, view.value, sizeof(box))
        value = arena.at(box.block)[:box.length] if view.type == STRING_BOXED else read(arena, view.type, box)
    (<dict>(<Reading *>context).into)[view.key[:view.key_length]] = value
    return 0


cdef dict read_table(Arena arena, uint64_t table):
    cdef Reading reading
    cdef uint64_t cursor = 0
    found = {}
    reading.arena, reading.into = <void *>arena, <void *>found
    while True:
        cursor = table_scan(arena, table, cursor, read_entry, &reading)
        if cursor == 0:
            return found


cdef list read_tree(Arena arena, uint64_t block, uint64_t length):
    """The first bytes of what the items name; 0: of the packs they name, all."""
    cdef TreeCursor cursor
    cdef uint64_t item
    cdef bint more = tree_first(arena, tree_of(arena, block), &cursor)
    found = []
    while more:
        item = tree_item(arena, &cursor)
        found.append(arena.at(item)[:length if length else pack_bytes(arena.at(item))])
        more = tree_next(arena, &cursor)
    return found


cdef object read(Arena arena, int type, Box box):
    cdef uint64_t block = box.block
    if type in (SET_TABLE, HASH_TABLE):
        return read_table(arena, block)
    if type == LIST_TREE:
        return read_tree(arena, block, 0)
    if type == ZSET_TREE:
        return read_tree(arena, block, 16), read_table(arena, arena.offset_of(&(<ZsetRoot *>arena.at(block)).members))
    if type == STREAM:
        return read_tree(arena, block, 0), read_table(arena, arena.offset_of(&(<StreamRoot *>arena.at(block)).groups))
    if type == STREAM_GROUP:
        consumers = read_table(arena, arena.offset_of(&(<GroupRoot *>arena.at(block)).consumers))
        return read_tree(arena, block, 32), consumers
    if type == STREAM_CONSUMER:
        return read_consumer(arena, block)
    return arena.at(block)[:box.length]


cdef list read_consumer(Arena arena, uint64_t block):
    """Times of what is pending, each of which names this consumer."""
    cdef TreeCursor cursor
    cdef bint more = tree_first(arena, tree_of(arena, block), &cursor)
    cdef Pending *pending
    found = []
    while more:
        pending = <Pending *>arena.at(tree_item(arena, &cursor))
        assert pending.consumer == block
        found.append(pending.id.ms)
        more = tree_next(arena, &cursor)
    return found


def content(Keyspace keyspace, db: int, key: bytes) -> object:
    """All that a collection holds, without offsets; None when there is no key."""
    cdef Found found
    cdef Box box
    keyspace.peek(db, key, len(key), hash_key(key, len(key)), &found)
    if not found.exists:
        return None
    keyspace.box_of(&found, &box)
    return read(keyspace.arena, found.entry.type, box)


def memory(Keyspace keyspace, db: int, key: bytes, samples: int) -> int:
    cdef Found found
    keyspace.peek(db, key, len(key), hash_key(key, len(key)), &found)
    return keyspace.memory_of(&found, samples)
