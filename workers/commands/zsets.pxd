"""Sorted sets as commands see them: what the families of commands on them share.

Invariants
 1. Lookups for reading count a hit or a miss; those for writing do not. Both set the access clock.
"""
from libc.stdint cimport int64_t, uint64_t
from workers.call cimport Call
from workers.memory.arena cimport Arena
from workers.memory.databases cimport Found
from workers.types.zset cimport Zset

cdef enum AddOption:
    ADD_NX = 1              # members that are there stay as they are
    ADD_XX = 2              # no member is added
    ADD_GT = 4              # a score only grows
    ADD_LT = 8
    ADD_INCR = 16           # the score is added to the member's
    ADD_CH = 32             # count changed scores too

cdef struct Adding:
    # What adding members has come to.
    int options
    int64_t added
    int64_t changed         # scores
    double score            # of the last member that options let be set …
    bint done               # … if there was one

# The sorted set at argv[index], the key_number-th key. Raises CommandError(WRONG_TYPE).
cdef int read_zset(Call call, int index, int key_number, Zset *out) except -1
# The same, to be changed.
cdef int find_zset(Call call, int index, int key_number, Zset *out) except -1
# The option that argument `index` is; 0 = none.
cdef int add_option(Call call, int index) noexcept
# Raises CommandError for options that contradict each other.
cdef int check_options(int options) except -1
# Adds argv[member] to the sorted set at argv[1], or changes its score, as the options say.
cdef int add_member(Call call, Zset *zset, Adding *adding, int member, double score) except -1
# Argument `index` as a double. Raises CommandError(`text`).
cdef double double_argument(Call call, int index, str text) except? -1
# An array of `count` members from rank `first` on, with their scores if wanted, each pair then an array if `nested`.
cdef int reply_items(
    Call call, Arena arena, Zset *zset, uint64_t first, uint64_t count, bint backwards, bint with_scores, bint nested
) except -1
# Makes the sorted set of these pairs of score and member the value of argv[index], the key_number-th key, and answers
# their number.
cdef int store_pairs(Call call, int index, int key_number, list pairs) except -1
