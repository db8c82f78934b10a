"""PageHeap: runs of 4 KiB pages. Blocks above SMALL_MAX are runs of their own; slabs are cut from it.

Free runs lie in lists by length (BINS: one a page count below 64, then four a doubling), one set for runs whose pages
are there and one for runs given back to the system. A bit map says which lists have a run. Behind `top_page` nothing
is used; the heap grows there.

Invariants
 1. First and last page of every run say what it is; pages between say nothing and are never asked. Every change to a
    PageInfo goes through `edit`.
 2. Two free runs side by side are of different sets (one BACKED, one UNBACKED), and no free run lies before
    `top_page`.
 3. Runs go back only in `commit` (release_run, release_idle). A transaction that rolls back has taken runs, and
    nothing else.
 4. `backed_pages` is not journalled. A rollback leaves it grown, which is harmless; it shrinks only after a commit or
    rollback, and what was backed is `loose` then: pages from backed_pages to `loose_end` may be there or not. If death
    comes before it shrinks, an absorbed UNBACKED run may lie below it: so whoever attaches sets it to `top_page`.
 5. Free pages are kept for use up to a slack (`IDLE_KEEP`, or 1/16 of the heap); what is above it goes back to the
    system in steps of `give_back`, longest runs first: marked UNBACKED in the transaction, punched after its commit.
    Death between leaves pages that are there in a run marked as if they were not.
 6. Providing a page and giving it back cost the system about a microsecond each. So no step is longer than GROW_MAX or
    GIVE_PAGES, unless a block is; and only the worker's own work gives pages back, never a command.
 7. Behind `top_page` `heap_reserve` pages are kept backed, for deleting in a full arena: taking things out may need a
    smaller node, pack or table for what stays. A transaction that finds nothing else takes from them (`borrowed`), and
    commits only if it leaves no more bytes in use than it found. Growth provides them again behind the new top, and
    tries that first, so that they come back as soon as there is room. Only where what lies behind a sunken top was
    given back to the system, and something else took that room meanwhile, there are fewer.
"""
from libc.stdint cimport uint32_t, uint64_t
from workers.memory.format cimport FREE, FREE_TAIL, PageInfo
from workers.memory.journal cimport Journal, Vector, journal_reserve

cdef enum:
    GROW_MIN = 64               # pages the heap grows by at least: 256 KiB, rising with its size
    GROW_MAX = 128              # to 512 KiB
    IDLE_KEEP = 1024            # pages
    GIVE_MIN = 16               # pages: shorter runs are not given back
    GIVE_PAGES = 128            # given back in one step at most …
    GIVE_RUNS = 8               # … of so many runs
    FIT_LOOKS = 16              # runs looked at in a list that holds shorter and longer ones
    HEAP_RESERVE_SHIFT = 14     # the heap's reserve is a quarter of the journal's: this many bits less, in pages

cdef class PageHeap(Journal):
    cdef PageInfo *infos
    cdef Vector taken           # (page, pages) taken from UNBACKED runs in this transaction: a rollback punches them
    cdef Vector released        # (page, pages) made UNBACKED in this transaction: punched after its commit
    cdef uint64_t backed_below  # lowest UNBACKED page that `top_page` has sunk below in this transaction, else 2^64 - 1
    cdef bint borrowed          # this transaction has taken pages of the reserve
    cdef bint giving            # the slack was exceeded, and is not yet down to half

    cdef uint64_t take_run(self, uint64_t pages) except 0           # first page; not yet described; OutOfMemory
    cdef int release_run(self, uint64_t page, uint64_t pages) except -1
    cdef bint give_back(self) except -1                             # a step, in a transaction; 1 = more to do
    cdef void settle_pages(self, bint committed) noexcept           # after commit or rollback
    cdef void punch_taken(self, size_t first) noexcept              # what was taken since is given up again

    cdef PageInfo *edit(self, uint64_t page) except NULL            # saved, to be changed
    cdef int link_run(self, uint64_t page, uint64_t pages, int backing) except -1
    cdef int unlink_run(self, uint64_t page) except -1
    cdef uint64_t find_run(self, uint64_t pages, int backing) noexcept
    cdef bint top_has(self, uint64_t pages) noexcept
    cdef bint provide_again(self, uint64_t page, uint64_t pages) except -1
    cdef uint64_t take_top(self, uint64_t pages) except 0
    cdef uint64_t grow_step(self) noexcept
    cdef int back_to(self, uint64_t page) except -1
    cdef bint back_reserve(self, uint64_t page, uint64_t step) except -1
    cdef void restore_reserve(self) noexcept
    cdef int merge(self, uint64_t *page, uint64_t *pages, int backing) except -1
    cdef bint punch_loose(self) noexcept
    cdef bint release_idle(self) except -1
    cdef int release_tail(self, uint64_t page, uint64_t pages) except -1
    cdef int sink_top(self, uint64_t page) except -1
    cdef void lower_backed(self, uint64_t page) noexcept

cdef inline uint64_t run_before(PageInfo *infos, uint64_t page) noexcept nogil:
    """First page of the free run that ends before `page`; 0 if that page is not free."""
    cdef PageInfo *left = &infos[page - 1]
    if left.kind == FREE_TAIL:
        return page - left.pages
    if left.kind == FREE:
        return page - 1
    return 0

cdef inline uint64_t heap_reserve(uint64_t top_page) noexcept nogil:
    """Pages that are kept backed behind the top."""
    return journal_reserve(top_page) >> HEAP_RESERVE_SHIFT

cdef int bin_of(uint64_t pages) noexcept nogil      # the list a free run of `pages` belongs to
