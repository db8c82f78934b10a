"""Into the request rings: room for all parts of a request, their records, publishing, waking workers.

A client for whose request a ring has no room waits in that ring's queue, first come first served. One whose request
needs several rings waits for one after the other, and is served in each by the time since it waits for any.

Invariants
 1. All records of one request are appended, or none: `reserve` is asked before the first `append`.
 2. Appended records are published by `publish`, once for a whole batch. A marker alone wakes nobody: a worker that
    sleeps before it has arrived, and passes it with whatever wakes it next. But one whose ring is over half full, or is
    waited for, is woken, as markers that it has not passed take room.
 3. One `publish` is for all of its rings, whenever the acceptor dies: before it stores the tails of several, it stores
    in each header what its tail will be (publishing_tail), then 1 into the first ring's publishing_position, then the
    tails, then 0. A successor that finds 1 stores the tails, all records before them being complete. So a command that
    was divided reaches all of its workers or none. Segments are swept behind that: what lay behind a tail and is now
    before it names segments too.
 4. A request that begins to wait gets a ticket, later ones higher numbers, and keeps it from queue to queue until it
    went. Queues are in the order of tickets. While clients wait for a ring, nobody's request goes into it but one whose
    ticket is before all of theirs, and those of the client whose turn it is. In its turn a client goes on as long as
    there is room and it has whole requests; then it stands at the end. One whose request still does not fit stays the
    first.
 5. A queue is gone through when the ring's head is not the one at which its first client was last tried
    (shardkv/sleep.pxd, invariant 5). Whoever stands in it when that is done waits behind records in the ring.
 6. `internal_token`, that of place 0, is the acceptor's own: requests that no client made; their `sequence` is the
    question's number. It has the epoch in it: a predecessor's question of the same number gets its reply elsewhere.
"""
from libc.stdint cimport UINT64_MAX, int64_t, uint8_t, uint16_t, uint32_t, uint64_t

from shardkv.acceptor.client cimport Client
from shardkv.acceptor.specs cimport Spec
from shardkv.atomic cimport atomic_load_acquire
from shardkv.ring cimport RING_INLINE_MAX, Marker, Participant, RequestRecord, Ring, SegmentName
from shardkv.segment cimport Segment, SegmentStore
from shardkv.sleep cimport SLEEPS_FOR_ROOM
from shardkv.stats cimport ControlPage

cdef struct Part:
    # What one worker gets of the request at hand.
    uint32_t argc             # 0: nothing
    uint16_t participants     # of a leased request that it executes: so many others get markers
    bint marker               # it takes part in such a request: a marker is all that it gets
    uint64_t payload          # bytes of its arguments
    uint64_t hash             # of its first key
    uint64_t table            # where its places lie in the request's segment

cdef inline uint64_t body_bytes(Part *part) noexcept nogil:
    return 4 * <uint64_t>part.argc + part.payload

cdef inline bint is_long(Part *part) noexcept nogil:
    # Too large for the ring: it travels in a segment.
    return sizeof(RequestRecord) + body_bytes(part) + part.participants * sizeof(Participant) > RING_INLINE_MAX

cdef inline uint32_t record_size(Part *part) noexcept nogil:
    cdef uint64_t body = sizeof(SegmentName) if is_long(part) else body_bytes(part)
    if part.marker:
        return sizeof(RequestRecord) + sizeof(Marker)
    return <uint32_t>(((sizeof(RequestRecord) + body + 7) & ~<uint64_t>7) + part.participants * sizeof(Participant))

cdef enum:
    MOVED_QUIETLY = 128       # records to publish, which wake nobody
    LAGGING_MS = 50           # since a worker's last turn, before a request goes to it again that it has held up

cdef struct Queue:
    # The clients that wait for room in one request ring.
    Client *first
    Client *last
    Posted *posted            # goes before all of them
    Posted *last_posted
    uint64_t tried_at         # the ring's head when the first one was last tried

cdef struct Posted:
    # A record of our own that waits for room in a request ring; it follows.
    Posted *next
    uint64_t size

cdef inline uint64_t ticket_of(const Client *client) noexcept nogil:
    """The ticket of the request at hand; none is later than all."""
    return client.ticket if client.ticket and client.ticket_request == client.next_request else UINT64_MAX

