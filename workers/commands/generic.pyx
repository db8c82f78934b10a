"""Commands on keys of any type: DEL, EXPIRE and TTL with their kin, RENAME, COPY, MOVE.

DEL, UNLINK, EXISTS and TOUCH are split over the shards, if that is enough: then each worker sees those of the keys that
are its own.
"""
from libc.stdint cimport INT32_MAX, INT32_MIN, INT64_MAX, INT64_MIN, int64_t, uint64_t
from libc.string cimport memcmp

from shardkv.errors import BAD_DB, NO_SUCH_KEY, SAME_OBJECT, SYNTAX, CommandError

from workers.call cimport Argument, Call
from workers.commands.times cimport IF_ANY, IF_EARLIER, IF_LATER, IF_NONE, condition_at, conditions_met
from workers.memory.databases cimport Found
from workers.memory.entry cimport HASH_TABLE, LIST_TREE, SET_TABLE, STRING_BOXED, ZSET_TREE
from workers.memory.keyspace cimport Keyspace
from workers.registry cimport native

OUT_OF_INT = f"ERR value is out of range, value must between {INT32_MIN} and {INT32_MAX}"


cdef int observe(Call call, int index, int key_number, Found *out) except -1:
    call.peek(index, key_number, out)
    if out.exists:
        call.hits += 1
    else:
        call.misses += 1
    return 0


cdef const char *type_name(int type) noexcept nogil:
    if type <= STRING_BOXED:
        return b"string"
    if type <= LIST_TREE:
        return b"list"
    if type <= SET_TABLE:
        return b"set"
    if type <= HASH_TABLE:
        return b"hash"
    return b"zset" if type <= ZSET_TREE else b"stream"


cdef int database(Call call, int index) except -1:
    cdef int64_t number = call.integer(index)
    if not INT32_MIN <= number <= INT32_MAX:
        raise CommandError(OUT_OF_INT)
    if not 0 <= number < call.home.keyspace.databases:
        raise CommandError(BAD_DB)
    return <int>number


# -- several keys

cdef int remove(Call call, bint lazily) except -1:
    cdef Found found
    cdef int index
    cdef int64_t removed = 0
    for index in range(1, call.argc):
        call.peek(index, index - 1, &found)
        if found.exists:
            call.shard_of_key(index - 1).keyspace.delete(call.db, &found, lazily)
            removed += 1
    return call._reply.integer(removed)


cdef int del_command(Call call) except -1:
    return remove(call, False)


cdef int unlink_command(Call call) except -1:
    return remove(call, True)


cdef int exists_command(Call call) except -1:
    cdef Found found
    cdef int index
    cdef int64_t count = 0
    for index in range(1, call.argc):
        observe(call, index, index - 1, &found)
        count += found.exists
    return call._reply.integer(count)


cdef int touch_command(Call call) except -1:
    cdef Found found
    cdef int index
    cdef int64_t count = 0
    for index in range(1, call.argc):
        call.find(index, index - 1, &found)
        count += found.exists
    return call._reply.integer(count)


cdef int type_command(Call call) except -1:
    cdef Found found
    observe(call, 1, 0, &found)
    return call._reply.status(type_name(found.entry.type).decode() if found.exists else "none")


# -- expiry

cdef int conditions(Call call) except -1:
    cdef int index, condition, given = 0
    for index in range(3, call.argc):
        condition = condition_at(call, index)
        if condition == 0:
            raise CommandError(f"ERR Unsupported option {call.arg(index).decode('utf-8', 'surrogateescape')}")
        given |= condition
    if given & IF_NONE and given & (IF_ANY | IF_LATER | IF_EARLIER):
        raise CommandError("ERR NX and XX, GT or LT options at the same time are not compatible")
    if given & IF_LATER and given & IF_EARLIER:
        raise CommandError("ERR GT and LT options at the same time are not compatible")
    return given


cdef int64_t expiry_argument(Call call, str name, int64_t base, int64_t unit) except? -1:
    # Unix milliseconds: `base` plus so many units of so many milliseconds.
    cdef int64_t amount = call.integer(2)
    if not INT64_MIN // unit <= amount <= INT64_MAX // unit or amount * unit > INT64_MAX - base:
        raise CommandError(f"ERR invalid expire time in '{name}' command")
    return base + amount * unit


cdef int expire(Call call, str name, int64_t base, int64_t unit) except -1:
    cdef Found found
    cdef Keyspace keyspace = call.shard_of_key(0).keyspace
    cdef int given = conditions(call)
    cdef int64_t expiry = expiry_argument(call, name, base, unit)
    call.peek(1, 0, &found)
    if not found.exists or not conditions_met(given, expiry, found.entry.expiry):
        return call._reply.integer(0)
    if expiry <= call.now_ms:
        keyspace.delete(call.db, &found, True)
    else:
        keyspace.set_expiry(call.db, &found, expiry)
    return call._reply.integer(1)


cdef int expire_command(Call call) except -1:
    return expire(call, "expire", call.now_ms, 1000)


cdef int expireat_command(Call call) except -1:
    return expire(call, "expireat", 0, 1000)


