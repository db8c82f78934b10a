"""What the commands on lists share: lists opened and saved, elements as replies, arguments."""
from libc.stdint cimport int64_t, uint64_t

from workers.call cimport Call
from workers.memory.databases cimport Found
from workers.types.list cimport List, ListCursor

# The list of argument `index`, the key_number-th key, not counted as a lookup. Raises CommandError(WRONG_TYPE).
cdef int open_to_change(Call call, int index, int key_number, Found *found, List *out) except -1
cdef int save(Call call, int index, int key_number, Found *found, List *it) except -1
cdef int save_shorter(Call call, int index, int key_number, Found *found, List *it) except -1

# Raises CommandError(text) for anything else.
cdef int64_t at_least(Call call, int index, int64_t least, str text) except? -1
# 1 = LEFT, 0 = RIGHT.
cdef int end_of(Call call, int index) except -1

cdef int reply_element(Call call, int key_number, ListCursor *cursor) except -1
cdef int reply_range(Call call, int key_number, List *it, uint64_t first, uint64_t count, bint backwards) except -1
