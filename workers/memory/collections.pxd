"""Collections as values of keys: what their blocks hold, and how they are freed, copied and measured as a whole.

The entry of a collection has a Box as its value. By its type, Box.block is
    LIST_PACKED, SET_PACKED, HASH_PACKED, ZSET_PACKED   a listpack; Box.length its bytes
    SET_INTS                                            an intset; Box.length its bytes
    LIST_TREE                                           a ListRoot; Box.length is 0 from here on
    SET_TABLE, HASH_TABLE                               a TableRoot
    ZSET_TREE                                           a ZsetRoot
    STREAM, STREAM_GROUP, STREAM_CONSUMER               a StreamRoot, GroupRoot, ConsumerRoot

Items of tables are entries: a set's member has an empty value (STRING_EMBEDDED), a hash's field a string of any of the
four string types, a sorted set's member its score, 8 bytes (STRING_EMBEDDED); STREAM_GROUP and STREAM_CONSUMER occur
only in the tables of a stream. What an entry owns is told by its type alone, wherever the entry lies.

Invariants
 1. A block whose collection has a tree begins with a TreeHead; the tree's own memory and, if it OWNS_BLOCKS, the blocks
    its items name go with it.
 2. Unlinking is done in the transaction that deletes the key, in a few steps whatever the size: tables go to the
    graveyard by their directory, trees by the block they are in, large blocks by themselves. It needs no memory.
 3. `reap` frees what is in the graveyard in steps. What is found there while freeing is unlinked in its turn. What is
    in the graveyard says how many values of keys it stands for; KeyspaceRoot.dead_values is their sum.
 4. Copying is linear, and done in one transaction.
"""
from libc.stdint cimport int64_t, uint32_t, uint64_t
from workers.memory.arena cimport Arena
from workers.memory.buckets cimport TableRoot
from workers.memory.entry cimport Box, EntryView
from workers.memory.tree cimport TreeRoot

cdef enum TreeOwns:
    OWNS_NOTHING = 0        # items are someone else's
    OWNS_BLOCKS = 1         # each item is the offset of a block

cdef struct TreeHead:
    uint64_t next           # of the list of dead trees; unused while alive
    uint32_t owns
    uint32_t values         # of keys that count as freed with it; unused while alive
    TreeRoot tree

cdef struct ListRoot:
    TreeHead head           # weighted; items are blocks of listpacks, weights their counts; OWNS_BLOCKS

cdef struct ZsetRoot:
    TreeHead head           # plain; items are offsets of entries, by (score, member); OWNS_NOTHING
    TableRoot members

cdef struct StreamId:
    uint64_t ms
    uint64_t seq

cdef struct StreamRoot:
    TreeHead head           # plain; items are blocks, each a run of the stream's entries without pointers; OWNS_BLOCKS
    uint64_t length         # entries
    uint64_t entries_added  # ever
    StreamId last           # these three change together
    StreamId max_deleted
    TableRoot groups        # entries of STREAM_GROUP

cdef struct GroupRoot:
    TreeHead head           # plain; items are blocks of Pending, by id; OWNS_BLOCKS
    StreamId last           # delivered
    int64_t entries_read    # -1 = not known
    TableRoot consumers     # entries of STREAM_CONSUMER

cdef struct ConsumerRoot:
    TreeHead head           # plain; those of the group's items that are this consumer's, by id; OWNS_NOTHING
    int64_t seen_ms
    int64_t active_ms       # -1 = never
    uint64_t entry          # that has its name

cdef struct Pending:
    StreamId id
    int64_t delivered_ms
    uint64_t deliveries
    uint64_t consumer       # offset of its ConsumerRoot

cdef struct KeyspaceRoot:
    # The head of the databases, and of the graveyard's lists.
    uint64_t databases
    uint64_t dead_tables    # TableGrave
    uint64_t dead_blocks    # DeadBlock
    uint64_t dead_trees     # TreeHead
    uint64_t dead_values    # values of keys in these three lists

cdef struct DeadBlock:
    uint64_t next
    uint64_t values         # as in TreeHead

# Where the members (a hash's fields) of an entry's collection are looked up: its table, or 0 if it has none; asks for
# the cache line of a value that is not in the entry itself.
cdef uint64_t collection_table(Arena arena, uint64_t entry) noexcept

# -- what the keyspace asks for; `root` is where the graveyard's lists begin

# Unlinks the value of a key, and frees what is small at once; `lazily`: no large block either.
cdef int collection_free(Arena arena, KeyspaceRoot *root, EntryView *entry, bint lazily) except -1
# Frees from the graveyard, about `budget` items or blocks; 1 = more to do. Adds the values that are gone to `reaped`.
cdef int collections_reap(Arena arena, KeyspaceRoot *root, int budget, uint64_t *reaped) except -1
# Put on the graveyard, for so many values of keys (0 if not given: part of another): a table that was unlinked, by its
# directory's block; a block; a tree nothing uses any more, by the block that begins with its TreeHead.
cdef int bury_table(Arena arena, KeyspaceRoot *root, uint64_t directory, uint64_t values=*) except -1
cdef int bury_block(Arena arena, KeyspaceRoot *root, uint64_t block, uint64_t values=*) except -1
cdef int bury_tree(Arena arena, KeyspaceRoot *root, uint64_t block, uint64_t values=*) except -1
# Makes the same collection in the target; fills `box`.
cdef int collection_copy(Arena source, Arena target, EntryView *entry, Box *box) except -1
# Bytes that the collection has taken from the allocator. With samples > 0, those of so many items stand for all.
cdef uint64_t collection_memory(Arena arena, EntryView *entry, uint64_t samples) except? 0
