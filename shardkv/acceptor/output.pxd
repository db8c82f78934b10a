"""What waits to be sent to one client: a chain of chunks.

Invariants
 1. A chunk's bytes[sent:length] are unsent; a chunk without unsent bytes is not in the chain.
 2. A chunk owns its bytes: memory right behind the struct, or a mapped segment (its name is gone already), whose pages
    go back to the system as they are sent, and the rest in steps when it is dropped (shardkv/segment.pxd, free_some).
 3. `bytes` is the sum of unsent bytes of the chunks that are linked, at every moment, `memory` what the chain occupies
    (a segment counts with its length). Nothing is sent beyond what a chunk holds.
 4. Where False is returned there was no memory and nothing was appended: the stream has a hole from here on, so the
    caller closes the client. What is empty needs no memory, and is True.
"""
from cpython.object cimport PyObject
from libc.stdint cimport int64_t, uint32_t, uint64_t

cdef enum:
    CHUNK_BYTES = 16384
    SEND_STEP = 1048576       # bytes sent before other clients have their turn …
    SEND_LEAST = 65536        # … and of them at least so many to one, when many share them

# Bytes with their owner: a malloc'ed block, or a Segment (a counted reference) they lie in.
cdef struct Payload:
    char *bytes
    uint64_t length
    PyObject *segment

cdef struct Chunk:
    Chunk *next
    char *bytes
    uint64_t length
    uint64_t sent
    uint64_t capacity
    uint64_t given            # of a segment's bytes, those whose pages went back
    PyObject *segment

cdef struct Output:
    Chunk *first
    Chunk *last
    uint64_t bytes
    uint64_t memory
    uint32_t chunks

cdef bint starving            # in tests alone: there is no memory

# Where a `bint` is returned, False means that there was no memory.
cdef void payload_free(Payload *payload) noexcept nogil
cdef bint payload_copy(Payload *payload, const char *data, uint64_t length) noexcept nogil
cdef bint output_append(Output *output, const char *data, uint64_t length) noexcept nogil  # copies
cdef bint output_append_payload(Output *output, Payload *payload) noexcept nogil           # takes the payload
# Bytes sent, or -errno. `step` (of bytes) or more: there may be room for what is left.
cdef int64_t output_send(Output *output, int fd, uint64_t step) noexcept nogil
cdef void output_free(Output *output) noexcept nogil
