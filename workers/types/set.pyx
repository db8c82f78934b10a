"""Sets in their three encodings: see set.pxd."""
from cpython.bytes cimport PyBytes_FromStringAndSize
from libc.stdint cimport int64_t

from shardkv.hashing cimport hash_key
from shardkv.number cimport parse_int64, print_int64
from workers.memory.arena cimport Arena
from workers.memory.buckets cimport TableRoot
from workers.memory.dice cimport roll, roll_below, sample_entries, sample_indexes
from workers.memory.entry cimport SET_PACKED, STRING_EMBEDDED, Box, EntryView, entry_view, item_format, item_size
from workers.memory.intset cimport ints_add, ints_count, ints_find, ints_get, ints_make, ints_remove
from workers.memory.listpack cimport (
    ELEMENT_TEXT, PackBuilder, element_text, number_element, pack_append, pack_count, pack_delete, pack_find,
    pack_first, pack_fits, pack_get, pack_make, pack_next, pack_seek, string_element,
)
from workers.memory.table cimport (
    Place, table_each, table_find, table_insert, table_make, table_random, table_remove, table_scan,
)

cdef enum:
    INTS_MAX = 1 << 30          # numbers of an intset, whatever its limit says


cdef inline uint64_t block_of(Keyspace keyspace, Found *found) noexcept:
    cdef Box box
    keyspace.box_of(found, &box)
    return box.block


cdef inline const char *bytes_of(Keyspace keyspace, Found *found) noexcept:
    return keyspace.arena.at(block_of(keyspace, found))


cdef inline bint number_of(Element *member, int64_t *number) noexcept:
    """Whether a member is an integer, and which."""
    if member.bytes == NULL:
        number[0] = member.number
        return True
    return parse_int64(member.bytes, member.length, number)


cdef bytes member_bytes(Element *member):
    cdef char scratch[ELEMENT_TEXT]
    cdef uint64_t length
    cdef const char *text = element_text(member, scratch, &length)
    return PyBytes_FromStringAndSize(text, length)


# -- reading

cdef uint64_t set_count(Keyspace keyspace, Found *found) noexcept:
    cdef const char *at = bytes_of(keyspace, found)
    if found.entry.type == SET_INTS:
        return ints_count(at)
    return pack_count(at) if found.entry.type == SET_PACKED else (<TableRoot *>at).count


cdef bint set_has(Keyspace keyspace, Found *found, Element *member) noexcept:
    cdef uint64_t block = block_of(keyspace, found), length
    cdef const char *at = keyspace.arena.at(block)
    cdef char scratch[ELEMENT_TEXT]
    cdef const char *text
    cdef int64_t number
    if found.entry.type == SET_INTS:
        return number_of(member, &number) and ints_find(at, number, NULL)
    text = element_text(member, scratch, &length)
    if found.entry.type == SET_PACKED:
        return pack_find(at, pack_first(at), text, length, 0) != 0
    return table_find(keyspace.arena, block, hash_key(text, length), text, length).entry != 0


cdef struct Walk:
    char *base
    visit_member visit
    void *context


cdef int walk_entry(void *context, uint64_t entry) except -1:
    cdef Walk *walk = <Walk *>context
    cdef Element member
    entry_element(walk.base, entry, &member)
    return walk.visit(walk.context, &member)


cdef inline void entry_element(char *base, uint64_t entry, Element *out) noexcept:
    cdef EntryView view
    entry_view(base, entry, &view)
    out[0] = string_element(view.key, view.key_length)


cdef int set_each(Keyspace keyspace, Found *found, visit_member visit, void *context) except -1:
    cdef uint64_t block = block_of(keyspace, found), at
    cdef const char *bytes_at = keyspace.arena.at(block)
    cdef Element member
    cdef Walk walk
    if found.entry.type == SET_INTS:
        for at in range(ints_count(bytes_at)):
            member = number_element(ints_get(bytes_at, at))
            if visit(context, &member):
                return 1
        return 0
    if found.entry.type == SET_PACKED:
        at = pack_first(bytes_at)
        while at:
            pack_get(bytes_at, at, &member)
            if visit(context, &member):
                return 1
            at = pack_next(bytes_at, at)
        return 0
    walk.base, walk.visit, walk.context = keyspace.arena.base, visit, context
    return table_each(keyspace.arena, block, walk_entry, &walk)


cdef list set_members(Keyspace keyspace, Found *found):
    cdef list members = []
    set_each(keyspace, found, gather, <void *>members)
    return members


cdef int gather(void *context, Element *member) except -1:
    (<list>context).append(member_bytes(member))
    return 0


