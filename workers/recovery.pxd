"""Recovery: what a worker does with one ring pair whose last worker died, before it serves it.

A death leaves the ring's positions and the arena's commit word (workers/loop.pxd has the order of their stores) in one
of these states; `committed` is header.commit[a]:

    request head = committed                        nothing to do
    request head < committed, nothing published     the replies in between lie behind the published tail
    … and the reply tail already stored             `publishing_tail` is the tail, `publishing_position` tells how far

Beside that the arena tells which request was executing, if any (`interrupted_slot` and `_position`: every transaction
names itself before its handler runs), and the supervisor how the worker ended. Only that request is counted, in
`attempt_position` and `attempts` of its request ring.

Between them may lie markers (workers/leases.pxd), which leave no reply.

Invariants
 1. Recovery moves only private positions (`next`): the loop publishes afterwards as after any batch. A death in between
    leaves the state as it was.
 2. Nothing is published that does not fit: of each reply the position must be its request's end.
 3. A request that has killed its worker ATTEMPTS_MAX times is answered with an error instead of being tried again. What
    a worker does to itself (a fault, an abort, an exit) counts as one; what may have come from outside counts a tenth,
    so that kills by an operator disturb nobody, and a request that calls for the system's OOM killer still ends.
 4. A request that was not executing is never counted, wherever it lies in the ring: `attempts` is 0 before
    `attempt_position` names another, so a death in between leaves nobody's count to it.
 5. What a record says is not believed (BadRecord, workers/execution.pxd): the worker logs a line and ends. A record
    that can be passed because its size fits is a request that killed its worker, and gets its error by 3. A ring that
    cannot be read on ends every worker of the shard before it is ready: the supervisor's brake holds, the shard's data
    is safe, and a restart of the server makes new rings.
"""
from shardkv.ring cimport RingPair
from workers.execution cimport Execution

cdef enum:
    ATTEMPTS_MAX = 3
    WEIGHT_CRASH = 10
    WEIGHT_KILL = 1

# What a death weighs, from an exit status or, negative, a signal.
cdef int weight_of(int died) noexcept
# Moves both rings past what the last worker committed. Raises BadRecord when rings and arena do not fit together, or
# the next record cannot be read.
cdef int pass_committed(Execution execution, RingPair pair, int acceptor) except -1
# Counts the request that the last worker died in, if it is of this ring; then refuses it when it did so too often, and
# returns its command's id; -1 when it is not refused.
cdef int count_attempt(Execution execution, RingPair pair, int acceptor, int weight) except -2
