"""Hashes in their two encodings: see hash.pxd."""
from cpython.bytes cimport PyBytes_FromStringAndSize
from libc.string cimport memcpy

from shardkv.hashing cimport hash_key
from workers.memory.arena cimport Arena
from workers.memory.buckets cimport TableRoot
from workers.memory.dice cimport roll, roll_below, sample_entries, sample_indexes
from workers.memory.entry cimport (
    BOX_THRESHOLD, COMPACT, COMPACT_MAX, LONG, STRING_BOXED, STRING_RAW, Box, EntryView, entry_length, entry_view,
    entry_word, item_format, item_size,
)
from workers.memory.listpack cimport (
    ELEMENT_TEXT, element_text, pack_append, pack_count, pack_delete, pack_find, pack_first, pack_fits, pack_get,
    pack_next, pack_replace, pack_reserve, pack_seek, string_element,
)
from workers.memory.table cimport (
    Place, table_each, table_find, table_insert, table_make, table_random, table_remove, table_replace, table_scan,
)

cdef enum:
    SWEPT_AT_ONCE = 64          # expired fields taken out by who opens a hash
    RANDOM_TRIES = 100          # at fields of which some have expired, before all are looked at


cdef inline uint64_t block_of(Keyspace keyspace, Found *found) noexcept:
    cdef Box box
    keyspace.box_of(found, &box)
    return box.block


cdef inline const char *bytes_of(Keyspace keyspace, Found *found) noexcept:
    return keyspace.arena.at(block_of(keyspace, found))


cdef inline bint gone(Keyspace keyspace, int64_t expiry) noexcept:
    return 0 <= expiry < keyspace.now_ms and keyspace.lazy_expire


cdef bytes element_bytes(Element *element):
    cdef char scratch[ELEMENT_TEXT]
    cdef uint64_t length
    cdef const char *text = element_text(element, scratch, &length)
    return PyBytes_FromStringAndSize(text, length)


cdef tuple field_pair(Field *field):
    return element_bytes(&field.name), element_bytes(&field.value)


# -- fields of either encoding

cdef void packed_field(const char *pack, uint64_t at, Field *out) noexcept:
    pack_get(pack, at, &out.name)
    pack_get(pack, pack_next(pack, at), &out.value)
    out.expiry = NO_EXPIRY


cdef void entry_field(char *base, uint64_t entry, Field *out) noexcept:
    cdef EntryView view
    entry_view(base, entry, &view)
    out.name = string_element(view.key, view.key_length)
    out.value = view_value(base, &view)
    out.expiry = view.expiry


cdef inline Element view_value(char *base, EntryView *view) noexcept:
    cdef Box box
    if view.type != STRING_BOXED:
        return string_element(view.value, view.value_length)
    memcpy(&box, view.value, sizeof(Box))
    return string_element(base + box.block, box.length)


cdef inline uint64_t seek(const char *pack, const char *name, uint64_t length) noexcept:
    return pack_find(pack, pack_first(pack), name, length, 1)


# -- reading

cdef int hash_open(Keyspace keyspace, Found *found) except -1:
    cdef int budget = SWEPT_AT_ONCE
    if found.entry.type == HASH_TABLE and keyspace.lazy_expire:
        return keyspace.sweep_fields(found, &budget)
    return 0


cdef uint64_t hash_count(Keyspace keyspace, Found *found) noexcept:
    cdef const char *at = bytes_of(keyspace, found)
    return pack_count(at) // 2 if found.entry.type == HASH_PACKED else (<TableRoot *>at).count


cdef bint hash_expires(Keyspace keyspace, Found *found) noexcept:
    return found.entry.type == HASH_TABLE and (<TableRoot *>bytes_of(keyspace, found)).expiring != 0


cdef bint hash_get(Keyspace keyspace, Found *found, const char *name, uint64_t length, Field *out) noexcept:
    cdef uint64_t block = block_of(keyspace, found), at
    if found.entry.type == HASH_PACKED:
        at = seek(keyspace.arena.at(block), name, length)
        if at:
            packed_field(keyspace.arena.at(block), at, out)
        return at != 0
    at = table_find(keyspace.arena, block, hash_key(name, length), name, length).entry
    if at == 0:
        return False
    entry_field(keyspace.arena.base, at, out)
    return not gone(keyspace, out.expiry)


cdef struct Walk:
    void *keyspace
    visit_field visit
    void *context


