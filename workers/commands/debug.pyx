"""What DEBUG OBJECT and DEBUG DIGEST ask of the workers, each for its own shard; the acceptor joins the answers.

    @debug-object db key     where and how a value is kept, or null
    @debug-digest db key     40 hex digits that depend on the value and on whether it expires; zeros where there is none
    @debug-digest            the same over all databases, keys and values of the shard

Digests are joined by exclusive or, so neither the order of keys nor the number of shards matters. A value's digest is
Redis's.
"""
from cpython.bytes cimport PyBytes_FromStringAndSize
from libc.stdint cimport uint64_t

from hashlib import sha1

from shardkv.errors import CommandError

from shardkv.hashing cimport hash_key
from workers.call cimport Argument, Call
from workers.commands.generic cimport database
from workers.commands.keyspace cimport encoding_name, idle_seconds
from workers.memory.databases cimport Found
from workers.memory.entry cimport HASH_TABLE, LIST_PACKED, LIST_TREE, STRING_BOXED
from workers.memory.keyspace cimport Keyspace
from workers.registry cimport native
from workers.types.hash cimport NO_EXPIRY, Field, field_pair, hash_each, hash_open, is_hash
from workers.types.list cimport List, list_open, list_values
from workers.types.rdb cimport Writer
from workers.types.set cimport is_set, set_members
from workers.types.stream cimport StreamCursor, stream_first, stream_next, stream_open, stream_string
from workers.types.values cimport value_save
from workers.types.zset cimport Zset, is_zset, zset_pairs, zset_view

cdef enum:
    DIGEST_BYTES = 20

cdef enum RedisType:    # as Redis numbers types
    OF_STRING = 0
    OF_LIST = 1
    OF_SET = 2
    OF_ZSET = 3
    OF_HASH = 4
    OF_STREAM = 6

EXPIRES = b"!!expire!!"
FIELD_EXPIRES = b"!!hexpire!!"


cdef int look(Call call, Found *found) except -1:
    cdef Argument *key = &call.argv[2]
    if call.argc != 3:
        raise CommandError("ERR a database and a key are needed")
    return look_up(call.home.keyspace, database(call, 1), key.bytes, key.length, found)


cdef int look_up(Keyspace keyspace, int db, const char *key, uint64_t length, Found *found) except -1:
    # A hash of which all fields have expired does not exist.
    keyspace.peek(db, key, length, hash_key(key, length), found)
    if found.exists and found.entry.type == HASH_TABLE:
        hash_open(keyspace, found)
    return 0


cdef bytes value_of(Keyspace keyspace, Found *found):
    cdef uint64_t length
    cdef char scratch[24]
    cdef const char *value = keyspace.string_bytes(found, &length, scratch)
    return PyBytes_FromStringAndSize(value, length)


# -- DEBUG OBJECT

cdef uint64_t serialized_length(Keyspace keyspace, Found *found) except 0:
    # In an RDB file, without the byte that tells the type.
    cdef Writer writer = Writer()
    value_save(keyspace, found, writer)
    return writer.used - 1


cdef int debug_object_command(Call call) except -1:
    cdef Found found
    cdef Keyspace keyspace = call.home.keyspace
    look(call, &found)
    if not found.exists:
        return call._reply.null()
    return call._reply.string(
        f"Value at:0x{found.entry.offset:x} refcount:1 encoding:{encoding_name(found.entry.type).decode()} "
        f"serializedlength:{serialized_length(keyspace, &found)} lru:{found.entry.clock} "
        f"lru_seconds_idle:{idle_seconds(keyspace, &found)}"
    )


# -- DEBUG DIGEST

cdef bytes joined(bytes one, bytes other):
    return (int.from_bytes(one) ^ int.from_bytes(other)).to_bytes(DIGEST_BYTES)


cdef bytes mixed(bytes digest, bytes data):
    # Depends on what was mixed in before, and on the order.
    return sha1(joined(digest, sha1(data).digest())).digest()


cdef int gather_field(void *context, Field *field) except -1:
    (<list>context).append((field_pair(field), field.expiry))
    return 0


