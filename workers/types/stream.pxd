"""Stream: entries by ascending id, in blocks that a tree keeps in order.

A StreamRoot (collections.pxd) has a plain tree of nodes. A node is a block:

    NodeHead
    names       varint fields, then of each: varint length, bytes
    entries     varint size << 1 | alike, then `size` bytes:
                    varint id.ms - base.ms
                    varint id.seq, less base.seq if the ms are the same
                    unless alike: varint fields
                    of each field, unless alike: varint length, bytes of its name; and of its value likewise
                back length: how long all that is, a varint to be read backwards

A varint has 7 bits a byte, low bits first; all bytes but the last have bit 7. The names are those of the entry with
which the node was made, and of any entry that is alike.

Invariants
 1. No id in a node is below its base; nodes are in the order of their bases, and no node is empty. Base and names stay
    when the first entry goes, so that deleting rewrites no other entry.
 2. An entry is only added to a node that, with it, has no more bytes and entries (deleted ones are counted) than the
    directives stream-node-max-… say, and no more than NODE_BYTES_MAX; or that is new. What an edit moves within a node
    goes through the journal.
 3. Ids ascend strictly: an entry is only added behind `root.last`.
 4. A cursor is dead after any edit.
"""
from libc.stdint cimport uint32_t, uint64_t
from workers.call cimport Argument
from workers.limits cimport Limits
from workers.memory.arena cimport Arena
from workers.memory.collections cimport StreamId, StreamRoot
from workers.memory.databases cimport Found
from workers.memory.keyspace cimport Keyspace
from workers.memory.tree cimport TreeCursor

cdef enum:
    NODE_BYTES_MAX = 16384      # of a node with several entries
    ENTRY_BYTES_MAX = 1 << 30   # of an entry's names and values

cdef struct NodeHead:
    StreamId base
    uint32_t entries
    uint32_t added              # entries ever
    uint32_t start              # offsets in the node: of the first entry,
    uint32_t end                # … and behind the last
    StreamId last               # added; it may have been deleted

cdef struct StreamCursor:
    TreeCursor node
    uint64_t block              # of the node
    uint64_t start, end         # of the entry, in the block
    StreamId id
    uint64_t strings            # fields and values
    uint64_t told               # how many of them `stream_string` has answered
    uint64_t at                 # of the next of them that the entry has itself
    uint64_t names              # of the next name that it has from its node; 0 = it is not alike

cdef inline StreamRoot *stream_at(Arena arena, uint64_t root) noexcept:
    return <StreamRoot *>arena.at(root)

cdef inline StreamId an_id(uint64_t ms, uint64_t seq) noexcept:
    cdef StreamId id
    id.ms, id.seq = ms, seq
    return id

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

cdef bint stream_first(Arena arena, uint64_t root, StreamCursor *cursor) noexcept
cdef bint stream_last(Arena arena, uint64_t root, StreamCursor *cursor) noexcept
# The first at or behind `id`; the last at or before it.
cdef bint stream_seek(Arena arena, uint64_t root, StreamId id, StreamCursor *cursor) noexcept
cdef bint stream_seek_back(Arena arena, uint64_t root, StreamId id, StreamCursor *cursor) noexcept
cdef bint stream_next(Arena arena, StreamCursor *cursor) noexcept
cdef bint stream_prev(Arena arena, StreamCursor *cursor) noexcept
# The head of the cursor's node.
cdef NodeHead *node_head(Arena arena, StreamCursor *cursor) noexcept
# The cursor's entry's next string, a name or the value that follows it.
cdef const char *stream_string(Arena arena, StreamCursor *cursor, uint64_t *length) noexcept
# Makes a cursor tell the names that its node has, each once, instead of its entry's strings.
cdef void stream_names(Arena arena, StreamCursor *cursor) noexcept
# How many nodes there are.
cdef uint64_t stream_nodes(Arena arena, uint64_t root) noexcept

# -- editing

# Adds an entry behind all others; sets `last` and `entries_added`. Raises CommandError if it has too many bytes.
cdef int stream_append(
    Arena arena, uint64_t root, StreamId id, Argument *strings, uint64_t count, Limits limits
) except -1
# Takes out the cursor's entry; `max_deleted` is the caller's.
cdef int stream_remove(Arena arena, uint64_t root, StreamCursor *cursor) except -1
# Takes out the whole node that the cursor is in.
cdef int stream_remove_node(Arena arena, uint64_t root, StreamCursor *cursor) except -1
# Takes out the entries of the cursor's node that are before it: so many.
cdef int stream_remove_before(Arena arena, uint64_t root, StreamCursor *cursor, uint64_t count) except -1
