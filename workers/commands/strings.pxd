"""Strings as commands see them: what the string, bitmap and later families share.

Invariants
 1. Lookups for reading count a hit or a miss; those for writing do not. Both set the access clock.
 2. A value's bytes, as `StringValue` has them, are valid until the same key changes.
"""
from libc.stdint cimport int64_t, uint64_t
from workers.call cimport Call
from workers.memory.databases cimport Found

cdef struct StringValue:
    const char *bytes
    uint64_t length         # 0 when there is no such key
    bint exists
    char scratch[24]        # digits of an integer value: `bytes` may point here, so a StringValue does not move

# Raises CommandError(WRONG_TYPE) for a key that holds something else.
cdef int expect_string(Found *found) except -1
# The string at argv[index], the key_number-th key. Raises CommandError(WRONG_TYPE).
cdef int read_string(Call call, int index, int key_number, StringValue *out) except -1
# The key argv[index], of any type, to be overwritten.
cdef int find_to_set(Call call, int index, int key_number, Found *out) except -1
# The key argv[index] to be changed; it holds a string or does not exist. Raises CommandError(WRONG_TYPE).
cdef int find_to_change(Call call, int index, int key_number, Found *out) except -1
# Raises CommandError(TOO_LONG) if a string of length + more bytes may not be.
cdef int check_length(Call call, uint64_t length, uint64_t more) except -1


cdef inline bint clip_range(int64_t length, int64_t *first, int64_t *last) noexcept nogil:
    # First and last index of a part of `length` elements, negative ones counted from the end; False if nothing is left.
    # What lies before the first element means the first, as in Redis, for `last` as well.
    if first[0] < 0:
        first[0] = max(first[0] + length, 0)
    if last[0] < 0:
        last[0] = max(last[0] + length, 0)
    last[0] = min(last[0], length - 1)
    return first[0] <= last[0]
