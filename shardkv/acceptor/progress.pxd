"""How one client gets on: its socket is read, its requests are parsed and routed, its replies sent, until it is closed.

Invariants
 1. `readable` stays set until a read came back short: sockets are edge-triggered. What was not sent goes when the
    socket says that it is writable again.
 2. Nothing here waits: a client whose request cannot go on now is left in a state (`waiting`), and whatever ends that
    takes it up again: RING its ring's queue (requests.pxd), PENDING `flush`, LOCAL and PAUSE who calls client_resume,
    TRANSACTION the queue, on which its reply puts it.
 3. A closed client's memory lives until the end of the turn (ClientTable.free_removed), so no list or event of the turn
    dangles.
 4. An exception closes the client for which something was being done, and nobody else notices: each member of a list
    is taken off it and looked at for itself.
 5. Who is closed is on no list that another step will walk: `flush` puts a client back on the dirty list only when it
    has decided that it stays.
"""
from libc.stdint cimport uint32_t, uint64_t

from shardkv.acceptor.client cimport Client, Hub
from shardkv.acceptor.client_table cimport ClientTable
from shardkv.acceptor.requests cimport Requests
from shardkv.acceptor.router cimport Router
from shardkv.acceptor.waiters cimport Waiters
from shardkv.segment cimport SegmentStore

cdef class Progress:
    cdef Hub hub
    cdef ClientTable clients
    cdef Router router
    cdef Requests requests
    cdef SegmentStore segments
    cdef Waiters waiters

    # requests
    cdef void run_queue(self)                                           # each client that is queued goes on once
    cdef void retry_stalled(self)                                       # … each that waits for a ring whose head moved
    cdef void _retry(self, uint32_t worker)
    cdef void _advance(self, Client *client)
    cdef void _advance_safely(self, Client *client)
    cdef bint _go_on(self, Client *client)                              # with the awaited request; True: it is done
    cdef bint _consume(self, Client *client)
    cdef void _protocol_error(self, Client *client)
    cdef void _read(self, Client *client)
    cdef void _end_of_input(self, Client *client) noexcept nogil
    # output
    cdef void flush(self)                                               # sends what waits, closes what is done
    cdef void _settle_safely(self, Client *client, uint64_t step)
    cdef void _settle(self, Client *client, uint64_t step)
    cdef bint over_limit(self, Client *client) noexcept nogil           # … of output, what is held too
    cdef str _described(self, Client *client)
    cdef void _log_query_limit(self, Client *client)
    cdef void close(self, Client *client)
