"""C-only calls of entry, table and keyspace, opened to the tests; and a walk that checks what they leave behind."""
from libc.stdint cimport uint64_t
from libc.string cimport memcpy
from shardkv.atomic cimport ticks
from shardkv.hashing cimport hash_key
from workers.memory.arena cimport Arena
from workers.memory.buckets cimport (
    BucketHeader, TableGrave, TableRoot, directory_index, directory_words, grave_index, grave_slot, home_of,
    bucket_at, bucket_slots, slot_entry, slot_expiring, slot_tag, tag_of, word_bucket, word_slots,
)
from workers.memory.collections cimport OWNS_BLOCKS, GroupRoot, StreamRoot, TreeHead, ZsetRoot
from workers.memory.collections cimport DeadBlock, KeyspaceRoot
from workers.memory.databases cimport Found
from workers.memory.entry cimport (
    COMPACT, HAS_EXPIRY, HASH_TABLE, LIST_TREE, LONG, SET_TABLE, STREAM, STREAM_CONSUMER, STREAM_GROUP, STRING_BOXED,
    ZSET_TREE, Box, EntryView, entry_format, entry_has_key, entry_length, entry_size, entry_view, item_format,
    item_size,
)
from workers.memory.keyspace cimport Keyspace
from workers.memory.table cimport (
    Place, table_find, table_insert, table_make, table_moved, table_random, table_remove,
)
from workers.memory.tree cimport TreeCursor, tree_blocks, tree_first, tree_item, tree_next

# Where the table lies in the blocks of those types that have one; and those whose blocks begin with a TreeHead.
TABLES = {
    SET_TABLE: 0, HASH_TABLE: 0, ZSET_TREE: <uint64_t>&(<ZsetRoot *>NULL).members,
    STREAM: <uint64_t>&(<StreamRoot *>NULL).groups, STREAM_GROUP: <uint64_t>&(<GroupRoot *>NULL).consumers,
}
TREES = (LIST_TREE, ZSET_TREE, STREAM, STREAM_GROUP, STREAM_CONSUMER)


# -- keyspace

def set_time(Keyspace keyspace, now_ms: int, clock: int = 0, touch: bool = True) -> None:
    keyspace.now_ms, keyspace.clock, keyspace.touch = now_ms, clock, touch


def put(Keyspace keyspace, db: int, key: bytes, value: bytes, expiry: int = -1, raw: bool = False) -> None:
    cdef Found found
    keyspace.find(db, key, len(key), hash_key(key, len(key)), &found)
    keyspace.set_string(db, &found, key, len(key), value, len(value), expiry, raw)
    expect_found(keyspace, db, key, &found)


def put_int(Keyspace keyspace, db: int, key: bytes, value: int, expiry: int = -1) -> None:
    cdef Found found
    keyspace.find(db, key, len(key), hash_key(key, len(key)), &found)
    keyspace.set_int(db, &found, key, len(key), value, expiry)
    expect_found(keyspace, db, key, &found)


def get(Keyspace keyspace, db: int, key: bytes) -> bytes | None:
    cdef Found found
    cdef char scratch[24]
    cdef uint64_t length
    cdef const char *value
    keyspace.find(db, key, len(key), hash_key(key, len(key)), &found)
    if not found.exists:
        return None
    value = keyspace.string_bytes(&found, &length, scratch)
    return value[:length]


def facts(Keyspace keyspace, db: int, key: bytes) -> dict[str, int] | None:
    """What a key's header says, without setting its clock."""
    cdef Found found
    keyspace.peek(db, key, len(key), hash_key(key, len(key)), &found)
    if not found.exists:
        return None
    return {
        "type": found.entry.type, "expiry": found.entry.expiry, "clock": found.entry.clock,
        "offset": found.entry.offset, "memory": keyspace.memory_of(&found, 0),
    }


def edit(Keyspace keyspace, db: int, key: bytes, new_length: int, at: int, data: bytes) -> None:
    cdef Found found
    cdef char *value
    keyspace.find(db, key, len(key), hash_key(key, len(key)), &found)
    value = keyspace.edit_string(db, &found, key, len(key), new_length, at, len(data))
    memcpy(value + <uint64_t>at, <const char *>data, len(data))
    expect_found(keyspace, db, key, &found)


