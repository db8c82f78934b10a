"""Commands on whole databases, and on what lies behind a key: KEYS, SCAN, FLUSHALL, OBJECT, MEMORY USAGE and their kin.

Those without a key tell of the shards that take part. Mostly that is the worker's own: they run in every shard, and the
acceptor makes one reply of all. SCAN goes through one shard after another: the cursor a client sees is
`shard << 48 | cursor within the shard`.
"""
from libc.stdint cimport INT32_MAX, INT32_MIN, int64_t, uint64_t
from libc.string cimport memcpy, strlen

from shardkv.errors import BAD_DB, SYNTAX, CommandError

from shardkv.glob cimport glob_match
from shardkv.number cimport parse_int64, print_int64
from shardkv.resp cimport Reply
from workers.call cimport Argument, Call, Shard
from workers.commands.generic cimport observe, type_name
from workers.memory.databases cimport Found
from workers.memory.dice cimport roll_below
from workers.memory.entry cimport (
    HASH_PACKED, HASH_TABLE, LIST_PACKED, LIST_TREE, SET_INTS, SET_PACKED, SET_TABLE, STREAM, STRING_EMBEDDED,
    STRING_INT, ZSET_PACKED, ZSET_TREE,
)
from workers.memory.keyspace cimport Keyspace
from workers.registry cimport native

cdef enum:
    SCAN_COUNT = 10             # keys a SCAN looks at when COUNT is not given
    CLUSTERS_PER_KEY = 10       # SCAN passes so many clusters for each key of COUNT before it answers what it met
    CLOCK_MASK = 0xFFFFFF
    MEMORY_SAMPLES = 5          # items of a collection that stand for all, when SAMPLES is not given
    SHARED_INTEGERS = 10000     # Redis keeps one object for each integer below

cdef uint64_t CURSOR_MASK = (<uint64_t>1 << CURSOR_BITS) - 1
CURSOR_LIMIT = 1 << 64
NO_LFU = (
    "ERR An LFU maxmemory policy is not selected, access frequency not tracked. Please note that when switching "
    "between policies at runtime LRU and LFU data will take some time to adjust."
)


# -- which keys

cdef class Filter:
    """What KEYS and SCAN want of a key."""
    cdef const char *pattern    # NULL: any
    cdef uint64_t pattern_length
    cdef bytes wanted_type      # None: any

    cdef int take_pattern(self, Argument *argument) noexcept:
        self.pattern = argument.bytes
        self.pattern_length = argument.length
        if argument.length == 1 and argument.bytes[0] == c'*':
            self.pattern = NULL  # as a pattern it would not match the empty key
        return 0

    cdef bint fits(self, bytes key, int type) noexcept:
        if self.wanted_type is not None and self.wanted_type != type_name(type):
            return False
        return self.pattern == NULL or glob_match(self.pattern, self.pattern_length, key, len(key), False)


cdef int write_keys(Reply reply, list keys, Filter wanted) except -1:
    # `keys` are pairs of key and type.
    cdef list chosen = []
    cdef bytes key
    cdef int type
    for key, type in keys:
        if wanted.fits(key, type):
            chosen.append(key)
    reply.header(c'*', len(chosen))
    for key in chosen:
        reply.bulk(key, len(key))
    return 0


cdef int keys_command(Call call) except -1:
    cdef Filter wanted = Filter()
    cdef list keys = []
    cdef uint64_t cursor
    cdef Shard shard
    wanted.take_pattern(&call.argv[1])
    for shard in call.everywhere:
        cursor = shard.keyspace.scan(call.db, 0, keys)
        while cursor:
            cursor = shard.keyspace.scan(call.db, cursor, keys)
    return write_keys(call._reply, keys, wanted)


cdef uint64_t cursor_argument(Call call) except? 0xFFFFFFFFFFFFFFFF:
    cdef bytes digits = call.arg(1)
    cursor = int(digits) if digits.isdigit() and len(digits) <= 20 else CURSOR_LIMIT
    if cursor >= CURSOR_LIMIT:
        raise CommandError("ERR invalid cursor")
    return cursor