cdef int walk_entry(void *context, uint64_t entry) except -1:
    cdef Walk *walk = <Walk *>context
    cdef Keyspace keyspace = <Keyspace>walk.keyspace
    cdef Field field
    entry_field(keyspace.arena.base, entry, &field)
    return 0 if gone(keyspace, field.expiry) else walk.visit(walk.context, &field)


cdef int hash_each(Keyspace keyspace, Found *found, visit_field visit, void *context) except -1:
    cdef const char *pack
    cdef uint64_t at
    cdef Field field
    cdef Walk walk
    if found.entry.type == HASH_TABLE:
        walk.keyspace, walk.visit, walk.context = <void *>keyspace, visit, context
        return table_each(keyspace.arena, block_of(keyspace, found), walk_entry, &walk)
    pack = bytes_of(keyspace, found)
    at = pack_first(pack)
    while at:
        packed_field(pack, at, &field)
        if visit(context, &field):
            return 1
        at = pack_next(pack, pack_next(pack, at))
    return 0


cdef uint64_t hash_scan(
    Keyspace keyspace, Found *found, uint64_t cursor, visit_field visit, void *context
) except? 0xFFFFFFFFFFFFFFFF:
    cdef Walk walk
    if found.entry.type == HASH_PACKED:
        hash_each(keyspace, found, visit, context)
        return 0
    walk.keyspace, walk.visit, walk.context = <void *>keyspace, visit, context
    return table_scan(keyspace.arena, block_of(keyspace, found), cursor, walk_entry, &walk)


