"""Reply: a buffer into which RESP is written, by workers and by acceptors alike.

A Reply starts in memory lent by its user (the free bytes of a reply ring) and moves to memory of its own when that is
too small.

Invariants
 1. bytes[0:length] is what was written, with the stretches that stand elsewhere put in; `lent` says whose memory it is.
    What stands elsewhere stays there, and as it is, until the reply has been sent on: its writer knows that.
 2. Writers never fail half-way: if memory cannot be had, MemoryError is raised before a byte changes.
 3. What was written since a ReplyMark can be taken back, as long as nothing before it is.
 4. `resp` is 2 or 3 and decides the shape of null, map, set, double, boolean, big number, verbatim and push.
"""
from libc.stdint cimport int64_t, uint64_t

cdef struct Stretch:
    size_t at                   # in `bytes`, before what follows it
    const char *bytes
    size_t length

cdef struct ReplyMark:
    size_t length
    size_t elsewhere
    int stretch_count

cdef class Reply:
    cdef char *bytes
    cdef size_t length
    cdef size_t capacity
    cdef bint lent
    cdef Stretch *stretches
    cdef int stretch_count
    cdef int stretch_room
    cdef size_t elsewhere       # sum of their lengths
    cdef bint copies            # nothing is to stay elsewhere: it may change before this is sent; until begun anew
    cdef public int resp
    cdef void lend(self, char *memory, size_t capacity) noexcept    # start over in lent memory
    cdef void clear(self) noexcept                                  # start over in the same memory
    cdef ReplyMark mark(self) noexcept
    cdef void rewind(self, ReplyMark mark) noexcept                 # takes back what was written since
    cdef size_t size(self) noexcept                                 # of all that was written
    cdef void copy_to(self, char *out) noexcept                     # all of it
    cdef char *take(self) except NULL                               # … in memory to be freed with free(); starts over
    cdef int reserve(self, size_t more) except -1                   # room for `more` bytes
    cdef int _grow(self, size_t more) except -1
    cdef int _line(self, str kind, str text) except -1
    cdef int _tree(self, object data) except -1
    cdef int raw(self, const char *data, size_t length) except -1   # RESP made elsewhere
    cdef int bulk(self, const char *data, size_t length) except -1
    # the same of bytes that may stay where they are
    cdef int bulk_in_place(self, const char *data, size_t length) except -1
    cdef int integer(self, int64_t value) except -1
    cdef int header(self, char kind, int64_t count) except -1       # '*', '%', '~', '>', '$' …
    # Python callers and cold paths
    cpdef int status(self, str text) except -1                      # +OK
    cpdef int error(self, str text) except -1                       # "ERR …", no dash; control bytes become blanks
    cpdef int null(self) except -1                                  # $-1 or _
    cpdef int null_array(self) except -1                            # *-1 or _
    cpdef int array(self, int64_t count) except -1
    cpdef int map(self, int64_t pairs) except -1                    # %n, or *2n in RESP2
    cpdef int set(self, int64_t count) except -1
    cpdef int push(self, int64_t count) except -1
    cpdef int attribute(self, int64_t pairs) except -1              # |n, RESP3 only; the reply it belongs to follows
    cpdef int number(self, int64_t value) except -1                 # integer() for Python
    cpdef int double(self, double value) except -1
    cpdef int boolean(self, bint value) except -1
    cpdef int big_number(self, str digits) except -1
    cpdef int verbatim(self, str format, bytes data) except -1
    cpdef int string(self, object data) except -1                   # bulk() for Python: bytes or str
    # a Python value tree: None, bool, int, float, str/bytes, list, dict, set
    cpdef int value(self, object data) except -1
    cpdef bytes getvalue(self)
