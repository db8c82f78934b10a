"""Commands on lists, and @packed-threshold, which DEBUG QUICKLIST-PACKED-THRESHOLD asks of the workers. What takes
elements off an end is in list_pops.pyx; see lists.pxd for what that uses.

The pushes and LRANGE are hot: on their way no Python object is made, unless it ends in an error.
"""
from libc.stdint cimport INT64_MAX, INT64_MIN, UINT64_MAX, int64_t, uint64_t

from shardkv.errors import NO_SUCH_KEY, OUT_OF_RANGE, SYNTAX, CommandError

from shardkv.number cimport parse_int64
from workers.call cimport Argument, Call
from workers.memory.arena cimport Arena
from workers.memory.databases cimport Found
from workers.memory.keyspace cimport Keyspace
from workers.memory.listpack cimport ELEMENT_TEXT, Element, string_element
from workers.registry cimport native
from workers.types.list cimport (
    List, ListCursor, list_equals, list_grow, list_insert, list_next, list_open, list_prev, list_push, list_remove,
    list_remove_equal, list_replace, list_save, list_seek, list_shrink, list_text,
)
from workers.types.list_nodes cimport set_packed_threshold

cdef enum:
    BATCH = 64              # elements pushed at a time

RANK_ZERO = (
    "ERR RANK can't be zero: use 1 to start from the first match, 2 from the second ... "
    "or use negative to start from the end of the list"
)


# -- what the commands share

cdef int open_to_read(Call call, int index, int key_number, Found *found, List *out) except -1:
    call.find(index, key_number, found)
    return list_open(call.shard_of_key(key_number).keyspace, found, out)


cdef int open_to_change(Call call, int index, int key_number, Found *found, List *out) except -1:
    cdef Keyspace keyspace = call.shard_of_key(key_number).keyspace
    cdef Argument *key = &call.argv[index]
    keyspace.find(call.db, key.bytes, key.length, call.hash_of(index, key_number), found)
    return list_open(keyspace, found, out)


cdef int save(Call call, int index, int key_number, Found *found, List *it) except -1:
    cdef Argument *key = &call.argv[index]
    return list_save(call.shard_of_key(key_number).keyspace, call.db, found, key.bytes, key.length, it)


cdef int save_shorter(Call call, int index, int key_number, Found *found, List *it) except -1:
    list_shrink(call.shard_of_key(key_number).arena, it, call.limits)
    return save(call, index, key_number, found, it)


cdef inline bint clip(uint64_t length, int64_t *first, int64_t *last) noexcept nogil:
    # First and last index of a part, negative ones counted from the end; False if nothing is left.
    if first[0] < 0:
        first[0] = max(first[0] + <int64_t>length, 0)
    if last[0] < 0:
        last[0] += <int64_t>length
    last[0] = min(last[0], <int64_t>length - 1)
    return first[0] <= last[0]


cdef inline int64_t place(int64_t index, uint64_t length) noexcept nogil:
    # Of an index that may count from the end; below 0 or past the end if there is no such element.
    return index + <int64_t>length if index < 0 else index


cdef int64_t at_least(Call call, int index, int64_t least, str text) except? -1:
    # Raises CommandError(text) for anything else.
    cdef int64_t number
    cdef Argument *argument = &call.argv[index]
    if not parse_int64(argument.bytes, argument.length, &number) or number < least:
        raise CommandError(text)
    return number


cdef int end_of(Call call, int index) except -1:
    # 1 = LEFT, 0 = RIGHT.
    if call.is_option(index, b"left"):
        return 1
    if not call.is_option(index, b"right"):
        raise CommandError(SYNTAX)
    return 0


cdef int reply_element(Call call, int key_number, ListCursor *cursor) except -1:
    cdef char scratch[ELEMENT_TEXT]
    cdef uint64_t length
    cdef const char *text = list_text(call.shard_of_key(key_number).arena, cursor, scratch, &length)
    return call._reply.bulk(text, length)


cdef int reply_range(Call call, int key_number, List *it, uint64_t first, uint64_t count, bint backwards) except -1:
    cdef Arena arena = call.shard_of_key(key_number).arena
    cdef ListCursor cursor
    call._reply.header(c'*', <int64_t>count)
    list_seek(arena, it, first, &cursor)
    while count:
        reply_element(call, key_number, &cursor)
        count -= 1
        if backwards:
            list_prev(arena, &cursor)
        else:
            list_next(arena, &cursor)
    return 0


# -- pushing