cdef uint64_t set_scan(
    Keyspace keyspace, Found *found, uint64_t cursor, visit_member visit, void *context
) except? 0xFFFFFFFFFFFFFFFF:
    cdef Walk walk
    if found.entry.type != SET_TABLE:
        set_each(keyspace, found, visit, context)
        return 0
    walk.base, walk.visit, walk.context = keyspace.arena.base, visit, context
    return table_scan(keyspace.arena, block_of(keyspace, found), cursor, walk_entry, &walk)


cdef void set_random(Keyspace keyspace, Found *found, Element *member) noexcept:
    cdef uint64_t block = block_of(keyspace, found)
    cdef const char *at = keyspace.arena.at(block)
    if found.entry.type == SET_INTS:
        member[0] = number_element(ints_get(at, roll_below(ints_count(at))))
    elif found.entry.type == SET_PACKED:
        pack_get(at, pack_seek(at, <int64_t>roll_below(pack_count(at))), member)
    else:
        entry_element(keyspace.arena.base, table_random(keyspace.arena, block, roll()), member)


cdef list set_sample(Keyspace keyspace, Found *found, uint64_t count):
    cdef list members
    cdef Element member
    cdef uint64_t entry
    if found.entry.type != SET_TABLE:
        members = set_members(keyspace, found)
        return [members[index] for index in sample_indexes(len(members), count)]
    members = []
    for entry in sample_entries(keyspace.arena, block_of(keyspace, found), count):
        entry_element(keyspace.arena.base, entry, &member)
        members.append(member_bytes(&member))
    return members


# -- the encodings

cdef int set_prepare(
    Keyspace keyspace, Limits limits, Found *found, const char *key, uint64_t length, Element *first, uint64_t more
) except -1:
    cdef int64_t number
    cdef Box box
    if found.exists:
        if (found.entry.type == SET_INTS and <int64_t>more > limits.set_max_intset_entries) \
                or (found.entry.type == SET_PACKED and <int64_t>more > limits.set_max_listpack_entries):
            to_table(keyspace, found)
        return 0
    if <int64_t>more <= limits.set_max_intset_entries and number_of(first, &number):
        ints_make(keyspace.arena, &box)
        return keyspace.put_collection(found.db, found, key, length, SET_INTS, box.block, box.length)
    if <int64_t>more <= limits.set_max_listpack_entries:
        pack_make(keyspace.arena, &box, NULL, 0)
        return keyspace.put_collection(found.db, found, key, length, SET_PACKED, box.block, box.length)
    return keyspace.put_collection(found.db, found, key, length, SET_TABLE, new_table(keyspace.arena, 0), 0)


cdef int set_reserve(Keyspace keyspace, Found *found, uint64_t count) except -1:
    if found.entry.type == SET_TABLE:
        return table_make(keyspace.arena, block_of(keyspace, found), count)
    return 0


cdef uint64_t new_table(Arena arena, uint64_t count) except 0:
    cdef uint64_t root = arena.alloc_zeroed(sizeof(TableRoot))
    table_make(arena, root, count)
    return root


cdef struct Filling:
    void *arena
    uint64_t root


cdef int to_table(Keyspace keyspace, Found *found) except -1:
    cdef uint64_t old = block_of(keyspace, found)
    cdef Filling filling
    filling.arena = <void *>keyspace.arena
    filling.root = new_table(keyspace.arena, set_count(keyspace, found))
    set_each(keyspace, found, fill, &filling)
    change_encoding(keyspace, found, SET_TABLE, filling.root, 0)
    return keyspace.arena.free(old)


cdef int fill(void *context, Element *member) except -1:
    cdef char scratch[ELEMENT_TEXT]
    cdef uint64_t length
    cdef const char *text = element_text(member, scratch, &length)
    insert(<Arena>(<Filling *>context).arena, (<Filling *>context).root, hash_key(text, length), text, length)
    return 0


cdef int to_packed(Keyspace keyspace, Found *found) except -1:
    """Of an intset."""
    cdef uint64_t old = block_of(keyspace, found), index
    cdef const char *ints = keyspace.arena.at(old)
    cdef PackBuilder builder = PackBuilder()
    cdef Box box
    for index in range(ints_count(ints)):
        builder.add_number(ints_get(ints, index))
    builder.store(keyspace.arena, &box)
    change_encoding(keyspace, found, SET_PACKED, box.block, box.length)
    return keyspace.arena.free(old)


cdef int change_encoding(Keyspace keyspace, Found *found, int type, uint64_t block, uint64_t used) except -1:
    return keyspace.put_collection(
        found.db, found, found.entry.key, found.entry.key_length, type, block, used
    )


cdef bint ints_fit_packed(Limits limits, const char *ints) noexcept:
    """Whether the numbers of an intset, and one more member, may be a listpack's."""
    cdef char digits[ELEMENT_TEXT]
    cdef uint64_t count = ints_count(ints)
    cdef int64_t longest = 0
    if count:
        longest = max(print_int64(ints_get(ints, 0), digits), print_int64(ints_get(ints, count - 1), digits))
    return <int64_t>count < limits.set_max_listpack_entries and longest <= limits.set_max_listpack_value


