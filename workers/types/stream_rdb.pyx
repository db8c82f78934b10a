"""Streams to and from RDB: see stream_rdb.pxd."""
from libc.stdint cimport int64_t
from libc.stdlib cimport free, malloc, realloc
from libc.string cimport memcpy

from workers.call cimport Argument
from workers.memory.collections cimport Pending, StreamId, StreamRoot
from workers.memory.listpack cimport (
    ELEMENT_TEXT, Element, PackBuilder, element_text, pack_first, pack_get, pack_next, pack_valid,
)
from workers.memory.tree cimport TreeCursor
from workers.types.group cimport (
    NOT_KNOWN, consumer_active, consumer_at, consumer_find, consumer_make, entries_until, group_at, group_find,
    group_make, named_consumers, named_groups, pending_at, pending_count, pending_make, pending_next, pending_seek,
)
from workers.types.rdb cimport RDB_STREAM, RDB_STREAM_3, bad_data
from workers.types.stream cimport (
    StreamCursor, an_id, compare_ids, node_head, stream_append, stream_at, stream_first, stream_make,
    stream_names, stream_next, stream_nodes, stream_set_id, stream_string,
)

cdef enum:
    DELETED = 1
    ALIKE = 2
    FIXED_ELEMENTS = 3          # of an entry: flags, ms, seq
    ID_BYTES = 16
    PENDING_BYTES = 25          # at least


# -- saving

cdef inline uint64_t swapped(uint64_t value) noexcept:
    """The same number with its bytes in the other order."""
    cdef uint64_t result = 0
    cdef int _byte
    for _byte in range(8):
        result = result << 8 | value & 0xFF
        value >>= 8
    return result


cdef StreamId swapped_id(StreamId id) noexcept:
    return an_id(swapped(id.ms), swapped(id.seq))


cdef int save_id(Writer writer, StreamId id) except -1:
    writer.length(id.ms)
    return writer.length(id.seq)


cdef int pack_strings(PackBuilder pack, Arena arena, StreamCursor *cursor, bint values_only) except -1:
    cdef uint64_t index, length
    cdef const char *text
    for index in range(cursor.strings):
        text = stream_string(arena, cursor, &length)
        if index & 1 or not values_only:
            pack.add_string(text, length)
    return 0


cdef int pack_head(PackBuilder pack, Arena arena, StreamCursor *cursor) except -1:
    """What stands before the entries of the cursor's node."""
    cdef StreamCursor names = cursor[0]
    stream_names(arena, &names)
    pack.clear()
    pack.add_number(node_head(arena, cursor).entries)
    pack.add_number(0)
    pack.add_number(<int64_t>names.strings)
    pack_strings(pack, arena, &names, False)
    return pack.add_number(0)


cdef int pack_entry(PackBuilder pack, Arena arena, StreamCursor *cursor) except -1:
    cdef StreamId base = node_head(arena, cursor).base
    cdef StreamCursor entry = cursor[0]
    cdef bint alike = cursor.names != 0
    cdef int64_t fields = <int64_t>cursor.strings // 2
    pack.add_number(ALIKE if alike else 0)
    pack.add_number(<int64_t>(cursor.id.ms - base.ms))
    pack.add_number(<int64_t>(cursor.id.seq - base.seq))
    if not alike:
        pack.add_number(fields)
    pack_strings(pack, arena, &entry, alike)
    return pack.add_number(FIXED_ELEMENTS + (fields if alike else 1 + 2 * fields))


cdef int save_nodes(Arena arena, uint64_t root, Writer writer) except -1:
    cdef PackBuilder pack = PackBuilder()
    cdef StreamCursor cursor
    cdef StreamId base
    cdef uint64_t block
    cdef bint more = stream_first(arena, root, &cursor)
    while more:
        block = cursor.block
        base = swapped_id(node_head(arena, &cursor).base)
        writer.string(<const char *>&base, ID_BYTES)
        pack_head(pack, arena, &cursor)
        while more and cursor.block == block:
            pack_entry(pack, arena, &cursor)
            more = stream_next(arena, &cursor)
        writer.string(pack.bytes, pack.used)
    return 0


