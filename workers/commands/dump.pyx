"""DUMP and RESTORE, and what DEBUG RELOAD makes of them.

    @debug-reload position …    each shard's position, -1 = it is through; goes on a little and returns the next
"""
from libc.stdint cimport INT64_MAX, int64_t, uint32_t, uint64_t

from shardkv.errors import SYNTAX, CommandError

from shardkv.hashing cimport hash_key
from workers.call cimport Call
from workers.commands.keyspace cimport CURSOR_BITS
from workers.commands.strings cimport find_to_set
from workers.memory.databases cimport Found
from workers.memory.entry cimport CLOCK_MASK, HASH_TABLE
from workers.memory.keyspace cimport Keyspace
from workers.registry cimport native
from workers.types.hash cimport hash_open
from workers.types.rdb cimport Reader, Writer
from workers.types.values cimport value_load, value_save

cdef enum:
    RELOAD_KEYS = 64            # at least, of one step

BUSY_KEY = "BUSYKEY Target key name already exists."
BAD_TTL = "ERR Invalid TTL value, must be >= 0"


cdef int dump_command(Call call) except -1:
    cdef Found found
    cdef Keyspace keyspace = call.shard_of_key(0).keyspace
    cdef Writer writer = Writer()
    cdef int version = 0
    call.find(1, 0, &found)
    if found.exists and found.entry.type == HASH_TABLE:
        hash_open(keyspace, &found)
    if found.exists:
        version = value_save(keyspace, &found, writer)
    if version == 0:
        return call._reply.null()
    writer.seal(version)
    return call._reply.bulk(writer.bytes, writer.used)


cdef struct Options:
    bint replace
    bint absolute
    int64_t idle            # seconds, -1 = not given
    int64_t frequency


cdef int parse_options(Call call, Options *out) except -1:
    cdef int index = 4
    out.replace = out.absolute = False
    out.idle = out.frequency = -1
    while index < call.argc:
        if call.is_option(index, b"replace"):
            out.replace = True
        elif call.is_option(index, b"absttl"):
            out.absolute = True
        elif call.is_option(index, b"idletime") and index + 1 < call.argc and out.frequency == -1:
            index += 1
            out.idle = call.integer(index)
            if out.idle < 0:
                raise CommandError("ERR Invalid IDLETIME value, must be >= 0")
        elif call.is_option(index, b"freq") and index + 1 < call.argc and out.idle == -1:
            index += 1
            out.frequency = call.integer(index)     # checked, though no frequency is kept
            if not 0 <= out.frequency <= 255:
                raise CommandError("ERR Invalid FREQ value, must be >= 0 and <= 255")
        else:
            raise CommandError(SYNTAX)
        index += 1
    return 0


cdef int64_t expiry_of(Call call, Options *options) except? -2:
    """Unix milliseconds, -1 = none."""
    cdef int64_t ttl = call.integer(2)
    if ttl < 0 or (not options.absolute and ttl > INT64_MAX - call.now_ms):
        raise CommandError(BAD_TTL)
    if ttl == 0:
        return -1
    return ttl if options.absolute else ttl + call.now_ms


cdef int restore_command(Call call) except -1:
    cdef Found found
    cdef Options options
    cdef Keyspace keyspace = call.shard_of_key(0).keyspace
    cdef Reader reader = Reader()
    cdef int64_t expiry
    parse_options(call, &options)
    find_to_set(call, 1, 0, &found)
    if found.exists and not options.replace:
        raise CommandError(BUSY_KEY)
    expiry = expiry_of(call, &options)
    reader.string_max = call.max_string
    reader.open(call.argv[3].bytes, call.argv[3].length)
    if found.exists:
        keyspace.delete(call.db, &found, True)
    value_load(keyspace, call.limits, &found, call.argv[1].bytes, call.argv[1].length, reader)
    if 0 <= expiry <= call.now_ms:
        keyspace.delete(call.db, &found, True)
    else:
        keyspace.set_expiry(call.db, &found, expiry)
        if options.idle >= 0:
            set_idle(keyspace, &found, options.idle)
    return call._reply.raw(b"+OK\r\n", 5)


cdef int set_idle(Keyspace keyspace, Found *found, int64_t seconds) except -1:
    """The key was last used so many seconds ago."""
    cdef uint32_t clock = <uint32_t>(keyspace.clock - min(seconds, <int64_t>CLOCK_MASK)) & CLOCK_MASK
    return keyspace.set_clock(found, clock)


# -- DEBUG RELOAD: a value at a time, as nothing but the arena keeps the data

cdef int reload_value(Call call, int db, bytes key) except -1:
    """Writes a value as a dump, and in its place reads it back. A key keeps its expiry."""
    cdef Found found
    cdef Keyspace keyspace = call.home.keyspace
    cdef Writer writer = Writer()
    cdef Reader reader = Reader()
    cdef int64_t expiry
    cdef int version
    keyspace.peek(db, key, len(key), hash_key(key, len(key)), &found)
    if not found.exists:
        return 0
    expiry = found.entry.expiry
    version = value_save(keyspace, &found, writer)
    keyspace.delete(db, &found, True)
    if version == 0:
        return 0
    writer.seal(version)
    reader.string_max = INT64_MAX
    reader.open(writer.bytes, writer.used)
    value_load(keyspace, call.limits, &found, key, len(key), reader)
    return keyspace.set_expiry(db, &found, expiry)


cdef int debug_reload_command(Call call) except -1:
    """A position is database << 48 | cursor within it."""
    cdef int64_t position = call.integer(1 + call.home.index)
    cdef Keyspace keyspace = call.home.keyspace
    cdef int db = <int>(position >> CURSOR_BITS), next_db = db
    cdef uint64_t cursor = <uint64_t>position & ((<uint64_t>1 << CURSOR_BITS) - 1)
    cdef list keys = []
    if not 0 <= db < keyspace.databases:
        return call._reply.string("-1")
    while <int>len(keys) < RELOAD_KEYS:
        cursor = keyspace.scan(db, cursor, keys)
        if cursor == 0:
            next_db += 1
            break
    for key, _type in keys:
        reload_value(call, db, key)
    if next_db == keyspace.databases:
        return call._reply.string("-1")
    return call._reply.string(str(<uint64_t>next_db << CURSOR_BITS | cursor))


native("@debug-reload", debug_reload_command)
native("dump", dump_command)
native("restore", restore_command)
