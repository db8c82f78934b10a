"""From a parsed request to its worker's ring: looks the command up, checks it in Redis's order, finds its shard,
appends the record.

Checks, first failure answers: unknown command or subcommand, arity, authentication, memory limit (commands that split;
a worker checks its own), CLIENT PAUSE.

Invariants
 1. All records of one request are appended, or none: `route` answers False, and the client waits with its request
    (client.waiting tells for what).
 2. A request that was accepted has a number of its client's, and gets exactly one reply under it.
 3. Appended records are published by `publish`, once for a whole batch.
 4. The token of place 0 is the acceptor's own: requests that no client made; their `sequence` is the question's number.
"""
from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t

from shardkv.acceptor.connection cimport Client, Hub
from shardkv.acceptor.specs cimport CommandTable, Spec
from shardkv.ring cimport RequestRecord, Ring
from shardkv.segment cimport Segment, SegmentStore
from shardkv.stats cimport CommandBlock, ControlPage

cdef struct Part:
    # What one worker gets of the request at hand.
    uint32_t argc             # 0: nothing
    uint64_t payload          # bytes of its arguments
    uint64_t hash             # of its first key

cdef class Router:
    cdef Hub *hub
    cdef CommandTable table
    cdef ControlPage page
    cdef CommandBlock *stats
    cdef SegmentStore segments
    cdef object calls         # shardkv.acceptor.calls.LocalCalls
    cdef list pairs           # RingPair of each worker
    cdef Ring **requests
    cdef uint8_t *touched
    cdef list wake_fds
    cdef uint32_t workers
    cdef uint64_t internal_token
    cdef Part *parts
    cdef uint16_t *owners     # worker of each key of a command that splits
    cdef uint32_t owners_capacity

    cdef bint route(self, Client *client)
    cdef void refuse(self, Client *client, bytes reply)      # an error as the reply of the request at hand
    cdef void publish(self)
    cdef bint awaiting(self) noexcept nogil                  # a worker has requests of ours to execute
    cdef bint ask(self, uint32_t worker, uint64_t question, list args) except *
    cdef void finish_local(self, Client *client, uint64_t sequence, bytes reply)

    cdef Spec *_check(self, Client *client)
    cdef Spec *_reject(self, Client *client, Spec *spec, str text)
    cdef str _unknown(self, Client *client, Spec *container)
    cdef uint64_t _accept(self, Client *client)
    cdef bint _run_local(self, Client *client, Spec *spec)
    cdef bint _ping(self, Client *client, Spec *spec, uint64_t started)
    cdef bint _route_keyed(self, Client *client, Spec *spec)
    cdef bint _route_slow(self, Client *client, Spec *spec)
    cdef bint _route_cursor(self, Client *client, Spec *spec)
    cdef bint _route_all(self, Client *client, Spec *spec)
    cdef bint _route_split(self, Client *client, Spec *spec)
    cdef int _divide(self, Client *client, Spec *spec, uint32_t keys)
    cdef bint _send_whole(self, Client *client, Spec *spec, uint32_t shard, uint64_t hash)
    cdef bint _send_parts(self, Client *client, Spec *spec, uint32_t count, uint32_t keys)
    cdef list _make_segments(self, Client *client, Spec *spec)
    cdef bint _room(self, Client *client)
    cdef void _append(self, Client *client, Spec *spec, uint64_t sequence, uint32_t worker, bint split, Segment segment)
