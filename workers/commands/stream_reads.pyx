"""Commands that read streams: XLEN, XRANGE, XREAD, XREVRANGE; see stream_reads.pxd for what others use of it."""
from libc.stdint cimport INT64_MAX, UINT64_MAX, int64_t, uint64_t

from shardkv.errors import SYNTAX, CommandError

from shardkv.resp cimport Reply
from shardkv.ring cimport WAIT_FOR_STREAM
from workers.call cimport Argument, Call
from workers.commands.streams cimport id_after, range_end, reply_id, strict_id
from workers.commands.timeouts cimport timeout_milliseconds
from workers.memory.arena cimport Arena
from workers.memory.collections cimport StreamId
from workers.memory.databases cimport Found
from workers.registry cimport native
from workers.types.stream cimport (
    StreamCursor, an_id, compare_ids, stream_at, stream_next, stream_open, stream_prev, stream_seek, stream_seek_back,
    stream_string,
)

UNBALANCED = "ERR Unbalanced '{}' list of streams: for each stream key an ID or '{}' must be specified."
ONLY_XREADGROUP = "ERR The {} option is only supported by XREADGROUP. You called XREAD instead."
ONLY_GROUPS = "ERR The > ID can be specified only when calling XREADGROUP using the GROUP <group> <consumer> option."


# -- entries as replies

cdef int reply_entry(Reply reply, Arena arena, StreamCursor *cursor) except -1:
    cdef uint64_t _index, length
    cdef const char *text
    reply.header(c'*', 2)
    reply_id(reply, cursor.id)
    reply.header(c'*', <int64_t>cursor.strings)
    for _index in range(cursor.strings):
        text = stream_string(arena, cursor, &length)
        reply.bulk(text, length)
    return 0


cdef uint64_t reply_range(
    Reply reply, Arena arena, uint64_t root, StreamId start, StreamId end, uint64_t most, bint backwards
) except? 0:
    cdef StreamCursor first, cursor
    cdef uint64_t index, count = 0
    cdef bint more
    if backwards:
        more = stream_seek_back(arena, root, end, &first)
    else:
        more = stream_seek(arena, root, start, &first)
    cursor = first
    while more and count < most:
        if compare_ids(cursor.id, start) < 0 or compare_ids(cursor.id, end) > 0:
            break
        count += 1
        more = stream_prev(arena, &cursor) if backwards else stream_next(arena, &cursor)
    reply.header(c'*', <int64_t>count)
    for index in range(count):
        if index and backwards:
            stream_prev(arena, &first)
        elif index:
            stream_next(arena, &first)
        reply_entry(reply, arena, &first)
    return count


# -- of one stream

cdef int xlen_command(Call call) except -1:
    cdef Found found
    cdef uint64_t root
    call.find(1, 0, &found)
    root = stream_open(call.shard_of_key(0).keyspace, &found)
    return call._reply.integer(<int64_t>stream_at(call.shard_of_key(0).arena, root).length if root else 0)


cdef int range_of(Call call, bint backwards) except -1:
    cdef Found found
    cdef StreamId start = range_end(call, 3 if backwards else 2, True)
    cdef StreamId end = range_end(call, 2 if backwards else 3, False)
    cdef int64_t count = INT64_MAX
    cdef uint64_t root
    cdef int index
    for index in range(4, call.argc, 2):
        if index + 1 == call.argc or not call.is_option(index, b"count"):
            raise CommandError(SYNTAX)
        count = max(call.integer(index + 1), 0)
    call.find(1, 0, &found)
    root = stream_open(call.shard_of_key(0).keyspace, &found)
    if root == 0:
        return call._reply.header(c'*', 0)
    if count == 0:
        return call._reply.null_array()
    reply_range(call._reply, call.shard_of_key(0).arena, root, start, end, <uint64_t>count, backwards)
    return 0


cdef int xrange_command(Call call) except -1:
    return range_of(call, False)


cdef int xrevrange_command(Call call) except -1:
    return range_of(call, True)


# -- of several streams

