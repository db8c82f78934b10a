"""XGROUP, XACK and XPENDING; see groups.pxd for what other commands on consumer groups use of it."""
from libc.string cimport memcpy, memmove

from shardkv.errors import SYNTAX, CommandError

from shardkv.number cimport print_int64
from workers.call cimport Argument
from workers.commands.elements cimport shown, unknown_subcommand
from workers.commands.streams cimport range_end, reply_id, strict_id
from workers.memory.arena cimport Arena
from workers.memory.collections cimport Pending, StreamId
from workers.memory.databases cimport Found
from workers.memory.keyspace cimport Keyspace
from workers.memory.tree cimport TreeCursor
from workers.registry cimport native
from workers.types.group cimport (
    NOT_KNOWN, consumer_destroy, consumer_find, consumer_make, consumer_name, consumer_seen, group_destroy, group_find,
    group_make, group_set, named_consumers, pending_at, pending_count, pending_find, pending_first, pending_last,
    pending_next, pending_remove, pending_seek,
)
from workers.types.stream cimport an_id, compare_ids, stream_at, stream_make, stream_open

cdef enum:
    INSERTED_MAX = 64           # bytes of a header or an id

NO_GROUP = "NOGROUP No such key '{}' or consumer group '{}'{}"
NO_GROUP_OF_KEY = "NOGROUP No such consumer group '{}' for key name '{}'"
NO_STREAM = (
    "ERR The XGROUP subcommand requires the key to exist. Note that for CREATE you may want to use the MKSTREAM option "
    "to create an empty stream automatically."
)
BAD_ENTRIES_READ = "ERR value for ENTRIESREAD must be positive or -1"


# -- arguments and replies

cdef uint64_t find_group(Call call, int key, int number, int name, uint64_t *stream) except? 0:
    cdef Found found
    call.find(key, number, &found)
    stream[0] = stream_open(call.shard_of_key(number).keyspace, &found)
    if stream[0] == 0:
        return 0
    return group_find(call.shard_of_key(number).arena, stream[0], call.argv[name].bytes, call.argv[name].length)


cdef uint64_t need_group(Call call, int key, int number, int name, uint64_t *stream, str where) except 0:
    cdef uint64_t group = find_group(call, key, number, name, stream)
    if group == 0:
        raise CommandError(NO_GROUP.format(shown(call, key), shown(call, name), where))
    return group


cdef uint64_t see_consumer(Call call, uint64_t group, int number, int name) except 0:
    cdef Arena arena = call.shard_of_key(number).arena
    cdef Argument *text = &call.argv[name]
    cdef uint64_t consumer = consumer_find(arena, group, text.bytes, text.length)
    if consumer == 0:
        return consumer_make(arena, group, text.bytes, text.length, call.now_ms)
    consumer_seen(arena, consumer, call.now_ms)
    return consumer


cdef void bring_forward(Reply reply, size_t at, size_t end) noexcept:
    """Moves what has been written from `end` on, INSERTED_MAX bytes at most, before what was written from `at` on."""
    cdef char moved[INSERTED_MAX]
    cdef size_t size = reply.length - end
    memcpy(moved, reply.bytes + end, size)
    memmove(reply.bytes + at + size, reply.bytes + at, end - at)
    memcpy(reply.bytes + at, moved, size)


cdef int insert_header(Reply reply, size_t at, char kind, int64_t count) except -1:
    cdef size_t end = reply.length
    reply.header(kind, count)
    bring_forward(reply, at, end)
    return 0


# -- XGROUP

cdef struct Starting:
    # What the options of XGROUP CREATE and SETID say.
    bint make_stream
    int64_t entries_read


cdef int take_starting(Call call, bint creating, Starting *out) except -1:
    cdef int index = 5
    out.make_stream, out.entries_read = False, NOT_KNOWN
    while index < call.argc:
        if creating and call.is_option(index, b"mkstream"):
            out.make_stream = True
            index += 1
        elif index + 1 < call.argc and call.is_option(index, b"entriesread"):
            out.entries_read = call.integer(index + 1)
            if out.entries_read < 0 and out.entries_read != NOT_KNOWN:
                raise CommandError(BAD_ENTRIES_READ)
            index += 2
        else:
            raise unknown_subcommand(call)
    return 0