cdef int push_arguments(Call call, List *it, bint at_head) except -1:
    # Each of the arguments from 2 on goes before, or behind, all that are there.
    cdef Arena arena = call.shard_of_key(0).arena
    cdef Element batch[BATCH]
    cdef uint64_t bytes = 0
    cdef int index, at, count
    for index in range(2, call.argc):
        bytes += call.argv[index].length
    list_grow(arena, it, call.limits, bytes, call.argc - 2)
    index = 2
    while index < call.argc:
        count = min(call.argc - index, <int>BATCH)
        for at in range(count):
            batch[count - 1 - at if at_head else at] = string_element(
                call.argv[index + at].bytes, call.argv[index + at].length
            )
        list_push(arena, it, batch, count, at_head)
        index += count
    return 0


cdef int push(Call call, bint at_head, bint if_exists) except -1:
    cdef Found found
    cdef List it
    open_to_change(call, 1, 0, &found, &it)
    if found.exists or not if_exists:
        push_arguments(call, &it, at_head)
        save(call, 1, 0, &found, &it)
    return call._reply.integer(<int64_t>it.length)


cdef int lpush_command(Call call) except -1:
    return push(call, True, False)


cdef int rpush_command(Call call) except -1:
    return push(call, False, False)


cdef int lpushx_command(Call call) except -1:
    return push(call, True, True)


cdef int rpushx_command(Call call) except -1:
    return push(call, False, True)


cdef int linsert_command(Call call) except -1:
    cdef Arena arena = call.shard_of_key(0).arena
    cdef Found found
    cdef List it
    cdef ListCursor cursor
    cdef Element element = string_element(call.argv[4].bytes, call.argv[4].length)
    cdef Argument *pivot = &call.argv[3]
    cdef bint behind = call.is_option(2, b"after")
    if not behind and not call.is_option(2, b"before"):
        raise CommandError(SYNTAX)
    open_to_change(call, 1, 0, &found, &it)
    if not found.exists:
        return call._reply.integer(0)
    list_grow(arena, &it, call.limits, element.length, 1)
    list_seek(arena, &it, 0, &cursor)
    while not list_equals(arena, &cursor, pivot.bytes, pivot.length):
        if not list_next(arena, &cursor):
            if it.type != found.entry.type:     # only its encoding has changed
                save(call, 1, 0, &found, &it)
            return call._reply.integer(-1)
    list_insert(arena, &it, &cursor, &element, behind)
    save(call, 1, 0, &found, &it)
    return call._reply.integer(<int64_t>it.length)


cdef int lset_command(Call call) except -1:
    cdef Arena arena = call.shard_of_key(0).arena
    cdef Found found
    cdef List it
    cdef ListCursor cursor
    cdef Element element = string_element(call.argv[3].bytes, call.argv[3].length)
    cdef int64_t index
    open_to_change(call, 1, 0, &found, &it)
    if not found.exists:
        raise CommandError(NO_SUCH_KEY)
    index = place(call.integer(2), it.length)
    if not 0 <= index < <int64_t>it.length:
        raise CommandError(OUT_OF_RANGE)
    list_grow(arena, &it, call.limits, element.length, 1)
    list_seek(arena, &it, <uint64_t>index, &cursor)
    list_replace(arena, &it, &cursor, &element)
    save_shorter(call, 1, 0, &found, &it)
    return call._reply.raw(b"+OK\r\n", 5)


# -- reading

cdef int llen_command(Call call) except -1:
    cdef Found found
    cdef List it
    open_to_read(call, 1, 0, &found, &it)
    return call._reply.integer(<int64_t>it.length)


cdef int lindex_command(Call call) except -1:
    cdef Found found
    cdef List it
    cdef ListCursor cursor
    open_to_read(call, 1, 0, &found, &it)
    if not found.exists:
        return call._reply.null()
    if not list_seek(call.shard_of_key(0).arena, &it, <uint64_t>place(call.integer(2), it.length), &cursor):
        return call._reply.null()
    return reply_element(call, 0, &cursor)


cdef int lrange_command(Call call) except -1:
    cdef Found found
    cdef List it
    cdef int64_t first = call.integer(2)
    cdef int64_t last = call.integer(3)
    open_to_read(call, 1, 0, &found, &it)
    if not clip(it.length, &first, &last):
        return call._reply.header(c'*', 0)
    return reply_range(call, 0, &it, <uint64_t>first, <uint64_t>(last - first + 1), False)


cdef struct Search:
    int64_t rank            # the first match that counts; below 0: from the end
    int64_t count           # matches to be answered, 0 = all; -1 = one, not in an array
    int64_t longest         # elements to be looked at, 0 = all