def set_expiry(Keyspace keyspace, db: int, key: bytes, expiry: int) -> bool:
    cdef Found found
    keyspace.peek(db, key, len(key), hash_key(key, len(key)), &found)
    if found.exists:
        keyspace.set_expiry(db, &found, expiry)
        expect_found(keyspace, db, key, &found)
    return found.exists


def delete(Keyspace keyspace, db: int, key: bytes, lazily: bool = False) -> bool:
    cdef Found found
    keyspace.peek(db, key, len(key), hash_key(key, len(key)), &found)
    if not found.exists:
        return False
    keyspace.delete(db, &found, lazily)
    return True


def move(Keyspace keyspace, from_db: int, key: bytes, to_db: int, new_key: bytes) -> bool:
    cdef Found found
    keyspace.peek(from_db, key, len(key), hash_key(key, len(key)), &found)
    if not found.exists:
        return False
    keyspace.move(from_db, &found, to_db, new_key, len(new_key), hash_key(new_key, len(new_key)))
    expect_found(keyspace, to_db, new_key, &found)
    return True


def copy(Keyspace keyspace, from_db: int, key: bytes, Keyspace target, to_db: int, new_key: bytes) -> bool:
    cdef Found found, there
    target.peek(to_db, new_key, len(new_key), hash_key(new_key, len(new_key)), &there)
    keyspace.peek(from_db, key, len(key), hash_key(key, len(key)), &found)
    if there.exists or not found.exists:
        return False
    keyspace.copy(target, to_db, &found, new_key, len(new_key), hash_key(new_key, len(new_key)))
    return True


def put_first_found_last(Keyspace keyspace, db: int, keys: list[bytes], value: bytes, deleting: bool) -> None:
    """Looks two keys up, then changes the second and, with what was found before, the first."""
    cdef Found first, second
    cdef bytes one = keys[0], two = keys[1]
    keyspace.find(db, one, len(one), hash_key(one, len(one)), &first)
    keyspace.find(db, two, len(two), hash_key(two, len(two)), &second)
    if deleting and second.exists:
        keyspace.delete(db, &second, False)
    else:
        keyspace.set_string(db, &second, two, len(two), value, len(value), -1, False)
    keyspace.set_string(db, &first, one, len(one), value, len(value), -1, False)
    expect_found(keyspace, db, one, &first)


def swap(Keyspace keyspace, a: int, b: int) -> None:
    keyspace.swap(a, b)


def flush(Keyspace keyspace, db: int) -> None:
    keyspace.flush(db)


def count(Keyspace keyspace, db: int) -> int:
    return keyspace.count(db)


def expiring(Keyspace keyspace, db: int) -> int:
    return keyspace.expiring(db)


def random_key(Keyspace keyspace, db: int) -> bytes | None:
    return keyspace.random_key(db)


def scan(Keyspace keyspace, db: int, cursor: int) -> tuple[int, list[tuple[bytes, int]]]:
    into: list[tuple[bytes, int]] = []
    cursor = keyspace.scan(db, cursor, into)
    return cursor, into


def expire_some(Keyspace keyspace, budget: int) -> int:
    return keyspace.expire_some(budget)


def reap(Keyspace keyspace, budget: int) -> bool:
    return keyspace.reap(budget)


def prefetch(Keyspace keyspace, db: int, key: bytes) -> None:
    keyspace.prefetch_slot(db, hash_key(key, len(key)))
    keyspace.prefetch_entry(db, hash_key(key, len(key)))


def moved() -> int:
    """Entries moved between table buckets in this process."""
    return table_moved()


cdef int expect_found(Keyspace keyspace, int db, bytes key, Found *found) except -1:
    """A Found that has been used to change a key describes the key as it is now."""
    cdef Found again
    keyspace.peek(db, key, len(key), hash_key(key, len(key)), &again)
    assert found.exists and again.exists
    assert same_place(found.place, again.place) and found.hash == again.hash
    assert found.entry.offset == again.entry.offset and found.entry.expiry == again.entry.expiry
    assert found.entry.type == again.entry.type and found.entry.flags == again.entry.flags
    assert found.entry.key == again.entry.key and found.entry.value == again.entry.value
    assert found.entry.value_length == again.entry.value_length and found.entry.clock == again.entry.clock
    return 0


