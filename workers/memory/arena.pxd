"""The arena: one shard's memory, a mapped file; with its undo journal and its allocator.

File layout (offsets fixed at creation, kept in the header; everything is sparse until used):

    0                  ArenaHeader (one 64 KiB page)
    journal_start      undo journal, JOURNAL entries written upward, capacity `journal_limit`
    pages_start        PageInfo[capacity_pages], one for each 4 KiB heap page
    heap_start         the heap, grown by posix_fallocate in steps

Journal entry, written so that it can be walked backwards: the old bytes padded to 8, then one word `offset << 16 | length` (longer saves are cut in
pieces of at most 65528 bytes). An 8-byte save is 16 bytes.

Allocator: size classes of blocks in 64 KiB slabs (8-byte steps to 128, then eight steps per doubling to 16 KiB), a bitmap of free blocks in each slab; larger
blocks are runs of 4 KiB pages from segregated free lists with coalescing. Lists, bitmaps and PageInfo are reachable memory: journalled.

Invariants
 1. All state is addressed by offsets from the start of the file. Offset 0 is never a block.
 2. Before reachable bytes change, `save` has put their old content into the journal (its entry is complete, and `journal_used` covers it, before the
    change: a compiler barrier keeps that order against our own death). Memory allocated in this transaction needs no saving.
 3. A transaction is open from the first `save` after `begin` until `commit` or `rollback`. One store commits: header.commit[slot] = position. The journal
    is open iff journal_used > 0 and header.commit[journal_slot] != journal_position.
 4. A block passed to `free` stays allocated, its bytes untouched, until `commit`, which performs the frees (journalled) just before the committing store. A
    transaction never reuses what it freed.
 5. After `rollback` every reachable byte is what it was at `begin`.
 6. A page is touched only after posix_fallocate has provided it: a full disk is OutOfMemory, never SIGBUS. Free runs of RELEASE_PAGES or more are given back
    (hole punching) after the commit that freed them; a run flagged UNBACKED is provided again before use.
 7. `crash_countdown` > 0 counts down at each save (before and after the entry), at each free's store and at commit; at zero the process kills itself with
    SIGKILL (tests only).
"""
from libc.stdint cimport int64_t, uint16_t, uint32_t, uint64_t, uint8_t

cdef enum:
    COMMIT_SLOTS = 64
    COMMIT_INTERNAL = 63
    ROOTS = 256             # words for the users of the arena
    ARENA_VERSION = 1

cdef struct ArenaHeader:
    uint64_t magic
    uint32_t version
    uint32_t shard
    uint32_t shards
    uint32_t _pad
    uint64_t file_size          # virtual
    uint64_t journal_start
    uint64_t journal_limit      # bytes
    uint64_t pages_start
    uint64_t heap_start
    uint64_t capacity_pages
    # journal state: not journalled
    uint64_t journal_used
    uint64_t journal_slot
    uint64_t journal_position
    uint64_t commit[64]
    # journalled from here on (allocator, roots); more fields are arena.pyx's own business
    uint64_t used_bytes         # bytes in live blocks, as allocated (class sizes)
    uint64_t top_page           # first heap page never used yet
    uint64_t backed_pages       # pages provided by posix_fallocate at the top end
    uint64_t roots[256]         # users' words: keyspace (see keyspace.pxd)
    # … allocator lists follow

cdef class Arena:
    cdef char *base
    cdef ArenaHeader *header
    cdef readonly object path
    cdef public uint64_t limit_bytes        # 0 = no limit; soft limit checked by callers through `used_bytes`

    # -- transactions
    cdef void begin(self, uint32_t slot, uint64_t position) noexcept   # names the commit; writes nothing until the first save
    cdef int save(self, uint64_t offset, uint64_t length) except -1    # OutOfMemory when the journal cannot grow
    cdef int put64(self, uint64_t offset, uint64_t value) except -1    # save + store
    cdef int put32(self, uint64_t offset, uint32_t value) except -1
    cdef int write(self, uint64_t offset, const char *data, uint64_t length) except -1  # save + memcpy
    cdef int commit(self) except -1                                    # frees, then the committing store; then housekeeping
    cdef int rollback(self) except -1
    # -- memory
    cdef uint64_t alloc(self, uint64_t length) except 0                # at least `length` bytes, 8-aligned, not zeroed; raises OutOfMemory
    cdef uint64_t alloc_zeroed(self, uint64_t length) except 0
    cdef int free(self, uint64_t offset) except -1                     # takes effect at commit
    cdef uint64_t usable(self, uint64_t offset) noexcept               # true size of an allocated block
    cdef uint64_t good_size(self, uint64_t length) noexcept            # what alloc(length) would really take

    cdef inline char *at(self, uint64_t offset) noexcept nogil:
        return self.base + offset
