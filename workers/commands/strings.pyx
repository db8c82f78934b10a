"""Commands on strings. LCS has a module of its own.

GET, SET, INCR, MGET and MSET are hot: on their way no Python object is made, unless it ends in an error.
"""
from libc.stdint cimport INT64_MAX, INT64_MIN, int64_t
from libc.string cimport memcpy

from shardkv.errors import NOT_FLOAT, NOT_INTEGER, SYNTAX, TOO_LONG, WRONG_TYPE, CommandError, wrong_arity

from shardkv.number cimport parse_int64, parse_long_double, print_long_double
from workers.call cimport Argument
from workers.commands.times cimport ABSOLUTE, EX, IN_SECONDS, PX, TIMES, time_option
from workers.memory.entry cimport STRING_BOXED, STRING_INT
from workers.memory.keyspace cimport Keyspace
from workers.registry cimport native

cdef extern from "<math.h>" nogil:
    bint isfinite(long double value)

cdef enum Option:
    SET_NX = 16
    SET_XX = 32
    SET_GET = 64
    KEEP_TTL = 128
    PERSIST = 256

cdef enum:
    LONG_DOUBLE_TEXT = 5120  # bytes: the longest number INCRBYFLOAT may print


# -- what the families share

cdef int expect_string(Found *found) except -1:
    if found.exists and found.entry.type > STRING_BOXED:
        raise CommandError(WRONG_TYPE)
    return 0


cdef int read_string(Call call, int index, int key_number, StringValue *out) except -1:
    cdef Found found
    call.find(index, key_number, &found)
    out.exists = found.exists
    out.length = 0
    out.bytes = out.scratch
    if found.exists:
        expect_string(&found)
        out.bytes = call.shard_of_key(key_number).keyspace.string_bytes(&found, &out.length, out.scratch)
    return 0


cdef int find_to_set(Call call, int index, int key_number, Found *out) except -1:
    return call.shard_of_key(key_number).keyspace.find(
        call.db, call.argv[index].bytes, call.argv[index].length, call.hash_of(index, key_number), out
    )


cdef int find_to_change(Call call, int index, int key_number, Found *out) except -1:
    find_to_set(call, index, key_number, out)
    return expect_string(out)


cdef int check_length(Call call, uint64_t length, uint64_t more) except -1:
    if length > call.max_string or more > call.max_string - length:
        raise CommandError(TOO_LONG)
    return 0


cdef inline int64_t expiry_of(Found *found) noexcept:
    return found.entry.expiry if found.exists else -1


cdef inline int ok(Call call) except -1:
    return call._reply.raw(b"+OK\r\n", 5)


cdef inline int store(Call call, Found *found, int key, int key_number, int value, int64_t expiry) except -1:
    # Argument `value` becomes the string at the key that is argument `key`.
    return call.shard_of_key(key_number).keyspace.set_string(
        call.db, found, call.argv[key].bytes, call.argv[key].length,
        call.argv[value].bytes, call.argv[value].length, expiry, False,
    )


# -- GET and its kin

cdef int reply_string(Call call, Found *found) except -1:
    # The string found at the first key, or null.
    cdef char scratch[24]
    cdef uint64_t length
    cdef const char *value
    if not found.exists:
        return call._reply.null()
    expect_string(found)
    value = call.shard_of_key(0).keyspace.string_bytes(found, &length, scratch)
    return call._reply.bulk(value, length)


cdef int get_command(Call call) except -1:
    cdef Found found
    cdef char scratch[24]
    cdef uint64_t length
    cdef const char *value
    call.find(1, 0, &found)
    if not found.exists:
        return call._reply.null()
    expect_string(&found)
    value = call.shard_of_key(0).keyspace.string_bytes(&found, &length, scratch)
    return call._reply.bulk_in_place(value, length)


cdef int getdel_command(Call call) except -1:
    cdef Found found
    call.find(1, 0, &found)
    reply_string(call, &found)
    if found.exists:
        call.shard_of_key(0).keyspace.delete(call.db, &found, False)
    return 0


cdef int getset_command(Call call) except -1:
    cdef Found found
    call.find(1, 0, &found)
    reply_string(call, &found)
    return store(call, &found, 1, 0, 2, -1)


cdef int getex_command(Call call) except -1:
    cdef Found found
    cdef Keyspace keyspace
    cdef int64_t expiry = -1
    cdef int time_index = 0
    cdef int options = parse_options(call, 2, False, &time_index)
    call.find(1, 0, &found)
    if not found.exists:
        return call._reply.null()
    expect_string(&found)
    if options & TIMES:
        expiry = expiry_argument(call, time_index, options, "getex")
    reply_string(call, &found)
    keyspace = call.shard_of_key(0).keyspace
    if options & ABSOLUTE and expiry <= call.now_ms:
        return keyspace.delete(call.db, &found, False)
    if options & (TIMES | PERSIST):
        return keyspace.set_expiry(call.db, &found, expiry)
    return 0


