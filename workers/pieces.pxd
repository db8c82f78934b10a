"""Pieces: a reply that is too large for its ring and finds no room for a segment (workers/execution.pxd), on its way
through the ring as fast as the acceptor makes room. So reading goes on in a full file system.

Invariants
 1. Only a request that changed nothing, or whose changes were undone, has its reply in pieces. Until the last piece it
    has not happened: a successor executes it again, and its first piece, whose offset is 0, unmakes what the acceptor
    has.
 2. While a reply is in pieces, no other request of that acceptor is executed: its pieces follow each other in the ring.
    Other acceptors' requests are executed as ever.
 3. The last piece is the request's one reply record: the commit word is stored behind it, and both rings' positions
    follow. All others are published before it is appended, so that behind a published tail there lies, as recovery
    needs it, one record for each committed request.
 4. An acceptor shows a client nothing before the last piece. It gathers one reply a ring: a first piece or a whole
    reply unmakes what it has; a piece that does not go on where it stands is dropped, as is what the clients of a dead
    acceptor are sent.
"""
from libc.stdint cimport uint64_t
from shardkv.ring cimport RequestRecord, Ring

cdef class Pieces:
    cdef char *bytes            # of our own
    cdef uint64_t length
    cdef uint64_t sent
    # Appends the next piece, a record of `room` bytes at most (a multiple of 8); whether it is the last.
    cdef bint append(self, Ring *ring, RequestRecord *record, uint64_t position, uint64_t room) noexcept nogil
