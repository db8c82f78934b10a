"""From reply rings to clients' outputs.

Invariants
 1. A reply is delivered only if its token is that of a living client and its number that of a request which awaits it;
    else it is dropped, and the segment it names removed. Workers are not trusted to send either.
 2. Ring bytes are released once for each batch, after all of it was copied or mapped.
 3. Whenever ring bytes were released, Requests.publish is told, which wakes a worker that sleeps for room
    (shardkv/sleep.pxd).
 4. A record is passed before it is delivered: one on which delivering fails costs its client the connection, and is not
    met again.
 5. A reply in pieces is delivered with its last one; until then nothing of it is shown. What the worker's successor, or
    ours, does not go on with is forgotten (workers/pieces.pxd, invariant 4). Until then its bytes are held for the
    client (client.pxd, invariant 3), and nothing is gathered for one that is gone.
"""
from libc.stdint cimport uint32_t, uint64_t

from shardkv.acceptor.client cimport Client, Hub
from shardkv.acceptor.client_table cimport ClientTable
from shardkv.acceptor.requests cimport Requests
from shardkv.acceptor.waiters cimport Waiters
from shardkv.ring cimport ReplyRecord, Ring
from shardkv.segment cimport Segment, SegmentStore

cdef enum:
    AGAIN_MS = 1000           # until a request is sent again that has been refused often, at most
    BATCH = 4096              # replies of one worker before the others have their turn

cdef class Gathered:
    """Of a reply that comes in pieces, what has come."""
    cdef uint64_t token
    cdef uint64_t sequence
    cdef uint64_t length
    cdef Segment segment      # of the whole reply's size

cdef class Replies:
    cdef Hub *hub
    cdef ClientTable clients
    cdef Requests requests    # told whom to wake
    cdef SegmentStore segments
    cdef Waiters waiters
    cdef object server        # is given the answers to the acceptor's own questions
    cdef list pairs
    cdef Ring **rings
    cdef uint32_t workers
    cdef dict gathered        # worker -> Gathered, of the reply that is coming in pieces
    cdef uint64_t delivering  # token of the reply at hand
    cdef int drain(self) except -1                 # returns how many replies were there
    cdef int _drain_ring(self, uint32_t worker, Ring *ring) except -1
    cdef bint waiting(self) noexcept nogil         # whether there are any
    cdef int _fail(self) except -1
    cdef int _deliver(self, uint32_t worker, ReplyRecord *record) except -1
    cdef int _have_sent_again(self, Client *client, uint64_t sequence) except -1
    cdef int _deliver_segment(self, uint32_t worker, ReplyRecord *record, Segment segment) except -1
    cdef int _block(self, Client *client, ReplyRecord *record, const char *body, uint32_t worker) except -1
    cdef int _pass_answer(self, ReplyRecord *record, const char *reply) except -1
    cdef Gathered _take_gathered(self, uint32_t worker)
    cdef int _gather(self, uint32_t worker, ReplyRecord *record) except -1
    cdef Segment _open(self, ReplyRecord *record)
    cdef int _break_off(self, uint32_t worker) except -1
