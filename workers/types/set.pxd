"""Sets: SET_INTS, SET_PACKED or SET_TABLE, as the members and the limits ask for.

    SET_INTS     an intset: all members are integers, up to set-max-intset-entries
    SET_PACKED   a listpack: up to set-max-listpack-entries members of up to set-max-listpack-value bytes
    SET_TABLE    a table of entries: key = member, no value

Invariants
 1. A set goes from an encoding to a later one of this list, never back. Converting is bounded by the limits; a table
    then grows a bucket at a time.
 2. A set without members is no key: who takes the last member out deletes the key, and its Found tells so.
 3. Members are Elements (listpack.pxd): a number, or bytes that may also spell one. Bytes that are handed out are valid
    until the set changes.
"""
from libc.stdint cimport uint64_t
from workers.limits cimport Limits
from workers.memory.databases cimport Found
from workers.memory.entry cimport SET_INTS, SET_TABLE
from workers.memory.keyspace cimport Keyspace
from workers.memory.listpack cimport Element

# Returns other than 0 to end the walk.
ctypedef int (*visit_member)(void *context, Element *member) except -1

cdef inline bint is_set(Found *found) noexcept nogil:
    return SET_INTS <= found.entry.type <= SET_TABLE

# -- reading; `found` exists and is a set

cdef uint64_t set_count(Keyspace keyspace, Found *found) noexcept
cdef bint set_has(Keyspace keyspace, Found *found, Element *member) noexcept
# All members; visit changes nothing. Returns 1 if visit ended the walk.
cdef int set_each(Keyspace keyspace, Found *found, visit_member visit, void *context) except -1
cdef list set_members(Keyspace keyspace, Found *found)                      # as bytes
# Some members from `cursor` on; returns the next cursor, 0 at the end. One that is there all the while is not missed.
cdef uint64_t set_scan(
    Keyspace keyspace, Found *found, uint64_t cursor, visit_member visit, void *context
) except? 0xFFFFFFFFFFFFFFFF
# One member, each as likely as any other.
cdef void set_random(Keyspace keyspace, Found *found, Element *member) noexcept
# `count` different members, fewer than there are, as bytes.
cdef list set_sample(Keyspace keyspace, Found *found, uint64_t count)

# -- changing

# Before up to `more` members are added, of which `first` is one: makes the key if it does not exist, and the set a
# table if that is what so many would become.
cdef int set_prepare(
    Keyspace keyspace, Limits limits, Found *found, const char *key, uint64_t length, Element *first, uint64_t more
) except -1
# … and as many as are certain to be added, all of them different, to a set that does not have any: makes room for them.
cdef int set_reserve(Keyspace keyspace, Found *found, uint64_t count) except -1
# Returns 1 if the member is new.
cdef int set_add(Keyspace keyspace, Limits limits, Found *found, Element *member) except -1
# Returns 1 if it was there. The member may be one that this set has handed out.
cdef int set_remove(Keyspace keyspace, Found *found, Element *member) except -1