cdef int take_reading(Call call, bint grouped, Reading *out) except -1:
    cdef int index = 1, more
    out.count = out.group = 0
    out.block = -1
    out.noack = False
    while index < call.argc:
        more = call.argc - index - 1
        if more and call.is_option(index, b"streams"):
            return take_keys(call, grouped, index + 1, out)
        if more and call.is_option(index, b"count"):
            out.count = max(call.integer(index + 1), 0)
            index += 2
        elif more and call.is_option(index, b"block"):
            out.block = timeout_milliseconds(call, index + 1)
            index += 2
        elif more > 1 and call.is_option(index, b"group"):
            if not grouped:
                raise CommandError(ONLY_XREADGROUP.format("GROUP"))
            out.group = index + 1
            index += 3
        elif call.is_option(index, b"noack"):
            if not grouped:
                raise CommandError(ONLY_XREADGROUP.format("NOACK"))
            out.noack = True
            index += 1
        else:
            break
    raise CommandError(SYNTAX)


cdef int take_keys(Call call, bint grouped, int first, Reading *out) except -1:
    if (call.argc - first) % 2:
        raise CommandError(UNBALANCED.format(*("xreadgroup", ">") if grouped else ("xread", "$")))
    if grouped and out.group == 0:
        raise CommandError("ERR Missing GROUP option for XREADGROUP")
    out.first = first
    out.keys = (call.argc - first) // 2
    return 0


cdef uint64_t stream_behind(Call call, int number, Reading *reading, StreamId *start) except? 0:
    """The stream of a key if it has entries behind the id given for it, else 0; and the first id wanted."""
    cdef int key = reading.first + number
    cdef Argument *id = &call.argv[key + reading.keys]
    cdef Arena arena = call.shard_of_key(number).arena
    cdef Found found
    cdef uint64_t root
    call.find(key, number, &found)
    root = stream_open(call.shard_of_key(number).keyspace, &found)
    if id.length == 1 and id.bytes[0] == c'$':
        return 0
    if id.length == 1 and id.bytes[0] == c'>':
        raise CommandError(ONLY_GROUPS)
    start[0] = strict_id(call, key + reading.keys, 0)
    if root == 0 or compare_ids(stream_at(arena, root).last, start[0]) <= 0:
        return 0
    start[0] = id_after(start[0])
    return root


cdef int fix_newest(Call call, Reading *reading) except -1:
    """While it waits, `$` is what the stream's last id is now."""
    cdef int number, key
    cdef Argument *id
    cdef StreamId last
    cdef Found found
    cdef uint64_t root
    for number in range(reading.keys):
        key = reading.first + number
        id = &call.argv[key + reading.keys]
        if id.length == 1 and id.bytes[0] == c'$':
            call.peek(key, number, &found)
            root = stream_open(call.shard_of_key(number).keyspace, &found)
            last = stream_at(call.shard_of_key(number).arena, root).last if root else an_id(0, 0)
            call.replace(key + reading.keys, b"%d-%d" % (last.ms, last.seq))
    return 0


cdef int xread_command(Call call) except -1:
    cdef Reading reading
    cdef int number
    cdef StreamId start, end = an_id(UINT64_MAX, UINT64_MAX)
    cdef StreamCursor cursor
    cdef uint64_t root
    cdef list ready = []
    take_reading(call, False, &reading)
    for number in range(reading.keys):
        if not call.looks_at(reading.first + number):
            continue
        root = stream_behind(call, number, &reading, &start)
        if root and stream_seek(call.shard_of_key(number).arena, root, start, &cursor):
            ready.append((number, root, start.ms, start.seq))
    if not ready and reading.block >= 0 and call.may_wait:
        fix_newest(call, &reading)
        return call.wait(WAIT_FOR_STREAM, reading.block, reading.first, reading.keys)
    if not ready:
        return call._reply.null_array()
    if call._reply.resp == 3:
        call._reply.map(len(ready))
    else:
        call._reply.array(len(ready))
    for number, root, ms, seq in ready:
        if call._reply.resp == 2:
            call._reply.header(c'*', 2)
        call._reply.bulk(call.argv[reading.first + number].bytes, call.argv[reading.first + number].length)
        reply_range(
            call._reply, call.shard_of_key(number).arena, root, an_id(ms, seq), end,
            <uint64_t>reading.count if reading.count else UINT64_MAX, False,
        )
    return 0


native("xlen", xlen_command)
native("xrange", xrange_command)
native("xread", xread_command)
native("xrevrange", xrevrange_command)
