"""Bits of strings: what BITFIELD shares with the other commands on bits."""
from libc.stdint cimport int64_t
from workers.call cimport Call

# Argument `index` as an offset in bits, or, with a leading '#', in fields of `width` bits (0: '#' is not allowed).
# Raises CommandError if it is none, or lies behind the longest string there may be.
cdef int64_t bit_offset(Call call, int index, int64_t width) except -1