cdef int save_pending(Arena arena, uint64_t owner, Writer writer, bint whole) except -1:
    """The pending entries of a group, or, not whole, the ids of a consumer's."""
    cdef TreeCursor cursor
    cdef StreamId id
    cdef uint64_t pending = pending_seek(arena, owner, an_id(0, 0), &cursor)
    writer.length(pending_count(arena, owner))
    while pending:
        id = swapped_id(pending_at(arena, pending).id)
        writer.raw(&id, ID_BYTES)
        if whole:
            writer.raw(&pending_at(arena, pending).delivered_ms, 8)
            writer.length(pending_at(arena, pending).deliveries)
        pending = pending_next(arena, &cursor)
    return 0


cdef int save_group(Arena arena, bytes name, uint64_t group, Writer writer) except -1:
    cdef list consumers = named_consumers(arena, group)
    cdef uint64_t consumer
    writer.string(name, len(name))
    save_id(writer, group_at(arena, group).last)
    writer.length(<uint64_t>group_at(arena, group).entries_read)
    save_pending(arena, group, writer, True)
    writer.length(len(consumers))
    for name, consumer in consumers:
        writer.string(name, len(name))
        writer.raw(&consumer_at(arena, consumer).seen_ms, 8)
        save_pending(arena, consumer, writer, False)
    return 0


cdef int stream_save(Arena arena, uint64_t root, Writer writer) except -1:
    cdef StreamRoot *stream = stream_at(arena, root)
    cdef list groups = named_groups(arena, root)
    cdef StreamCursor first
    cdef bint any = stream_first(arena, root, &first)
    writer.length(stream_nodes(arena, root))
    save_nodes(arena, root, writer)
    writer.length(stream.length)
    save_id(writer, stream.last)
    save_id(writer, first.id if any else an_id(0, 0))
    save_id(writer, stream.max_deleted)
    writer.length(stream.entries_added)
    writer.length(len(groups))
    for name, group in groups:
        save_group(arena, name, group, writer)
    return 0


# -- loading

cdef struct Pack:
    const char *bytes
    uint64_t length
    uint64_t at                 # of the next element, 0 = none


cdef int take_element(Pack *pack, Element *out) except -1:
    if pack.at == 0:
        bad_data()
    pack_get(pack.bytes, pack.at, out)
    pack.at = pack_next(pack.bytes, pack.at)
    return 0


cdef int64_t take_number(Pack *pack) except? -1:
    cdef Element element
    take_element(pack, &element)
    if element.bytes != NULL:
        bad_data()
    return element.number


cdef uint64_t take_fields(Pack *pack) except 0:
    """How many fields there are: at least one, and each takes a byte or more."""
    cdef int64_t count = take_number(pack)
    if count <= 0 or <uint64_t>count > pack.length - pack.at:
        bad_data()
    return <uint64_t>count


cdef class Row:
    """Strings, and the texts of those that were integers."""
    cdef Argument *items
    cdef char *texts
    cdef uint64_t count
    cdef uint64_t room

    def __dealloc__(self):
        free(self.items)
        free(self.texts)

    cdef int clear(self, uint64_t room) except -1:
        """Makes the row empty, with room for so many."""
        self.count = 0
        if room <= self.room:
            return 0
        free(self.items)
        free(self.texts)
        self.items = <Argument *>malloc(room * sizeof(Argument))
        self.texts = <char *>malloc(room * ELEMENT_TEXT)
        self.room = room if self.items != NULL and self.texts != NULL else 0
        if self.room == 0:
            raise MemoryError()
        return 0

    cdef int take(self, Pack *pack) except -1:
        cdef Element element
        cdef Argument *item = &self.items[self.count]
        take_element(pack, &element)
        item.bytes = element_text(&element, self.texts + self.count * ELEMENT_TEXT, &item.length)
        self.count += 1
        return 0