cdef int64_t scan_options(Call call, Filter wanted) except -1:
    # Returns COUNT.
    cdef int64_t count = SCAN_COUNT
    cdef int index
    for index in range(2, call.argc, 2):
        if index + 1 == call.argc:
            raise CommandError(SYNTAX)
        if call.is_option(index, b"count"):
            count = call.integer(index + 1)
            if count < 1:
                raise CommandError(SYNTAX)
        elif call.is_option(index, b"match"):
            wanted.take_pattern(&call.argv[index + 1])
        elif call.is_option(index, b"type"):
            wanted.wanted_type = call.arg(index + 1).lower()
        else:
            raise CommandError(SYNTAX)
    return count


cdef int scan_command(Call call) except -1:
    cdef Filter wanted = Filter()
    cdef uint64_t cursor = cursor_argument(call)
    cdef int64_t count = scan_options(call, wanted)
    cdef list keys = []
    cdef char digits[24]
    cursor = scan_shard(call, cursor, count, keys)
    call._reply.header(c'*', 2)
    call._reply.bulk(digits, print_cursor(cursor, digits))
    return write_keys(call._reply, keys, wanted)


cdef uint64_t scan_shard(Call call, uint64_t cursor, int64_t count, list keys) except? 0xFFFFFFFFFFFFFFFF:
    # Gathers about `count` keys; returns the cursor to go on with, which is the next shard's when this one is through.
    cdef uint64_t number = cursor >> CURSOR_BITS
    cdef uint64_t shards = call.home.arena.header.shards
    cdef int64_t clusters = 0
    cdef Shard shard = taking_part(call, number)
    if shard is None:
        return 0  # no cursor of ours
    cursor &= CURSOR_MASK
    while True:
        cursor = shard.keyspace.scan(call.db, cursor, keys)
        clusters += 1
        if cursor == 0:
            return (number + 1) << CURSOR_BITS if number + 1 < shards else 0
        if len(keys) >= count or clusters // CLUSTERS_PER_KEY >= count:
            return number << CURSOR_BITS | cursor


cdef Shard taking_part(Call call, uint64_t number):
    cdef Shard shard
    for shard in call.everywhere:
        if <uint64_t>shard.index == number:
            return shard
    return None


cdef int print_cursor(uint64_t cursor, char *out) noexcept:
    # Shards are far fewer than 2^15: the cursor fits a signed number.
    return print_int64(<int64_t>cursor, out)


cdef int randomkey_command(Call call) except -1:
    cdef int64_t left
    cdef Shard shard
    cdef bytes key = None
    while key is None:      # whoever has none but expired keys deletes them while it looks for one
        left = count_keys(call)
        if left == 0:
            return call._reply.null()
        left = <int64_t>roll_below(left)
        for shard in call.everywhere:
            left -= <int64_t>shard.keyspace.count(call.db)
            if left < 0:
                key = shard.keyspace.random_key(call.db)
                break
    return call._reply.bulk(key, len(key))


# -- whole databases

cdef int64_t count_keys(Call call) except -1:
    cdef Shard shard
    cdef int64_t count = 0
    for shard in call.everywhere:
        count += <int64_t>shard.keyspace.count(call.db)
    return count


cdef int dbsize_command(Call call) except -1:
    return call._reply.integer(count_keys(call))


cdef int flush(Call call, int db) except -1:
    cdef Shard shard
    # Either way the keys are gone at once and their memory comes back in steps, so that no client waits for it.
    if call.argc > 2 or (call.argc == 2 and not (call.is_option(1, b"sync") or call.is_option(1, b"async"))):
        raise CommandError(SYNTAX)
    for shard in call.everywhere:
        shard.keyspace.flush(db)
    return call._reply.status("OK")


cdef int flushdb_command(Call call) except -1:
    return flush(call, call.db)


cdef int flushall_command(Call call) except -1:
    return flush(call, -1)


