"""How one client gets on: its socket is read, its requests are parsed and routed, its replies sent, until it is closed.

Invariants
 1. `readable` stays set until a read came back short: sockets are edge-triggered. What was not sent goes when the
    socket says that it is writable again.
 2. Nothing here waits: a client whose request cannot go on now is left in a list (`stalled`) or in a state (`waiting`).
 3. A closed client's memory lives until the end of the turn (ClientTable.free_removed), so no list or event of the turn
    dangles.
"""
from shardkv.acceptor.client cimport Client, Hub
from shardkv.acceptor.client_table cimport ClientTable
from shardkv.acceptor.router cimport Router

cdef class Progress:
    cdef Hub hub
    cdef ClientTable clients
    cdef Router router
    cdef Client *stalled

    # requests
    cdef void run_queue(self)                                           # each client that is queued goes on once
    cdef void retry_stalled(self) noexcept nogil                        # … soon
    cdef void _advance(self, Client *client)
    cdef void _stall(self, Client *client) noexcept nogil
    cdef bint _consume(self, Client *client)
    cdef void _protocol_error(self, Client *client)
    cdef void _read(self, Client *client)
    cdef void _end_of_input(self, Client *client) noexcept nogil
    # output
    cdef void flush(self)                                               # sends what waits, closes what is done
    cdef bint over_limit(self, Client *client) noexcept nogil           # … of output
    cdef void close(self, Client *client)
