"""Blocks of the size classes, and commit and rollback: see slabs.pxd."""
from libc.stdlib cimport free as free_memory
from libc.string cimport memset
from shardkv.atomic cimport atomic_store_release, compiler_barrier
from workers.memory.format cimport CLASSES, PAGE_BYTES, PAGE_SHIFT, RUN, RUN_TAIL, SLAB, PageInfo, SlabList
from workers.memory.journal cimport crash_point, vector_push

from shardkv.errors import OutOfMemory

cdef extern from *:
    int lowest_bit "__builtin_ctzll"(uint64_t word) nogil
    int leading_zeros "__builtin_clzll"(uint64_t word) nogil


class ArenaError(Exception):
    """An arena that cannot be made or opened, or a block freed that is none: one line, with what to do about it."""


# -- size classes

cdef int class_of(uint64_t length) noexcept nogil:
    cdef uint64_t last = length - 1
    cdef int log
    if length <= 128:
        return <int>(last >> 3) if length else 0
    log = 63 - leading_zeros(last)
    return 16 + (log - 7) * 8 + (<int>(last >> (log - 3)) & 7)


cdef uint64_t full_word(SizeClass *shape, uint32_t word) noexcept nogil:
    cdef uint32_t bits = shape.blocks - word * 64
    return <uint64_t>-1 if bits >= 64 else (<uint64_t>1 << bits) - 1


