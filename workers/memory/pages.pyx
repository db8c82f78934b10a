"""Runs of pages: see pages.pxd."""
from libc.stdlib cimport free as free_memory
from shardkv.atomic cimport compiler_barrier
from workers.memory.format cimport (
    BACKED,
    BIN_WORDS,
    FREE,
    FREE_TAIL,
    INTERIOR,
    PAGE_SHIFT,
    UNBACKED,
)
from workers.memory.journal cimport Vector, crash_point, journal_reserve, vector_push

from shardkv.errors import OutOfMemory

cdef extern from *:
    int lowest_bit "__builtin_ctzll"(uint64_t word) nogil
    int leading_zeros "__builtin_clzll"(uint64_t word) nogil


cdef int bin_of(uint64_t pages) noexcept nogil:
    """The list a free run of `pages` belongs to."""
    cdef int log
    if pages < 64:
        return <int>pages - 1
    log = 63 - leading_zeros(pages)
    return 63 + (log - 6) * 4 + (<int>(pages >> (log - 2)) & 3)


cdef inline int next_bin(uint64_t *bin_map, int bin) noexcept nogil:
    """The first list from `bin` on that has a run, or -1."""
    cdef int word = bin >> 6
    cdef uint64_t bits
    if word >= BIN_WORDS:
        return -1
    bits = bin_map[word] & (<uint64_t>-1 << (bin & 63))
    while bits == 0:
        word += 1
        if word == BIN_WORDS:
            return -1
        bits = bin_map[word]
    return word * 64 + lowest_bit(bits)


cdef inline int last_bin(uint64_t *bin_map) noexcept nogil:
    """The last list that has a run, or -1."""
    cdef int word = BIN_WORDS - 1
    while word >= 0 and bin_map[word] == 0:
        word -= 1
    return -1 if word < 0 else word * 64 + 63 - leading_zeros(bin_map[word])


