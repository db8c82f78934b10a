"""Buckets: how a table's slots are read, and how buckets grow, split, shrink and merge. The layout and its invariants
are in table.pxd.

A change of shape reads the slots' words into a buffer of this process, lays them out in a new bucket, points the
directory at it and frees the old one. Growing and merging read no entry: the words are sorted by tag, and the tag is
all that a layout needs. Only splitting looks at the keys.
"""
from libc.stdint cimport int64_t, uint16_t, uint32_t, uint64_t
from workers.memory.arena cimport Arena

cdef enum:
    TAG_BITS = 26
    DEPTH_MAX = 26
    SLOTS_MIN = 8
    SLOTS_SPLIT = 1024          # a bucket that would need more slots is split
    STARTED_MAX = 640           # entries of a bucket that is made for entries to come: at a load of two thirds
    MERGED_MAX = 256            # half-buckets with so few entries together become one
    ENTRIES_PER_WORD = 64       # at least, before the directory is doubled

cdef struct TableRoot:
    uint64_t directory      # offset of the directory's block; 0 = an empty table that has no memory yet
    uint32_t depth
    uint32_t deepest        # buckets whose own depth is `depth`; at 0 the directory is halved
    uint64_t count          # entries
    uint64_t expiring       # entries with an expiry

cdef struct TableGrave:
    # The head of a directory: room for a dead table's root, so that unlinking a table needs no memory.
    uint64_t next           # of the user's list of dead tables
    TableRoot root          # `expiring` and `deepest` mean something else here, see table_unlink and grave_index

cdef struct BucketHeader:
    uint32_t used
    uint32_t expiring
    uint32_t slots
    uint16_t depth          # its own: it fills 2^(root.depth - depth) words of the directory
    uint16_t spill
    int64_t earliest        # lower bound of its entries' expiry, unix ms; meaningless when expiring == 0

cdef inline uint64_t grave_index(TableGrave *grave) noexcept nogil:
    return grave.root.expiring & <uint64_t>0xFFFFFFFF

cdef inline uint64_t grave_slot(TableGrave *grave) noexcept nogil:
    return grave.root.expiring >> 32

cdef inline uint64_t slot_word(uint64_t tag, bint expiring, uint64_t entry) noexcept nogil:
    return tag << 38 | <uint64_t>expiring << 37 | entry >> 3

cdef inline uint64_t slot_tag(uint64_t word) noexcept nogil:
    return word >> 38

cdef inline bint slot_expiring(uint64_t word) noexcept nogil:
    return word >> 37 & 1

cdef inline uint64_t slot_entry(uint64_t word) noexcept nogil:
    return (word & <uint64_t>0x1FFFFFFFFF) << 3

cdef inline uint64_t tag_of(uint64_t hash) noexcept nogil:
    return hash & 0x3FFFFFF

cdef inline uint64_t home_of(uint64_t tag, uint64_t slots) noexcept nogil:
    return tag * slots >> TAG_BITS

cdef inline uint64_t directory_index(uint64_t hash, uint32_t depth) noexcept nogil:
    return (hash >> 1) >> (63 - depth)

cdef inline uint64_t *directory_words(Arena arena, TableRoot *table) noexcept:
    return <uint64_t *>(arena.at(table.directory) + sizeof(TableGrave))

cdef inline uint64_t word_bucket(uint64_t word) noexcept nogil:
    return word & <uint64_t>0xFFFFFFFFFF

cdef inline uint64_t word_slots(uint64_t word) noexcept nogil:
    return word >> 40

cdef inline BucketHeader *bucket_at(Arena arena, uint64_t bucket) noexcept:
    return <BucketHeader *>arena.at(bucket)

cdef inline uint64_t *bucket_slots(BucketHeader *header) noexcept nogil:
    return <uint64_t *>(header + 1)

# Gives an empty table its first buckets, for so many entries.
cdef int buckets_start(Arena arena, uint64_t root, uint64_t count) except -1
# One step of growth for the bucket of `hash`: larger, or split.
cdef int buckets_make_room(Arena arena, uint64_t root, uint64_t hash) except -1
# After a removal: shrinks and merges around the bucket of `hash`, and frees all when the table is empty. Without
# memory for that, leaves things as they are.
cdef int buckets_tidy(Arena arena, uint64_t root, uint64_t hash) except -1
cdef uint64_t buckets_moved() noexcept
