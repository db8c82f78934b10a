"""Door: the listening sockets. Who comes is let in, turned away with a reason, or left waiting.

Invariants
 1. Listening sockets are watched level-triggered, with 1 and up as epoll's word: who was left waiting is told of again.
 2. Out of descriptors or memory, accept would only fail again: the listeners are not watched until the next `tend`.
"""
from libc.stdint cimport uint64_t

from shardkv.acceptor.net cimport sockaddr_storage
from shardkv.stats cimport ControlPage

cdef enum Guest:
    NOBODY = -1               # comes now
    TURNED_AWAY = -2

cdef class Door:
    cdef int epoll            # the reactor's
    cdef list listeners
    cdef ControlPage page
    cdef uint64_t *counters   # of the acceptor's ProcessBlock
    cdef bint resting         # see invariant 2
    cdef uint64_t max_clients
    cdef bint protected       # clients of other hosts are turned away
    cdef int keepalive_s

    cdef void watch(self)
    cdef void ignore(self)                                          # takes no more connections
    cdef void tend(self)
    # The descriptor of the next one who comes to a listener, or a Guest; fills his address.
    cdef int admit(self, uint64_t word, sockaddr_storage *address)
    cdef uint64_t connected(self) noexcept                          # to all acceptors
    cdef void rest(self)
    cdef void turn_away(self, int fd, const char *reason) noexcept
    cdef void set_options(self, int fd) noexcept nogil
