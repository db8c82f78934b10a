"""Time-outs of commands that may block: see timeouts.pxd."""
from libc.math cimport isnan
from libc.stdint cimport INT64_MAX

from shardkv.errors import CommandError

from shardkv.number cimport parse_int64, parse_long_double

cdef extern from "<math.h>" nogil:
    long double ceill(long double value)

NO_FLOAT = "ERR timeout is not a float or out of range"
NO_INTEGER = "ERR timeout is not an integer or out of range"
NEGATIVE = "ERR timeout is negative"
OUT_OF_RANGE = "ERR timeout is out of range"


cdef int64_t checked(Call call, int64_t timeout) except -1:
    if timeout < 0:
        raise CommandError(NEGATIVE)
    if timeout > INT64_MAX - call.now_ms:
        raise CommandError(OUT_OF_RANGE)
    return timeout


cdef int64_t timeout_seconds(Call call, int index) except -1:
    cdef long double seconds
    if not parse_long_double(call.argv[index].bytes, call.argv[index].length, &seconds) or isnan(<double>seconds):
        raise CommandError(NO_FLOAT)
    if seconds * 1000 > <long double>INT64_MAX:
        raise CommandError(OUT_OF_RANGE)
    return checked(call, <int64_t>ceill(seconds * 1000) if seconds * 1000 > -<long double>INT64_MAX else -1)


cdef int64_t timeout_milliseconds(Call call, int index) except -1:
    cdef int64_t timeout
    if not parse_int64(call.argv[index].bytes, call.argv[index].length, &timeout):
        raise CommandError(NO_INTEGER)
    return checked(call, timeout)