# -- what is reachable

cdef bint same_place(Place left, Place right):
    return left.entry == right.entry and left.bucket == right.bucket and left.slot == right.slot


cdef int own_entry(Arena arena, uint64_t entry, list blocks) except -1:
    cdef EntryView view
    cdef Box box
    entry_view(arena.base, entry, &view)
    blocks.append(entry)
    if view.type >= STRING_BOXED:
        memcpy(&box, view.value, sizeof(box))
        assert box.length <= arena.usable(box.block)
        blocks.append(box.block)
        if view.type in TABLES:
            own_table(arena, <TableRoot *>arena.at(box.block + <uint64_t>TABLES[view.type]), 0, blocks)
        if view.type in TREES:
            own_tree(arena, box.block, blocks)
    else:
        assert view.value + view.value_length <= arena.at(entry) + arena.usable(entry)
    return 0


cdef int own_bucket(Arena arena, uint64_t bucket, uint64_t first, list blocks) except -1:
    cdef BucketHeader *header = bucket_at(arena, bucket)
    cdef uint64_t at
    blocks.append(bucket)
    for at in range(first, <uint64_t>header.slots + header.spill):
        if bucket_slots(header)[at]:
            own_entry(arena, slot_entry(bucket_slots(header)[at]), blocks)
    return 0


cdef int own_table(Arena arena, TableRoot *table, uint64_t begun, list blocks) except -1:
    cdef uint64_t bucket
    if table.directory:
        blocks.append(table.directory)
        for bucket in distinct(arena, table, begun):
            own_bucket(arena, bucket, 0, blocks)
    return 0


cdef int own_block(void *context, uint64_t block) except -1:
    (<list>context).append(block)
    return 0


cdef int own_tree(Arena arena, uint64_t block, list blocks) except -1:
    cdef TreeHead *head = <TreeHead *>arena.at(block)
    cdef uint64_t root = arena.offset_of(&head.tree)
    cdef TreeCursor cursor
    cdef bint more
    tree_blocks(arena, root, own_block, <void *>blocks)
    more = head.owns == OWNS_BLOCKS and tree_first(arena, root, &cursor)
    while more:
        blocks.append(tree_item(arena, &cursor))
        more = tree_next(arena, &cursor)
    return 0


def owned(Keyspace keyspace) -> list[int]:
    """Offsets of every block that the keyspace reaches, the graveyard's too; each once if all is well."""
    cdef Arena arena = keyspace.arena
    cdef KeyspaceRoot *root = <KeyspaceRoot *>arena.at(keyspace.root)
    cdef uint64_t dead, index, first, values = 0
    cdef TableRoot *table
    cdef int db
    blocks = [keyspace.root]
    for db in range(keyspace.databases):
        own_table(arena, <TableRoot *>arena.at(keyspace.table_of(db)), 0, blocks)
        own_table(arena, <TableRoot *>arena.at(keyspace.timers_of(db)), 0, blocks)
    dead = root.dead_blocks
    while dead:
        blocks.append(dead)
        values += (<DeadBlock *>arena.at(dead)).values
        dead = (<DeadBlock *>arena.at(dead)).next
    dead = root.dead_trees
    while dead:
        blocks.append(dead)
        own_tree(arena, dead, blocks)
        values += (<TreeHead *>arena.at(dead)).values
        dead = (<TreeHead *>arena.at(dead)).next
    dead = root.dead_tables
    while dead:
        table = &(<TableGrave *>arena.at(dead)).root
        blocks.append(dead)
        values += table.deepest
        first = grave_slot(<TableGrave *>arena.at(dead))
        for index in distinct(arena, table, grave_index(<TableGrave *>arena.at(dead))):
            own_bucket(arena, index, first, blocks)
            first = 0
        dead = (<TableGrave *>arena.at(dead)).next
    assert values == root.dead_values
    return blocks


def reaped(Keyspace keyspace) -> tuple[int, int]:
    """How many values are in the graveyard, and how many have been freed from it by this process."""
    return keyspace.to_reap(), keyspace.reaped


