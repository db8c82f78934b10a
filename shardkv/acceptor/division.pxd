"""From a request to the parts that its workers get: whose keys they are, room for all of it, one reply of several.

Invariants
 1. A request goes to all of its workers or to none: where a ring is full it is not accepted, and the client waits with
    it (Requests.reserve).
 2. A request that was accepted has a number of its client's, and gets exactly one reply under it.
"""
from libc.stdint cimport uint16_t, uint32_t, uint64_t

from shardkv.acceptor.client cimport Client, Hub
from shardkv.acceptor.requests cimport Requests
from shardkv.acceptor.specs cimport CommandTable, Spec
from shardkv.stats cimport CommandBlock, ControlPage

cdef class Division:
    cdef Hub *hub
    cdef CommandTable table
    cdef ControlPage page
    cdef CommandBlock *stats
    cdef Requests requests
    cdef uint32_t workers
    cdef uint16_t *owners     # worker of each key of a command that splits
    cdef uint32_t owners_capacity

    # Sends the request in the client's frame on, or refuses it; False: it has to wait.
    cdef bint send(self, Client *client, Spec *spec)

    cdef bint _send_keyed(self, Client *client, Spec *spec)
    cdef bint _send_slow(self, Client *client, Spec *spec)
    cdef bint _send_cursor(self, Client *client, Spec *spec)
    cdef bint _send_all(self, Client *client, Spec *spec)
    cdef bint _send_split(self, Client *client, Spec *spec)
    cdef int _divide(self, Client *client, Spec *spec, uint32_t keys)
    cdef bint _send_whole(self, Client *client, Spec *spec, uint32_t shard, uint64_t hash)
    cdef bint _send_parts(self, Client *client, Spec *spec, uint32_t count, uint32_t keys)
    cdef bint _begin_join(self, Client *client, Spec *spec, uint64_t sequence, uint32_t count, uint32_t keys)
    cdef list _make_segments(self, Client *client, Spec *spec, const uint16_t *owners)
    cdef void _reject(self, Client *client, Spec *spec, str text)