cdef uint64_t stream_to_change(Call call, bint must_exist, Found *found) except? 0:
    """The stream of XGROUP's key. Raises CommandError."""
    cdef Keyspace keyspace = call.shard_of_key(0).keyspace
    cdef uint64_t stream
    keyspace.find(call.db, call.argv[2].bytes, call.argv[2].length, call.hash, found)
    stream = stream_open(keyspace, found)
    if stream == 0 and must_exist:
        raise CommandError(NO_STREAM)
    return stream


cdef uint64_t group_to_change(Call call, uint64_t *stream) except 0:
    """The group of XGROUP's key. Raises CommandError."""
    cdef Found found
    cdef uint64_t group
    stream[0] = stream_to_change(call, True, &found)
    group = group_find(call.shard_of_key(0).arena, stream[0], call.argv[3].bytes, call.argv[3].length)
    if group == 0:
        raise CommandError(NO_GROUP_OF_KEY.format(shown(call, 3), shown(call, 2)))
    return group


cdef bint is_newest(Call call, int index) noexcept:
    return call.argv[index].length == 1 and call.argv[index].bytes[0] == c'$'


cdef int xgroup_create_command(Call call) except -1:
    cdef Arena arena = call.shard_of_key(0).arena
    cdef Argument *name = &call.argv[3]
    cdef Starting starting
    cdef Found found
    cdef StreamId last = an_id(0, 0)
    cdef uint64_t stream
    take_starting(call, True, &starting)
    stream = stream_to_change(call, not starting.make_stream, &found)
    if call.argc > 8:
        raise unknown_subcommand(call)
    if not is_newest(call, 4):
        last = strict_id(call, 4, 0)
    elif stream:
        last = stream_at(arena, stream).last
    if stream == 0:
        stream = stream_make(
            call.shard_of_key(0).keyspace, call.db, &found, call.argv[2].bytes, call.argv[2].length
        )
    elif group_find(arena, stream, name.bytes, name.length):
        raise CommandError("BUSYGROUP Consumer Group name already exists")
    group_make(arena, stream, name.bytes, name.length, last, starting.entries_read)
    return call._reply.raw(b"+OK\r\n", 5)


cdef int xgroup_setid_command(Call call) except -1:
    cdef Arena arena = call.shard_of_key(0).arena
    cdef Argument *text = &call.argv[4]
    cdef Starting starting
    cdef StreamId last
    cdef uint64_t stream, group
    take_starting(call, False, &starting)
    group = group_to_change(call, &stream)
    if call.argc > 7:
        raise unknown_subcommand(call)
    if is_newest(call, 4):
        last = stream_at(arena, stream).last
    elif text.length == 1 and text.bytes[0] in (c'-', c'+'):
        last = range_end(call, 4, True)
    else:
        last = strict_id(call, 4, 0)
    group_set(arena, group, last, starting.entries_read)
    return call._reply.raw(b"+OK\r\n", 5)


cdef int xgroup_destroy_command(Call call) except -1:
    cdef Keyspace keyspace = call.shard_of_key(0).keyspace
    cdef Found found
    cdef uint64_t stream = stream_to_change(call, True, &found)
    keyspace.modified(&found)
    return call._reply.integer(group_destroy(keyspace, stream, call.argv[3].bytes, call.argv[3].length))


cdef int xgroup_createconsumer_command(Call call) except -1:
    cdef Arena arena = call.shard_of_key(0).arena
    cdef Argument *name = &call.argv[4]
    cdef uint64_t stream, group = group_to_change(call, &stream)
    if consumer_find(arena, group, name.bytes, name.length):
        return call._reply.integer(0)
    consumer_make(arena, group, name.bytes, name.length, call.now_ms)
    return call._reply.integer(1)


cdef int xgroup_delconsumer_command(Call call) except -1:
    cdef Keyspace keyspace = call.shard_of_key(0).keyspace
    cdef Argument *name = &call.argv[4]
    cdef uint64_t stream, group = group_to_change(call, &stream)
    cdef uint64_t consumer = consumer_find(keyspace.arena, group, name.bytes, name.length)
    cdef uint64_t pending = pending_count(keyspace.arena, consumer) if consumer else 0
    consumer_destroy(keyspace, group, name.bytes, name.length)
    return call._reply.integer(<int64_t>pending)


