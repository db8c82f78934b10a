"""Slabs: blocks of the size classes, and the calls that make, free, commit and roll back.

A slab is a run of pages cut into blocks of one class, with a bitmap of its free blocks (1 = free): in its PageInfo
when it has at most 64 blocks (all classes of 1 KiB and more, in slabs of 8 to 16 pages, the number that wastes
least), else at its start (64 KiB slabs). Classes go in 8-byte steps to 128, then in eight steps a doubling to
SMALL_MAX; anything longer is a run of pages.

Invariants
 1. A slab that is in no list has no free block. Lists are queues: allocations take from the first slab until it is
    full; a full slab that gets room again is appended, so that it gathers free blocks on its way to the front.
 2. `cursors` is a cache of the word of the bitmap that allocations come from, always of the class's first slab;
    forgotten by a rollback. The word is saved when a transaction first takes a block from it, and not again.
 3. Blocks freed are only noted (`frees`); `commit` applies them. `used_delta` is what used_bytes will change by.
 4. Of each class at most one empty slab is kept when the last block of another goes.
 5. An allocation that fails for want of memory leaves lists and bitmaps whole; one that the journal has no room for may
    leave them half changed, so the transaction must be rolled back. Who can go on without the block calls
    `alloc_if_room`, which sees to the journal first.
"""
from libc.stdint cimport int64_t, uint32_t, uint64_t
from workers.memory.format cimport PAGE_SHIFT, SLAB, PageInfo
from workers.memory.journal cimport Vector
from workers.memory.pages cimport PageHeap

cdef enum:
    SMALL_MAX = 16384
    ALLOCATION_JOURNAL = 32768  # bytes: more than an allocation writes to the journal

cdef struct SizeClass:
    uint32_t size               # of a block
    uint32_t pages              # of a slab
    uint32_t blocks
    uint32_t words              # of the bitmap
    uint32_t first              # offset of block 0 in the slab: the bitmap's length, or 0 when that is in the PageInfo
    uint32_t reciprocal         # so that distance * reciprocal >> 32 is distance / size

cdef struct Cursor:
    uint64_t *word              # NULL: ask the list
    uint64_t block              # offset of the block of its lowest bit
    uint64_t size
    uint64_t saved              # the transaction that has saved the word; 0 = none

cdef struct Mark:
    # Where a transaction stood: all since then can be undone.
    uint64_t journal_used
    size_t frees
    size_t taken
    int64_t used_delta
    bint borrowed

cdef SizeClass size_classes[72]
cdef int class_of(uint64_t length) noexcept nogil       # length <= SMALL_MAX
cdef uint64_t full_word(SizeClass *shape, uint32_t word) noexcept nogil     # a bitmap's word, all blocks free

cdef class Slabs(PageHeap):
    cdef Cursor cursors[72]
    cdef Vector frees
    cdef int64_t used_delta

    cdef uint64_t alloc(self, uint64_t length) except 0
    cdef uint64_t alloc_zeroed(self, uint64_t length) except 0
    cdef uint64_t alloc_if_room(self, uint64_t length) except? 0
    cdef int free(self, uint64_t offset) except -1
    cdef inline uint64_t usable(self, uint64_t offset) noexcept:
        """The true size of an allocated block, in bytes."""
        cdef PageInfo *info = &self.infos[(offset - self.header.heap_start) >> PAGE_SHIFT]
        if info.kind == SLAB:
            return size_classes[(info - info.part).size_class].size
        return <uint64_t>info.pages << PAGE_SHIFT

    cdef uint64_t good_size(self, uint64_t length) noexcept
    cdef int commit(self) except -1
    cdef int rollback(self) except -1
    # The steps of a commit, for who commits in several arenas at once (workers/transaction.pxd): `prepare` may raise
    # OutOfMemory, `decide` is the committing store, `finish` closes the journal of what has been decided.
    cdef int prepare(self) except -1
    cdef void decide(self) noexcept
    cdef void finish(self) noexcept
    cdef Mark mark(self) noexcept
    cdef void undo_to(self, const Mark *mark) noexcept
    cdef bint overdrawn(self, const Mark *mark) noexcept    # what came since would not be committed by itself

    cdef uint64_t alloc_run(self, uint64_t length) except 0
    cdef int refill(self, int size_class) except -1
    cdef uint64_t new_slab(self, int size_class) except 0
    cdef int list_slab(self, int size_class, uint64_t page) except -1
    cdef int unlist_slab(self, int size_class, uint64_t page) except -1
    cdef uint64_t *bitmap(self, uint64_t page) noexcept
    cdef bint slab_empty(self, uint64_t page) noexcept
    cdef int apply_frees(self) except -1
    cdef int free_block(self, uint64_t offset, uint64_t page) except -1
    cdef int settle_empty(self, int size_class, uint64_t page) except -1
    cdef void forget(self) noexcept
