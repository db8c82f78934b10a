"""Values to and from RDB: see values.pxd."""
from cpython.bytes cimport PyBytes_FromStringAndSize
from libc.math cimport isnan
from libc.stdint cimport int64_t
from libc.string cimport memcpy

from shardkv.number cimport parse_double
from workers.memory.collections cimport ListRoot
from workers.memory.entry cimport (
    HASH_PACKED, LIST_PACKED, LIST_TREE, SET_INTS, STRING_BOXED, Box,
)
from workers.memory.intset cimport ints_bytes
from workers.memory.listpack cimport ELEMENT_TEXT, Element, element_size, element_text, pack_bytes
from workers.memory.tree cimport TreeCursor, TreeRoot, tree_first, tree_item, tree_next
from workers.types.hash cimport NO_EXPIRY, Field, hash_each, hash_prepare, hash_reserve, hash_set, is_hash
from workers.types.list cimport List, list_grow, list_open, list_push, list_save
from workers.types.rdb cimport (
    OF_INTSET, OF_LISTPACK, OF_STRINGS, OF_ZIPLIST, QUICKLIST_PACKED, QUICKLIST_PLAIN, RDB_HASH, RDB_HASH_LISTPACK,
    RDB_HASH_LISTPACK_EX, RDB_HASH_METADATA, RDB_HASH_ZIPLIST, RDB_LIST, RDB_LIST_QUICKLIST, RDB_LIST_QUICKLIST_2,
    RDB_LIST_ZIPLIST, RDB_SET, RDB_SET_INTSET, RDB_SET_LISTPACK, RDB_STREAM, RDB_STREAM_2, RDB_STREAM_3, RDB_STRING,
    RDB_VERSION, RDB_VERSION_EXPIRY, RDB_ZSET, RDB_ZSET_2, RDB_ZSET_LISTPACK, RDB_ZSET_ZIPLIST, Source, bad_data,
)
from workers.types.sealed cimport SEALED_MAX, open_pack
from workers.types.set cimport is_set, set_add, set_count, set_each, set_prepare, set_reserve
from workers.types.stream cimport stream_open
from workers.types.stream_rdb cimport stream_load, stream_save
from workers.types.zset cimport (
    Zset, ZsetCursor, ZsetItem, is_zset, zset_at, zset_item, zset_step, zset_store, zset_view,
)

cdef enum:
    BATCH = 64                      # elements of a list pushed at a time

cdef int64_t EXPIRY_MAX = (<int64_t>1 << 48) - 2        # of a field, unix ms


# -- saving

cdef int value_save(Keyspace keyspace, Found *found, Writer writer) except -1:
    cdef char scratch[24]
    cdef uint64_t length
    cdef const char *text
    if found.entry.type <= STRING_BOXED:
        text = keyspace.string_bytes(found, &length, scratch)
        writer.byte(RDB_STRING)
        writer.string(text, length)
    elif found.entry.type == LIST_PACKED or found.entry.type == LIST_TREE:
        save_list(keyspace, found, writer)
    elif is_set(found):
        save_set(keyspace, found, writer)
    elif is_zset(found):
        save_zset(keyspace, found, writer)
    elif is_hash(found):
        return save_hash(keyspace, found, writer)
    else:
        save_stream(keyspace, found, writer)
    return RDB_VERSION


cdef inline int save_pack(Writer writer, const char *pack) except -1:
    return writer.string(pack, pack_bytes(pack))


cdef int save_list(Keyspace keyspace, Found *found, Writer writer) except -1:
    cdef TreeCursor cursor
    cdef uint64_t root
    cdef bint more
    cdef Box box
    cdef char room[SEALED_MAX]
    keyspace.box_of(found, &box)
    writer.byte(RDB_LIST_QUICKLIST_2)
    if found.entry.type == LIST_PACKED:
        writer.length(1)
        writer.length(QUICKLIST_PACKED)
        return save_pack(writer, keyspace.arena.at(box.block))
    root = box.block + <uint64_t>&(<ListRoot *>NULL).head.tree
    writer.length((<TreeRoot *>keyspace.arena.at(root)).items)
    more = tree_first(keyspace.arena, root, &cursor)
    while more:
        writer.length(QUICKLIST_PACKED)
        save_pack(writer, open_pack(keyspace.arena.at(tree_item(keyspace.arena, &cursor)), room))
        more = tree_next(keyspace.arena, &cursor)
    return 0