# -- XACK

cdef int xack_command(Call call) except -1:
    cdef Arena arena = call.shard_of_key(0).arena
    cdef uint64_t stream, pending, group = find_group(call, 1, 0, 2, &stream)
    cdef int64_t acknowledged = 0
    cdef int index
    if group == 0:
        return call._reply.integer(0)
    for index in range(3, call.argc):
        pending = pending_find(arena, group, strict_id(call, index, 0))     # an error undoes all
        if pending:
            pending_remove(arena, group, pending)
            acknowledged += 1
    return call._reply.integer(acknowledged)


# -- XPENDING

cdef int reply_overview(Reply reply, Arena arena, uint64_t group) except -1:
    cdef uint64_t pending = pending_count(arena, group), consumer, length
    cdef char digits[24]
    cdef list waiting
    cdef bytes name
    reply.header(c'*', 4)
    reply.integer(<int64_t>pending)
    if pending == 0:
        reply.null()
        reply.null()
        return reply.null_array()
    reply_id(reply, pending_at(arena, pending_first(arena, group)).id)
    reply_id(reply, pending_at(arena, pending_last(arena, group)).id)
    waiting = [(name, consumer) for name, consumer in named_consumers(arena, group) if pending_count(arena, consumer)]
    reply.header(c'*', len(waiting))
    for name, consumer in waiting:
        length = print_int64(<int64_t>pending_count(arena, consumer), digits)
        reply.header(c'*', 2)
        reply.bulk(name, len(name))
        reply.bulk(digits, length)
    return 0


cdef int reply_pending(Reply reply, Arena arena, Pending *pending, int64_t now_ms) except -1:
    cdef uint64_t length
    cdef const char *name = consumer_name(arena, pending.consumer, &length)
    reply.header(c'*', 4)
    reply_id(reply, pending.id)
    reply.bulk(name, length)
    reply.integer(max(now_ms - pending.delivered_ms, 0))
    return reply.integer(<int64_t>pending.deliveries)


cdef int xpending_command(Call call) except -1:
    cdef Arena arena = call.shard_of_key(0).arena
    cdef StreamId start = an_id(0, 0), end = start
    cdef int64_t count = 0, min_idle = 0
    cdef int first = 3
    cdef uint64_t stream, owner
    if call.argc != 3 and not 6 <= call.argc <= 9:
        raise CommandError(SYNTAX)
    if call.argc > 3:
        if call.is_option(3, b"idle"):
            min_idle = call.integer(4)
            if call.argc < 8:
                raise CommandError(SYNTAX)
            first = 5
        count = max(call.integer(first + 2), 0)
        start, end = range_end(call, first, True), range_end(call, first + 1, False)
    owner = need_group(call, 1, 0, 2, &stream, "")
    if call.argc == 3:
        return reply_overview(call._reply, arena, owner)
    if first + 3 < call.argc:
        owner = consumer_find(arena, owner, call.argv[first + 3].bytes, call.argv[first + 3].length)
    return reply_range_pending(call, arena, owner, start, end, count, min_idle)


cdef int reply_range_pending(
    Call call, Arena arena, uint64_t owner, StreamId start, StreamId end, int64_t count, int64_t min_idle
) except -1:
    """Those of a group or consumer from `start` to `end` that have been idle for long enough; none if owner is 0."""
    cdef TreeCursor cursor
    cdef Pending *pending
    cdef uint64_t item = pending_seek(arena, owner, start, &cursor) if owner and count else 0
    cdef size_t at = call._reply.length
    cdef int64_t answered = 0
    while item and answered < count:
        pending = pending_at(arena, item)
        if compare_ids(pending.id, end) > 0:
            break
        if min_idle == 0 or call.now_ms - pending.delivered_ms >= min_idle:
            reply_pending(call._reply, arena, pending, call.now_ms)
            answered += 1
        item = pending_next(arena, &cursor)
    return insert_header(call._reply, at, c'*', answered)


native("xack", xack_command)
native("xgroup|create", xgroup_create_command)
native("xgroup|createconsumer", xgroup_createconsumer_command)
native("xgroup|delconsumer", xgroup_delconsumer_command)
native("xgroup|destroy", xgroup_destroy_command)
native("xgroup|setid", xgroup_setid_command)
native("xpending", xpending_command)
