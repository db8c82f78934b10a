"""The listening sockets. A connection is accepted, rejected with a reason, or left waiting.

Invariants
 1. Listening sockets are watched level-triggered, with 1 and up as epoll's word: who was left waiting comes again.
 2. Out of descriptors or memory, accept would only fail again: the listeners are not watched until `resume`.
 3. The last SPARE descriptors below the limit on open files are not for clients, whatever `maxclients` says: a large
    request or reply of those who are connected finds one for its segment, and who comes is told why he cannot stay.
    The limit may change while we run (prlimit): nobody is rejected by a limit that was read before he was accepted.
"""
from libc.stdint cimport uint64_t

from shardkv.acceptor.net cimport sockaddr_storage
from shardkv.stats cimport ControlPage

cdef enum Admission:
    ACCEPTED_NONE = -1        # nobody waits, or nobody can be accepted now
    ACCEPTED_REJECTED = -2

cdef class Listener:
    cdef int epoll            # the reactor's
    cdef list sockets
    cdef ControlPage page
    cdef uint64_t *counters   # of the acceptor's ProcessBlock
    cdef bint suspended       # see invariant 2
    cdef uint64_t max_clients
    cdef int fd_end           # clients' descriptors are below it; see invariant 3
    cdef double next_warning  # on the monotonic clock
    cdef bint protected       # clients of other hosts are rejected
    cdef int keepalive_s

    cdef void watch(self)
    cdef void unwatch(self)                                         # takes no more connections
    cdef void resume(self)                                          # … unless it was suspended
    # The descriptor of the next connection to a listening socket, or an Admission; fills the peer's address.
    cdef int accept(self, uint64_t word, sockaddr_storage *address)
    cdef uint64_t connected(self) noexcept                          # to all acceptors
    cdef void suspend(self)
    cdef void read_limit(self)                                      # of open files, as it is now
    cdef void reject(self, int fd, const char *reason) noexcept
    cdef void set_options(self, int fd) noexcept nogil
