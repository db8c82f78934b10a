"""From reply rings to clients' outputs.

Invariants
 1. A reply is delivered only if its token is that of a living client and its number that of a request which awaits it;
    else it is dropped, and the segment it names removed. Workers are not trusted to send either.
 2. Ring bytes are released once for each batch, after all of it was copied or mapped.
 3. A worker that may have stopped for want of room in its reply ring is woken when room was made.
"""
from libc.stdint cimport uint32_t, uint64_t

from shardkv.acceptor.client cimport Client, Hub
from shardkv.acceptor.client_table cimport ClientTable
from shardkv.acceptor.requests cimport Requests
from shardkv.ring cimport ReplyRecord, Ring
from shardkv.segment cimport Segment, SegmentStore

cdef enum:
    BATCH = 4096              # replies of one worker before the others have their turn

cdef class Replies:
    cdef Hub *hub
    cdef ClientTable clients
    cdef Requests requests    # told whom to wake
    cdef SegmentStore segments
    cdef object server        # is given the answers to the acceptor's own questions
    cdef list pairs
    cdef Ring **rings
    cdef uint32_t workers
    cdef int drain(self) except -1                 # returns how many replies were there
    cdef bint waiting(self) noexcept nogil         # whether there are any
    cdef int _deliver(self, ReplyRecord *record) except -1
    cdef int _deliver_segment(self, Client *client, ReplyRecord *record) except -1
    cdef int _pass_answer(self, ReplyRecord *record) except -1
    cdef int _drop_segment(self, ReplyRecord *record) except -1
    cdef Segment _open(self, ReplyRecord *record)
    cdef int _break_off(self, uint32_t worker) except -1
