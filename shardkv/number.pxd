"""Strict number parsing and printing, the way Redis does it."""
from libc.stdint cimport int64_t

# canonical decimal only: no '+', spaces, leading zeros, '-0'
cdef bint parse_int64(const char *text, size_t length, int64_t *value) noexcept nogil
# at most 20 bytes, no terminator; returns the length
cdef int print_int64(int64_t value, char *out) noexcept nogil
# INCRBYFLOAT arguments; no spaces, no nan
cdef bint parse_long_double(const char *text, size_t length, long double *value) noexcept
# "%.17Lf" with trailing zeros stripped
cdef int print_long_double(long double value, char *out, int capacity) noexcept
cdef bint parse_double(const char *text, size_t length, double *value) noexcept
# shortest form that reads back equal, as Redis 7.2 prints; inf, -inf, nan
cdef int print_double(double value, char *out) noexcept
