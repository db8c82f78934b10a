"""From a request to the parts that its workers get: whose keys they are, room for all of it, one reply of several.

A request that needs several shards at once is *leased*: the lowest of them executes it, with the arenas of the others,
which get markers (shardkv/ring.pxd). All else goes to one worker, or is split into parts for several:

    KEYED          one worker; leased if its keys are in several shards, or SORT's patterns may reach them
    SPLIT, ALL     in parts, if there is one acceptor: the order in which it appends is the order for all shards.
                   Several acceptors have no such order, so with them it is leased; and so is a command one of whose
                   parts could fail alone (SPEC_ATOMIC), where a shard might run out of room
    CURSOR         one worker

Invariants
 1. A request goes to all of its workers or to none: where a ring is full it is not accepted, and the client waits with
    it (Requests.reserve).
 2. A request that was accepted has a number of its client's, and gets exactly one reply under it.
 3. The reply to a leased request is awaited (client.pxd, invariant 6). A segment with its bytes stays the client's, and
    its record names it by another name, so that the request can be sent again.
"""
from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t

from shardkv.acceptor.client cimport Client, Hub
from shardkv.acceptor.requests cimport Requests
from shardkv.acceptor.specs cimport CommandTable, Spec
from shardkv.acceptor.waiters cimport Waiters
from shardkv.hashing cimport hash_for_routing, shard_of
from shardkv.stats cimport CommandBlock, ControlPage

cdef inline uint32_t shard_of_key(const char *key, uint64_t length, uint64_t whole, uint32_t workers) noexcept nogil:
    # `whole` is the hash of the whole key.
    return shard_of(hash_for_routing(key, length, whole), workers)

cdef class Division:
    cdef Hub *hub
    cdef CommandTable table
    cdef ControlPage page
    cdef CommandBlock *stats
    cdef Requests requests
    cdef Waiters waiters
    cdef uint32_t workers
    cdef bint several         # acceptors
    cdef uint8_t *shards      # 1 for each that a request needs
    cdef uint16_t *owners     # worker of each key of a command that splits
    cdef uint32_t owners_capacity

    # Sends the request in the client's frame on, or refuses it; False: it has to wait.
    cdef bint send(self, Client *client, Spec *spec)

    # Marks the shards that the request in the client's frame needs, and finds the hash of its first key.
    cdef int find_shards(self, Client *client, Spec *spec, uint8_t *shards, uint64_t *hash) except -1

    cdef int _find_slow(self, Client *client, Spec *spec, uint8_t *shards, uint64_t *hash) except -1
    cdef bint _send_keyed(self, Client *client, Spec *spec)
    cdef bint _send_slow(self, Client *client, Spec *spec)
    cdef bint _send_cursor(self, Client *client, Spec *spec)
    cdef bint _begin_waiting(self, Client *client, Spec *spec)
    cdef bint _send_all(self, Client *client, Spec *spec)
    cdef bint _send_split(self, Client *client, Spec *spec)
    cdef bint _has_plenty(self) noexcept
    cdef int _divide(self, Client *client, Spec *spec, uint32_t keys)
    cdef bint _send_whole(self, Client *client, Spec *spec, uint32_t shard, uint64_t hash, bint awaited)
    cdef bint _send_leased(self, Client *client, Spec *spec, uint64_t hash)
    cdef bint _send_parts(self, Client *client, Spec *spec, uint32_t count, uint32_t keys)
    cdef bint _begin_join(self, Client *client, Spec *spec, uint64_t sequence, uint32_t count, uint32_t keys)
    cdef list _make_segments(self, Client *client, Spec *spec, const uint16_t *owners, bint keep)
    cdef void _reject(self, Client *client, Spec *spec, str text)
