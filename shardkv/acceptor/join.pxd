"""One reply out of the replies of a command's parts, one part a worker.

    SUM      integers added
    OK       any of them: they are the same
    ARRAY    arrays of one element a key, put back into the order of the keys
    CONCAT   arrays chained
    ANY      one that is not null, if there is one; the preferred part's first

Invariants
 1. An error in any part is the answer; of several errors, the lowest worker's.
 2. replies[w] is worker w's reply; it is empty (bytes NULL) until it came, and a second one for it is dropped.
 3. `missing` counts the parts still to come; a join is finished once, when it is 0.
 4. Replies are not trusted: one that is not the RESP that its join needs makes an error reply.
"""
from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t

from shardkv.acceptor.output cimport Payload

cdef enum JoinKind:           # values of shardkv.commands.spec.Join
    JOIN_NONE = 0
    JOIN_SUM = 1
    JOIN_OK = 2
    JOIN_ARRAY = 3
    JOIN_CONCAT = 4
    JOIN_ANY = 5

cdef struct Join:
    uint8_t kind
    uint32_t workers
    uint32_t missing
    uint64_t held             # bytes of the replies that came
    uint32_t preferred        # ANY: the worker whose reply is taken if it is not null
    uint32_t keys             # ARRAY: number of keys …
    uint16_t *owners          # … and the worker of each
    Payload *replies

cdef Join *join_new(int kind, uint32_t workers, uint32_t missing, uint32_t keys) noexcept nogil   # NULL: no memory
cdef bint join_add(Join *join, uint32_t part, Payload *reply) noexcept nogil    # takes the reply; True: all are there
cdef bint join_finish(Join *join, Payload *answer) noexcept nogil               # False: no memory
cdef void join_free(Join *join) noexcept nogil
# The number behind a type byte: returns where its line ends. The end of the RESP value at `at`. NULL: it is malformed.
cdef const char *read_header(const char *at, const char *end, int64_t *count) noexcept nogil
cdef const char *skip_value(const char *at, const char *end) noexcept nogil
