"""Recovery: what a worker does with one ring pair whose last worker died, before it serves it.

A death leaves the ring's positions and the arena's commit word (workers/loop.pxd has the order of their stores) in one of
these states; `committed` is header.commit[a]:

    request head = committed                        nothing to do
    request head < committed, nothing published     the reply of each request in between lies behind the published tail
    … and the reply tail already stored             `publishing_tail` equals the tail: `publishing_position` tells how far

Invariants
 1. Recovery moves only private positions (`next`): the loop publishes afterwards as after any batch. A death in between
    leaves the state as it was.
 2. Nothing is published that does not fit: of each reply the position must be its request's end.
 3. A request that has killed its worker ATTEMPTS_MAX times is answered with an error instead of being tried again.
"""
from shardkv.ring cimport RingPair
from workers.execution cimport Execution

cdef enum:
    ATTEMPTS_MAX = 3

# Moves both rings past what the last worker committed. Raises BadRecord when rings and arena do not fit together.
cdef int pass_committed(Execution execution, RingPair pair, int acceptor) except -1
# Counts the request at the ring's `next` as one that may have killed a worker; refuses it when it did too often.
cdef int count_attempt(Execution execution, RingPair pair, int acceptor) except -1
