"""The acceptor's hot loop: sockets, rings, and the order in which they are served.

Sockets live in an epoll set of their own, whose descriptor the event loop watches like any other; the loop's callback is `turn`. A turn
goes round as long as there is work, and back to the event loop (timers, control channel, handlers in Python) after TURN_US at the latest:

    epoll_wait -> accept, mark readable -> read, parse, route -> publish, wake workers -> take replies -> send

Invariants
 1. Sockets are edge-triggered: `readable` stays set until a read came back short, and a socket is registered once in its life. What was
    not sent goes when the socket says it is writable again.
 2. Nothing here waits: a client whose request cannot go on now is left in a list (`stalled`, retried when replies came) or in a state.
 3. `sleeping` is set, fenced, and every reply ring looked at again, before the process may block (shardkv/stats.pxd, invariant 2).
 4. token = epoch << 48 | generation << 24 | place; a reply whose token is not exactly that of the client in its place is dropped.
 5. A closed client's memory lives until the end of the turn, so no list or event of the turn dangles.
"""
from libc.stdint cimport int64_t, uint32_t, uint64_t

from shardkv.acceptor.connection cimport Client, Connection, Hub
from shardkv.acceptor.output cimport Payload
from shardkv.acceptor.router cimport Router
from shardkv.ring cimport ReplyRecord, Ring
from shardkv.segment cimport SegmentStore
from shardkv.stats cimport ControlPage, ProcessBlock

cdef enum:
    EVENTS = 256              # taken from epoll at once
    TURN_US = 1000
    ACCEPTS = 64              # of one listening socket at once
    REPLIES = 4096            # of one worker before the others have their turn
    PLACES_MAX = 0xFFFFFF

cdef class Reactor:
    cdef Hub hub
    cdef Router router
    cdef ControlPage page
    cdef ProcessBlock *block
    cdef SegmentStore segments
    cdef object server
    cdef object loop
    cdef list pairs
    cdef Ring **replies
    cdef uint32_t workers
    cdef int index
    cdef int epoll
    cdef list listeners
    cdef uint64_t epoch
    cdef uint64_t turn_ticks
    cdef bint cold            # the event loop has something to run
    cdef bint scheduled       # a turn is
    cdef bint turning
    cdef Client **clients     # by place; place 0 is the acceptor's own
    cdef uint32_t *generations
    cdef uint32_t places
    cdef list free_places
    cdef Client *stalled
    cdef Client *graveyard
    cdef uint64_t max_clients
    cdef int keepalive_s

    cdef void _schedule(self)
    cdef bint _may_sleep(self) noexcept nogil
    cdef void _tell_time(self) noexcept nogil
    cdef int _poll(self, int timeout_ms) except -1
    # sockets
    cdef void _accept(self, int listener)
    cdef void _open(self, int fd, const void *peer, bint is_unix)
    cdef void _close(self, Client *client)
    cdef void _bury(self) noexcept nogil
    cdef void _read(self, Client *client)
    cdef bint _make_room(self, Client *client) noexcept nogil
    cdef void _end_of_input(self, Client *client) noexcept nogil
    # requests
    cdef void _run_queue(self)
    cdef void _advance(self, Client *client)
    cdef bint _consume(self, Client *client)
    cdef void _protocol_error(self, Client *client)
    # replies
    cdef int _drain(self)
    cdef void _reply(self, ReplyRecord *record)
    cdef void _reply_segment(self, Client *client, ReplyRecord *record)
    cdef void _deliver_part(self, Client *client, ReplyRecord *record, Payload *payload) noexcept nogil
    cdef void _answer(self, ReplyRecord *record)
    cdef void _drop_segment(self, ReplyRecord *record)
    cdef void _ring_broke(self, uint32_t worker)
    cdef void _flush(self)
    cdef bint _over_limit(self, Client *client) noexcept nogil
