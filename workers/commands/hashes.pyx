"""Commands on hashes. Those on the expiry of fields have a module of their own.

HSET and HGET are hot: on their way no Python object is made, unless it ends in an error.
"""
from libc.stdint cimport INT64_MAX, INT64_MIN, int64_t

from shardkv.errors import NOT_FLOAT, SYNTAX, WRONG_TYPE, CommandError, wrong_arity

from shardkv.number cimport parse_int64, parse_long_double, print_int64, print_long_double
from workers.call cimport Argument
from workers.commands.elements cimport Scan, integer_between, reply_element
from workers.memory.listpack cimport ELEMENT_TEXT, Element, element_size, element_text, string_element
from workers.registry cimport native
from workers.types.hash cimport (
    KEEP_EXPIRY, NO_EXPIRY, field_pair, hash_count, hash_delete, hash_each, hash_expires, hash_get, hash_open,
    hash_prepare, hash_random, hash_sample, hash_scan, hash_set, is_hash,
)

cdef extern from "<math.h>" nogil:
    bint isfinite(long double value)

cdef enum:
    CLUSTERS_PER_FIELD = 10     # HSCAN passes so many clusters for each field of COUNT before it answers what it met
    LONG_DOUBLE_TEXT = 5120     # bytes: the longest number HINCRBYFLOAT may print

cdef enum Part:
    NAMES = 1
    VALUES = 2


# -- what the families share

cdef int find_to_read(Call call, Found *out) except -1:
    call.find(1, 0, out)
    return expect_hash(call, out)


cdef int find_to_change(Call call, Found *out) except -1:
    call.shard_of_key(0).keyspace.find(call.db, call.argv[1].bytes, call.argv[1].length, call.hash, out)
    return expect_hash(call, out)


cdef inline int expect_hash(Call call, Found *found) except -1:
    if not found.exists:
        return 0
    if not is_hash(found):
        raise CommandError(WRONG_TYPE)
    return hash_open(call.shard_of_key(0).keyspace, found)


cdef bint get_argument(Call call, Found *found, int index, Field *out) noexcept:
    cdef Argument *name = &call.argv[index]
    return found.exists and hash_get(call.shard_of_key(0).keyspace, found, name.bytes, name.length, out)


cdef int reply_value(Call call, bint there, Field *field) except -1:
    return reply_element(call._reply, &field.value) if there else call._reply.null()


cdef int prepare_pairs(Call call, Found *found, int first) except -1:
    cdef uint64_t longest = 0, total = 0
    cdef int index
    cdef Element element
    for index in range(first, call.argc):
        element = string_element(call.argv[index].bytes, call.argv[index].length)
        total += element.length if found.exists else element_size(&element)
        longest = max(longest, call.argv[index].length)
    return hash_prepare(
        call.shard_of_key(0).keyspace, call.limits, found, call.argv[1].bytes, call.argv[1].length,
        (call.argc - first) // 2, longest, total,
    )


cdef int store(Call call, Found *found, int index, const char *value, uint64_t length, int64_t expiry) except -1:
    # Field argv[index] takes the value; the hash exists. Returns 1 if the field is new.
    return hash_set(
        call.shard_of_key(0).keyspace, call.limits, found, call.argv[index].bytes, call.argv[index].length, value,
        length, expiry,
    )


# -- one field or several

cdef int64_t set_pairs(Call call, str name) except -1:
    # Returns how many fields are new.
    cdef Found found
    cdef int64_t added = 0
    cdef int index
    if call.argc % 2:
        raise CommandError(wrong_arity(name))
    find_to_change(call, &found)
    prepare_pairs(call, &found, 2)
    for index in range(2, call.argc, 2):
        added += store(call, &found, index, call.argv[index + 1].bytes, call.argv[index + 1].length, NO_EXPIRY)
    return added


cdef int hset_command(Call call) except -1:
    return call._reply.integer(set_pairs(call, "hset"))


cdef int hmset_command(Call call) except -1:
    set_pairs(call, "hmset")
    return call._reply.raw(b"+OK\r\n", 5)


cdef int hsetnx_command(Call call) except -1:
    cdef Found found
    cdef Field field
    find_to_change(call, &found)
    if get_argument(call, &found, 2, &field):
        return call._reply.integer(0)
    prepare_pairs(call, &found, 2)
    store(call, &found, 2, call.argv[3].bytes, call.argv[3].length, NO_EXPIRY)
    return call._reply.integer(1)


cdef int hget_command(Call call) except -1:
    cdef Found found
    cdef Field field
    find_to_read(call, &found)
    return reply_value(call, get_argument(call, &found, 2, &field), &field)


cdef int hmget_command(Call call) except -1:
    cdef Found found
    cdef Field field
    cdef int index
    find_to_read(call, &found)
    call._reply.header(c'*', call.argc - 2)
    for index in range(2, call.argc):
        reply_value(call, get_argument(call, &found, index, &field), &field)
    return 0


