"""Commands on the expiry of hash fields: those of Redis 7.4, and HGETEX, HSETEX and HGETDEL of 8.0."""
from libc.stdint cimport INT32_MAX, INT64_MAX, int64_t

from shardkv.errors import CommandError, wrong_arity

from workers.call cimport Argument, Call
from workers.commands.elements cimport integer_between
from workers.commands.hashes cimport find_to_change, find_to_read, get_argument, prepare_pairs, reply_value
from workers.commands.times cimport ABSOLUTE, IN_SECONDS, TIMES, condition_at, conditions_met, time_option
from workers.memory.databases cimport Found
from workers.memory.keyspace cimport Keyspace
from workers.registry cimport native
from workers.types.hash cimport KEEP_EXPIRY, NO_EXPIRY, Field, hash_delete, hash_expire, hash_set

cdef enum Outcome:
    NO_FIELD = -2
    NO_TIME = -1            # the field does not expire
    NOT_MET = 0
    DONE = 1
    DELETED = 2             # the time given has passed

cdef enum Option:
    PERSIST = 16
    KEEP = 32
    FNX = 64
    FXX = 128

cdef int64_t LATEST = (<int64_t>1 << 46) - 1     # unix ms: the latest expiry of a field, as Redis has it

NO_FIELDS = "ERR Mandatory argument FIELDS is missing or not at the right position"
NOT_POSITIVE = "ERR Number of fields must be a positive integer"
NOT_ABOVE_ZERO = "ERR Parameter `numFields` should be greater than 0"
MISMATCH = "ERR The `numfields` parameter must match the number of arguments"
NEGATIVE_TIME = "ERR invalid expire time, must be >= 0"
ONE_TIME = "ERR Only one of EX, PX, EXAT, PXAT or KEEPTTL arguments can be specified"
ONE_CONDITION = "ERR Only one of FXX or FNX arguments can be specified"


# -- arguments

cdef int named_fields(Call call, int index, str name, str not_positive) except -1:
    # FIELDS count field …, from argument `index` to the last; returns the index of the first field.
    if index + 1 >= call.argc:
        raise CommandError(wrong_arity(name))
    if not call.is_option(index, b"fields"):
        raise CommandError(NO_FIELDS)
    if integer_between(call, index + 1, 1, INT64_MAX, not_positive) != call.argc - index - 2:
        raise CommandError(MISMATCH)
    return index + 2


cdef int64_t time_argument(Call call, int index, bint absolute, bint in_seconds, str name) except? -1:
    # Unix milliseconds from a time that is relative or absolute, in seconds or milliseconds.
    cdef int64_t time = call.integer(index)
    cdef int64_t unit = 1000 if in_seconds else 1
    cdef int64_t base = 0 if absolute else call.now_ms
    if time < 0:
        raise CommandError(NEGATIVE_TIME)
    if time > LATEST // unit or time * unit > LATEST - base:
        raise CommandError(f"ERR invalid expire time in '{name}' command")
    return base + time * unit


# -- HEXPIRE and its kin

cdef int expire_field(Call call, Found *found, int index, int64_t expiry) except -1:
    # Field argv[index], which exists, expires then; it is gone at once if the time has passed. Returns whether it is.
    cdef Keyspace keyspace = call.shard_of_key(0).keyspace
    cdef Argument *name = &call.argv[index]
    if 0 <= expiry <= call.now_ms:
        return hash_delete(keyspace, found, name.bytes, name.length)
    hash_expire(keyspace, found, name.bytes, name.length, expiry)
    return 0


cdef int expire(Call call, bint absolute, bint in_seconds, str name) except -1:
    cdef Found found
    cdef Field field
    cdef int64_t expiry
    cdef int index, first, condition
    find_to_change(call, &found)
    expiry = time_argument(call, 2, absolute, in_seconds, name)
    condition = condition_at(call, 3)
    first = named_fields(call, 4 if condition else 3, name, NOT_ABOVE_ZERO)
    call._reply.header(c'*', call.argc - first)
    for index in range(first, call.argc):
        if not get_argument(call, &found, index, &field):
            call._reply.integer(NO_FIELD)
        elif not conditions_met(condition, expiry, field.expiry):
            call._reply.integer(NOT_MET)
        else:
            call._reply.integer(DELETED if expire_field(call, &found, index, expiry) else DONE)
    return 0


cdef int hexpire_command(Call call) except -1:
    return expire(call, False, True, "hexpire")


cdef int hpexpire_command(Call call) except -1:
    return expire(call, False, False, "hpexpire")


cdef int hexpireat_command(Call call) except -1:
    return expire(call, True, True, "hexpireat")


cdef int hpexpireat_command(Call call) except -1:
    return expire(call, True, False, "hpexpireat")


cdef int hpersist_command(Call call) except -1:
    cdef Found found
    cdef Field field
    cdef int index, first
    find_to_change(call, &found)
    first = named_fields(call, 2, "hpersist", NOT_POSITIVE)
    call._reply.header(c'*', call.argc - first)
    for index in range(first, call.argc):
        if not get_argument(call, &found, index, &field):
            call._reply.integer(NO_FIELD)
        elif field.expiry == NO_EXPIRY:
            call._reply.integer(NO_TIME)
        else:
            expire_field(call, &found, index, NO_EXPIRY)
            call._reply.integer(DONE)
    return 0


# -- HTTL and its kin

