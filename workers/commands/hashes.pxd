"""What the commands on hashes and those on the expiry of their fields share.

Invariants
 1. A lookup sweeps expired fields out of the hash first (`hash_open`), so that it may find no key where there was one.
 2. Lookups for reading count a hit or a miss; those for changing do not.
"""
from libc.stdint cimport uint64_t
from workers.call cimport Call
from workers.memory.databases cimport Found
from workers.memory.keyspace cimport Keyspace
from workers.types.hash cimport Field

# The hash at the first key. Raises CommandError(WRONG_TYPE).
cdef int find_to_read(Call call, Found *out) except -1
cdef int find_to_change(Call call, Found *out) except -1
# Field argv[index] of a hash that may not exist; returns whether there is such a field.
cdef bint get_argument(Call call, Found *found, int index, Field *out) noexcept
# Null when `there` is False.
cdef int reply_value(Call call, bint there, Field *field) except -1
# Before argv[first], argv[first + 2] … are set to what follows each of them.
cdef int prepare_pairs(Call call, Found *found, int first) except -1