cdef int pexpire_command(Call call) except -1:
    return expire(call, "pexpire", call.now_ms, 1)


cdef int pexpireat_command(Call call) except -1:
    return expire(call, "pexpireat", 0, 1)


cdef int lifetime(Call call, bint absolute, uint64_t unit) except -1:
    cdef Found found
    cdef uint64_t time
    observe(call, 1, 0, &found)
    if not found.exists:
        return call._reply.integer(-2)
    if found.entry.expiry == -1:
        return call._reply.integer(-1)
    time = found.entry.expiry if absolute else max(found.entry.expiry - call.now_ms, 0)
    return call._reply.integer(<int64_t>((time + unit // 2) // unit))


cdef int ttl_command(Call call) except -1:
    return lifetime(call, False, 1000)


cdef int pttl_command(Call call) except -1:
    return lifetime(call, False, 1)


cdef int expiretime_command(Call call) except -1:
    return lifetime(call, True, 1000)


cdef int pexpiretime_command(Call call) except -1:
    return lifetime(call, True, 1)


cdef int persist_command(Call call) except -1:
    cdef Found found
    call.peek(1, 0, &found)
    if not found.exists or found.entry.expiry == -1:
        return call._reply.integer(0)
    call.shard_of_key(0).keyspace.set_expiry(call.db, &found, -1)
    return call._reply.integer(1)


# -- from one key to another

cdef bint same_key(Call call) noexcept:
    return (
        call.argv[1].length == call.argv[2].length
        and memcmp(call.argv[1].bytes, call.argv[2].bytes, call.argv[1].length) == 0
    )


cdef int rename(Call call, bint only_if_free) except -1:
    cdef Found source, target
    cdef Keyspace from_keyspace = call.shard_of_key(0).keyspace
    cdef Keyspace to_keyspace = call.shard_of_key(1).keyspace
    cdef Argument *name = &call.argv[2]
    call.peek(1, 0, &source)
    if not source.exists:
        raise CommandError(NO_SUCH_KEY)
    if same_key(call):
        return call._reply.integer(0) if only_if_free else call._reply.status("OK")
    call.peek(2, 1, &target)
    if target.exists and only_if_free:
        return call._reply.integer(0)
    if from_keyspace is to_keyspace:
        from_keyspace.move(call.db, &source, call.db, name.bytes, name.length, target.hash)
    else:
        if target.exists:
            to_keyspace.delete(call.db, &target, True)
        from_keyspace.copy(to_keyspace, call.db, &source, name.bytes, name.length, target.hash)
        to_keyspace.peek(call.db, name.bytes, name.length, target.hash, &target)
        to_keyspace.set_clock(&target, source.entry.clock)
        from_keyspace.delete(call.db, &source, True)
    return call._reply.integer(1) if only_if_free else call._reply.status("OK")


cdef int rename_command(Call call) except -1:
    return rename(call, False)


cdef int renamenx_command(Call call) except -1:
    return rename(call, True)


cdef int copy_command(Call call) except -1:
    cdef Found source, target
    cdef Keyspace to_keyspace = call.shard_of_key(1).keyspace
    cdef Argument *name = &call.argv[2]
    cdef int index = 3, to_db = call.db
    cdef bint replace = False
    while index < call.argc:
        if call.is_option(index, b"replace"):
            replace = True
        elif call.is_option(index, b"db") and index + 1 < call.argc:
            index += 1
            to_db = database(call, index)
        else:
            raise CommandError(SYNTAX)
        index += 1
    if to_db == call.db and same_key(call):
        raise CommandError(SAME_OBJECT)
    call.find(1, 0, &source)
    to_keyspace.peek(to_db, name.bytes, name.length, call.hash_of(2, 1), &target)
    if not source.exists or (target.exists and not replace):
        return call._reply.integer(0)
    if target.exists:
        to_keyspace.delete(to_db, &target, True)
    call.shard_of_key(0).keyspace.copy(to_keyspace, to_db, &source, name.bytes, name.length, target.hash)
    return call._reply.integer(1)


cdef int move_command(Call call) except -1:
    cdef Found source, target
    cdef Keyspace keyspace = call.shard_of_key(0).keyspace
    cdef Argument *key = &call.argv[1]
    cdef int to_db = database(call, 2)
    if to_db == call.db:
        raise CommandError(SAME_OBJECT)
    call.peek(1, 0, &source)
    keyspace.peek(to_db, key.bytes, key.length, call.hash, &target)
    if not source.exists or target.exists:
        return call._reply.integer(0)
    keyspace.move(call.db, &source, to_db, key.bytes, key.length, source.hash)
    return call._reply.integer(1)


native("del", del_command)
native("unlink", unlink_command)
native("exists", exists_command)
native("touch", touch_command)
native("type", type_command)
native("expire", expire_command)
native("expireat", expireat_command)
native("pexpire", pexpire_command)
native("pexpireat", pexpireat_command)
native("ttl", ttl_command)
native("pttl", pttl_command)
native("expiretime", expiretime_command)
native("pexpiretime", pexpiretime_command)
native("persist", persist_command)
native("rename", rename_command)
native("renamenx", renamenx_command)
native("copy", copy_command)
native("move", move_command)
