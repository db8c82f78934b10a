"""Values as a whole, to and from RDB: what DUMP and RESTORE are made of.

Invariants
 1. What is saved can be read by Redis 7.0, but for hashes whose fields have an expiry: those need 7.4. So a set that is
    packed is saved as plain strings.
 2. A value that is loaded is built element by element, by the operations of its type: it has the encoding that the
    limits ask for, whatever it had, and nothing that is malformed or twice there gets in.
 3. A stream's entries come back with their ids, and its groups with what is pending; how entries lie in nodes may
    change, and what was deleted leaves no trace but in the stream's counters.
"""
from libc.stdint cimport uint64_t
from workers.limits cimport Limits
from workers.memory.databases cimport Found
from workers.memory.keyspace cimport Keyspace
from workers.types.rdb cimport Reader, Writer

# The type's byte and the value. Returns the RDB version this needs; 0 if nothing is there: all fields have expired.
cdef int value_save(Keyspace keyspace, Found *found, Writer writer) except -1
# Makes `key`, which must not exist, without expiry. Raises CommandError for bytes that are no value; what is there of
# the key by then, the rollback takes away.
cdef int value_load(
    Keyspace keyspace, Limits limits, Found *found, const char *key, uint64_t length, Reader reader
) except -1
