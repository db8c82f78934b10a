"""SORT and SORT_RO, on lists, sets and sorted sets.

Elements are sorted as Python's bytes: linear in memory, as the answer is. The keys that BY and GET look up may lie in
any shard that takes part.
"""
from cpython.bytes cimport PyBytes_FromStringAndSize
from libc cimport errno as c_errno
from libc.stdint cimport int64_t, uint64_t
from libc.stdlib cimport strtod

from math import isnan
from operator import itemgetter

from shardkv.errors import SYNTAX, WRONG_TYPE, CommandError

from shardkv.hashing cimport hash_key
from workers.call cimport Call
from workers.memory.databases cimport Found
from workers.memory.entry cimport LIST_PACKED, LIST_TREE, STRING_BOXED
from workers.memory.keyspace cimport Keyspace
from workers.memory.listpack cimport ELEMENT_TEXT, Element, element_size, element_text, string_element
from workers.registry cimport native
from workers.types.hash cimport Field, hash_get, hash_open, is_hash
from workers.types.list cimport List, list_grow, list_open, list_push, list_save, list_values
from workers.types.set cimport is_set, set_members
from workers.types.zset cimport Zset, is_zset, zset_pairs, zset_view

cdef enum:
    BATCH = 64                  # elements pushed at a time

NO_NUMBER = "ERR One or more scores can't be converted into double"


# -- the keys that patterns name

cdef class Pattern:
    """What BY or GET says: the value of the key `before` + element + `behind`, or of a field of the hash there."""
    cdef bint itself            # "#": the element
    cdef bint constant          # has no "*": names nothing
    cdef bytes before, behind
    cdef bytes field            # None: the key holds a string

    def __init__(self, text: bytes) -> None:
        self.itself = text == b"#"
        self.before, star, self.behind = text.partition(b"*")
        self.constant = not star
        behind, _, field = self.behind.partition(b"->")
        if field:
            self.behind, self.field = behind, field

    cdef object value(self, Call call, bytes element):
        """The value for an element as bytes, or None."""
        cdef Keyspace keyspace
        cdef Found found
        if self.itself:
            return element
        if self.constant:
            return None
        keyspace = look_up(call, self.before + element + self.behind, &found)
        if not found.exists:
            return None
        return string_of(keyspace, &found) if self.field is None else field_of(keyspace, &found, self.field)


cdef Keyspace look_up(Call call, bytes key, Found *found):
    """Finds a key that the request does not name as such. Raises CommandError when its shard takes no part."""
    cdef uint64_t hash = hash_key(key, len(key))
    cdef Keyspace keyspace = call.owner_of(key, len(key), hash).keyspace
    keyspace.find(call.db, key, len(key), hash, found)
    if found.exists:
        call.hits += 1
    else:
        call.misses += 1
    return keyspace


cdef object string_of(Keyspace keyspace, Found *found):
    cdef char scratch[24]
    cdef uint64_t length
    cdef const char *text
    if found.entry.type > STRING_BOXED:
        return None
    text = keyspace.string_bytes(found, &length, scratch)
    return PyBytes_FromStringAndSize(text, <Py_ssize_t>length)


cdef object field_of(Keyspace keyspace, Found *found, bytes name):
    cdef Field field
    cdef char scratch[ELEMENT_TEXT]
    cdef uint64_t length
    cdef const char *text
    if not is_hash(found):
        return None
    hash_open(keyspace, found)
    if not found.exists or not hash_get(keyspace, found, name, len(name), &field):
        return None
    text = element_text(&field.value, scratch, &length)
    return PyBytes_FromStringAndSize(text, <Py_ssize_t>length)


# -- what is asked for

cdef class Sorting:
    cdef bint descending, alpha
    cdef bint unsorted          # BY something constant: the elements stay as they are
    cdef int64_t first, count   # LIMIT
    cdef Pattern by             # None: the element itself
    cdef list gets              # of Pattern
    cdef int target             # argument that is STORE's key, 0 = none


cdef Sorting parse(Call call, bint may_store):
    cdef Sorting sorting = Sorting()
    cdef int index = 2, left
    sorting.count = -1
    sorting.gets = []
    while index < call.argc:
        left = call.argc - index - 1
        if call.is_option(index, b"asc"):
            sorting.descending = False
        elif call.is_option(index, b"desc"):
            sorting.descending = True
        elif call.is_option(index, b"alpha"):
            sorting.alpha = True
        elif left >= 2 and call.is_option(index, b"limit"):
            sorting.first, sorting.count = call.integer(index + 1), call.integer(index + 2)
            index += 2
        elif left and may_store and call.is_option(index, b"store"):
            index += 1
            sorting.target = index
        elif left and call.is_option(index, b"by"):
            index += 1
            sorting.by = Pattern(call.arg(index))
            sorting.unsorted = sorting.unsorted or sorting.by.constant
        elif left and call.is_option(index, b"get"):
            index += 1
            sorting.gets.append(Pattern(call.arg(index)))
        else:
            raise CommandError(SYNTAX)
        index += 1
    return sorting


