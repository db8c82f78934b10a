"""Time-outs of commands that may block, in milliseconds; 0 = none."""
from libc.stdint cimport int64_t

from workers.call cimport Call

# Of an argument in seconds, or in milliseconds. Raises CommandError.
cdef int64_t timeout_seconds(Call call, int index) except -1
cdef int64_t timeout_milliseconds(Call call, int index) except -1
