"""XREADGROUP."""
from libc.stdint cimport UINT64_MAX, int64_t, uint64_t

from shardkv.errors import CommandError

from shardkv.ring cimport WAIT_FOR_GROUP
from workers.call cimport Argument, Call
from workers.commands.groups cimport insert_header, need_group, see_consumer
from workers.commands.stream_reads cimport Reading, reply_entry, take_reading
from workers.commands.streams cimport id_after, reply_id, strict_id
from workers.memory.arena cimport Arena
from workers.memory.collections cimport Pending, StreamId
from workers.memory.tree cimport TreeCursor
from workers.registry cimport native
from workers.types.group cimport (
    consumer_active, group_advance, group_at, pending_at, pending_delivered, pending_find, pending_make, pending_move,
    pending_next, pending_seek,
)
from workers.types.stream cimport StreamCursor, an_id, compare_ids, stream_next, stream_seek

IN_XREADGROUP = " in XREADGROUP with GROUP option"
NO_NEWEST = (
    "ERR The $ ID is meaningless in the context of XREADGROUP: you want to read the history of this consumer by "
    "specifying a proper ID, or use the > ID to get new messages. The $ ID would just return an empty result set."
)


cdef inline bint is_sign(Argument *argument, char sign) noexcept:
    return argument.length == 1 and argument.bytes[0] == sign


cdef inline StreamId highest() noexcept:
    return an_id(UINT64_MAX, UINT64_MAX)


cdef StreamId wanted_behind(Call call, int index) except *:
    """The id behind which to read, the highest of all for what is new. Raises CommandError."""
    if is_sign(&call.argv[index], c'$'):
        raise CommandError(NO_NEWEST)
    if is_sign(&call.argv[index], c'>'):
        return highest()
    return strict_id(call, index, 0)


cdef int deliver(Call call, Arena arena, uint64_t group, uint64_t consumer, StreamId id) except -1:
    """Makes an entry pending for the consumer. It may be so for another, as XGROUP SETID goes back."""
    cdef uint64_t pending = pending_find(arena, group, id)
    if pending == 0:
        pending_make(arena, group, consumer, id, call.now_ms, 1)
        return 0
    pending_move(arena, pending, consumer)
    return pending_delivered(arena, pending, call.now_ms, 1)


cdef int reply_new(
    Call call, Arena arena, uint64_t stream, uint64_t group, uint64_t consumer, Reading *reading, StreamCursor *cursor
) except -1:
    """Answers entries from the cursor on; they are delivered."""
    cdef size_t at = call._reply.length
    cdef int64_t count = 0
    cdef bint more = True
    while more and (reading.count == 0 or count < reading.count):
        group_advance(arena, stream, group, cursor.id)
        if not reading.noack:
            deliver(call, arena, group, consumer, cursor.id)
        reply_entry(call._reply, arena, cursor)
        count += 1
        more = stream_next(arena, cursor)
    if not reading.noack:
        consumer_active(arena, consumer, call.now_ms)
    return insert_header(call._reply, at, c'*', count)


cdef int reply_history(
    Call call, Arena arena, uint64_t stream, uint64_t consumer, StreamId start, int64_t most
) except -1:
    """Answers what is pending for the consumer from `start` on; of what has been deleted, the id."""
    cdef size_t at = call._reply.length
    cdef TreeCursor cursor
    cdef StreamCursor entry
    cdef Pending *pending
    cdef uint64_t item = pending_seek(arena, consumer, start, &cursor)
    cdef int64_t count = 0
    while item and (most == 0 or count < most):
        pending = pending_at(arena, item)
        if stream_seek(arena, stream, pending.id, &entry) and compare_ids(entry.id, pending.id) == 0:
            reply_entry(call._reply, arena, &entry)
            pending_delivered(arena, item, call.now_ms, pending.deliveries + 1)
        else:
            call._reply.header(c'*', 2)
            reply_id(call._reply, pending.id)
            call._reply.null_array()
        count += 1
        item = pending_next(arena, &cursor)
    return insert_header(call._reply, at, c'*', count)


cdef bint serve(Call call, Reading *reading, int number) except -1:
    """Answers what there is in one stream; False if that is nothing."""
    cdef Arena arena = call.shard_of_key(number).arena
    cdef int key = reading.first + number
    cdef uint64_t stream, group = need_group(call, key, number, reading.group, &stream, IN_XREADGROUP)
    cdef uint64_t consumer = see_consumer(call, group, number, reading.group + 1)
    cdef StreamId behind = wanted_behind(call, key + reading.keys)
    cdef bint only_new = compare_ids(behind, highest()) == 0
    cdef StreamCursor cursor
    if only_new:
        behind = group_at(arena, group).last
        if compare_ids(behind, highest()) == 0 or not stream_seek(arena, stream, id_after(behind), &cursor):
            return False
    if call._reply.resp == 2:
        call._reply.header(c'*', 2)
    call._reply.bulk(call.argv[key].bytes, call.argv[key].length)
    if only_new:
        reply_new(call, arena, stream, group, consumer, reading, &cursor)
    else:
        reply_history(call, arena, stream, consumer, id_after(behind), reading.count)
    return True


cdef int xreadgroup_command(Call call) except -1:
    cdef Reading reading
    cdef uint64_t stream
    cdef int number, served = 0
    cdef size_t at = call._reply.length
    take_reading(call, True, &reading)
    for number in range(reading.keys):
        if call.looks_at(reading.first + number):
            need_group(call, reading.first + number, number, reading.group, &stream, IN_XREADGROUP)
            wanted_behind(call, reading.first + reading.keys + number)
    for number in range(reading.keys):
        if call.looks_at(reading.first + number):
            served += serve(call, &reading, number)
    if served == 0 and reading.block >= 0 and call.may_wait:
        return call.wait(WAIT_FOR_GROUP, reading.block, reading.first, reading.keys)
    if served == 0:
        return call._reply.null_array()
    return insert_header(call._reply, at, c'%' if call._reply.resp == 3 else c'*', served)


native("xreadgroup", xreadgroup_command)