cdef class Requests:
    cdef ControlPage page
    cdef SegmentStore segments
    cdef list pairs           # RingPair of each worker
    cdef Ring **rings
    cdef uint8_t *moved       # by worker, SLEEPS_FOR_…: records to publish, its reply ring's head moved; MOVED_QUIETLY
    cdef uint64_t *asked      # by worker: where its last request ends, markers apart
    cdef Queue *queues        # by worker
    cdef uint32_t waiting     # clients in them
    cdef uint64_t tickets     # given out
    cdef Client *served       # whose turn it is …
    cdef uint32_t served_ring  # … in this ring's queue …
    cdef uint64_t served_request  # … and which request it waited with
    cdef list wake_fds
    cdef uint32_t workers
    cdef uint64_t internal_token
    cdef Part *parts          # one for each worker, filled by whoever divides the request

    cdef void forget(self) noexcept nogil                    # the parts
    # Room for the part of one worker, or all parts. False: the client has to wait, and knows for which ring.
    cdef bint reserve(self, Client *client, uint32_t worker) noexcept nogil
    cdef bint reserve_all(self, Client *client) noexcept nogil
    # The parts of a leased request: when all shards that it needs are enlisted, `lease` makes the lowest of them the
    # executor of a request with so many arguments and bytes, and returns it.
    cdef void enlist(self, uint32_t worker) noexcept nogil
    cdef uint32_t lease(self, uint32_t argc, uint64_t payload, uint64_t hash) noexcept nogil
    # False: the request was to be sent again, but a participant hangs, and the client waits for its ring; or it has
    # been tried often, and its time has not come.
    cdef bint may_try_again(self, Client *client, int64_t now_ms) noexcept
    # Queues.
    cdef void enqueue(self, Client *client) noexcept nogil   # for the ring that it waits for
    cdef void _insert(self, Queue *queue, Client *client, Client *before) noexcept nogil
    cdef Client *serve_next(self, uint32_t worker) noexcept nogil    # its turn begins; NULL: nobody waits
    cdef bint end_turn(self) noexcept nogil                  # False: there is still no room for its request
    cdef inline bint may_serve(self, uint32_t worker) noexcept nogil:
        """Whether clients wait for a ring whose head has moved since one was tried."""
        return (self.queues[worker].first != NULL or self.queues[worker].posted != NULL) and (
            atomic_load_acquire(&self.rings[worker].shared.head) != self.queues[worker].tried_at
        )
    # For each long part a name of the request's segment, which is made if the client has none, with the part's places
    # in it. `owners`: the worker of each key, when each gets its own only. `keep`: the client keeps its segment, and
    # the records have names of their own. Raises SegmentError: there is none then.
    cdef list make_segments(self, Client *client, Spec *spec, const uint16_t *owners, bint keep)
    # Writes the record of a part whose room was reserved, and the markers that belong to it.
    cdef void append(
        self, Client *client, Spec *spec, uint64_t sequence, uint32_t worker, const uint16_t *owners, Segment segment
    )
    # The same in two steps: all but the body, which is to be written behind it unless there is a segment; the end.
    cdef RequestRecord *begin(
        self, Client *client, uint16_t command, uint64_t sequence, uint32_t worker, Segment segment
    ) noexcept
    cdef void end(self, RequestRecord *record, uint32_t worker) noexcept nogil
    cdef void _append_markers(self, RequestRecord *record, uint32_t executor) noexcept nogil
    cdef Segment _whole(self, Client *client, bint keep)
    cdef int _append_places(
        self, Segment segment, Client *client, Spec *spec, const uint16_t *owners, uint32_t worker
    ) except -1
    cdef bint ask(self, uint32_t worker, uint64_t question, list args) except *
    # Appends an internal request like `head` with these arguments, now or as soon as there is room. SegmentError.
    cdef int post(self, uint32_t worker, RequestRecord *head, list words) except -1
    cdef bytes _in_segment(self, RequestRecord *head, list words, bytes body)
    cdef bint _append_whole(self, uint32_t worker, const char *record, uint64_t size) noexcept nogil
    cdef void serve_posted(self, uint32_t worker) noexcept nogil
    # A worker has requests of ours to execute. Markers that it has not passed yet are none.
    cdef bint awaiting(self) noexcept nogil
    cdef void publish(self)
    cdef bint _is_half_full(self, uint32_t worker) noexcept nogil
    cdef void _intend(self) noexcept nogil                   # invariant 3
    cdef void _finish_predecessor(self) noexcept nogil
    cdef inline void note_release(self, uint32_t worker) noexcept nogil:
        """The head of a worker's reply ring was moved: `publish` wakes it, if it sleeps for that."""
        self.moved[worker] |= SLEEPS_FOR_ROOM
