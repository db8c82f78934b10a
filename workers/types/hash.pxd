"""Hashes: HASH_PACKED or HASH_TABLE, as the fields and the limits ask for.

    HASH_PACKED  a listpack of field, value, field, value: up to hash-max-listpack-entries fields, none of them and no
                 value longer than hash-max-listpack-value bytes, none with an expiry
    HASH_TABLE   a table of entries: key = field, value inline (STRING_RAW) or in a block (STRING_BOXED); the entry's
                 expiry is the field's

Invariants
 1. A packed hash becomes a table, never the other way. Converting is bounded by the limits; a table then grows a
    bucket at a time.
 2. A hash without fields is no key: who takes the last field out deletes the key, and its Found tells so.
 3. A field whose expiry has passed does not exist, though it is counted until it is swept out. A hash with expiring
    fields has a timer (workers/memory/timers.pxd), by which its database sweeps them out with no one reading; whoever
    opens such a hash sweeps a few out first, so that small hashes are exact at any time.
 4. Elements that are handed out are valid until the hash changes.
"""
from libc.stdint cimport int64_t, uint64_t
from workers.limits cimport Limits
from workers.memory.databases cimport Found
from workers.memory.entry cimport HASH_PACKED, HASH_TABLE
from workers.memory.keyspace cimport Keyspace
from workers.memory.listpack cimport Element

cdef enum:
    NO_EXPIRY = -1
    KEEP_EXPIRY = -2

cdef struct Field:
    Element name
    Element value
    int64_t expiry          # unix ms, or NO_EXPIRY

# Returns other than 0 to end the walk.
ctypedef int (*visit_field)(void *context, Field *field) except -1

cdef inline bint is_hash(Found *found) noexcept nogil:
    return HASH_PACKED <= found.entry.type <= HASH_TABLE

# -- reading; `found` exists and is a hash

# Before anything else: sweeps out some of what has expired. The key may be gone afterwards.
cdef int hash_open(Keyspace keyspace, Found *found) except -1
cdef uint64_t hash_count(Keyspace keyspace, Found *found) noexcept
cdef bint hash_expires(Keyspace keyspace, Found *found) noexcept            # whether it has fields with an expiry
# Returns whether the field exists; fills value and expiry.
cdef bint hash_get(Keyspace keyspace, Found *found, const char *name, uint64_t length, Field *out) noexcept
# All fields; visit changes nothing. Returns 1 if visit ended the walk.
cdef int hash_each(Keyspace keyspace, Found *found, visit_field visit, void *context) except -1
# Some fields from `cursor` on; returns the next cursor, 0 at the end. One that is there all the while is not missed.
cdef uint64_t hash_scan(
    Keyspace keyspace, Found *found, uint64_t cursor, visit_field visit, void *context
) except? 0xFFFFFFFFFFFFFFFF
# One field, each as likely as any other. Returns False when all have expired.
cdef bint hash_random(Keyspace keyspace, Found *found, Field *out) except -1
# `count` different fields, fewer than there are, as pairs (name, value) of bytes; less those that have expired.
cdef list hash_sample(Keyspace keyspace, Found *found, uint64_t count)
cdef tuple field_pair(Field *field)

# -- changing

# Before up to `fields` fields are set: makes the key if it does not exist, and the hash a table if there are too many
# of them for a pack, or the longest name or value is too long, or all together (`total` bytes, as elements of a pack
# if the key is new) are.
cdef int hash_prepare(
    Keyspace keyspace, Limits limits, Found *found, const char *key, uint64_t length, uint64_t fields, uint64_t longest,
    uint64_t total
) except -1
# … and as many as are certain to be set, all of them different, in a hash that does not have any: makes room for them.
cdef int hash_reserve(Keyspace keyspace, Found *found, uint64_t count) except -1
# Returns 1 if the field is new. expiry: unix ms, NO_EXPIRY, KEEP_EXPIRY (a new field has none). Name and value are not
# this hash's own bytes.
cdef int hash_set(
    Keyspace keyspace, Limits limits, Found *found, const char *name, uint64_t length, const char *value,
    uint64_t value_length, int64_t expiry
) except -1
# Gives a field that exists another expiry, or NO_EXPIRY.
cdef int hash_expire(Keyspace keyspace, Found *found, const char *name, uint64_t length, int64_t expiry) except -1
# Returns 1 if the field existed.
cdef int hash_delete(Keyspace keyspace, Found *found, const char *name, uint64_t length) except -1
