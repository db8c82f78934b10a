"""Consumer groups of a stream, their consumers, and what has been delivered to these and not yet acknowledged.

The structs are in collections.pxd. A group or a consumer is an entry of its table (STREAM_GROUP, STREAM_CONSUMER: the
key is the name, the Box names the root); here they are told by the offset of that root, which stays as long as they do.

    StreamRoot.groups ──> GroupRoot ── consumers ──> ConsumerRoot
                              │                          │
                            tree by id                 tree by id      of the same blocks of Pending
                              └────────> Pending <───────┘

Invariants
 1. Each Pending is in its group's tree, which owns it, and in the tree of the one consumer that Pending.consumer names;
    there is one for an id at most. Moving it to another consumer leaves the group's tree as it is.
 2. ConsumerRoot.entry is the entry with the consumer's name: it does not move, for it is never given another value.
 3. Pending knows nothing of the stream's entries: the entry of its id may have been deleted.
 4. Finding, making, moving and removing a Pending is logarithmic. Deleting a group takes a few steps, the rest is done
    by the graveyard. Deleting a consumer takes out its pending entries one by one if they are a small part of the
    group's; else the group's tree is made anew of the others, and the graveyard does the rest.
 5. Cursors are dead after any change to the tree they are in.
"""
from libc.stdint cimport int64_t, uint64_t
from workers.memory.arena cimport Arena
from workers.memory.collections cimport ConsumerRoot, GroupRoot, Pending, StreamId
from workers.memory.keyspace cimport Keyspace
from workers.memory.tree cimport TreeCursor

cdef enum:
    NOT_KNOWN = -1              # GroupRoot.entries_read

cdef inline GroupRoot *group_at(Arena arena, uint64_t group) noexcept:
    return <GroupRoot *>arena.at(group)

cdef inline ConsumerRoot *consumer_at(Arena arena, uint64_t consumer) noexcept:
    return <ConsumerRoot *>arena.at(consumer)

cdef inline Pending *pending_at(Arena arena, uint64_t pending) noexcept:
    return <Pending *>arena.at(pending)

# How many entries are pending for a group or for a consumer.
cdef uint64_t pending_count(Arena arena, uint64_t owner) noexcept

# -- groups of a stream, told by the offset of its StreamRoot; 0 = there is none of that name

cdef uint64_t group_find(Arena arena, uint64_t stream, const char *name, uint64_t length) noexcept
# There must be none of that name.
cdef uint64_t group_make(
    Arena arena, uint64_t stream, const char *name, uint64_t length, StreamId last, int64_t entries_read
) except 0
cdef int group_set(Arena arena, uint64_t group, StreamId last, int64_t entries_read) except -1
# An entry is delivered: goes on to it, unless the group has been there, and counts it as far as that can be told.
cdef int group_advance(Arena arena, uint64_t stream, uint64_t group, StreamId id) except -1
# How many entries the group has yet to read; returns whether that can be told.
cdef bint group_lag(Arena arena, uint64_t stream, uint64_t group, int64_t *lag) noexcept
# How many entries there ever were up to an id, NOT_KNOWN if that cannot be told.
cdef int64_t entries_until(Arena arena, uint64_t stream, StreamId id) noexcept
# Returns whether there was one.
cdef bint group_destroy(Keyspace keyspace, uint64_t stream, const char *name, uint64_t length) except -1
# Pairs of name (bytes) and offset, by name; all consumers of a group likewise.
cdef list named_groups(Arena arena, uint64_t stream)
cdef list named_consumers(Arena arena, uint64_t group)

# -- consumers of a group

cdef uint64_t consumer_find(Arena arena, uint64_t group, const char *name, uint64_t length) noexcept
# There must be none of that name; `seen_ms` is now, and it has never been active.
cdef uint64_t consumer_make(
    Arena arena, uint64_t group, const char *name, uint64_t length, int64_t seen_ms
) except 0
# With its pending entries. Returns whether there was one.
cdef bint consumer_destroy(Keyspace keyspace, uint64_t group, const char *name, uint64_t length) except -1
cdef const char *consumer_name(Arena arena, uint64_t consumer, uint64_t *length) noexcept
# Times in ms, journalled.
cdef int consumer_seen(Arena arena, uint64_t consumer, int64_t now_ms) except -1
cdef int consumer_active(Arena arena, uint64_t consumer, int64_t now_ms) except -1

# -- pending entries; `owner` is a group or a consumer; 0 = there is none

cdef uint64_t pending_find(Arena arena, uint64_t owner, StreamId id) noexcept
# The first at or behind `id`, and those that follow it.
cdef uint64_t pending_seek(Arena arena, uint64_t owner, StreamId id, TreeCursor *cursor) noexcept
cdef uint64_t pending_next(Arena arena, TreeCursor *cursor) noexcept
cdef uint64_t pending_first(Arena arena, uint64_t owner) noexcept
cdef uint64_t pending_last(Arena arena, uint64_t owner) noexcept
# There must be none of that id in the group.
cdef uint64_t pending_make(
    Arena arena, uint64_t group, uint64_t consumer, StreamId id, int64_t delivered_ms, uint64_t deliveries
) except 0
# To this consumer of the same group, if it is not his already.
cdef int pending_move(Arena arena, uint64_t pending, uint64_t consumer) except -1
cdef int pending_delivered(Arena arena, uint64_t pending, int64_t delivered_ms, uint64_t deliveries) except -1
cdef int pending_remove(Arena arena, uint64_t group, uint64_t pending) except -1