# -- elements in their order

cdef tuple limits(Sorting sorting, int64_t length):
    """First element and count of what LIMIT leaves."""
    cdef int64_t first = min(max(sorting.first, 0), length), left = length - first
    return first, left if sorting.count < 0 else min(sorting.count, left)


cdef list chosen(Call call, Sorting sorting):
    """The elements that are asked for, in order."""
    cdef Keyspace keyspace = call.shard_of_key(0).keyspace
    cdef Found found
    cdef List it
    cdef Zset zset
    cdef list elements
    call.find(1, 0, &found)
    if not found.exists:
        return []
    if is_set(&found):
        if sorting.unsorted and sorting.target:     # a set has no order: what is stored gets one
            sorting.unsorted, sorting.alpha, sorting.by = False, True, None
        return ordered(call, sorting, set_members(keyspace, &found))
    if is_zset(&found):
        zset_view(keyspace, &found, &zset)
        first, count = own_part(sorting, <int64_t>zset.count)
        pairs = zset_pairs(keyspace.arena, &zset, first, count, sorting.unsorted and sorting.descending)
        elements = [member for _, member in pairs]
    elif found.entry.type == LIST_PACKED or found.entry.type == LIST_TREE:
        list_open(keyspace, &found, &it)
        first, count = own_part(sorting, <int64_t>it.length)
        elements = list_values(keyspace.arena, &it, first, count, sorting.unsorted and sorting.descending)
    else:
        raise CommandError(WRONG_TYPE)
    return elements if sorting.unsorted else ordered(call, sorting, elements)


cdef tuple own_part(Sorting sorting, int64_t length):
    """Where to begin in the order that a list or sorted set has of its own, and how many to take."""
    if not sorting.unsorted:
        return 0, length
    first, count = limits(sorting, length)
    return (max(length - 1 - first, 0) if sorting.descending else first), count


cdef list ordered(Call call, Sorting sorting, list elements):
    """The elements, sorted unless they shall stay as they are, and of these what LIMIT leaves."""
    cdef list pairs
    if sorting.unsorted:
        pass
    elif not sorting.alpha:
        pairs = [(score(call, sorting, element), element) for element in elements]
        pairs.sort(reverse=sorting.descending)
        elements = [element for _, element in pairs]
    elif sorting.by is None:
        elements.sort(reverse=sorting.descending)
    else:
        pairs = [(word(sorting.by.value(call, element)), element) for element in elements]
        pairs.sort(key=itemgetter(0), reverse=sorting.descending)
        elements = [element for _, element in pairs]
    first, count = limits(sorting, len(elements))
    return elements[first:first + count]


cdef tuple word(value: bytes | None):
    # What is not there comes first.
    return (value is not None, value or b"")


cdef object score(Call call, Sorting sorting, bytes element):
    """The number to sort by, 0 when there is none. Raises CommandError for what is not a number."""
    cdef bytes text = element if sorting.by is None else sorting.by.value(call, element)
    cdef double number
    cdef char *end
    if text is None:
        return 0.0
    c_errno.errno = 0
    number = strtod(text, &end)
    if end[0] != 0 or c_errno.errno == c_errno.ERANGE or isnan(number):
        raise CommandError(NO_NUMBER)
    return number


# -- the answer

cdef int store(Call call, int index, list values) except -1:
    """Makes the key at argument `index` a list of these values, or deletes it when there are none."""
    cdef bytes key = call.arg(index)
    cdef Keyspace keyspace = call.shard_of_key(1).keyspace
    cdef Element batch[BATCH]
    cdef Element element
    cdef Found found
    cdef List it
    cdef bytes value
    cdef uint64_t size = 0
    cdef int filled = 0
    keyspace.find(call.db, key, len(key), hash_key(key, len(key)), &found)
    if found.exists:
        keyspace.delete(call.db, &found, True)
    list_open(keyspace, &found, &it)
    for value in values:
        element = string_element(value, len(value))
        size += element_size(&element)
    list_grow(keyspace.arena, &it, call.limits, size, len(values))
    for value in values:
        batch[filled] = string_element(value, len(value))
        filled += 1
        if filled == BATCH:
            list_push(keyspace.arena, &it, batch, filled, False)
            filled = 0
    if filled:
        list_push(keyspace.arena, &it, batch, filled, False)
    return list_save(keyspace, call.db, &found, key, len(key), &it)


cdef int sort(Call call, bint may_store) except -1:
    cdef Sorting sorting = parse(call, may_store)
    cdef list values = chosen(call, sorting)
    cdef Pattern pattern
    if sorting.gets:
        values = [pattern.value(call, element) for element in values for pattern in sorting.gets]
    if not sorting.target:
        return call._reply.value(values)
    store(call, sorting.target, [value or b"" for value in values])
    return call._reply.integer(len(values))


cdef int sort_command(Call call) except -1:
    return sort(call, True)


cdef int sort_ro_command(Call call) except -1:
    return sort(call, False)


native("sort", sort_command)
native("sort_ro", sort_ro_command)