cdef class Loader:
    """What all the steps of a load need."""
    cdef Arena arena
    cdef Limits limits
    cdef Reader reader
    cdef uint64_t root
    cdef int type
    cdef Row names              # of the node
    cdef Row strings            # of the entry
    cdef Pending *pending       # of the group, by id; without a consumer at first
    cdef uint64_t pendings

    def __cinit__(self) -> None:
        self.names, self.strings = Row(), Row()

    def __dealloc__(self):
        free(self.pending)

    # -- entries

    cdef int load_entries(self) except -1:
        cdef StreamRoot *stream
        cdef StreamId last
        cdef uint64_t left = self.reader.length(), count
        while left:
            self.load_node()
            self.reader.forget()
            left -= 1
        stream = stream_at(self.arena, self.root)
        count = self.reader.length()
        last = self.id_of_lengths()
        if count != stream.length or compare_ids(last, stream.last) < 0:
            bad_data()
        stream_set_id(self.arena, &stream.last, last)
        if self.type != RDB_STREAM:
            self.id_of_lengths()            # the first: it is there
            stream_set_id(self.arena, &stream.max_deleted, self.id_of_lengths())
            self.arena.set_word(&stream.entries_added, self.reader.length())
        return 0

    cdef int load_node(self) except -1:
        cdef Element key, blob
        cdef Pack pack
        cdef StreamId base
        cdef int64_t entries
        self.reader.string(&key)
        self.reader.string(&blob)
        if key.bytes == NULL or key.length != ID_BYTES:
            bad_data()
        if blob.bytes == NULL or pack_valid(blob.bytes, blob.length) <= 0:
            bad_data()
        memcpy(&base, key.bytes, ID_BYTES)
        pack.bytes, pack.length, pack.at = blob.bytes, blob.length, pack_first(blob.bytes)
        entries = take_number(&pack)
        take_number(&pack)                  # how many are deleted
        self.load_names(&pack)
        while pack.at:
            entries -= self.load_entry(&pack, swapped_id(base))
        return 0 if entries == 0 else bad_data()

    cdef int load_names(self, Pack *pack) except -1:
        cdef uint64_t fields = take_fields(pack)
        self.names.clear(fields)
        while self.names.count < fields:
            self.names.take(pack)
        return 0 if take_number(pack) == 0 else bad_data()

    cdef int load_entry(self, Pack *pack, StreamId base) except -1:
        """Returns whether it was one that is not deleted."""
        cdef int64_t flags = take_number(pack), elements = FIXED_ELEMENTS
        cdef uint64_t fields = self.names.count, index
        cdef StreamId id
        id.ms = base.ms + <uint64_t>take_number(pack)
        id.seq = base.seq + <uint64_t>take_number(pack)
        if not flags & ALIKE:
            fields = take_fields(pack)
            elements += 1 + <int64_t>fields
        self.strings.clear(2 * fields)
        for index in range(fields):
            if flags & ALIKE:
                self.strings.items[self.strings.count] = self.names.items[index]
                self.strings.count += 1
            else:
                self.strings.take(pack)
            self.strings.take(pack)
        if flags & ~<int64_t>(DELETED | ALIKE) or take_number(pack) != elements + <int64_t>fields:
            bad_data()
        if flags & DELETED:
            return 0
        if compare_ids(id, stream_at(self.arena, self.root).last) <= 0:
            bad_data()
        stream_append(self.arena, self.root, id, self.strings.items, self.strings.count, self.limits)
        return 1

    cdef StreamId id_of_lengths(self) except *:
        cdef uint64_t ms = self.reader.length()
        return an_id(ms, self.reader.length())

    # -- groups

    cdef int load_groups(self) except -1:
        cdef uint64_t left = self.reader.length()
        while left:
            self.load_group()
            left -= 1
        return 0

    cdef int load_group(self) except -1:
        cdef char digits[ELEMENT_TEXT]
        cdef Element name
        cdef StreamId last
        cdef uint64_t group, left, length
        cdef int64_t entries_read
        cdef const char *text
        self.reader.string(&name)
        text = element_text(&name, digits, &length)
        last = self.id_of_lengths()
        if self.type == RDB_STREAM:
            entries_read = entries_until(self.arena, self.root, last)
        else:
            entries_read = <int64_t>self.reader.length()
        if entries_read < NOT_KNOWN or group_find(self.arena, self.root, text, length):
            bad_data()
        group = group_make(self.arena, self.root, text, length, last, entries_read)
        self.reader.forget()
        self.read_pending()
        left = self.reader.length()
        while left:
            self.load_consumer(group)
            left -= 1
        return self.add_pending(group)

    cdef int read_pending(self) except -1:
        cdef uint64_t index
        cdef Pending *room
        self.pendings = self.reader.length()
        if self.pendings > <uint64_t>(self.reader.end - self.reader.at) // PENDING_BYTES:
            bad_data()
        room = <Pending *>realloc(self.pending, (self.pendings + 1) * sizeof(Pending))
        if room == NULL:
            raise MemoryError()
        self.pending = room
        for index in range(self.pendings):
            self.read_one(&room[index])
            if index and compare_ids(room[index - 1].id, room[index].id) >= 0:
                bad_data()
        return 0

    cdef StreamId id_of_bytes(self) except *:
        cdef StreamId id
        memcpy(&id, self.reader.take(ID_BYTES), ID_BYTES)
        return swapped_id(id)

    cdef int64_t time(self) except? -2:
        cdef int64_t ms
        memcpy(&ms, self.reader.take(8), 8)
        return ms

    cdef int read_one(self, Pending *out) except -1:
        out.id = self.id_of_bytes()
        out.delivered_ms = self.time()
        out.deliveries = self.reader.length()
        out.consumer = 0
        return 0

    cdef int load_consumer(self, uint64_t group) except -1:
        cdef char digits[ELEMENT_TEXT]
        cdef Element name
        cdef uint64_t consumer, left, length
        cdef int64_t seen
        cdef const char *text
        self.reader.string(&name)
        text = element_text(&name, digits, &length)
        if consumer_find(self.arena, group, text, length):
            bad_data()
        seen = self.time()
        consumer = consumer_make(self.arena, group, text, length, seen)
        consumer_active(self.arena, consumer, self.time() if self.type == RDB_STREAM_3 else seen)
        self.reader.forget()
        left = self.reader.length()
        while left:
            self.pending_of(self.id_of_bytes()).consumer = consumer
            left -= 1
        return 0

    cdef Pending *pending_of(self, StreamId id) except NULL:
        """The group's pending entry of this id, which no consumer has yet."""
        cdef uint64_t low = 0, high = self.pendings, middle
        while low < high:
            middle = (low + high) >> 1
            if compare_ids(self.pending[middle].id, id) < 0:
                low = middle + 1
            else:
                high = middle
        if low == self.pendings or compare_ids(self.pending[low].id, id) or self.pending[low].consumer:
            bad_data()
        return &self.pending[low]

    cdef int add_pending(self, uint64_t group) except -1:
        cdef uint64_t index
        cdef Pending *one
        for index in range(self.pendings):
            one = &self.pending[index]
            if one.consumer == 0:
                bad_data()
            pending_make(self.arena, group, one.consumer, one.id, one.delivered_ms, one.deliveries)
        return 0


cdef int stream_load(
    Keyspace keyspace, Limits limits, Found *found, const char *key, uint64_t length, Reader reader, int type
) except -1:
    cdef Loader loader = Loader()
    loader.arena, loader.limits, loader.reader, loader.type = keyspace.arena, limits, reader, type
    loader.root = stream_make(keyspace, found.db, found, key, length)
    loader.load_entries()
    return loader.load_groups()
