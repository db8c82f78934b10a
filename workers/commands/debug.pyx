"""What DEBUG OBJECT and DEBUG DIGEST ask of the workers, each for its own shard; the acceptor joins the answers.

    @debug-object db key     where and how a value is kept, or null
    @debug-digest db key     40 hex digits that depend on the value and on whether it expires; zeros where there is none
    @debug-digest            the same over all databases, keys and values of the shard

Digests are joined by exclusive or, so neither the order of keys nor the number of shards matters.
"""
from cpython.bytes cimport PyBytes_FromStringAndSize
from libc.stdint cimport int64_t, uint64_t

from hashlib import sha1

from shardkv.errors import CommandError

from shardkv.hashing cimport hash_key
from workers.call cimport Argument, Call
from workers.commands.generic cimport database
from workers.commands.keyspace cimport encoding_name, idle_seconds
from workers.memory.keyspace cimport Found, Keyspace
from workers.registry cimport native

cdef enum:
    DIGEST_BYTES = 20
    STRING_TYPE = 0     # as Redis numbers types

EXPIRES = b"!!expire!!"


cdef int look(Call call, Found *found) except -1:
    cdef Argument *key = &call.argv[2]
    if call.argc != 3:
        raise CommandError("ERR a database and a key are needed")
    call.home.keyspace.peek(database(call, 1), key.bytes, key.length, hash_key(key.bytes, key.length), found)
    return 0


cdef bytes value_of(Keyspace keyspace, Found *found):
    cdef uint64_t length
    cdef char scratch[24]
    cdef const char *value = keyspace.string_bytes(found, &length, scratch)
    return PyBytes_FromStringAndSize(value, length)


# -- DEBUG OBJECT

cdef int64_t serialized_length(uint64_t length) noexcept:
    # Of a string in an RDB file, uncompressed: a length of 1, 2 or 5 bytes, and the string.
    if length < 1 << 6:
        return length + 1
    if length < 1 << 14:
        return length + 2
    return length + 5


cdef int debug_object_command(Call call) except -1:
    cdef Found found
    cdef Keyspace keyspace = call.home.keyspace
    look(call, &found)
    if not found.exists:
        return call._reply.null()
    return call._reply.string(
        f"Value at:0x{found.entry.offset:x} refcount:1 encoding:{encoding_name(found.entry.type).decode()} "
        f"serializedlength:{serialized_length(len(value_of(keyspace, &found)))} lru:{found.entry.clock} "
        f"lru_seconds_idle:{idle_seconds(keyspace, &found)}"
    )


# -- DEBUG DIGEST

cdef bytes joined(bytes one, bytes other):
    return (int.from_bytes(one) ^ int.from_bytes(other)).to_bytes(DIGEST_BYTES)


cdef bytes mixed(bytes digest, bytes data):
    # Depends on what was mixed in before, and on the order.
    return sha1(joined(digest, sha1(data).digest())).digest()


cdef bytes value_digest(Keyspace keyspace, Found *found, bytes digest):
    digest = mixed(mixed(digest, STRING_TYPE.to_bytes(4)), value_of(keyspace, found))
    return joined(digest, sha1(EXPIRES).digest()) if found.entry.expiry != -1 else digest


cdef bytes database_digest(Keyspace keyspace, int db):
    cdef bytes digest = bytes(DIGEST_BYTES)
    cdef bytes key
    cdef list keys = []
    cdef uint64_t cursor = 0
    cdef Found found
    while True:
        cursor = keyspace.scan(db, cursor, keys)
        for key, _ in keys:
            keyspace.peek(db, key, len(key), hash_key(key, len(key)), &found)
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