cdef list distinct(Arena arena, TableRoot *table, uint64_t index):
    cdef list offsets = []
    cdef uint64_t bucket
    while index >> table.depth == 0:
        bucket = word_bucket(directory_words(arena, table)[index])
        offsets.append(bucket)
        index += <uint64_t>1 << (table.depth - bucket_at(arena, bucket).depth)
    return offsets


def buckets(Keyspace keyspace, db: int) -> list[dict[str, int]]:
    """Checks the table's invariants, and returns its buckets' headers."""
    cdef Arena arena = keyspace.arena
    cdef TableRoot *table = <TableRoot *>arena.at(keyspace.table_of(db))
    return check_table(arena, table)


def probes(Keyspace keyspace, db: int, key: bytes) -> tuple[int, int]:
    """What finding a key that is there costs: slots passed by, and entries whose key is compared."""
    cdef Arena arena = keyspace.arena
    cdef TableRoot *table = <TableRoot *>arena.at(keyspace.table_of(db))
    cdef uint64_t hash = hash_key(key, len(key)), passed = 0, compared = 0
    cdef uint64_t word = directory_words(arena, table)[directory_index(hash, table.depth)]
    cdef uint64_t *slot = bucket_slots(bucket_at(arena, word_bucket(word))) + home_of(tag_of(hash), word_slots(word))
    while slot_tag(slot[0]) != tag_of(hash):
        assert slot[0] != 0
        slot += 1
        passed += 1
    while slot_tag(slot[0]) == tag_of(hash):
        compared += 1
        if entry_has_key(arena.at(slot_entry(slot[0])), key, len(key)):
            return passed, compared
        slot += 1
    raise AssertionError("there is no such key")