cdef int mget_command(Call call) except -1:
    cdef Found found
    cdef char scratch[24]
    cdef uint64_t length
    cdef const char *value
    cdef int index
    call._reply.header(c'*', call.argc - 1)
    for index in range(1, call.argc):
        call.find(index, index - 1, &found)
        if found.exists and found.entry.type <= STRING_BOXED:
            value = call.shard_of_key(index - 1).keyspace.string_bytes(&found, &length, scratch)
            call._reply.bulk_in_place(value, length)
        else:
            call._reply.null()
    return 0


cdef int strlen_command(Call call) except -1:
    cdef StringValue value
    read_string(call, 1, 0, &value)
    return call._reply.integer(value.length)


cdef int getrange_command(Call call) except -1:
    cdef StringValue value
    cdef int64_t first = call.integer(2)
    cdef int64_t last = call.integer(3)
    read_string(call, 1, 0, &value)
    if (first < 0 and last < 0 and first > last) or not clip_range(value.length, &first, &last):
        return call._reply.bulk(b"", 0)
    return call._reply.bulk_in_place(value.bytes + first, last - first + 1)


# -- SET and its kin

cdef int parse_options(Call call, int start, bint setting, int *time_index) except -1:
    # Options of SET (`setting`) or GETEX from argument `start` on; `time_index` becomes the argument with the time.
    cdef int index = start
    cdef int options = 0
    cdef int option
    while index < call.argc:
        option = option_at(call, index, setting)
        if option & TIMES:
            if options & (KEEP_TTL | PERSIST | TIMES & ~option) or index + 1 == call.argc:
                raise CommandError(SYNTAX)
            index += 1
            time_index[0] = index
        elif (
            option == 0
            or (option == SET_NX and options & SET_XX)
            or (option == SET_XX and options & SET_NX)
            or (option & (KEEP_TTL | PERSIST) and options & TIMES)
        ):
            raise CommandError(SYNTAX)
        options |= option
        index += 1
    return options


cdef int option_at(Call call, int index, bint setting) noexcept:
    cdef int option = time_option(call, index)
    if option:
        return option
    if not setting:
        return PERSIST if call.is_option(index, b"persist") else 0
    if call.is_option(index, b"nx"):
        return SET_NX
    if call.is_option(index, b"xx"):
        return SET_XX
    if call.is_option(index, b"get"):
        return SET_GET
    if call.is_option(index, b"keepttl"):
        return KEEP_TTL
    return 0


cdef int64_t expiry_argument(Call call, int index, int options, str name) except? -1:
    # Unix milliseconds from a time that is relative or absolute, in seconds or milliseconds, as `options` say.
    cdef int64_t amount = call.integer(index)
    cdef int64_t unit = 1000 if options & IN_SECONDS else 1
    cdef int64_t base = 0 if options & ABSOLUTE else call.now_ms
    if amount <= 0 or amount > (INT64_MAX - base) // unit:
        raise CommandError(f"ERR invalid expire time in '{name}' command")
    return base + amount * unit


cdef int set_command(Call call) except -1:
    cdef Found found
    if call.argc > 3:
        return set_with_options(call)
    find_to_set(call, 1, 0, &found)
    store(call, &found, 1, 0, 2, -1)
    return ok(call)


cdef int set_with_options(Call call) except -1:
    cdef Found found
    cdef int64_t expiry = -1
    cdef int time_index = 0
    cdef int options = parse_options(call, 3, True, &time_index)
    if options & TIMES:
        expiry = expiry_argument(call, time_index, options, "set")
    if options & SET_GET:
        call.find(1, 0, &found)
        reply_string(call, &found)
    else:
        find_to_set(call, 1, 0, &found)
    if options & (SET_XX if not found.exists else SET_NX):
        return 0 if options & SET_GET else call._reply.null()
    if options & KEEP_TTL:
        expiry = expiry_of(&found)
    store(call, &found, 1, 0, 2, expiry)
    return 0 if options & SET_GET else ok(call)


cdef int setnx_command(Call call) except -1:
    cdef Found found
    find_to_set(call, 1, 0, &found)
    if found.exists:
        return call._reply.integer(0)
    store(call, &found, 1, 0, 2, -1)
    return call._reply.integer(1)


cdef int set_with_time(Call call, int option, str name) except -1:
    cdef Found found
    cdef int64_t expiry = expiry_argument(call, 2, option, name)
    find_to_set(call, 1, 0, &found)
    store(call, &found, 1, 0, 3, expiry)
    return ok(call)


cdef int setex_command(Call call) except -1:
    return set_with_time(call, EX, "setex")


cdef int psetex_command(Call call) except -1:
    return set_with_time(call, PX, "psetex")


