"""Looking ahead in a request ring: what the next requests will look up is asked of the memory all at once, so that a
worker waits for it once, not for one request after the other.

For up to AHEAD requests, in rounds: the slots of their keys, the entries in these slots, then, for commands that look
up a member in a collection (see workers/registry.pxd), the slots and the entries of the members.

Invariants
 1. It is a guess: nothing is changed, and a request's reply does not depend on it. What it reads of the arena is
    reachable memory as the last commit left it; of a record it believes no length.
"""
from shardkv.ring cimport RequestRecord, Ring
from workers.memory.keyspace cimport Keyspace

cdef enum:
    AHEAD = 16

# `record` is at the ring's `next`; `members`: the argument that names a member, by command id (0 = none).
cdef void look_ahead(Keyspace keyspace, const char *members, Ring *ring, RequestRecord *record) noexcept