cdef bint hash_random(Keyspace keyspace, Found *found, Field *out) except -1:
    cdef uint64_t block = block_of(keyspace, found)
    cdef const char *pack = keyspace.arena.at(block)
    cdef int _tries
    if found.entry.type == HASH_PACKED:
        packed_field(pack, pack_seek(pack, <int64_t>(2 * roll_below(pack_count(pack) // 2))), out)
        return True
    for _tries in range(RANDOM_TRIES):
        entry_field(keyspace.arena.base, table_random(keyspace.arena, block, roll()), out)
        if not gone(keyspace, out.expiry):
            return True
    return random_living(keyspace, found, out)


cdef bint random_living(Keyspace keyspace, Found *found, Field *out) except -1:
    """Of a hash that has little but expired fields."""
    cdef list living = []
    hash_each(keyspace, found, gather_name, <void *>living)
    if not living:
        return False
    name = living[roll_below(len(living))]
    return hash_get(keyspace, found, <const char *>name, len(name), out)


cdef int gather_name(void *context, Field *field) except -1:
    (<list>context).append(element_bytes(&field.name))
    return 0


cdef int gather_pair(void *context, Field *field) except -1:
    (<list>context).append(field_pair(field))
    return 0


cdef list hash_sample(Keyspace keyspace, Found *found, uint64_t count):
    cdef list fields = []
    cdef Field field
    cdef uint64_t entry
    if found.entry.type == HASH_PACKED:
        hash_each(keyspace, found, gather_pair, <void *>fields)
        return [fields[index] for index in sample_indexes(len(fields), count)]
    for entry in sample_entries(keyspace.arena, block_of(keyspace, found), count):
        entry_field(keyspace.arena.base, entry, &field)
        if not gone(keyspace, field.expiry):
            fields.append(field_pair(&field))
    return fields


# -- the encodings

cdef int hash_prepare(
    Keyspace keyspace, Limits limits, Found *found, const char *key, uint64_t length, uint64_t fields, uint64_t longest,
    uint64_t total
) except -1:
    cdef Box box
    cdef bint packed = <int64_t>fields <= limits.hash_max_listpack_entries \
        and <int64_t>longest <= limits.hash_max_listpack_value
    if not found.exists:
        pack_reserve(keyspace.arena, &box, total if packed and pack_fits(NULL, total) else 0)
        keyspace.put_collection(found.db, found, key, length, HASH_PACKED, box.block, box.length)
    if found.entry.type == HASH_PACKED and not (packed and pack_fits(bytes_of(keyspace, found), total)):
        return to_table(keyspace, found)
    return 0


cdef int hash_reserve(Keyspace keyspace, Found *found, uint64_t count) except -1:
    if found.entry.type == HASH_TABLE:
        return table_make(keyspace.arena, block_of(keyspace, found), count)
    return 0


cdef int to_table(Keyspace keyspace, Found *found) except -1:
    cdef uint64_t old = block_of(keyspace, found)
    cdef uint64_t root = keyspace.arena.alloc_zeroed(sizeof(TableRoot))
    cdef const char *pack = keyspace.arena.at(old)
    cdef char scratch[2][ELEMENT_TEXT]
    cdef uint64_t at = pack_first(pack), length, value_length
    cdef const char *name
    cdef const char *value
    cdef Field field
    table_make(keyspace.arena, root, pack_count(pack) // 2)
    while at:
        packed_field(pack, at, &field)
        name = element_text(&field.name, scratch[0], &length)
        value = element_text(&field.value, scratch[1], &value_length)
        insert(keyspace.arena, root, hash_key(name, length), name, length, value, value_length, NO_EXPIRY)
        at = pack_next(pack, pack_next(pack, at))
    keyspace.put_collection(found.db, found, found.entry.key, found.entry.key_length, HASH_TABLE, root, 0)
    return keyspace.arena.free(old)


# -- entries of a table

cdef uint64_t make_entry(
    Arena arena, const char *name, uint64_t length, const char *value, uint64_t value_length, int64_t expiry
) except 0:
    cdef Box box
    cdef int type = STRING_RAW
    cdef uint64_t entry
    if value_length > BOX_THRESHOLD:
        box.block, box.length = arena.alloc(value_length), value_length
        memcpy(arena.at(box.block), value, value_length)
        value, value_length, type = <const char *>&box, sizeof(Box), STRING_BOXED
    entry = arena.alloc(item_size(length, value_length, expiry >= 0))
    memcpy(item_format(arena.at(entry), type, name, length, value_length, expiry), value, value_length)
    return entry


cdef int insert(
    Arena arena, uint64_t root, uint64_t hash, const char *name, uint64_t length, const char *value,
    uint64_t value_length, int64_t expiry
) except -1:
    cdef Place place
    cdef uint64_t entry = make_entry(arena, name, length, value, value_length, expiry)
    return table_insert(arena, root, hash, entry, expiry, &place)


cdef int free_entry(Arena arena, EntryView *view) except -1:
    cdef Box box
    if view.type == STRING_BOXED:
        memcpy(&box, view.value, sizeof(Box))
        arena.free(box.block)
    return arena.free(view.offset)


cdef bint overwrite(
    Arena arena, EntryView *view, const char *value, uint64_t value_length, int64_t expiry
) except -1:
    """Puts another value into an entry, if its block suits it; returns whether it did."""
    cdef uint64_t others = entry_length(arena.base, view) - view.value_length
    if view.type == STRING_BOXED or value_length > BOX_THRESHOLD or (expiry >= 0) != (view.expiry >= 0):
        return False
    if value_length != view.value_length and (
        view.flags & LONG
        or (view.flags & COMPACT and value_length > COMPACT_MAX)
        or arena.good_size(others + value_length) != arena.usable(view.offset)
    ):
        return False
    if value_length != view.value_length:
        set_value_length(arena, view, value_length)
    if expiry != view.expiry:
        arena.put64(view.offset + 8, <uint64_t>expiry)
    arena.write(arena.offset_of(view.value), value, value_length)
    return True


cdef int set_value_length(Arena arena, EntryView *view, uint64_t value_length) except -1:
    cdef uint64_t word = (<uint64_t *>arena.at(view.offset))[0]
    if view.flags & COMPACT:
        return arena.put64(view.offset, word & ~<uint64_t>0xFF0000 | value_length << 16)
    return arena.put64(view.offset, entry_word(word, view.type, view.clock, value_length))


# -- changing

cdef int hash_set(
    Keyspace keyspace, Limits limits, Found *found, const char *name, uint64_t length, const char *value,
    uint64_t value_length, int64_t expiry
) except -1:
    keyspace.modified(found)
    if found.entry.type == HASH_PACKED and expiry >= 0:
        to_table(keyspace, found)
    if found.entry.type == HASH_PACKED:
        return set_packed(keyspace, limits, found, name, length, value, value_length)
    return set_in_table(keyspace, found, name, length, value, value_length, expiry)


cdef int set_packed(
    Keyspace keyspace, Limits limits, Found *found, const char *name, uint64_t length, const char *value,
    uint64_t value_length
) except -1:
    cdef Element elements[2]
    cdef const char *pack
    cdef uint64_t at
    cdef Box box
    elements[0], elements[1] = string_element(name, length), string_element(value, value_length)
    keyspace.box_of(found, &box)
    pack = keyspace.arena.at(box.block)
    at = seek(pack, name, length)
    if <int64_t>(pack_count(pack) // 2 + (at == 0)) > limits.hash_max_listpack_entries \
            or <int64_t>max(length, value_length) > limits.hash_max_listpack_value \
            or not pack_fits(pack, length + value_length):
        to_table(keyspace, found)
        return set_in_table(keyspace, found, name, length, value, value_length, NO_EXPIRY)
    if at:
        pack_replace(keyspace.arena, &box, pack_next(pack, at), &elements[1], 1)
    else:
        pack_append(keyspace.arena, &box, elements, 2)
    keyspace.set_box(found, box.block, box.length)
    return at == 0


cdef int set_in_table(
    Keyspace keyspace, Found *found, const char *name, uint64_t length, const char *value, uint64_t value_length,
    int64_t expiry
) except -1:
    cdef uint64_t root = block_of(keyspace, found), hash = hash_key(name, length), entry
    cdef Place place = table_find(keyspace.arena, root, hash, name, length)
    cdef EntryView view
    cdef bint new = place.entry == 0
    if not new:
        entry_view(keyspace.arena.base, place.entry, &view)
        new = gone(keyspace, view.expiry)
    if expiry == KEEP_EXPIRY:
        expiry = NO_EXPIRY if new else view.expiry
    if place.entry == 0:
        insert(keyspace.arena, root, hash, name, length, value, value_length, expiry)
    else:
        entry = place.entry
        if not overwrite(keyspace.arena, &view, value, value_length, expiry):
            entry = make_entry(keyspace.arena, name, length, value, value_length, expiry)
        table_replace(keyspace.arena, root, &place, entry, expiry, view.expiry)
        if entry != view.offset:
            free_entry(keyspace.arena, &view)
        note_expiry(keyspace, found, view.expiry, expiry)
        return new
    note_expiry(keyspace, found, NO_EXPIRY, expiry)
    return new


cdef int hash_expire(Keyspace keyspace, Found *found, const char *name, uint64_t length, int64_t expiry) except -1:
    cdef uint64_t root, entry
    cdef Place place
    cdef EntryView view
    cdef char *value
    if found.entry.type == HASH_PACKED:
        if expiry < 0:
            return 0
        to_table(keyspace, found)
    keyspace.modified(found)
    root = block_of(keyspace, found)
    place = table_find(keyspace.arena, root, hash_key(name, length), name, length)
    entry_view(keyspace.arena.base, place.entry, &view)
    entry = place.entry
    if expiry >= 0 and view.expiry >= 0:
        keyspace.arena.put64(entry + 8, <uint64_t>expiry)
    elif expiry >= 0 or view.expiry >= 0:       # the same value, or box of a value, in an entry with or without a word
        entry = keyspace.arena.alloc(item_size(view.key_length, view.value_length, expiry >= 0))
        value = item_format(
            keyspace.arena.at(entry), view.type, view.key, view.key_length, view.value_length, expiry
        )
        memcpy(value, view.value, view.value_length)
        keyspace.arena.free(view.offset)
    table_replace(keyspace.arena, root, &place, entry, expiry, view.expiry)
    return note_expiry(keyspace, found, view.expiry, expiry)


cdef inline int note_expiry(Keyspace keyspace, Found *found, int64_t before, int64_t expiry) except -1:
    """After a field's expiry has been `before`."""
    if expiry >= 0:
        return keyspace.note_field_expiry(found, expiry)
    return keyspace.note_no_field_expiry(found) if before >= 0 else 0


cdef int hash_delete(Keyspace keyspace, Found *found, const char *name, uint64_t length) except -1:
    cdef Place place
    cdef EntryView view
    cdef uint64_t at
    cdef Field field
    cdef Box box
    cdef bint living
    if hash_count(keyspace, found) == 1:
        living = hash_get(keyspace, found, name, length, &field)
        if living:
            keyspace.delete(found.db, found, False)
        return living
    keyspace.box_of(found, &box)
    if found.entry.type == HASH_PACKED:
        at = seek(keyspace.arena.at(box.block), name, length)
        if at:
            pack_delete(keyspace.arena, &box, at, 2)
            keyspace.set_box(found, box.block, box.length)
        return at != 0
    place = table_find(keyspace.arena, box.block, hash_key(name, length), name, length)
    if place.entry == 0:
        return 0
    entry_view(keyspace.arena.base, place.entry, &view)
    table_remove(keyspace.arena, box.block, &place, view.expiry)
    note_expiry(keyspace, found, view.expiry, NO_EXPIRY)
    keyspace.modified(found)
    free_entry(keyspace.arena, &view)
    return not gone(keyspace, view.expiry)