cdef void shape_class(SizeClass *shape, uint32_t size) noexcept:
    cdef uint32_t pages, waste, least = 0xFFFFFFFF
    shape.size = size
    shape.reciprocal = <uint32_t>((<uint64_t>1 << 32) // size + 1)
    if size < 1024:
        shape.pages = 16
        shape.words = (16 * PAGE_BYTES // size + 63) // 64
        shape.first = shape.words * 8
        shape.blocks = (16 * PAGE_BYTES - shape.first) // size
        shape.words = (shape.blocks + 63) // 64
        return
    shape.words = 1
    shape.first = 0
    for pages in range(16, 7, -1):
        waste = (pages * PAGE_BYTES % size) * 16 // pages
        if waste < least and pages * PAGE_BYTES // size <= 64:
            least = waste
            shape.pages = pages
            shape.blocks = pages * PAGE_BYTES // size


cdef void shape_classes() noexcept:
    cdef int i
    for i in range(16):
        shape_class(&size_classes[i], (i + 1) * 8)
    for i in range(16, CLASSES):
        shape_class(&size_classes[i], (9 + i % 8) << (2 + i // 8))


shape_classes()


cdef class Slabs(PageHeap):
    def __dealloc__(self):
        free_memory(self.frees.items)

    # -- allocating

    cdef uint64_t alloc(self, uint64_t length) except 0:
        """At least `length` bytes, 8-aligned, not zeroed. Raises OutOfMemory."""
        cdef int size_class
        cdef Cursor *cursor
        cdef uint64_t bits
        if length > SMALL_MAX:
            return self.alloc_run(length)
        size_class = class_of(length)
        cursor = &self.cursors[size_class]
        if cursor.word == NULL or cursor.word[0] == 0:
            self.refill(size_class)
        bits = cursor.word[0]
        if cursor.saved != self.transaction:
            self.save_word(cursor.word)
            cursor.saved = self.transaction
        cursor.word[0] = bits & (bits - 1)
        self.used_delta += cursor.size
        return cursor.block + lowest_bit(bits) * cursor.size

    cdef uint64_t alloc_zeroed(self, uint64_t length) except 0:
        """As `alloc`, with `length` bytes zero."""
        cdef uint64_t offset = self.alloc(length)
        memset(self.base + offset, 0, length)
        return offset

    cdef uint64_t alloc_if_room(self, uint64_t length) except? 0:
        """As `alloc`, but returns 0, and leaves all as it was, where there is no room."""
        try:
            if self.header.journal_used + ALLOCATION_JOURNAL > self.journal_ready:
                self.provide_journal(self.header.journal_used + ALLOCATION_JOURNAL)
            return self.alloc(length)
        except OutOfMemory:
            return 0

    cdef uint64_t alloc_run(self, uint64_t length) except 0:
        cdef uint64_t pages = (length >> PAGE_SHIFT) + ((length & (PAGE_BYTES - 1)) != 0)
        cdef uint64_t page
        cdef PageInfo *info
        if pages > self.header.capacity_pages:
            raise OutOfMemory(f"{self.path}: a block of {length} bytes is larger than the arena")
        page = self.take_run(pages)
        if pages > 1:
            self.edit(page + pages - 1).kind = RUN_TAIL
        info = self.edit(page)
        info.kind = RUN
        info.flags = 0
        info.pages = <uint32_t>pages
        self.used_delta += pages << PAGE_SHIFT
        return self.header.heap_start + (page << PAGE_SHIFT)

    cdef int refill(self, int size_class) except -1:
        """Puts the class's cursor on a word with a free block, of a new slab if need be."""
        cdef Cursor *cursor = &self.cursors[size_class]
        cdef SizeClass *shape = &size_classes[size_class]
        cdef uint64_t *bitmap
        cdef uint64_t page
        cdef uint32_t word
        while True:
            page = self.header.slabs[size_class].first
            if page == 0:
                page = self.new_slab(size_class)
            bitmap = self.bitmap(page)
            for word in range(shape.words):
                if bitmap[word]:
                    cursor.word = &bitmap[word]
                    cursor.size = shape.size
                    cursor.saved = 0
                    cursor.block = self.header.heap_start + (page << PAGE_SHIFT) + shape.first
                    cursor.block += <uint64_t>word * 64 * shape.size
                    return 0
            self.unlist_slab(size_class, page)

    cdef uint64_t new_slab(self, int size_class) except 0:
        cdef SizeClass *shape = &size_classes[size_class]
        cdef uint64_t page = self.take_run(shape.pages)
        cdef uint64_t *bitmap
        cdef PageInfo *info
        cdef uint32_t i
        for i in range(shape.pages):
            info = self.edit(page + i)
            info.kind = SLAB
            info.flags = 0
            info.size_class = size_class
            info.part = i
            info.pages = shape.pages
        bitmap = self.bitmap(page)      # in memory that was free until now: not saved
        for i in range(shape.words):
            bitmap[i] = full_word(shape, i)
        self.list_slab(size_class, page)
        return page

    cdef uint64_t *bitmap(self, uint64_t page) noexcept:
        cdef PageInfo *info = &self.infos[page]
        if size_classes[info.size_class].first == 0:
            return &info.bitmap
        return <uint64_t *>(self.base + self.header.heap_start + (page << PAGE_SHIFT))

    cdef uint64_t good_size(self, uint64_t length) noexcept:
        """What `alloc(length)` would really take, in bytes."""
        if length > SMALL_MAX:
            return (length + PAGE_BYTES - 1) & ~<uint64_t>(PAGE_BYTES - 1)
        return size_classes[class_of(length)].size

    # -- freeing

    cdef int free(self, uint64_t offset) except -1:
        """Frees a block when the transaction commits; until then its bytes stay."""
        return vector_push(&self.frees, offset)

    cdef int apply_frees(self) except -1:
        cdef uint64_t heap = self.header.heap_start
        cdef uint64_t offset, page, pages
        cdef PageInfo *info
        cdef size_t i
        for i in range(self.frees.size):
            offset = self.frees.items[i]
            page = (offset - heap) >> PAGE_SHIFT
            if offset < heap or page >= self.header.top_page:
                raise ArenaError(f"{self.path}: freed offset {offset}, which is not in the heap")
            info = &self.infos[page]
            if info.kind == SLAB:
                self.free_block(offset, page - info.part)
            elif info.kind == RUN and offset & (PAGE_BYTES - 1) == 0:
                pages = info.pages
                self.used_delta -= pages << PAGE_SHIFT
                self.release_run(page, pages)
            else:
                raise ArenaError(f"{self.path}: freed offset {offset}, which is no block")
        return 0

    cdef int free_block(self, uint64_t offset, uint64_t page) except -1:
        """Frees a block of the slab at `page`."""
        cdef PageInfo *info = &self.infos[page]
        cdef int size_class = info.size_class
        cdef SizeClass *shape = &size_classes[size_class]
        cdef uint64_t distance = offset - (self.header.heap_start + (page << PAGE_SHIFT) + shape.first)
        cdef uint64_t index = distance * shape.reciprocal >> 32
        cdef uint64_t *word = &self.bitmap(page)[index >> 6]
        cdef uint64_t bit = <uint64_t>1 << (index & 63)
        if index >= shape.blocks or index * shape.size != distance or word[0] & bit:
            raise ArenaError(f"{self.path}: freed offset {offset}, which is no block")
        self.set_word(word, word[0] | bit)
        self.used_delta -= shape.size
        if info.flags == 0:
            self.list_slab(size_class, page)
        if word[0] == full_word(shape, index >> 6) and self.slab_empty(page):
            self.settle_empty(size_class, page)
        return 0

    cdef bint slab_empty(self, uint64_t page) noexcept:
        cdef SizeClass *shape = &size_classes[self.infos[page].size_class]
        cdef uint64_t *bitmap = self.bitmap(page)
        cdef uint32_t word
        for word in range(shape.words):
            if bitmap[word] != full_word(shape, word):
                return False
        return True

    cdef int settle_empty(self, int size_class, uint64_t page) except -1:
        """Keeps an empty slab as the class's spare, or gives its pages back when there is one."""
        cdef uint32_t *spare = &self.header.slabs[size_class].spare
        if spare[0] == page:
            return 0
        if spare[0] == 0 or not self.slab_empty(spare[0]):
            return self.put32(self.offset_of(spare), <uint32_t>page)
        self.unlist_slab(size_class, page)
        return self.release_run(page, size_classes[size_class].pages)

    # -- the lists of slabs with room

    cdef int list_slab(self, int size_class, uint64_t page) except -1:
        """Appends a slab to its class's list."""
        cdef SlabList *slabs = &self.header.slabs[size_class]
        cdef PageInfo *info = self.edit(page)
        info.flags = 1
        info.next = 0
        info.prev = slabs.last
        if slabs.last:
            self.edit(slabs.last).next = <uint32_t>page
        else:
            self.put32(self.offset_of(&slabs.first), <uint32_t>page)
        return self.put32(self.offset_of(&slabs.last), <uint32_t>page)

    cdef int unlist_slab(self, int size_class, uint64_t page) except -1:
        cdef SlabList *slabs = &self.header.slabs[size_class]
        cdef PageInfo *info = self.edit(page)
        info.flags = 0
        if info.next:
            self.edit(info.next).prev = info.prev
        else:
            self.put32(self.offset_of(&slabs.last), info.prev)
        if info.prev:
            self.edit(info.prev).next = info.next
        else:
            self.put32(self.offset_of(&slabs.first), info.next)
            self.cursors[size_class].word = NULL
        return 0

    # -- the end of a transaction

    cdef int commit(self) except -1:
        """Applies the frees and commits. Raises OutOfMemory with the transaction still open, to be rolled back."""
        self.prepare()
        self.decide()
        self.finish()
        return 0

    cdef int prepare(self) except -1:
        if self.frees.size:
            self.apply_frees()
        if self.borrowed and self.used_delta > 0:
            raise OutOfMemory(f"{self.path}: no room but what is kept for deleting")
        if self.used_delta and self.header.journal_used:
            self.set_word(&self.header.used_bytes, self.header.used_bytes + self.used_delta)
        return 0

    cdef void decide(self) noexcept:
        crash_point()
        atomic_store_release(&self.header.commit[self.slot], self.position)
        crash_point()

    cdef void finish(self) noexcept:
        if self.header.journal_used:
            self.close_journal()
            crash_point()
            self.frees.size = 0
            self.used_delta = 0
            self.settle_pages(True)

    cdef Mark mark(self) noexcept:
        """Where the transaction stands now, for `undo_to`."""
        cdef Mark mark
        self.forget_saved()
        mark.journal_used, mark.frees = self.header.journal_used, self.frees.size
        mark.taken, mark.used_delta, mark.borrowed = self.taken.size, self.used_delta, self.borrowed
        return mark

    cdef void undo_to(self, const Mark *mark) noexcept:
        """Undoes what the transaction did since the mark, and goes on."""
        self.undo_down_to(mark.journal_used)
        compiler_barrier()
        self.header.journal_used = mark.journal_used
        compiler_barrier()
        memset(self.cursors, 0, sizeof(self.cursors))
        self.forget_saved()
        self.frees.size = mark.frees
        self.used_delta, self.borrowed = mark.used_delta, mark.borrowed
        self.punch_taken(mark.taken)

    cdef bint overdrawn(self, const Mark *mark) noexcept:
        """Whether the transaction has taken pages of the reserve (pages.pxd), and needs more since the mark than it has
        freed."""
        cdef int64_t needed = self.used_delta - mark.used_delta
        cdef size_t i
        if not self.borrowed:
            return False
        for i in range(mark.frees, self.frees.size):
            needed -= <int64_t>self.usable(self.frees.items[i])
        return needed > 0

    cdef int rollback(self) except -1:
        """Restores every reachable byte to what it was at `begin`."""
        self.undo()
        self.header.journal_position = self.header.commit[self.header.journal_slot]  # nobody can die in it any more
        self.forget()
        self.settle_pages(False)
        return 0

    cdef void forget(self) noexcept:
        """Drops what private memory knows of a transaction."""
        memset(self.cursors, 0, sizeof(self.cursors))
        self.frees.size = 0
        self.used_delta = 0
