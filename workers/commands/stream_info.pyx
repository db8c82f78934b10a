"""XINFO: what there is to tell of streams."""
from libc.stdint cimport int64_t, uint64_t

from shardkv.errors import NO_SUCH_KEY, CommandError

from shardkv.resp cimport Reply
from workers.call cimport Call
from workers.commands.streams cimport reply_entry, reply_id
from workers.memory.arena cimport Arena
from workers.memory.collections cimport StreamRoot
from workers.memory.keyspace cimport Found
from workers.registry cimport native
from workers.types.stream cimport (
    StreamCursor, an_id, stream_at, stream_first, stream_last, stream_nodes, stream_open,
)

cdef enum:
    SHOWN_MAX = 128         # bytes of an argument, in an error


cdef uint64_t open_known(Call call, int index) except 0:
    """The stream of the key at `index`. Raises CommandError if there is none."""
    cdef Found found
    cdef uint64_t root
    call.find(index, 0, &found)
    root = stream_open(call.shard_of_key(0).keyspace, &found)
    if root == 0:
        raise CommandError(NO_SUCH_KEY)
    return root


cdef str unknown_form(Call call):
    cdef str given = call.arg(1)[:SHOWN_MAX].decode("utf-8", "surrogateescape")
    return f"ERR unknown subcommand or wrong number of arguments for '{given}'. Try XINFO HELP."


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


cdef int xinfo_stream(Call call) except -1:
    cdef uint64_t root = open_known(call, 2)
    cdef Arena arena = call.shard_of_key(0).arena
    cdef Reply reply = call._reply
    cdef StreamCursor cursor
    if call.argc > 3:
        raise CommandError(unknown_form(call))
    reply.map(10)
    reply_head(reply, arena, root)
    reply_count(reply, "groups", stream_at(arena, root).groups.count)
    reply.string("first-entry")
    reply_edge(reply, arena, &cursor, stream_first(arena, root, &cursor))
    reply.string("last-entry")
    return reply_edge(reply, arena, &cursor, stream_last(arena, root, &cursor))


native("xinfo|stream", xinfo_stream)