cdef int lifetime(Call call, int64_t base, bint in_seconds, str name) except -1:
    cdef Found found
    cdef Field field
    cdef int index, first
    find_to_read(call, &found)
    first = named_fields(call, 2, name, NOT_POSITIVE)
    call._reply.header(c'*', call.argc - first)
    for index in range(first, call.argc):
        if not get_argument(call, &found, index, &field):
            call._reply.integer(NO_FIELD)
        elif field.expiry == NO_EXPIRY:
            call._reply.integer(NO_TIME)
        elif in_seconds:
            call._reply.integer((field.expiry - base + 999) // 1000)
        else:
            call._reply.integer(field.expiry - base)
    return 0


cdef int httl_command(Call call) except -1:
    return lifetime(call, call.now_ms, True, "httl")


cdef int hpttl_command(Call call) except -1:
    return lifetime(call, call.now_ms, False, "hpttl")


cdef int hexpiretime_command(Call call) except -1:
    return lifetime(call, 0, True, "hexpiretime")


cdef int hpexpiretime_command(Call call) except -1:
    return lifetime(call, 0, False, "hpexpiretime")


# -- HGETEX, HGETDEL, HSETEX

cdef int hgetex_command(Call call) except -1:
    cdef Found found
    cdef Field field
    cdef int64_t expiry = NO_EXPIRY
    cdef int index, first, option = time_option(call, 2)
    find_to_change(call, &found)
    if option:
        expiry = time_argument(call, 3, option & ABSOLUTE, option & IN_SECONDS, "hgetex")
    elif call.is_option(2, b"persist"):
        option = PERSIST
    first = named_fields(call, 4 if option & TIMES else 3 if option else 2, "hgetex", NOT_POSITIVE)
    call._reply.header(c'*', call.argc - first)
    for index in range(first, call.argc):
        if not get_argument(call, &found, index, &field):
            call._reply.null()
            continue
        reply_value(call, True, &field)
        if option:
            expire_field(call, &found, index, expiry)
    return 0


cdef int hgetdel_command(Call call) except -1:
    cdef Found found
    cdef Field field
    cdef int index, first
    find_to_change(call, &found)
    first = named_fields(call, 2, "hgetdel", NOT_POSITIVE)
    call._reply.header(c'*', call.argc - first)
    for index in range(first, call.argc):
        if not get_argument(call, &found, index, &field):
            call._reply.null()
            continue
        reply_value(call, True, &field)
        hash_delete(call.shard_of_key(0).keyspace, &found, call.argv[index].bytes, call.argv[index].length)
    return 0


cdef struct SetOptions:
    int given
    int64_t expiry
    int first               # index of the first field


cdef int set_options(Call call, SetOptions *out) except -1:
    # HSETEX key [FNX | FXX] [EX … | PX … | EXAT … | PXAT … | KEEPTTL] FIELDS count field value …
    cdef int index = 2, option
    out.given, out.expiry = 0, NO_EXPIRY
    while index < call.argc and not call.is_option(index, b"fields"):
        option = set_option(call, index)
        if option & (TIMES | KEEP) and out.given & (TIMES | KEEP):
            raise CommandError(ONE_TIME)
        if option & (FNX | FXX) and out.given & (FNX | FXX):
            raise CommandError(ONE_CONDITION)
        out.given |= option
        if option & TIMES:
            index += 1
            if index == call.argc:
                raise CommandError("ERR missing expire time")
            out.expiry = time_argument(call, index, option & ABSOLUTE, option & IN_SECONDS, "hsetex")
        index += 1
    out.first = index + 2
    if index + 3 >= call.argc or \
            2 * integer_between(call, index + 1, 1, INT32_MAX, "ERR invalid number of fields") != call.argc - out.first:
        raise CommandError(wrong_arity("hsetex"))
    return 0


cdef int set_option(Call call, int index) except -1:
    cdef int option = time_option(call, index)
    if option:
        return option
    if call.is_option(index, b"keepttl"):
        return KEEP
    if call.is_option(index, b"fnx"):
        return FNX
    if call.is_option(index, b"fxx"):
        return FXX
    raise CommandError(f"ERR unknown argument: {call.arg(index).decode('utf-8', 'surrogateescape')}")


cdef bint may_set(Call call, Found *found, SetOptions *options) noexcept:
    cdef Field field
    cdef int index
    if options.given & (FNX | FXX):
        for index in range(options.first, call.argc, 2):
            if get_argument(call, found, index, &field) != (options.given & FXX != 0):
                return False
    return True


cdef int hsetex_command(Call call) except -1:
    cdef Found found
    cdef SetOptions options
    cdef Keyspace keyspace = call.shard_of_key(0).keyspace
    cdef Argument *name
    cdef int index
    cdef int64_t expiry
    set_options(call, &options)
    find_to_change(call, &found)
    if not may_set(call, &found, &options):
        return call._reply.integer(0)
    expiry = KEEP_EXPIRY if options.given & KEEP else options.expiry
    if not 0 <= expiry <= call.now_ms:
        prepare_pairs(call, &found, options.first)
    for index in range(options.first, call.argc, 2):
        name = &call.argv[index]
        if not 0 <= expiry <= call.now_ms:
            hash_set(
                keyspace, call.limits, &found, name.bytes, name.length, name[1].bytes, name[1].length, expiry
            )
        elif found.exists:              # set, and gone at once
            hash_delete(keyspace, &found, name.bytes, name.length)
    return call._reply.integer(1)


native("hexpire", hexpire_command)
native("hexpireat", hexpireat_command)
native("hexpiretime", hexpiretime_command)
native("hgetdel", hgetdel_command)
native("hgetex", hgetex_command)
native("hpersist", hpersist_command)
native("hpexpire", hpexpire_command)
native("hpexpireat", hpexpireat_command)
native("hpexpiretime", hpexpiretime_command)
native("hpttl", hpttl_command)
native("hsetex", hsetex_command)
native("httl", httl_command)
