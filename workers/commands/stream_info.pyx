"""XINFO: what there is to tell of streams."""
from libc.stdint cimport UINT64_MAX, int64_t, uint64_t

from shardkv.errors import NO_SUCH_KEY, CommandError

from shardkv.resp cimport Reply
from workers.call cimport Call
from workers.commands.elements cimport unknown_subcommand
from workers.commands.group_info cimport reply_groups_in_full
from workers.commands.stream_reads cimport reply_entry, reply_range
from workers.commands.streams cimport reply_id
from workers.memory.arena cimport Arena
from workers.memory.collections cimport StreamRoot
from workers.memory.databases cimport Found
from workers.registry cimport native
from workers.types.stream cimport (
    StreamCursor, an_id, stream_at, stream_first, stream_last, stream_nodes, stream_open,
)

cdef enum:
    FULL_COUNT = 10         # entries, and pending entries of each group and consumer, when COUNT is not given


cdef uint64_t open_known(Call call, int index) except 0:
    """The stream of the key at `index`. Raises CommandError if there is none."""
    cdef Found found
    cdef uint64_t root
    call.find(index, 0, &found)
    root = stream_open(call.shard_of_key(0).keyspace, &found)
    if root == 0:
        raise CommandError(NO_SUCH_KEY)
    return root


cdef int64_t take_full(Call call) except -1:
    """The options behind the key: FULL, and perhaps COUNT; returns the count."""
    cdef int64_t count
    if call.argc not in (4, 6) or not call.is_option(3, b"full"):
        raise unknown_subcommand(call)
    if call.argc == 4:
        return FULL_COUNT
    if not call.is_option(4, b"count"):
        raise unknown_subcommand(call)
    count = call.integer(5)
    return FULL_COUNT if count < 0 else count


cdef int reply_count(Reply reply, str name, uint64_t count) except -1:
    reply.string(name)
    return reply.integer(<int64_t>count)


cdef int reply_head(Reply reply, Arena arena, uint64_t root) except -1:
    """The seven pairs that are told with FULL and without."""
    cdef StreamRoot *stream = stream_at(arena, root)
    cdef StreamCursor first
    cdef bint any = stream_first(arena, root, &first)
    reply_count(reply, "length", stream.length)
    reply_count(reply, "radix-tree-keys", stream_nodes(arena, root))
    reply_count(reply, "radix-tree-nodes", stream_nodes(arena, root) + 1)      # with the root
    reply.string("last-generated-id")
    reply_id(reply, stream.last)
    reply.string("max-deleted-entry-id")
    reply_id(reply, stream.max_deleted)
    reply_count(reply, "entries-added", stream.entries_added)
    reply.string("recorded-first-entry-id")
    return reply_id(reply, first.id if any else an_id(0, 0))


cdef int reply_edge(Reply reply, Arena arena, StreamCursor *cursor, bint exists) except -1:
    return reply_entry(reply, arena, cursor) if exists else reply.null()


cdef int reply_in_full(Reply reply, Arena arena, uint64_t root, int64_t count) except -1:
    reply.map(9)
    reply_head(reply, arena, root)
    reply.string("entries")
    reply_range(
        reply, arena, root, an_id(0, 0), an_id(UINT64_MAX, UINT64_MAX), <uint64_t>count if count else UINT64_MAX, False
    )
    reply.string("groups")
    return reply_groups_in_full(reply, arena, root, count)


cdef int xinfo_stream(Call call) except -1:
    cdef uint64_t root = open_known(call, 2)
    cdef Arena arena = call.shard_of_key(0).arena
    cdef Reply reply = call._reply
    cdef StreamCursor cursor
    if call.argc > 3:
        return reply_in_full(reply, arena, root, take_full(call))
    reply.map(10)
    reply_head(reply, arena, root)
    reply_count(reply, "groups", stream_at(arena, root).groups.count)
    reply.string("first-entry")
    reply_edge(reply, arena, &cursor, stream_first(arena, root, &cursor))
    reply.string("last-entry")
    return reply_edge(reply, arena, &cursor, stream_last(arena, root, &cursor))


native("xinfo|stream", xinfo_stream)