cdef int hexists_command(Call call) except -1:
    cdef Found found
    cdef Field field
    find_to_read(call, &found)
    return call._reply.integer(get_argument(call, &found, 2, &field))


cdef int hstrlen_command(Call call) except -1:
    cdef Found found
    cdef Field field
    cdef char scratch[ELEMENT_TEXT]
    cdef uint64_t length = 0
    find_to_read(call, &found)
    if get_argument(call, &found, 2, &field):
        element_text(&field.value, scratch, &length)
    return call._reply.integer(length)


cdef int hdel_command(Call call) except -1:
    cdef Found found
    cdef int64_t removed = 0
    cdef int index
    find_to_change(call, &found)
    for index in range(2, call.argc):
        if not found.exists:
            break
        removed += hash_delete(
            call.shard_of_key(0).keyspace, &found, call.argv[index].bytes, call.argv[index].length
        )
    return call._reply.integer(removed)


# -- numbers

cdef int hincrby_command(Call call) except -1:
    cdef Found found
    cdef Field field
    cdef char digits[24]
    cdef int64_t value = 0
    cdef int64_t increment = call.integer(3)
    find_to_change(call, &found)
    if get_argument(call, &found, 2, &field):
        value = field.value.number
        if field.value.bytes != NULL and not parse_int64(field.value.bytes, field.value.length, &value):
            raise CommandError("ERR hash value is not an integer")
    if value > INT64_MAX - increment if increment > 0 else value < INT64_MIN - increment:
        raise CommandError("ERR increment or decrement would overflow")
    value += increment
    prepare_field(call, &found)
    store(call, &found, 2, digits, print_int64(value, digits), KEEP_EXPIRY)
    return call._reply.integer(value)


cdef int hincrbyfloat_command(Call call) except -1:
    cdef Found found
    cdef Field field
    cdef long double value = 0, increment
    cdef char text[LONG_DOUBLE_TEXT]
    cdef uint64_t length
    if not parse_long_double(call.argv[3].bytes, call.argv[3].length, &increment):
        raise CommandError(NOT_FLOAT)
    if not isfinite(increment):
        raise CommandError("ERR value is NaN or Infinity")
    find_to_change(call, &found)
    if get_argument(call, &found, 2, &field):
        value = field.value.number
        if field.value.bytes != NULL and not parse_long_double(field.value.bytes, field.value.length, &value):
            raise CommandError("ERR hash value is not a float")
    value += increment
    if not isfinite(value):
        raise CommandError("ERR increment would produce NaN or Infinity")
    length = print_long_double(value, text, LONG_DOUBLE_TEXT)
    prepare_field(call, &found)
    store(call, &found, 2, text, length, KEEP_EXPIRY)
    return call._reply.bulk(text, length)


cdef int prepare_field(Call call, Found *found) except -1:
    # What is stored is looked at when it is: its length counts for a field that is there as well.
    return hash_prepare(
        call.shard_of_key(0).keyspace, call.limits, found, call.argv[1].bytes, call.argv[1].length, 1, 0, 0
    )


# -- all fields

cdef class Listing:
    """Parts of fields on their way into a reply."""
    cdef Call call
    cdef int parts
    cdef int64_t count


cdef int count_field(void *context, Field *field) except -1:
    (<Listing>context).count += 1
    return 0


cdef int list_field(void *context, Field *field) except -1:
    cdef Listing listing = <Listing>context
    if listing.parts & NAMES:
        reply_element(listing.call._reply, &field.name)
    if listing.parts & VALUES:
        reply_element(listing.call._reply, &field.value)
    return 0


cdef int list_all(Call call, int parts) except -1:
    cdef Found found
    cdef Keyspace keyspace = call.shard_of_key(0).keyspace
    cdef Listing listing = Listing()
    listing.call, listing.parts = call, parts
    find_to_read(call, &found)
    if found.exists and hash_expires(keyspace, &found):     # some of them may have expired, and be there still
        hash_each(keyspace, &found, count_field, <void *>listing)
    elif found.exists:
        listing.count = hash_count(keyspace, &found)
    if parts == (NAMES | VALUES):
        call._reply.map(listing.count)
    else:
        call._reply.header(c'*', listing.count)
    return hash_each(keyspace, &found, list_field, <void *>listing) if found.exists else 0


cdef int hgetall_command(Call call) except -1:
    return list_all(call, NAMES | VALUES)


cdef int hkeys_command(Call call) except -1:
    return list_all(call, NAMES)


cdef int hvals_command(Call call) except -1:
    return list_all(call, VALUES)


cdef int hlen_command(Call call) except -1:
    cdef Found found
    find_to_read(call, &found)
    return call._reply.integer(hash_count(call.shard_of_key(0).keyspace, &found) if found.exists else 0)


