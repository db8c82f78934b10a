"""What the commands on collections share: how elements are written, and the arguments of HSCAN, SSCAN and ZSCAN."""
from libc.stdint cimport int64_t, uint64_t
from shardkv.number cimport print_int64
from shardkv.resp cimport Reply
from workers.call cimport Argument, Call
from workers.memory.listpack cimport Element

cdef inline int reply_element(Reply reply, Element *element) except -1:
    cdef char digits[24]
    if element.bytes != NULL:
        return reply.bulk(element.bytes, element.length)
    return reply.bulk(digits, print_int64(element.number, digits))

cdef class Scan:
    # HSCAN key cursor [MATCH pattern] [COUNT count] [NOVALUES]
    cdef uint64_t cursor
    cdef int64_t count          # about so many elements are asked for
    cdef const char *pattern    # NULL: any
    cdef uint64_t pattern_length
    cdef bint values            # False: NOVALUES

    # The cursor is argument 2. Raises CommandError.
    cdef int take_cursor(self, Call call) except -1
    # Those behind it. Raises CommandError.
    cdef int take_options(self, Call call, bint of_hash) except -1
    cdef int take_pattern(self, Argument *argument) noexcept
    cdef bint wants(self, const char *text, uint64_t length) noexcept
    # The whole reply: the next cursor, and the elements gathered, as bytes.
    cdef int answer(self, Reply reply, uint64_t cursor, list elements) except -1

# Argument `index` as an integer from `low` to `high`. Raises CommandError with `text` (None: Redis's own words).
cdef int64_t integer_between(Call call, int index, int64_t low, int64_t high, str text) except? -1

# An argument as it may stand in an error text.
cdef str shown(Call call, int index)
# The error for a subcommand that its container knows, but not with these arguments.
cdef object unknown_subcommand(Call call)