cdef int save_member(void *writer, Element *member) except -1:
    (<Writer>writer).element(member)
    return 0


cdef int save_set(Keyspace keyspace, Found *found, Writer writer) except -1:
    cdef Box box
    if found.entry.type == SET_INTS:
        keyspace.box_of(found, &box)
        writer.byte(RDB_SET_INTSET)
        return writer.string(keyspace.arena.at(box.block), ints_bytes(keyspace.arena.at(box.block)))
    writer.byte(RDB_SET)
    writer.length(set_count(keyspace, found))
    return set_each(keyspace, found, save_member, <void *>writer)


cdef int save_zset(Keyspace keyspace, Found *found, Writer writer) except -1:
    cdef Zset zset
    cdef ZsetCursor cursor
    cdef ZsetItem item
    cdef uint64_t left
    zset_view(keyspace, found, &zset)
    if zset.packed:
        writer.byte(RDB_ZSET_LISTPACK)
        return save_pack(writer, keyspace.arena.at(zset.box.block))
    writer.byte(RDB_ZSET_2)
    writer.length(zset.count)
    zset_at(keyspace.arena, &zset, zset.count - 1, &cursor)     # the last first: so Redis loads it fastest
    for left in range(zset.count, 0, -1):
        zset_item(keyspace.arena, &zset, &cursor, &item)
        writer.string(item.member, item.length)
        writer.raw(&item.score, sizeof(item.score))
        if left > 1:
            zset_step(keyspace.arena, &zset, &cursor, True)
    return 0


cdef struct Fields:
    void *writer
    uint64_t count
    int64_t earliest        # expiry; NO_EXPIRY if no field has one


cdef int count_field(void *context, Field *field) except -1:
    cdef Fields *fields = <Fields *>context
    fields.count += 1
    if field.expiry >= 0 and (fields.earliest == NO_EXPIRY or field.expiry < fields.earliest):
        fields.earliest = field.expiry
    return 0


cdef int save_field(void *context, Field *field) except -1:
    cdef Fields *fields = <Fields *>context
    cdef Writer writer = <Writer>fields.writer
    if fields.earliest != NO_EXPIRY:
        writer.length(<uint64_t>(field.expiry - fields.earliest + 1) if field.expiry >= 0 else 0)
    writer.element(&field.name)
    writer.element(&field.value)
    return 0


cdef int save_hash(Keyspace keyspace, Found *found, Writer writer) except -1:
    cdef Fields fields
    cdef Box box
    if found.entry.type == HASH_PACKED:
        keyspace.box_of(found, &box)
        writer.byte(RDB_HASH_LISTPACK)
        save_pack(writer, keyspace.arena.at(box.block))
        return RDB_VERSION
    fields.writer, fields.count, fields.earliest = <void *>writer, 0, NO_EXPIRY
    hash_each(keyspace, found, count_field, &fields)
    if fields.count == 0:
        return 0
    writer.byte(RDB_HASH if fields.earliest == NO_EXPIRY else RDB_HASH_METADATA)
    if fields.earliest != NO_EXPIRY:
        writer.raw(&fields.earliest, sizeof(fields.earliest))
    writer.length(fields.count)
    hash_each(keyspace, found, save_field, &fields)
    return RDB_VERSION if fields.earliest == NO_EXPIRY else RDB_VERSION_EXPIRY


cdef int save_stream(Keyspace keyspace, Found *found, Writer writer) except -1:
    writer.byte(RDB_STREAM_2)
    return stream_save(keyspace.arena, stream_open(keyspace, found), writer)


# -- loading