cdef int parse_search(Call call, Search *search) except -1:
    cdef int index = 3
    search.rank, search.count, search.longest = 1, -1, 0
    while index < call.argc:
        if index + 1 == call.argc:
            raise CommandError(SYNTAX)
        if call.is_option(index, b"rank"):
            search.rank = call.integer(index + 1)
            if search.rank == INT64_MIN:
                raise CommandError(
                    f"ERR value is out of range, value must between {-INT64_MAX} and {INT64_MAX}"
                )
            if search.rank == 0:
                raise CommandError(RANK_ZERO)
        elif call.is_option(index, b"count"):
            search.count = at_least(call, index + 1, 0, "ERR COUNT can't be negative")
        elif call.is_option(index, b"maxlen"):
            search.longest = at_least(call, index + 1, 0, "ERR MAXLEN can't be negative")
        else:
            raise CommandError(SYNTAX)
        index += 2
    return 0


cdef list matches(Call call, List *it, Search *search):
    # Indexes of the elements that equal argument 2.
    cdef Arena arena = call.shard_of_key(0).arena
    cdef ListCursor cursor
    cdef Argument *element = &call.argv[2]
    cdef bint backwards = search.rank < 0
    cdef int64_t passed = (-search.rank if backwards else search.rank) - 1
    cdef uint64_t most = <uint64_t>search.count if search.count > 0 else UINT64_MAX if search.count == 0 else 1
    cdef uint64_t left = it.length, index
    cdef list found = []
    if search.longest and <uint64_t>search.longest < left:
        left = <uint64_t>search.longest
    index = it.length - 1 if backwards else 0
    list_seek(arena, it, index, &cursor)
    while left and <uint64_t>len(found) < most:
        if list_equals(arena, &cursor, element.bytes, element.length):
            if passed:
                passed -= 1
            else:
                found.append(index)
        left -= 1
        if backwards:
            index -= 1
            list_prev(arena, &cursor)
        else:
            index += 1
            list_next(arena, &cursor)
    return found


cdef int lpos_command(Call call) except -1:
    cdef Found found
    cdef List it
    cdef Search search
    cdef list indexes
    parse_search(call, &search)
    open_to_read(call, 1, 0, &found, &it)
    indexes = matches(call, &it, &search) if found.exists else []
    if search.count >= 0:
        return call._reply.value(indexes)
    return call._reply.integer(indexes[0]) if indexes else call._reply.null()


# -- taking away

cdef int lrem_command(Call call) except -1:
    cdef Found found
    cdef List it
    cdef int64_t count = call.integer(2), removed
    cdef uint64_t most = UINT64_MAX if count == 0 else <uint64_t>count if count > 0 else -<uint64_t>count
    open_to_change(call, 1, 0, &found, &it)
    if not found.exists:
        return call._reply.integer(0)
    removed = list_remove_equal(
        call.shard_of_key(0).arena, &it, call.argv[3].bytes, call.argv[3].length, most, count < 0
    )
    if removed:
        save_shorter(call, 1, 0, &found, &it)
    return call._reply.integer(removed)


cdef int ltrim_command(Call call) except -1:
    cdef Arena arena = call.shard_of_key(0).arena
    cdef Found found
    cdef List it
    cdef int64_t first = call.integer(2)
    cdef int64_t last = call.integer(3)
    open_to_change(call, 1, 0, &found, &it)
    if found.exists:
        if clip(it.length, &first, &last):
            list_remove(arena, &it, <uint64_t>last + 1, it.length - <uint64_t>last - 1)
            list_remove(arena, &it, 0, <uint64_t>first)
        else:
            it.length = 0
        save_shorter(call, 1, 0, &found, &it)
    return call._reply.raw(b"+OK\r\n", 5)


# -- for tests

cdef int packed_threshold_command(Call call) except -1:
    cdef int64_t threshold = call.integer(1)
    set_packed_threshold(UINT64_MAX if threshold <= 0 else <uint64_t>threshold)
    return call._reply.raw(b"+OK\r\n", 5)


native("lindex", lindex_command)
native("linsert", linsert_command)
native("llen", llen_command)
native("lpos", lpos_command)
native("lpush", lpush_command)
native("lpushx", lpushx_command)
native("lrange", lrange_command)
native("lrem", lrem_command)
native("lset", lset_command)
native("ltrim", ltrim_command)
native("rpush", rpush_command)
native("rpushx", rpushx_command)
native("@packed-threshold", packed_threshold_command)