cdef class PageHeap(Journal):
    def __dealloc__(self):
        free_memory(self.taken.items)
        free_memory(self.released.items)

    # -- taking

    cdef uint64_t take_run(self, uint64_t pages) except 0:
        cdef uint64_t page = self.find_run(pages, BACKED)
        cdef uint64_t length
        cdef int backing = BACKED
        if page == 0:
            page = self.find_run(pages, UNBACKED)
            if page == 0 or self.top_has(pages) or not self.provide_again(page, pages):
                return self.take_top(pages)
            backing = UNBACKED
        length = self.infos[page].pages
        self.unlink_run(page)
        if length > pages:
            self.link_run(page + pages, length - pages, backing)
        return page

    cdef inline bint top_has(self, uint64_t pages) noexcept:
        """Whether so many pages behind the top are there beside the reserve."""
        cdef uint64_t end = self.header.top_page + pages
        return end + heap_reserve(end) <= self.header.backed_pages

    cdef bint provide_again(self, uint64_t page, uint64_t pages) except -1:
        """Provides pages of an UNBACKED run; returns 0 when there is no room for them."""
        vector_push(&self.taken, page)
        vector_push(&self.taken, pages)
        try:
            self.provide(self.header.heap_start + (page << PAGE_SHIFT), pages << PAGE_SHIFT)
        except OutOfMemory:
            self.taken.size -= 2
            return False
        return True

    cdef uint64_t find_run(self, uint64_t pages, int backing) noexcept:
        """A free run of at least `pages`, near to the shortest there is; 0 if there is none."""
        cdef int bin = bin_of(pages)
        cdef int looks = FIT_LOOKS
        cdef uint64_t page = self.header.bins[backing][bin]
        while page and self.infos[page].pages < pages and looks:
            page = self.infos[page].next
            looks -= 1
        if page and looks:
            return page
        bin = next_bin(self.header.bin_map[backing], bin + 1)
        return 0 if bin < 0 else self.header.bins[backing][bin]

    cdef uint64_t take_top(self, uint64_t pages) except 0:
        cdef uint64_t page = self.header.top_page
        cdef uint64_t capacity = self.header.capacity_pages
        cdef uint64_t end = page + pages
        if pages > capacity or end > capacity:
            raise OutOfMemory(f"{self.path}: its {capacity << PAGE_SHIFT} bytes of address space are used up")
        if not self.top_has(pages) and not self.back_reserve(end, self.grow_step()) and not self.back_reserve(end, 0):
            if end > self.header.backed_pages:
                raise OutOfMemory(f"{self.path}: no room for {pages} more pages")
            self.borrowed = True
        self.set_word(&self.header.top_page, end)
        return page

    cdef bint back_reserve(self, uint64_t page, uint64_t step) except -1:
        """Provides the reserve behind a top at `page`, and `step` pages more; returns 0 when there is no room."""
        cdef uint64_t reserve = page + heap_reserve(page)
        if reserve > self.header.capacity_pages:
            return False
        try:
            self.back_to(min(reserve + step, self.header.capacity_pages))
        except OutOfMemory:
            return False
        return True

    cdef void restore_reserve(self) noexcept:
        """Provides the reserve behind the top as it is, as far as there is room."""
        cdef uint64_t page = self.header.top_page + heap_reserve(self.header.top_page)
        try:
            self.back_to(min(page, self.header.capacity_pages))
        except OutOfMemory:
            pass

    cdef uint64_t grow_step(self) noexcept:
        return max(<uint64_t>GROW_MIN, min(<uint64_t>GROW_MAX, self.header.top_page >> 3))

    cdef int back_to(self, uint64_t page) except -1:
        """Provides the heap, its part of the page table and the journal's reserve, up to `page`."""
        cdef uint64_t backed = self.header.backed_pages
        cdef uint64_t count = page - backed
        if page <= backed:
            return 0
        self.provide_journal_to(min(journal_reserve(page), self.header.journal_limit))
        self.provide(self.offset_of(&self.infos[backed]), count * sizeof(PageInfo))
        self.provide(self.header.heap_start + (backed << PAGE_SHIFT), count << PAGE_SHIFT)
        self.header.backed_pages = page
        return 0

    # -- giving back

    cdef int release_run(self, uint64_t page, uint64_t pages) except -1:
        """Frees an allocated run. Only in commit."""
        self.edit(page).kind = INTERIOR     # so that freeing it again is noticed
        self.merge(&page, &pages, BACKED)
        if page + pages == self.header.top_page:
            return self.sink_top(page)
        return self.link_run(page, pages, BACKED)

    cdef bint give_back(self) except -1:
        """Gives a bounded number of pages back that nothing needs; those of free runs are gone after the commit."""
        return self.punch_loose() or self.release_idle()

    cdef bint punch_loose(self) noexcept:
        """Gives back pages above backed_pages, the last first; returns whether there were any."""
        cdef uint64_t end = self.header.loose_end
        cdef uint64_t page = self.header.backed_pages
        if end <= page:
            return False
        if end > page + GIVE_PAGES:
            page = end - GIVE_PAGES
        self.punch(self.header.heap_start + (page << PAGE_SHIFT), (end - page) << PAGE_SHIFT)
        self.header.loose_end = <uint32_t>page
        return True

    cdef bint release_idle(self) except -1:
        """Marks free runs UNBACKED, longest first, until half the slack is left; returns whether there are more."""
        cdef uint64_t slack = max(<uint64_t>IDLE_KEEP, self.header.top_page >> 4)
        cdef uint64_t room = GIVE_PAGES
        cdef uint64_t page, pages
        cdef int bin
        self.giving = self.header.idle_pages > (slack >> 1 if self.giving else slack)
        while self.giving and room and self.released.size < 2 * GIVE_RUNS:
            bin = last_bin(self.header.bin_map[BACKED])
            page = self.header.bins[BACKED][bin] if bin >= 0 else 0
            if page == 0 or self.infos[page].pages < GIVE_MIN:
                self.giving = False
                break
            pages = min(room, <uint64_t>self.infos[page].pages)
            room -= pages
            self.release_tail(page, pages)
            self.giving = self.header.idle_pages > slack >> 1
        return self.giving

    cdef int release_tail(self, uint64_t page, uint64_t pages) except -1:
        """Marks the last pages of the free run at `page` UNBACKED."""
        cdef uint64_t kept = self.infos[page].pages - pages
        self.unlink_run(page)
        if kept:
            self.link_run(page, kept, BACKED)
        page += kept
        vector_push(&self.released, page)
        vector_push(&self.released, pages)
        self.merge(&page, &pages, UNBACKED)
        return self.link_run(page, pages, UNBACKED)

    cdef int merge(self, uint64_t *page, uint64_t *pages, int backing) except -1:
        """Joins a run that is in no list with its free neighbours of the same set."""
        cdef uint64_t left = run_before(self.infos, page[0])
        cdef uint64_t right = page[0] + pages[0]
        if right < self.header.top_page and self.infos[right].kind == FREE and self.infos[right].flags == backing:
            pages[0] += self.infos[right].pages
            self.unlink_run(right)
        if left and self.infos[left].flags == backing:
            page[0] = left
            pages[0] += self.infos[left].pages
            self.unlink_run(left)
        return 0

    cdef int sink_top(self, uint64_t page) except -1:
        """Makes `page` the top, or the start of the free runs before it."""
        cdef uint64_t run = run_before(self.infos, page)
        while run:
            if self.infos[run].flags == UNBACKED:
                self.backed_below = min(self.backed_below, run)
            self.unlink_run(run)
            page = run
            run = run_before(self.infos, page)
        self.set_word(&self.header.top_page, page)
        return 0

    cdef void settle_pages(self, bint committed) noexcept:
        cdef Vector *spans = &self.released if committed else &self.taken
        cdef uint64_t heap = self.header.heap_start
        cdef uint64_t top = self.header.top_page
        cdef size_t i
        cdef uint64_t reserve = heap_reserve(top)
        if committed and self.backed_below < self.header.backed_pages:
            self.lower_backed(self.backed_below)
            self.restore_reserve()
        if self.header.backed_pages > top + reserve + IDLE_KEEP:
            self.lower_backed(top + reserve + self.grow_step())
        for i in range(0, spans.size, 2):
            self.punch(heap + (spans.items[i] << PAGE_SHIFT), spans.items[i + 1] << PAGE_SHIFT)
        self.taken.size = 0
        self.released.size = 0
        self.backed_below = <uint64_t>-1
        self.borrowed = False

    cdef void punch_taken(self, size_t first) noexcept:
        cdef Vector *spans = &self.taken
        cdef size_t i
        for i in range(first, spans.size, 2):
            self.punch(self.header.heap_start + (spans.items[i] << PAGE_SHIFT), spans.items[i + 1] << PAGE_SHIFT)
        spans.size = first

    cdef void lower_backed(self, uint64_t page) noexcept:
        """Leaves what is backed from `page` on to `give_back`."""
        self.header.loose_end = max(self.header.loose_end, <uint32_t>self.header.backed_pages)
        compiler_barrier()
        self.header.backed_pages = page
        crash_point()

    # -- the lists

    cdef PageInfo *edit(self, uint64_t page) except NULL:
        cdef PageInfo *info = &self.infos[page]
        self.save(self.offset_of(info), sizeof(PageInfo))
        return info

    cdef int link_run(self, uint64_t page, uint64_t pages, int backing) except -1:
        """Describes a free run and puts it into its list."""
        cdef int bin = bin_of(pages)
        cdef uint32_t *first = &self.header.bins[backing][bin]
        cdef uint64_t *bits = &self.header.bin_map[backing][bin >> 6]
        cdef PageInfo *info = self.edit(page)
        info.kind = FREE
        info.flags = backing
        info.pages = <uint32_t>pages
        info.next = first[0]
        info.prev = 0
        if pages > 1:
            info = self.edit(page + pages - 1)
            info.kind = FREE_TAIL
            info.pages = <uint32_t>pages
        if first[0]:
            self.edit(first[0]).prev = <uint32_t>page
        else:
            self.set_word(bits, bits[0] | <uint64_t>1 << (bin & 63))
        self.put32(self.offset_of(first), <uint32_t>page)
        if backing == BACKED:
            self.set_word(&self.header.idle_pages, self.header.idle_pages + pages)
        return 0

    cdef int unlink_run(self, uint64_t page) except -1:
        """Takes a free run out of its list; its pages then say nothing."""
        cdef PageInfo *info = self.edit(page)
        cdef int backing = info.flags
        cdef int bin = bin_of(info.pages)
        cdef uint32_t *first = &self.header.bins[backing][bin]
        cdef uint64_t *bits = &self.header.bin_map[backing][bin >> 6]
        info.kind = INTERIOR
        if info.pages > 1:
            self.edit(page + info.pages - 1).kind = INTERIOR
        if info.next:
            self.edit(info.next).prev = info.prev
        if info.prev:
            self.edit(info.prev).next = info.next
        else:
            self.put32(self.offset_of(first), info.next)
            if info.next == 0:
                self.set_word(bits, bits[0] & ~(<uint64_t>1 << (bin & 63)))
        if backing == BACKED:
            self.set_word(&self.header.idle_pages, self.header.idle_pages - info.pages)
        return 0
