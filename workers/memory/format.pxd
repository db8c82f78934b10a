"""Format of an arena's file: header and page table. See arena.pxd for the whole picture and the invariants.

    0                  ArenaHeader (one 64 KiB block)
    journal_start      undo journal, written upward, at most `journal_limit` bytes
    pages_start        PageInfo[capacity_pages], one for each 4 KiB heap page
    heap_start         the heap

The file has its full size from the start and is sparse. A change to a struct here needs a new ARENA_VERSION.
"""
from libc.stdint cimport uint8_t, uint32_t, uint64_t
from shardkv.hashing cimport SECRET_BYTES

cdef enum:
    ARENA_VERSION = 5
    COMMIT_SLOTS = 64
    COMMIT_INTERNAL = 63        # the worker's own work
    COMMIT_WAITING = 61         # serving those who wait for keys
    COMMIT_EXPIRY = 62          # … and of that, the expiry of keys and fields: who dies in it names it
    ROOTS = 256                 # words for the users of the arena

    HEADER_BYTES = 65536
    PAGE_SHIFT = 12
    PAGE_BYTES = 4096
    CLASSES = 72                # size classes: see slabs.pxd
    BINS = 168                  # lists of free runs by length: see pages.pxd
    BIN_WORDS = 3
    BACKED = 0                  # the two sets of lists: pages there for use,
    UNBACKED = 1                # and pages given back to the system

cdef enum PageKind:
    INTERIOR = 0                # says nothing; also any page of a run but its first and last (those are not kept up)
    RESERVED = 1                # page 0, so that 0 can mean "none" in a link and every page has a left neighbour
    RUN = 2                     # first page of an allocated run
    RUN_TAIL = 3                # its last page, if it has more than one
    SLAB = 4                    # every page of a slab
    FREE = 5                    # first page of a free run
    FREE_TAIL = 6               # its last page, if it has more than one

cdef struct PageInfo:
    uint8_t kind
    uint8_t flags               # FREE: BACKED or UNBACKED. SLAB, first page: 1 = in its class's list
    uint8_t size_class          # SLAB, first page
    uint8_t part                # SLAB: number of pages before this one in the slab
    uint32_t pages              # length of the run or slab: at its first page, and at FREE_TAIL
    uint32_t next               # list links, page numbers, 0 = none; at first pages
    uint32_t prev
    uint64_t bitmap             # SLAB of at most 64 blocks, first page: 1 = free

cdef struct SlabList:
    uint32_t first              # allocations come from here
    uint32_t last               # slabs that were full and have room again are appended
    uint32_t spare              # a slab seen empty, kept; may have been used since
    uint32_t _pad

cdef struct ArenaHeader:
    uint64_t magic
    uint32_t version
    uint32_t shard
    uint32_t shards
    uint32_t loose_end          # not journalled: pages from backed_pages up to here may be there, to be given back
    uint64_t file_size          # virtual
    uint64_t journal_start
    uint64_t journal_limit      # bytes
    uint64_t pages_start
    uint64_t heap_start
    uint64_t capacity_pages
    char secret[SECRET_BYTES]   # of all hashes in this arena: hashing.pxd
    uint64_t generation         # of the instance's data: written and read by the supervisor alone, shardkv/layout.py
    # Not journalled: the journal's own state, the commit words, and how far the top end of the heap is backed.
    uint64_t journal_used
    uint64_t journal_slot
    uint64_t journal_position
    uint64_t journal_shard      # whose commit words decide on it: the arena's own shard, or that which has it on lease
    uint64_t backed_pages       # pages below it are backed, save those of UNBACKED runs
    uint64_t commit[64]
    # Not journalled either: workers/leases.pxd, on a cache line of their own.
    uint64_t _line0[16]
    uint64_t lock               # 0 = free, else 1 + the shard whose worker holds it
    uint64_t wanted             # a bit (shard & 63) for each worker that waits for the lock
    uint64_t user               # 1 + the shard whose worker had the lock last
    uint64_t _line1[13]
    # Journalled from here on.
    uint64_t used_bytes         # bytes in live blocks, as allocated (class sizes)
    uint64_t top_page           # first heap page never used, or not any more; the run before it is not free
    uint64_t idle_pages         # pages of free runs that are BACKED
    uint64_t roots[256]         # the users' words
    SlabList slabs[72]
    uint64_t bin_map[2][3]      # a bit for each list below that has a run
    uint32_t bins[2][168]       # first page of the first free run

cdef extern from *:
    uint64_t ARENA_MAGIC "0x00766B6472616873ULL"    # "shardkv" and a zero byte, little-endian