cdef class Loader:
    """What all the steps of a load need."""
    cdef Keyspace keyspace
    cdef Limits limits
    cdef Found *found
    cdef const char *key
    cdef uint64_t key_length
    cdef Reader reader
    cdef Source source

    cdef int load(self, int type) except -1:
        if type == RDB_STRING:
            return self.load_string()
        if type == RDB_LIST or type == RDB_LIST_ZIPLIST:
            return self.load_list(OF_STRINGS if type == RDB_LIST else OF_ZIPLIST)
        if type == RDB_LIST_QUICKLIST or type == RDB_LIST_QUICKLIST_2:
            return self.load_quicklist(type)
        if type == RDB_SET or type == RDB_SET_INTSET or type == RDB_SET_LISTPACK:
            return self.load_set(
                OF_STRINGS if type == RDB_SET else OF_INTSET if type == RDB_SET_INTSET else OF_LISTPACK
            )
        if type == RDB_ZSET or type == RDB_ZSET_2 or type == RDB_ZSET_ZIPLIST or type == RDB_ZSET_LISTPACK:
            return self.load_zset(type)
        if type == RDB_HASH or type == RDB_HASH_ZIPLIST or type == RDB_HASH_LISTPACK:
            return self.load_hash(
                OF_STRINGS if type == RDB_HASH else OF_ZIPLIST if type == RDB_HASH_ZIPLIST else OF_LISTPACK
            )
        if type == RDB_HASH_METADATA:
            return self.load_expiring_strings()
        if type == RDB_HASH_LISTPACK_EX:
            return self.load_expiring_pack()
        if type == RDB_STREAM or type == RDB_STREAM_2 or type == RDB_STREAM_3:
            return stream_load(
                self.keyspace, self.limits, self.found, self.key, self.key_length, self.reader, type
            )
        return bad_data()

    cdef int load_string(self) except -1:
        cdef Element element
        cdef char scratch[ELEMENT_TEXT]
        cdef uint64_t length
        cdef const char *text
        self.reader.string(&element)
        text = element_text(&element, scratch, &length)
        return self.keyspace.set_string(
            self.found.db, self.found, self.key, self.key_length, text, length, -1, False
        )

    cdef int save(self, List *it) except -1:
        return list_save(self.keyspace, self.found.db, self.found, self.key, self.key_length, it)

    cdef int load_list(self, int layout) except -1:
        cdef List it
        list_open(self.keyspace, self.found, &it)
        self.source.open(self.reader, layout, 1)
        self.push_all(&it)
        return self.save(&it)

    cdef int load_quicklist(self, int type) except -1:
        cdef List it
        cdef Element element
        cdef uint64_t container, left = self.reader.count()
        list_open(self.keyspace, self.found, &it)
        while left:
            container = self.reader.length() if type == RDB_LIST_QUICKLIST_2 else 0
            if container == QUICKLIST_PLAIN:
                self.reader.string(&element)
                self.push(&it, &element, 1)
            elif container == QUICKLIST_PACKED or type == RDB_LIST_QUICKLIST:
                self.source.open(self.reader, OF_LISTPACK if container else OF_ZIPLIST, 1)
                self.push_all(&it)
            else:
                bad_data()
            left -= 1
        return self.save(&it)

    cdef int push_all(self, List *it) except -1:
        cdef Element batch[BATCH]
        cdef uint64_t filled = 0
        while self.source.next(&batch[filled]):
            filled += 1
            if filled == BATCH:
                self.push(it, batch, filled)
                filled = 0
        return self.push(it, batch, filled)

    cdef int push(self, List *it, Element *elements, uint64_t count) except -1:
        cdef uint64_t size = 0, index
        for index in range(count):
            size += element_size(&elements[index])
        if count:
            list_grow(self.keyspace.arena, it, self.limits, size, count)
            list_push(self.keyspace.arena, it, elements, count, False)
        if self.source.layout == OF_STRINGS or self.source.left == 0:
            self.reader.forget()    # but not the pack that the next batch is taken from
        return 0

    cdef int load_set(self, int layout) except -1:
        cdef Element member
        cdef uint64_t count
        self.source.open(self.reader, layout, 1)
        count = self.source.left
        while self.source.next(&member):
            if not self.found.exists:
                set_prepare(self.keyspace, self.limits, self.found, self.key, self.key_length, &member, count)
                set_reserve(self.keyspace, self.found, self.believed(count))
            if not set_add(self.keyspace, self.limits, self.found, &member):
                bad_data()
            self.done_with_strings()
        return 0

    cdef uint64_t believed(self, uint64_t count) noexcept:
        """How many of so many elements there may be at most, all of them different, in what is left to read."""
        return min(count, self.reader.left() // 2) if self.source.layout == OF_STRINGS else count

    cdef void done_with_strings(self) noexcept:
        if self.source.layout == OF_STRINGS:
            self.reader.forget()

    cdef int load_zset(self, int type) except -1:
        cdef Element element
        cdef double score
        cdef list pairs = []
        cdef set members = set()
        cdef bint strings = type == RDB_ZSET or type == RDB_ZSET_2
        self.source.open(
            self.reader, OF_STRINGS if strings else OF_ZIPLIST if type == RDB_ZSET_ZIPLIST else OF_LISTPACK,
            1 if strings else 2,
        )
        while self.source.next(&element):
            member = element_bytes(&element)
            if type == RDB_ZSET:
                score = self.reader.text_double()
            elif type == RDB_ZSET_2:
                score = self.reader.binary_double()
            else:
                self.source.next(&element)
                score = score_of(&element)
            if isnan(score):
                bad_data()
            pairs.append((score, member))
            members.add(member)
            self.done_with_strings()
        if len(members) < len(pairs):
            bad_data()
        return zset_store(self.keyspace, self.limits, self.found, self.key, self.key_length, pairs)

    cdef int load_hash(self, int layout) except -1:
        cdef Field field
        cdef uint64_t count
        field.expiry = NO_EXPIRY
        self.source.open(self.reader, layout, 2)
        count = self.source.left // 2
        while self.source.next(&field.name):
            self.source.next(&field.value)
            self.set_field(&field, count)
            self.done_with_strings()
        return 0

    cdef int load_expiring_strings(self) except -1:
        cdef Field field
        cdef int64_t earliest = self.earliest_expiry()
        cdef uint64_t count, left, after
        count = left = self.reader.count()
        while left:
            after = self.reader.length()
            if after > <uint64_t>EXPIRY_MAX:
                bad_data()
            field.expiry = earliest + <int64_t>after - 1 if after else NO_EXPIRY
            self.reader.string(&field.name)
            self.reader.string(&field.value)
            self.set_field(&field, count)
            self.reader.forget()
            left -= 1
        return 0

    cdef int load_expiring_pack(self) except -1:
        cdef Field field
        cdef Element expiry
        cdef uint64_t count
        self.earliest_expiry()          # each field's is there in full
        self.source.open(self.reader, OF_LISTPACK, 3)
        count = self.source.left // 3
        while self.source.next(&field.name):
            self.source.next(&field.value)
            self.source.next(&expiry)
            if expiry.bytes != NULL or expiry.number < 0:
                bad_data()
            field.expiry = expiry.number if expiry.number else NO_EXPIRY
            self.set_field(&field, count)
        return 0

    cdef int64_t earliest_expiry(self) except? -1:
        cdef int64_t earliest
        memcpy(&earliest, self.reader.take(8), 8)
        if earliest < 0 or earliest > EXPIRY_MAX:
            bad_data()
        return earliest

    cdef int set_field(self, Field *field, uint64_t count) except -1:
        cdef char scratch[2][ELEMENT_TEXT]
        cdef uint64_t length, value_length
        cdef const char *name = element_text(&field.name, scratch[0], &length)
        cdef const char *value = element_text(&field.value, scratch[1], &value_length)
        cdef bint first = not self.found.exists
        if field.expiry > EXPIRY_MAX:
            bad_data()
        hash_prepare(
            self.keyspace, self.limits, self.found, self.key, self.key_length, count, max(length, value_length),
            element_size(&field.name) + element_size(&field.value),
        )
        if first:
            hash_reserve(self.keyspace, self.found, self.believed(count))
        if not hash_set(self.keyspace, self.limits, self.found, name, length, value, value_length, field.expiry):
            bad_data()
        return 0


cdef bytes element_bytes(Element *element):
    cdef char scratch[ELEMENT_TEXT]
    cdef uint64_t length
    cdef const char *text = element_text(element, scratch, &length)
    return PyBytes_FromStringAndSize(text, <Py_ssize_t>length)


cdef double score_of(Element *element) except? -1:
    cdef double score = 0
    if element.bytes == NULL:
        return <double>element.number
    if not parse_double(element.bytes, element.length, &score):
        bad_data()
    return score


cdef int value_load(
    Keyspace keyspace, Limits limits, Found *found, const char *key, uint64_t length, Reader reader
) except -1:
    cdef Loader loader = Loader()
    loader.keyspace, loader.limits, loader.found = keyspace, limits, found
    loader.key, loader.key_length = key, length
    loader.reader, loader.source = reader, Source()
    loader.source.layout = OF_STRINGS
    return loader.load(reader.byte())
