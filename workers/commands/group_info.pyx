"""XINFO GROUPS and XINFO CONSUMERS; see group_info.pxd for the rest."""
from shardkv.errors import NO_SUCH_KEY, CommandError

from workers.call cimport Call
from workers.commands.elements cimport shown
from workers.commands.groups cimport find_group, insert_header
from workers.commands.streams cimport reply_id
from workers.memory.collections cimport ConsumerRoot, GroupRoot, Pending
from workers.memory.databases cimport Found
from workers.memory.tree cimport TreeCursor
from workers.registry cimport native
from workers.types.group cimport (
    NOT_KNOWN, consumer_at, consumer_name, group_at, group_lag, named_consumers, named_groups, pending_at,
    pending_count, pending_next, pending_seek,
)
from workers.types.stream cimport an_id, stream_open

NO_GROUP = "NOGROUP No such consumer group '{}' for key name '{}'"


cdef int reply_number(Reply reply, str field, int64_t number) except -1:
    reply.string(field)
    return reply.integer(number)


cdef int reply_name(Reply reply, bytes name) except -1:
    reply.string("name")
    return reply.bulk(name, len(name))


# -- XINFO GROUPS and XINFO CONSUMERS

cdef int xinfo_groups_command(Call call) except -1:
    cdef Reply reply = call._reply
    cdef Arena arena = call.shard_of_key(0).arena
    cdef Found found
    cdef uint64_t stream, group
    cdef list groups
    call.find(2, 0, &found)
    stream = stream_open(call.shard_of_key(0).keyspace, &found)
    if stream == 0:
        raise CommandError(NO_SUCH_KEY)
    groups = named_groups(arena, stream)
    reply.header(c'*', len(groups))
    for name, group in groups:
        reply.map(6)
        reply_name(reply, name)
        reply_number(reply, "consumers", <int64_t>group_at(arena, group).consumers.count)
        reply_number(reply, "pending", <int64_t>pending_count(arena, group))
        reply_progress(reply, arena, stream, group)
    return 0


cdef int reply_progress(Reply reply, Arena arena, uint64_t stream, uint64_t group) except -1:
    cdef GroupRoot *root = group_at(arena, group)
    cdef int64_t lag
    reply.string("last-delivered-id")
    reply_id(reply, root.last)
    reply.string("entries-read")
    if root.entries_read == NOT_KNOWN:
        reply.null()
    else:
        reply.integer(root.entries_read)
    reply.string("lag")
    return reply.integer(lag) if group_lag(arena, stream, group, &lag) else reply.null()


cdef int xinfo_consumers_command(Call call) except -1:
    cdef Reply reply = call._reply
    cdef Arena arena = call.shard_of_key(0).arena
    cdef uint64_t stream, consumer, group = find_group(call, 2, 0, 3, &stream)
    cdef ConsumerRoot *root
    cdef list consumers
    if stream == 0:
        raise CommandError(NO_SUCH_KEY)
    if group == 0:
        raise CommandError(NO_GROUP.format(shown(call, 3), shown(call, 2)))
    consumers = named_consumers(arena, group)
    reply.header(c'*', len(consumers))
    for name, consumer in consumers:
        root = consumer_at(arena, consumer)
        reply.map(4)
        reply_name(reply, name)
        reply_number(reply, "pending", <int64_t>pending_count(arena, consumer))
        reply_number(reply, "idle", max(call.now_ms - root.seen_ms, 0))
        reply_number(reply, "inactive", -1 if root.active_ms == -1 else call.now_ms - root.active_ms)
    return 0


# -- XINFO STREAM … FULL

cdef int reply_pending(Reply reply, Arena arena, uint64_t owner, bint with_names, int64_t most) except -1:
    """The first pending entries of a group, with their consumers' names, or of a consumer."""
    cdef size_t at
    cdef TreeCursor cursor
    cdef Pending *pending
    cdef uint64_t length, item = pending_seek(arena, owner, an_id(0, 0), &cursor)
    cdef const char *name
    cdef int64_t count = 0
    reply.string("pending")
    at = reply.length
    while item and (most == 0 or count < most):
        pending = pending_at(arena, item)
        reply.header(c'*', 4 if with_names else 3)
        reply_id(reply, pending.id)
        if with_names:
            name = consumer_name(arena, pending.consumer, &length)
            reply.bulk(name, length)
        reply.integer(pending.delivered_ms)
        reply.integer(<int64_t>pending.deliveries)
        count += 1
        item = pending_next(arena, &cursor)
    return insert_header(reply, at, c'*', count)


cdef int reply_consumers(Reply reply, Arena arena, uint64_t group, int64_t most) except -1:
    cdef list consumers = named_consumers(arena, group)
    cdef uint64_t consumer
    reply.string("consumers")
    reply.header(c'*', len(consumers))
    for name, consumer in consumers:
        reply.map(5)
        reply_name(reply, name)
        reply_number(reply, "seen-time", consumer_at(arena, consumer).seen_ms)
        reply_number(reply, "active-time", consumer_at(arena, consumer).active_ms)
        reply_number(reply, "pel-count", <int64_t>pending_count(arena, consumer))
        reply_pending(reply, arena, consumer, False, most)
    return 0


cdef int reply_groups_in_full(Reply reply, Arena arena, uint64_t stream, int64_t most) except -1:
    cdef list groups = named_groups(arena, stream)
    cdef uint64_t group
    reply.header(c'*', len(groups))
    for name, group in groups:
        reply.map(7)
        reply_name(reply, name)
        reply_progress(reply, arena, stream, group)
        reply_number(reply, "pel-count", <int64_t>pending_count(arena, group))
        reply_pending(reply, arena, group, True, most)
        reply_consumers(reply, arena, group, most)
    return 0


native("xinfo|consumers", xinfo_consumers_command)
native("xinfo|groups", xinfo_groups_command)
