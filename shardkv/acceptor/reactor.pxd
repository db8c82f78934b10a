"""The acceptor's hot loop: sockets, rings, and the order in which they are served.

Sockets live in an epoll set of their own, whose descriptor the event loop watches like any other; its callback is
`turn`. A turn goes round as long as there is work, and back to the event loop (timers, control channel, handlers in
Python) after TURN_US at the latest:

    epoll_wait -> accept, mark readable -> read, parse, route -> publish, wake workers -> take replies -> send

Invariants
 1. Sockets are edge-triggered: `readable` stays set until a read came back short, and a socket is registered once in
    its life. What was not sent goes when the socket says it is writable again.
 2. Nothing here waits: a client whose request cannot go on now is left in a list (`stalled`, retried when replies came)
    or in a state (`waiting`).
 3. `sleeping` is set, fenced, and every reply ring looked at again, before the process may block (shardkv/stats.pxd,
    invariant 2).
 4. A closed client's memory lives until the end of the turn, so no list or event of the turn dangles.
"""
from libc.stdint cimport uint64_t

from shardkv.acceptor.connection cimport Client, Hub
from shardkv.acceptor.door cimport Door
from shardkv.acceptor.places cimport Places
from shardkv.acceptor.replies cimport Replies
from shardkv.acceptor.router cimport Router
from shardkv.stats cimport ControlPage, ProcessBlock

cdef enum:
    EVENTS = 256              # taken from epoll at once
    TURN_US = 1000
    LINGER_US = 40            # while a worker has requests of ours: cheaper than to sleep and be woken
    ACCEPTS = 64              # of one listening socket at once

cdef class Reactor:
    cdef Hub hub
    cdef Router router
    cdef Replies replies
    cdef Places places
    cdef ControlPage page
    cdef ProcessBlock *block
    cdef object loop
    cdef int index
    cdef int epoll
    cdef Door door
    cdef uint64_t turn_ticks
    cdef uint64_t linger_ticks
    cdef bint scheduled       # a turn is
    cdef bint turning
    cdef Client *stalled

    cdef bint _serve(self, uint64_t deadline) except -1
    cdef void _schedule(self)
    cdef bint _linger(self) noexcept nogil
    cdef bint _may_sleep(self) noexcept nogil
    cdef void _tell_time(self) noexcept nogil
    cdef int _poll(self, int timeout_ms) except -1
    # sockets
    cdef void _accept(self, uint64_t word)
    cdef void _open(self, int fd, const void *peer, bint is_unix)
    cdef void _close(self, Client *client)
    cdef void _read(self, Client *client)
    cdef void _end_of_input(self, Client *client) noexcept nogil
    # requests
    cdef void _run_queue(self)
    cdef void _advance(self, Client *client)
    cdef void _stall(self, Client *client) noexcept nogil
    cdef void _unstall(self) noexcept nogil
    cdef bint _consume(self, Client *client)
    cdef void _protocol_error(self, Client *client)
    # output
    cdef void _flush(self)
    cdef bint _over_limit(self, Client *client) noexcept nogil
    cdef void _tend_client(self, Client *client) noexcept nogil
