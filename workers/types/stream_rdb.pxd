"""Streams in RDB, with their groups, consumers and what is pending: the part of values.pyx that knows this type.

    length nodes, of each: string of 16 bytes, its base id (two u64, high bytes first); string, a listpack
    length entries; id last
    from RDB_STREAM_2 on: id first; id max deleted; length entries added
    length groups, of each:
        string name; id last; from RDB_STREAM_2 on: length entries read (2^64 - 1: not known)
        length pending, of each: 16 bytes id; u64 delivered (ms); length deliveries
        length consumers, of each:
            string name; u64 seen (ms); in RDB_STREAM_3: u64 active (ms, 2^64 - 1: never)
            length pending, of each: 16 bytes id

An id is two lengths where nothing else is said. The elements of a node's listpack:

    entries, deleted, fields, names, 0
    of each entry: flags, ms - base.ms, seq - base.seq; fields, unless it is alike; of each field its name, unless it is
    alike, and its value; how many elements these were

Invariants
 1. A stream that is loaded is built by the operations of its type: ids ascend, counts are true, each pending entry has
    one consumer. Whatever is said otherwise is bad data.
 2. The time when a consumer was last active is not in RDB_STREAM_2, which is what is written: it is taken to be that
    when it was last seen.
"""
from libc.stdint cimport uint64_t
from workers.limits cimport Limits
from workers.memory.arena cimport Arena
from workers.memory.databases cimport Found
from workers.memory.keyspace cimport Keyspace
from workers.types.rdb cimport Reader, Writer

# The stream whose StreamRoot is at `root`, without the type's byte: RDB_STREAM_2.
cdef int stream_save(Arena arena, uint64_t root, Writer writer) except -1
# Makes `key`, which must not exist. `type`: one of the three.
cdef int stream_load(
    Keyspace keyspace, Limits limits, Found *found, const char *key, uint64_t length, Reader reader, int type
) except -1
