"""Stream: entries by ascending id, in blocks that a tree keeps in order.

A StreamRoot (collections.pxd) has a weighted tree of nodes; the weight is the count of entries. A node is a block:

    NodeHead    base id, entries, bytes used
    entries     varint bytes of the rest | varint id.ms - base.ms | varint id.seq | varint fields and values
                then of each field and value: varint length, bytes

Invariants
 1. No id in a node is below its base; nodes are in the order of their bases, and no node is empty. The base stays when
    the first entry goes, so that deleting rewrites no other entry.
 2. A node has at most as many entries and bytes as the directives stream-node-max-… allow, and no more than
    STREAM_NODE_BYTES, or one entry: what an edit moves within a node goes through the journal.
 3. Ids ascend strictly: an entry is only added behind `root.last`.
 4. A cursor is dead after any edit.
"""
from libc.stdint cimport uint64_t
from workers.call cimport Argument
from workers.limits cimport Limits
from workers.memory.arena cimport Arena
from workers.memory.collections cimport StreamId, StreamRoot
from workers.memory.keyspace cimport Found, Keyspace
from workers.memory.tree cimport TreeCursor

cdef enum:
    STREAM_NODE_BYTES = 4096

cdef struct NodeHead:
    StreamId base
    uint64_t entries
    uint64_t used               # bytes, with this head

cdef struct StreamCursor:
    TreeCursor node
    uint64_t block              # of the node
    uint64_t start, end         # of the entry, in the block
    StreamId id
    uint64_t strings            # fields and values
    uint64_t at                 # of the first of them, in the block

cdef inline StreamRoot *stream_at(Arena arena, uint64_t root) noexcept:
    return <StreamRoot *>arena.at(root)

cdef inline int compare_ids(StreamId a, StreamId b) noexcept:
    if a.ms != b.ms:
        return -1 if a.ms < b.ms else 1
    return (a.seq > b.seq) - (a.seq < b.seq)

# The StreamRoot of a key, 0 if there is no such key. Raises CommandError(WRONG_TYPE).
cdef uint64_t stream_open(Keyspace keyspace, Found *found) except? 0
# Makes the key, which must not be there, an empty stream.
cdef uint64_t stream_make(Keyspace keyspace, int db, Found *found, const char *key, uint64_t length) except 0
# Writes StreamId fields of the root, journalled.
cdef int stream_set_id(Arena arena, StreamId *field, StreamId id) except -1

# -- finding: these answer whether the cursor is on an entry

# The first at or behind `id`; the last at or before it.
cdef bint stream_seek(Arena arena, uint64_t root, StreamId id, StreamCursor *cursor) noexcept
cdef bint stream_seek_back(Arena arena, uint64_t root, StreamId id, StreamCursor *cursor) noexcept
cdef bint stream_next(Arena arena, StreamCursor *cursor) noexcept
cdef bint stream_prev(Arena arena, StreamCursor *cursor) noexcept
# Of the cursor's node: its entries, and its last id.
cdef uint64_t node_entries(Arena arena, StreamCursor *cursor) noexcept
cdef StreamId node_last(Arena arena, StreamCursor *cursor) noexcept
# The string at cursor.at; goes on to the next.
cdef const char *stream_string(Arena arena, StreamCursor *cursor, uint64_t *length) noexcept

# -- editing

# Adds an entry behind all others; sets `last` and `entries_added`.
cdef int stream_append(
    Arena arena, uint64_t root, StreamId id, Argument *strings, uint64_t count, Limits limits
) except -1
# Takes out the cursor's entry; `max_deleted` is the caller's.
cdef int stream_remove(Arena arena, uint64_t root, StreamCursor *cursor) except -1
# Takes out the whole node that the cursor is in.
cdef int stream_remove_node(Arena arena, uint64_t root, StreamCursor *cursor) except -1
