"""Into the request rings: room for all parts of a request, their records, publishing, waking workers.

Invariants
 1. All records of one request are appended, or none: `reserve` is asked before the first `append`.
 2. Appended records are published by `publish`, once for a whole batch.
 3. The token of place 0 is the acceptor's own: requests that no client made; their `sequence` is the question's number.
"""
from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t

from shardkv.acceptor.client cimport Client
from shardkv.acceptor.specs cimport Spec
from shardkv.ring cimport RING_INLINE_MAX, RequestRecord, Ring
from shardkv.segment cimport Segment, SegmentStore
from shardkv.stats cimport ControlPage

cdef struct Part:
    # What one worker gets of the request at hand.
    uint32_t argc             # 0: nothing
    uint64_t payload          # bytes of its arguments
    uint64_t hash             # of its first key

cdef enum:
    SEGMENT_RECORD = 64       # bytes: a record that names a segment

cdef inline uint64_t body_bytes(Part *part) noexcept nogil:
    return 4 * <uint64_t>part.argc + part.payload

cdef inline uint32_t record_size(Part *part) noexcept nogil:
    # 0: too large for the ring, it travels in a segment.
    cdef uint64_t size = (sizeof(RequestRecord) + body_bytes(part) + 7) & ~<uint64_t>7
    return <uint32_t>size if size <= RING_INLINE_MAX else 0

cdef class Requests:
    cdef ControlPage page
    cdef SegmentStore segments
    cdef list pairs           # RingPair of each worker
    cdef Ring **rings
    cdef uint8_t *touched     # rings with records to publish, or workers to wake
    cdef list wake_fds
    cdef uint32_t workers
    cdef uint64_t internal_token
    cdef Part *parts          # one for each worker, filled by whoever divides the request

    cdef void forget(self) noexcept nogil                    # the parts
    cdef bint reserve(self, uint32_t worker) noexcept nogil  # room for a worker's part
    cdef bint reserve_all(self) noexcept nogil
    # A segment for each part that is too large for its ring. Raises SegmentError: there is none then.
    cdef list make_segments(self)
    # Writes the record of a part whose room was reserved. `owners`: the worker of each key, when it gets its own only.
    cdef void append(
        self, Client *client, Spec *spec, uint64_t sequence, uint32_t worker, const uint16_t *owners, Segment segment
    )
    cdef bint ask(self, uint32_t worker, uint64_t question, list args) except *
    cdef bint awaiting(self) noexcept nogil                  # a worker has requests of ours to execute
    cdef void publish(self)
