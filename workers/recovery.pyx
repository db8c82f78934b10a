"""After a worker's death: see recovery.pxd for the states it leaves and the invariants."""
from libc.stdint cimport uint32_t, uint64_t

from shardkv.atomic cimport compiler_barrier
from shardkv.ring cimport (
    REPLY_ROOM, REQUEST_MARKER, ReplyRecord, RequestRecord, ring_advance, ring_append, ring_consume, ring_peek,
    ring_produce, ring_room,
)
from shardkv.stats cimport RECOVERED_REPLIES

from workers.call import BadRecord

cdef extern from "<signal.h>" nogil:
    int SIGABRT, SIGBUS, SIGFPE, SIGILL, SIGSEGV, SIGSYS, SIGTRAP


cdef int weight_of(int died) noexcept:
    if died > 0 or -died in (SIGABRT, SIGBUS, SIGFPE, SIGILL, SIGSEGV, SIGSYS, SIGTRAP):
        return WEIGHT_CRASH
    return WEIGHT_KILL if died < 0 else 0


cdef int pass_committed(Execution execution, RingPair pair, int acceptor) except -1:
    cdef uint64_t committed = execution.arena.header.commit[acceptor]
    cdef RequestRecord *record
    cdef ReplyRecord *reply
    ring_consume(&pair.request)
    ring_produce(&pair.reply)
    if pair.reply.shared.publishing_tail == pair.reply.next:
        pair.request.next = max(pair.request.next, pair.reply.shared.publishing_position)
    while pair.request.next < committed:
        record = <RequestRecord *>ring_peek(&pair.request)
        if record != NULL and record.kind == REQUEST_MARKER:
            ring_advance(&pair.request, record.size)
            continue
        reply = <ReplyRecord *>(pair.reply.bytes + (pair.reply.next & pair.reply.mask))
        if record == NULL or reply.position != pair.request.next + record.size:
            raise BadRecord(f"ring of acceptor {acceptor} does not fit the arena's commit word")
        execution.drop_segment(record)
        ring_advance(&pair.request, record.size)
        ring_append(&pair.reply, reply.size)
        execution.block.counters[<int>RECOVERED_REPLIES] += 1
    record = <RequestRecord *>ring_peek(&pair.request)
    if pair.request.corrupt or record != NULL and record.size < sizeof(RequestRecord):
        raise BadRecord(f"the request ring of acceptor {acceptor} is broken at {pair.request.next}: restart the server")
    return 0


cdef int count_attempt(Execution execution, RingPair pair, int acceptor, int weight) except -2:
    cdef RequestRecord *record = <RequestRecord *>ring_peek(&pair.request)
    cdef int command
    if record == NULL or execution.arena.interrupted_slot != <uint32_t>acceptor:
        return -1
    if execution.arena.interrupted_position != pair.request.next + record.size:
        return -1
    if pair.request.shared.attempt_position != pair.request.next:
        pair.request.shared.attempts = 0
        compiler_barrier()
        pair.request.shared.attempt_position = pair.request.next
    pair.request.shared.attempts += weight
    if pair.request.shared.attempts < ATTEMPTS_MAX * WEIGHT_CRASH or ring_room(&pair.reply) < REPLY_ROOM:
        return -1
    command = record.command
    execution.answer_error(pair, acceptor, record, "ERR the worker died each time it executed this command")
    return command
