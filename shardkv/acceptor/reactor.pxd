"""The acceptor's sockets and rings, as its Python side sees them: settings, pauses, questions, what happens ten times a
second. What is hot is in turn.pxd and progress.pxd."""
from shardkv.acceptor.client cimport Client
from shardkv.acceptor.turn cimport Turn

cdef class Reactor(Turn):
    cdef void _check_client(self, Client *client) noexcept nogil
