"""The acceptor's hot loop: the order in which sockets and rings are served, and when to sleep.

Sockets live in an epoll set of their own, whose descriptor the event loop watches like any other; its callback is
`turn`. A turn goes round as long as there is work, and back to the event loop (timers, control channel, handlers in
Python) after TURN_US at the latest:

    epoll_wait -> accept, mark readable -> read, parse, route -> publish, wake workers -> take replies -> send

Invariants
 1. Sockets are edge-triggered, and a socket is registered once in its life.
 2. Nothing here waits.
 3. Before it blocks it looks for a moment, while that pays (shardkv/polling.pxd), never past the turn's deadline.
 4. The process blocks as shardkv/sleep.pxd says. It sleeps for records always, for room while clients wait for it.
 5. Segments that were closed are freed in every turn, and turns follow each other until that is done: what comes in
    with one turn's reads cannot pile up in the file system.
"""
from libc.stdint cimport uint64_t

from shardkv.acceptor.client cimport Hub
from shardkv.acceptor.client_table cimport ClientTable
from shardkv.acceptor.listener cimport Listener
from shardkv.acceptor.net cimport epoll_event
from shardkv.acceptor.progress cimport Progress
from shardkv.acceptor.replies cimport Replies
from shardkv.acceptor.requests cimport Requests
from shardkv.acceptor.waiters cimport Waiters
from shardkv.polling cimport Polling
from shardkv.stats cimport ControlPage, ProcessBlock

cdef enum:
    EVENTS = 256              # taken from epoll at once
    TURN_US = 1000
    LINGER_US = 40            # while a worker has requests of ours, whether looking pays or not
    SPINS = 48                # looks at reply rings between two system calls, while workers have requests of ours
    BLOCK_MS = 1              # in our own epoll set, before the event loop blocks
    ACCEPTS = 64              # of one listening socket at once
    FREE_STEPS = 4            # of segments' pages in a turn: less than half a millisecond

cdef class Turn:
    cdef Hub *hub             # progress.hub
    cdef Progress progress
    cdef Requests requests
    cdef Replies replies
    cdef Waiters waiters
    cdef object timer         # of them, or None
    cdef ClientTable clients
    cdef Listener listener
    cdef ControlPage page
    cdef ProcessBlock *block
    cdef object loop
    cdef int epoll
    cdef epoll_event events[EVENTS]
    cdef int ready            # of `events`: found by looking, not served yet
    cdef Polling polling
    cdef uint64_t turn_ticks
    cdef uint64_t linger_ticks
    cdef bint scheduled       # a turn is
    cdef bint turning

    cdef void tell_time(self) noexcept nogil
    cdef bint _serve(self, uint64_t deadline) except -1
    cdef bint _free(self) noexcept nogil
    cdef void _schedule(self)
    cdef bint _look(self, uint64_t deadline) noexcept nogil
    cdef bint _found(self, bint at_sockets) noexcept nogil
    cdef bint _may_sleep(self) noexcept nogil
    cdef bint _may_serve_stalled(self) noexcept nogil
    cdef int _take_events(self, int timeout_ms) except -1
    cdef void _accept(self, uint64_t word)
    cdef void _open(self, int fd, const void *peer, bint is_unix)