cdef class Gathering:
    """Fields of an HSCAN."""
    cdef Scan scan
    cdef list elements
    cdef int64_t seen


cdef int gather_wanted(void *context, Field *field) except -1:
    cdef Gathering gathering = <Gathering>context
    cdef char scratch[ELEMENT_TEXT]
    cdef uint64_t length
    cdef const char *text = element_text(&field.name, scratch, &length)
    gathering.seen += 1
    if gathering.scan.wants(text, length):
        name, value = field_pair(field)
        gathering.elements.append(name)
        if gathering.scan.values:
            gathering.elements.append(value)
    return 0


cdef int hscan_command(Call call) except -1:
    cdef Found found
    cdef Gathering gathering = Gathering()
    cdef uint64_t cursor
    cdef int64_t clusters = 0
    gathering.scan = Scan()
    gathering.elements = []
    gathering.scan.take_cursor(call)
    find_to_read(call, &found)
    if not found.exists:
        return gathering.scan.answer(call._reply, 0, gathering.elements)
    gathering.scan.take_options(call, True)
    cursor = gathering.scan.cursor
    while True:
        cursor = hash_scan(call.shard_of_key(0).keyspace, &found, cursor, gather_wanted, <void *>gathering)
        clusters += 1
        if cursor == 0 or gathering.seen >= gathering.scan.count \
                or clusters // CLUSTERS_PER_FIELD >= gathering.scan.count:
            return gathering.scan.answer(call._reply, cursor, gathering.elements)


# -- HRANDFIELD

cdef int hrandfield_command(Call call) except -1:
    cdef Found found
    cdef Field field
    cdef int64_t count
    if call.argc > 2:
        count = integer_between(call, 2, -INT64_MAX, INT64_MAX, None)
        if call.argc > 4 or (call.argc == 4 and not call.is_option(3, b"withvalues")):
            raise CommandError(SYNTAX)
        if call.argc == 4 and not -(INT64_MAX // 2) <= count <= INT64_MAX // 2:
            raise CommandError("ERR value is out of range")
        return random_several(call, count, call.argc == 4)
    find_to_read(call, &found)
    if not found.exists or not hash_random(call.shard_of_key(0).keyspace, &found, &field):
        return call._reply.null()
    return reply_element(call._reply, &field.name)


cdef int gather_pair(void *context, Field *field) except -1:
    (<list>context).append(field_pair(field))
    return 0


cdef int random_several(Call call, int64_t count, bint with_values) except -1:
    cdef Found found
    cdef Keyspace keyspace = call.shard_of_key(0).keyspace
    cdef list fields = []
    cdef bytes name, value
    find_to_read(call, &found)
    if found.exists and count < 0:
        return random_repeated(call, &found, -count, with_values)
    if found.exists and <uint64_t>count < hash_count(keyspace, &found):
        fields = hash_sample(keyspace, &found, count)
    elif found.exists:
        hash_each(keyspace, &found, gather_pair, <void *>fields)
    random_header(call, len(fields), with_values)
    for name, value in fields:
        if with_values and call._reply.resp == 3:
            call._reply.header(c'*', 2)
        call._reply.bulk(name, len(name))
        if with_values:
            call._reply.bulk(value, len(value))
    return 0


cdef int random_header(Call call, int64_t count, bint with_values) except -1:
    # With values, RESP3 has an array of pairs, RESP2 names and values in turn.
    return call._reply.header(c'*', count * 2 if with_values and call._reply.resp == 2 else count)


cdef int random_repeated(Call call, Found *found, int64_t count, bint with_values) except -1:
    # Any number of times the same.
    cdef Keyspace keyspace = call.shard_of_key(0).keyspace
    cdef Field field
    cdef int64_t _each
    if not hash_random(keyspace, found, &field):
        return call._reply.header(c'*', 0)
    random_header(call, count, with_values)
    for _each in range(count):
        hash_random(keyspace, found, &field)
        if with_values and call._reply.resp == 3:
            call._reply.header(c'*', 2)
        reply_element(call._reply, &field.name)
        if with_values:
            reply_element(call._reply, &field.value)
    return 0


native("hdel", hdel_command, member=2)
native("hexists", hexists_command, member=2)
native("hget", hget_command, member=2)
native("hgetall", hgetall_command)
native("hincrby", hincrby_command, member=2)
native("hincrbyfloat", hincrbyfloat_command, member=2)
native("hkeys", hkeys_command)
native("hlen", hlen_command)
native("hmget", hmget_command, member=2)
native("hmset", hmset_command, member=2)
native("hrandfield", hrandfield_command)
native("hscan", hscan_command)
native("hset", hset_command, member=2)
native("hsetnx", hsetnx_command, member=2)
native("hstrlen", hstrlen_command, member=2)
native("hvals", hvals_command)
