"""What LMPOP, ZMPOP and those that wait have in common: their arguments, and what is left when nothing was there."""
from libc.stdint cimport int64_t

from workers.call cimport Call

cdef struct Popping:
    int first               # of the keys
    int keys
    bint from_first         # the end that the first of the two words names
    int64_t count

# From the number of keys, at argument `at`, to the end: numkeys key… word [COUNT count]. Raises CommandError.
cdef int take_popping(Call call, int at, const char *word, const char *other, Popping *out) except -1
# Waits for one of `keys` keys, from argument `first` on; the null array where nothing may wait.
cdef int wait_or_null(Call call, int kind, int64_t timeout, int first, int keys) except -1