cdef bytes hash_digest(Keyspace keyspace, Found *found, bytes digest):
    cdef list fields = []
    hash_each(keyspace, found, gather_field, <void *>fields)
    for (name, value), expiry in fields:
        item = mixed(mixed(bytes(DIGEST_BYTES), name), value)
        if expiry != NO_EXPIRY:
            item = joined(item, sha1(FIELD_EXPIRES).digest())
        digest = joined(digest, sha1(item).digest())
    return digest


cdef bytes zset_digest(Keyspace keyspace, Found *found, bytes digest):
    cdef Zset zset
    zset_view(keyspace, found, &zset)
    for score, member in zset_pairs(keyspace.arena, &zset, 0, zset.count, False):
        item = mixed(mixed(bytes(DIGEST_BYTES), member), b"%.17g" % score)
        digest = joined(digest, sha1(item).digest())
    return digest


cdef bytes list_digest(Keyspace keyspace, Found *found, bytes digest):
    cdef List it
    list_open(keyspace, found, &it)
    for element in list_values(keyspace.arena, &it, 0, it.length, False):
        digest = mixed(digest, element)
    return digest


cdef bytes stream_digest(Keyspace keyspace, Found *found, bytes digest):
    # Entries count, groups do not.
    cdef StreamCursor cursor
    cdef uint64_t length
    cdef const char *text
    cdef bint more = stream_first(keyspace.arena, stream_open(keyspace, found), &cursor)
    while more:
        digest = mixed(digest, b"%d.%d" % (cursor.id.ms, cursor.id.seq))
        for _string in range(cursor.strings):
            text = stream_string(keyspace.arena, &cursor, &length)
            digest = mixed(digest, PyBytes_FromStringAndSize(text, length))
        more = stream_next(keyspace.arena, &cursor)
    return digest


cdef bytes value_digest(Keyspace keyspace, Found *found, bytes digest):
    # Tells nothing of the encoding. Where there is no order, items are joined by exclusive or.
    if found.entry.type <= STRING_BOXED:
        digest = mixed(kind(digest, OF_STRING), value_of(keyspace, found))
    elif found.entry.type == LIST_PACKED or found.entry.type == LIST_TREE:
        digest = list_digest(keyspace, found, kind(digest, OF_LIST))
    elif is_set(found):
        digest = kind(digest, OF_SET)
        for member in set_members(keyspace, found):
            digest = joined(digest, sha1(member).digest())
    elif is_zset(found):
        digest = zset_digest(keyspace, found, kind(digest, OF_ZSET))
    elif is_hash(found):
        digest = hash_digest(keyspace, found, kind(digest, OF_HASH))
    else:
        digest = stream_digest(keyspace, found, kind(digest, OF_STREAM))
    return joined(digest, sha1(EXPIRES).digest()) if found.entry.expiry != -1 else digest


cdef bytes kind(bytes digest, int type):
    return mixed(digest, type.to_bytes(4))


cdef bytes database_digest(Keyspace keyspace, int db):
    cdef bytes digest = bytes(DIGEST_BYTES)
    cdef bytes key
    cdef list keys = []
    cdef uint64_t cursor = 0
    cdef Found found
    while True:
        cursor = keyspace.scan(db, cursor, keys)
        for key, _ in keys:
            look_up(keyspace, db, key, len(key), &found)
            if found.exists:
                start = mixed(mixed(bytes(DIGEST_BYTES), db.to_bytes(4)), key)
                digest = joined(digest, value_digest(keyspace, &found, start))
        if cursor == 0:
            return digest
        keys.clear()


cdef int debug_digest_command(Call call) except -1:
    cdef Found found
    cdef Keyspace keyspace = call.home.keyspace
    cdef bytes digest = bytes(DIGEST_BYTES)
    cdef int db
    if call.argc == 1:
        for db in range(keyspace.databases):
            digest = joined(digest, database_digest(keyspace, db))
    else:
        look(call, &found)
        if found.exists:
            digest = value_digest(keyspace, &found, digest)
    return call._reply.string(digest.hex())


native("@debug-object", debug_object_command)
native("@debug-digest", debug_digest_command)
