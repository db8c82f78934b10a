"""@wait, @unwait and @forget-waiters: what acceptors tell of clients that wait (workers/waiters.pxd)."""
from libc.stdint cimport uint64_t, uint8_t
from libc.string cimport memcpy

from shardkv.ring cimport WaitFacts
from workers.call cimport Call
from workers.registry cimport native
from workers.waiters cimport Waiter

from workers.call import BadRecord


cdef int wait_command(Call call) except -1:
    """The request behind argument 1 waits for those of its keys that are this shard's."""
    cdef WaitFacts told
    cdef Waiter facts
    if call.argc < 3 or call.argv[1].length != sizeof(WaitFacts):
        raise BadRecord("@wait does not say who waits")
    memcpy(&told, call.argv[1].bytes, sizeof(told))
    facts.token, facts.sequence, facts.stamp = told.token, told.sequence, told.stamp
    facts.acceptor, facts.kind = call.acceptor, <uint8_t>told.kind
    call.waits = True
    return call.enter(&facts, 2, <int>told.first, <int>told.keys, True)


cdef int unwait_command(Call call) except -1:
    """Those with the stamps that are argument 1 wait no longer."""
    cdef uint64_t stamp, at
    cdef Waiter *waiter
    for at in range(call.argv[1].length // sizeof(uint64_t) if call.argc > 1 else 0):
        memcpy(&stamp, call.argv[1].bytes + at * sizeof(uint64_t), sizeof(uint64_t))
        waiter = call.waiters.find(stamp)
        if waiter != NULL:
            call.waiters.remove(waiter)
    call.waits = True
    return 0


cdef int forget_waiters_command(Call call) except -1:
    """An acceptor starts, before the stamp that is argument 1: who waited with its predecessor is gone."""
    cdef uint64_t stamp
    if call.argc < 2 or call.argv[1].length != sizeof(uint64_t):
        raise BadRecord("@forget-waiters has no stamp")
    memcpy(&stamp, call.argv[1].bytes, sizeof(uint64_t))
    call.waiters.drop_acceptor(call.acceptor, stamp)
    call.waits = True
    return 0


native("@wait", wait_command)
native("@unwait", unwait_command)
native("@forget-waiters", forget_waiters_command)