cdef int64_t swapped(Call call, int index, str which) except? -1:
    cdef int64_t number
    cdef Argument *argument = &call.argv[index]
    if not parse_int64(argument.bytes, argument.length, &number) or not INT32_MIN <= number <= INT32_MAX:
        raise CommandError(f"ERR invalid {which} DB index")
    return number


cdef int swapdb_command(Call call) except -1:
    cdef int64_t one = swapped(call, 1, "first")
    cdef int64_t other = swapped(call, 2, "second")
    cdef int64_t databases = call.home.keyspace.databases
    cdef Shard shard
    if not (0 <= one < databases and 0 <= other < databases):
        raise CommandError(BAD_DB)
    for shard in call.everywhere:
        shard.keyspace.swap(<int>one, <int>other)
    return call._reply.status("OK")


# -- behind one key

cdef const char *encoding_name(int type) noexcept nogil:
    # As Redis names the encodings that these stand for: our trees answer to the names of its lists.
    if type == STRING_INT:
        return b"int"
    if type == STRING_EMBEDDED:
        return b"embstr"
    if type == LIST_PACKED or type == SET_PACKED or type == HASH_PACKED or type == ZSET_PACKED:
        return b"listpack"
    if type == SET_TABLE or type == HASH_TABLE:
        return b"hashtable"
    if type == SET_INTS:
        return b"intset"
    if type == LIST_TREE:
        return b"quicklist"
    if type == ZSET_TREE:
        return b"skiplist"
    return b"stream" if type == STREAM else b"raw"


cdef int64_t idle_seconds(Keyspace keyspace, Found *found) noexcept:
    return (keyspace.clock - found.entry.clock) & CLOCK_MASK


cdef int object_encoding_command(Call call) except -1:
    cdef Found found
    cdef const char *name
    observe(call, 2, 0, &found)
    if not found.exists:
        return call._reply.null()
    name = encoding_name(found.entry.type)
    return call._reply.bulk(name, strlen(name))


cdef int object_idletime_command(Call call) except -1:
    cdef Found found
    observe(call, 2, 0, &found)
    if not found.exists:
        return call._reply.null()
    return call._reply.integer(idle_seconds(call.shard_of_key(0).keyspace, &found))


cdef int object_refcount_command(Call call) except -1:
    # Every value is its key's own; but small integers, which Redis shares, are told to be shared here too.
    cdef Found found
    cdef int64_t value = -1
    observe(call, 2, 0, &found)
    if not found.exists:
        return call._reply.null()
    if found.entry.type == STRING_INT:
        memcpy(&value, found.entry.value, sizeof(value))
    return call._reply.integer(INT32_MAX if 0 <= value < SHARED_INTEGERS else 1)


cdef int object_freq_command(Call call) except -1:
    cdef Found found
    observe(call, 2, 0, &found)
    if not found.exists:
        return call._reply.null()
    raise CommandError(NO_LFU)


cdef int memory_usage_command(Call call) except -1:
    cdef Found found
    cdef int index
    cdef int64_t samples = MEMORY_SAMPLES
    for index in range(3, call.argc, 2):
        if index + 1 == call.argc or not call.is_option(index, b"samples"):
            raise CommandError(SYNTAX)
        samples = call.integer(index + 1)
        if samples < 0:
            raise CommandError(SYNTAX)
    call.peek(2, 0, &found)
    if not found.exists:
        return call._reply.null()
    return call._reply.integer(<int64_t>call.shard_of_key(0).keyspace.memory_of(&found, samples))


native("keys", keys_command)
native("scan", scan_command)
native("randomkey", randomkey_command)
native("dbsize", dbsize_command)
native("flushdb", flushdb_command)
native("flushall", flushall_command)
native("swapdb", swapdb_command)
native("object|encoding", object_encoding_command)
native("object|idletime", object_idletime_command)
native("object|refcount", object_refcount_command)
native("object|freq", object_freq_command)
native("memory|usage", memory_usage_command)