cdef list check_table(Arena arena, TableRoot *table):
    cdef BucketHeader *header
    cdef uint64_t index = 0, span, at, used = 0, with_expiry = 0, word
    headers = []
    if table.directory == 0:
        assert table.count == 0 and table.expiring == 0 and table.depth == 0
        return headers
    while index >> table.depth == 0:
        word = directory_words(arena, table)[index]
        header = bucket_at(arena, word_bucket(word))
        assert header.depth <= table.depth and word_slots(word) == header.slots
        span = <uint64_t>1 << (table.depth - header.depth)
        assert index % span == 0
        for at in range(span):
            assert directory_words(arena, table)[index + at] == word
        check_bucket(arena, header, index // span)
        used += header.used
        with_expiry += header.expiring
        headers.append(dict(header[0]))
        index += span
    assert used == table.count and with_expiry == table.expiring
    assert table.deepest == sum(each["depth"] == table.depth for each in headers)
    return headers


cdef int check_bucket(Arena arena, BucketHeader *header, uint64_t prefix) except -1:
    cdef uint64_t *slots = bucket_slots(header)
    cdef uint64_t at, hash, home, used = 0, with_expiry = 0, last_tag = 0, first_of_run = 0
    cdef uint64_t size = header.slots + header.spill
    cdef EntryView view
    assert sizeof(BucketHeader) + 8 * size <= arena.usable(arena.offset_of(header))
    assert slots[size - 1] == 0
    for at in range(size):
        if slots[at] == 0:
            first_of_run = at + 1
            continue
        entry_view(arena.base, slot_entry(slots[at]), &view)
        hash = hash_key(view.key, view.key_length)
        home = home_of(slot_tag(slots[at]), header.slots)
        assert slot_tag(slots[at]) == tag_of(hash) and directory_index(hash, header.depth) == prefix
        assert slot_tag(slots[at]) >= last_tag and first_of_run <= home <= at
        assert slot_expiring(slots[at]) == (view.expiry >= 0)
        if view.expiry >= 0:
            assert header.earliest <= view.expiry
            with_expiry += 1
        last_tag = slot_tag(slots[at])
        used += 1
    assert used == header.used and with_expiry == header.expiring
    return 0


# -- tables and entries by themselves

cdef class BareTable:
    """A table on its own, of entries without values, whose hashes the test chooses."""
    cdef readonly Arena arena
    cdef readonly int root

    def __init__(self, Arena arena) -> None:
        self.arena = arena
        self.root = arena.alloc_zeroed(sizeof(TableRoot))

    def make(self, count: int) -> None:
        table_make(self.arena, self.root, count)

    def check(self) -> list[dict[str, int]]:
        return check_table(self.arena, <TableRoot *>self.arena.at(self.root))

    def insert(self, hash: int, key: bytes) -> None:
        cdef Place place
        cdef uint64_t entry = self.arena.alloc(entry_size(len(key), 0, False))
        entry_format(self.arena.at(entry), 0, key, len(key), 0, -1, 0)
        table_insert(self.arena, self.root, hash, entry, -1, &place)

    def find(self, hash: int, key: bytes) -> bool:
        return table_find(self.arena, self.root, hash, key, len(key)).entry != 0

    def remove(self, hash: int, key: bytes) -> None:
        cdef Place place = table_find(self.arena, self.root, hash, key, len(key))
        self.arena.free(place.entry)
        table_remove(self.arena, self.root, &place, -1)

    def random(self, seed: int) -> int:
        return table_random(self.arena, self.root, seed)

    def root_words(self) -> bytes:
        return self.arena.at(self.root)[:sizeof(TableRoot)]

    def directory_words(self) -> int:
        return 1 << (<TableRoot *>self.arena.at(self.root)).depth

    def buckets(self) -> int:
        return len(distinct(self.arena, <TableRoot *>self.arena.at(self.root), 0))


def format_entry(type: int, key: bytes, value: bytes, expiry: int, clock: int) -> bytes:
    """An entry as it lies in a block of entry_size bytes."""
    cdef uint64_t size = entry_size(len(key), len(value), expiry >= 0)
    buffer = bytearray(size)
    cdef char *at = buffer
    memcpy(entry_format(at, type, key, len(key), len(value), expiry, clock), <const char *>value, len(value))
    return bytes(buffer)


def format_item(type: int, key: bytes, value: bytes, expiry: int) -> bytes:
    """An item of a collection as it lies in a block of item_size bytes."""
    buffer = bytearray(item_size(len(key), len(value), expiry >= 0))
    cdef char *at = buffer
    memcpy(item_format(at, type, key, len(key), len(value), expiry), <const char *>value, len(value))
    return bytes(buffer)


def parse_entry(data: bytes) -> dict[str, object]:
    cdef EntryView view
    entry_view(<char *>data, 0, &view)
    return {
        "type": view.type, "key": view.key[:view.key_length], "value": view.value[:view.value_length],
        "expiry": view.expiry, "clock": view.clock,
        "has_expiry": bool(view.flags & HAS_EXPIRY), "long": bool(view.flags & LONG),
        "compact": bool(view.flags & COMPACT), "length": entry_length(<char *>data, &view),
    }


def has_key(data: bytes, key: bytes) -> bool:
    return entry_has_key(data, key, len(key))


# -- measuring

def measure(Keyspace keyspace, db: int, keys: list[bytes], value: bytes, operation: str, ticks_per_ns: float) -> float:
    """Nanoseconds an operation (find, find ahead, set) takes over all keys, each set a transaction of its own."""
    cdef Found found
    cdef bytes key
    cdef uint64_t started, index, hash, position = keyspace.arena.header.commit[62], total = 0
    cdef uint64_t number = len(keys), length
    cdef bint setting = operation == "set", ahead = operation == "find ahead"
    cdef const char *data = value
    cdef uint64_t data_length = len(value)
    hashes_array = bytearray(8 * number)
    cdef char *raw = hashes_array
    cdef uint64_t *hashes = <uint64_t *>raw
    for index in range(number):
        key = keys[index]
        hashes[index] = hash_key(key, len(key))
    started = ticks()
    for index in range(number):
        key = <bytes>keys[index]
        length = len(key)
        hash = hashes[index]
        if ahead and index + 16 < number:
            keyspace.prefetch_slot(db, hashes[index + 16])
            keyspace.prefetch_entry(db, hashes[index + 8])
        if setting:
            position += 1
            keyspace.arena.begin(62, position)
        keyspace.find(db, <const char *>key, length, hash, &found)
        total += found.exists
        if setting:
            keyspace.set_string(db, &found, <const char *>key, length, data, data_length, -1, False)
            keyspace.arena.commit()
    total = ticks() - started
    return total / ticks_per_ns / number