cdef int store_pairs(Call call) except -1:
    cdef Found found
    cdef int index
    for index in range(1, call.argc, 2):
        find_to_set(call, index, index // 2, &found)
        store(call, &found, index, index // 2, index + 1, -1)
    return 0


cdef int mset_command(Call call) except -1:
    if call.argc % 2 == 0:
        raise CommandError(wrong_arity("mset"))
    store_pairs(call)
    return ok(call)


cdef int msetnx_command(Call call) except -1:
    cdef Found found
    cdef int index
    if call.argc % 2 == 0:
        raise CommandError(wrong_arity("msetnx"))
    for index in range(1, call.argc, 2):
        find_to_set(call, index, index // 2, &found)
        if found.exists:
            return call._reply.integer(0)
    store_pairs(call)
    return call._reply.integer(1)


# -- changes of a part

cdef int append_command(Call call) except -1:
    cdef Found found
    cdef Keyspace keyspace = call.shard_of_key(0).keyspace
    cdef Argument *key = &call.argv[1]
    cdef Argument *more = &call.argv[2]
    cdef char scratch[24]
    cdef char *value
    cdef uint64_t length
    find_to_change(call, 1, 0, &found)
    if not found.exists:
        store(call, &found, 1, 0, 2, -1)
        return call._reply.integer(more.length)
    keyspace.string_bytes(&found, &length, scratch)
    check_length(call, length, more.length)
    value = keyspace.edit_string(
        call.db, &found, key.bytes, key.length, length + more.length, length, more.length
    )
    memcpy(value + length, more.bytes, more.length)
    return call._reply.integer(length + more.length)


cdef int setrange_command(Call call) except -1:
    cdef Found found
    cdef Keyspace keyspace = call.shard_of_key(0).keyspace
    cdef Argument *key = &call.argv[1]
    cdef Argument *part = &call.argv[3]
    cdef char scratch[24]
    cdef char *value
    cdef uint64_t length = 0
    cdef int64_t start = call.integer(2)
    if start < 0:
        raise CommandError("ERR offset is out of range")
    find_to_change(call, 1, 0, &found)
    if found.exists:
        keyspace.string_bytes(&found, &length, scratch)
    if part.length:
        check_length(call, start, part.length)
        length = max(length, start + part.length)
        value = keyspace.edit_string(call.db, &found, key.bytes, key.length, length, start, part.length)
        memcpy(value + start, part.bytes, part.length)
    return call._reply.integer(length)


# -- numbers

cdef int64_t integer_of(Call call, Found *found) except? -1:
    # The integer at the first key; 0 when there is no such key.
    cdef char scratch[24]
    cdef const char *text
    cdef uint64_t length
    cdef int64_t value = 0
    if not found.exists:
        return 0
    if found.entry.type == STRING_INT:
        memcpy(&value, found.entry.value, 8)
        return value
    text = call.shard_of_key(0).keyspace.string_bytes(found, &length, scratch)
    if not parse_int64(text, length, &value):
        raise CommandError(NOT_INTEGER)
    return value


cdef int add(Call call, int64_t increment) except -1:
    cdef Found found
    cdef int64_t value
    find_to_change(call, 1, 0, &found)
    value = integer_of(call, &found)
    if value > INT64_MAX - increment if increment > 0 else value < INT64_MIN - increment:
        raise CommandError("ERR increment or decrement would overflow")
    value += increment
    call.shard_of_key(0).keyspace.set_int(
        call.db, &found, call.argv[1].bytes, call.argv[1].length, value, expiry_of(&found)
    )
    return call._reply.integer(value)


cdef int incr_command(Call call) except -1:
    return add(call, 1)


cdef int decr_command(Call call) except -1:
    return add(call, -1)


cdef int incrby_command(Call call) except -1:
    return add(call, call.integer(2))


cdef int decrby_command(Call call) except -1:
    cdef int64_t decrement = call.integer(2)
    if decrement == INT64_MIN:
        raise CommandError("ERR decrement would overflow")
    return add(call, -decrement)


cdef int incrbyfloat_command(Call call) except -1:
    cdef Found found
    cdef Keyspace keyspace = call.shard_of_key(0).keyspace
    cdef long double value = 0, increment
    cdef char text[LONG_DOUBLE_TEXT]
    cdef char scratch[24]
    cdef const char *old
    cdef uint64_t length
    find_to_change(call, 1, 0, &found)
    if found.exists:
        old = keyspace.string_bytes(&found, &length, scratch)
        if not parse_long_double(old, length, &value):
            raise CommandError(NOT_FLOAT)
    if not parse_long_double(call.argv[2].bytes, call.argv[2].length, &increment):
        raise CommandError(NOT_FLOAT)
    value += increment
    if not isfinite(value):
        raise CommandError("ERR increment would produce NaN or Infinity")
    length = print_long_double(value, text, LONG_DOUBLE_TEXT)
    keyspace.set_string(
        call.db, &found, call.argv[1].bytes, call.argv[1].length, text, length, expiry_of(&found), True
    )
    return call._reply.bulk(text, length)


native("append", append_command)
native("decr", decr_command)
native("decrby", decrby_command)
native("get", get_command)
native("getdel", getdel_command)
native("getex", getex_command)
native("getrange", getrange_command)
native("getset", getset_command)
native("incr", incr_command)
native("incrby", incrby_command)
native("incrbyfloat", incrbyfloat_command)
native("mget", mget_command)
native("mset", mset_command)
native("msetnx", msetnx_command)
native("psetex", psetex_command)
native("set", set_command)
native("setex", setex_command)
native("setnx", setnx_command)
native("setrange", setrange_command)
native("strlen", strlen_command)
native("substr", getrange_command)
