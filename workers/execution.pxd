"""Execution: one request, from the record in a request ring to the record in the reply ring and the commit.

    1. the handler runs; its changes are journalled, its reply is written behind the reply ring's published tail
    2. the reply record is complete (or its segment is)
    3. arena.commit: the committing store, header.commit[a] = end position of the request

Invariants
 1. A request leaves exactly one reply record. A handler that fails is rolled back to its error reply.
 2. Nothing is committed unless its reply is there: inline when short, in a segment when not. Where no segment can be
    made, what only read is rolled back and replied to in pieces (workers/pieces.pxd), all else rolled back to an error
    reply.
 3. A reply record is made of bytes that were written for it: the reply was lent the very room in which its record is
    completed, or its bytes are copied, or they are in no ring at all. Whoever begins a reply anew, as an error does,
    has that room lent to it again.
 4. Of a record nothing is believed: command, database, and every length are checked before they are used (BadRecord:
    the acceptor's memory is broken, and the worker stops).
 5. A request's segment goes when the request is done, whether or not it could be opened.
 6. What was undone counts as no change and as a call that failed.

Commands inside of a request, as an EXEC has them, are run by inner.pxd.
"""
from libc.stdint cimport int64_t, uint64_t
from shardkv.resp cimport Reply
from shardkv.ring cimport RequestRecord, RingPair
from shardkv.segment cimport Segment, SegmentStore
from shardkv.stats cimport ControlPage, ProcessBlock
from workers.inner cimport InnerCalls
from workers.leases cimport Leases
from workers.registry cimport Handler
from workers.waiters cimport Waiters

cdef enum Outcome:
    COMPLETED
    REFUSED                             # undone, and replied to with an error
    GOES_IN_PIECES                      # undone, and not done until its last piece is sent

cdef class Execution(InnerCalls):
    cdef readonly Leases leases         # what it holds are the arenas of the request now executing
    cdef readonly ControlPage page
    cdef Waiters waiters                # of keys of this shard
    cdef ProcessBlock *block
    cdef dict internal                  # Handler by name, of REQUEST_INTERNAL
    cdef char *members                  # by command id: see workers/ahead.pxd
    cdef SegmentStore segments
    cdef Segment request_segment        # of the request now executing, or None
    cdef Segment reply_segment          # of its reply, until the commit
    cdef dict in_pieces                 # acceptor -> Pieces of the reply to the request at its ring's `next`
    cdef uint64_t tick                  # when the next request's time begins to count; set before each batch
    cdef uint64_t expired_before        # keyspace.expired before the request now executing
    cdef bint changed                   # the arena has, since the counters were told

    cdef bint execute(self, RingPair pair, int acceptor, RequestRecord *record) except -1
    # Sends a piece of a reply that goes in pieces: `room` bytes at most, REPLY_ROOM at least. Whether it was the last.
    cdef bint send_piece(self, RingPair pair, int acceptor, RequestRecord *record, uint64_t room) except -1
    # Answers a request with this error instead of executing it.
    cdef int answer_error(self, RingPair pair, int acceptor, RequestRecord *record, str text) except -1
    # Has the acceptor send a leased request again: nothing was done.
    cdef int put_off(self, RingPair pair, int acceptor, RequestRecord *record) except -1
    cdef int take_part(self, RequestRecord *record) except -1
    cdef int tell_owners(self) except -1
    cdef int leave_part(self) except -1
    cdef int drop_segment(self, RequestRecord *record) except -1

    cdef int lend_ring(self, RingPair pair, RequestRecord *record) except -1
    cdef bint run_handler(self, RingPair pair, RequestRecord *record) except -1
    cdef int take_arguments(self, RequestRecord *record) except -1
    cdef Handler handler_of(self, RequestRecord *record)
    cdef int fail(self, RingPair pair, RequestRecord *record, text) except -1
    cdef int undo(self) except -1
    cdef Outcome complete(self, RingPair pair, int acceptor, RequestRecord *record, uint64_t position) except? REFUSED
    cdef bint may_repeat(self, RequestRecord *record) noexcept
    cdef int respond(self, RingPair pair, RequestRecord *record, uint64_t position) except -1
    cdef int make_segment(self, Reply reply) except -1
    cdef int begin_pieces(self, int acceptor) except -1