cdef inline int insert(Arena arena, uint64_t root, uint64_t hash, const char *text, uint64_t length) except -1:
    cdef uint64_t entry = arena.alloc(item_size(length, 0, False))
    cdef Place place
    item_format(arena.at(entry), STRING_EMBEDDED, text, length, 0, -1)
    return table_insert(arena, root, hash, entry, -1, &place)


# -- changing

cdef int set_add(Keyspace keyspace, Limits limits, Found *found, Element *member) except -1:
    if found.entry.type == SET_TABLE:
        return add_to_table(keyspace, found, member)
    return add_to_packed(keyspace, limits, found, member) if found.entry.type == SET_PACKED \
        else add_to_ints(keyspace, limits, found, member)


cdef int add_to_table(Keyspace keyspace, Found *found, Element *member) except -1:
    cdef uint64_t root = block_of(keyspace, found), length, hash
    cdef char scratch[ELEMENT_TEXT]
    cdef const char *text = element_text(member, scratch, &length)
    hash = hash_key(text, length)
    if table_find(keyspace.arena, root, hash, text, length).entry:
        return 0
    insert(keyspace.arena, root, hash, text, length)
    keyspace.modified(found)
    return 1


cdef int add_to_packed(Keyspace keyspace, Limits limits, Found *found, Element *member) except -1:
    cdef uint64_t length
    cdef char scratch[ELEMENT_TEXT]
    cdef const char *text = element_text(member, scratch, &length)
    cdef const char *pack
    cdef Box box
    keyspace.box_of(found, &box)
    pack = keyspace.arena.at(box.block)
    if pack_find(pack, pack_first(pack), text, length, 0):
        return 0
    if <int64_t>pack_count(pack) >= limits.set_max_listpack_entries \
            or <int64_t>length > limits.set_max_listpack_value or not pack_fits(pack, length):
        to_table(keyspace, found)
        return add_to_table(keyspace, found, member)
    pack_append(keyspace.arena, &box, member, 1)
    keyspace.set_box(found, box.block, box.length)
    return 1


cdef int add_to_ints(Keyspace keyspace, Limits limits, Found *found, Element *member) except -1:
    cdef int64_t number
    cdef Box box
    keyspace.box_of(found, &box)
    if number_of(member, &number):
        if not ints_add(keyspace.arena, &box, number):
            return 0
        keyspace.set_box(found, box.block, box.length)
        if <int64_t>ints_count(keyspace.arena.at(box.block)) > min(limits.set_max_intset_entries, <int64_t>INTS_MAX):
            to_table(keyspace, found)
        return 1
    if <int64_t>member.length <= limits.set_max_listpack_value \
            and ints_fit_packed(limits, keyspace.arena.at(box.block)):
        to_packed(keyspace, found)
        return add_to_packed(keyspace, limits, found, member)
    to_table(keyspace, found)
    return add_to_table(keyspace, found, member)


cdef int set_remove(Keyspace keyspace, Found *found, Element *member) except -1:
    cdef int64_t number
    cdef Box box
    if set_count(keyspace, found) == 1:
        return remove_last(keyspace, found, member)
    if found.entry.type == SET_TABLE:
        return remove_from_table(keyspace, found, member)
    keyspace.box_of(found, &box)
    if found.entry.type == SET_PACKED:
        if not remove_from_pack(keyspace.arena, &box, member):
            return 0
    elif not number_of(member, &number) or not ints_remove(keyspace.arena, &box, number):
        return 0
    keyspace.set_box(found, box.block, box.length)
    return 1


cdef int remove_last(Keyspace keyspace, Found *found, Element *member) except -1:
    if not set_has(keyspace, found, member):
        return 0
    keyspace.delete(found.db, found, False)
    return 1


cdef int remove_from_pack(Arena arena, Box *box, Element *member) except -1:
    cdef char scratch[ELEMENT_TEXT]
    cdef uint64_t length, at
    cdef const char *text = element_text(member, scratch, &length)
    cdef const char *pack = arena.at(box.block)
    at = pack_find(pack, pack_first(pack), text, length, 0)
    if at == 0:
        return 0
    pack_delete(arena, box, at, 1)
    return 1


cdef int remove_from_table(Keyspace keyspace, Found *found, Element *member) except -1:
    cdef uint64_t root = block_of(keyspace, found), length, entry
    cdef char scratch[ELEMENT_TEXT]
    cdef const char *text = element_text(member, scratch, &length)
    cdef Place place = table_find(keyspace.arena, root, hash_key(text, length), text, length)
    entry = place.entry
    if entry == 0:
        return 0
    table_remove(keyspace.arena, root, &place, -1)
    keyspace.arena.free(entry)
    keyspace.modified(found)
    return 1
