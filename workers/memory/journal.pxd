"""Journal: the mapped file and its undo journal; the ground the page heap, the slabs and the arena stand on.

Journal entry, written so that the journal can be walked backwards: the old bytes padded to 8, then one word
`offset << 16 | length`. Longer saves are cut into pieces of at most SAVE_MAX bytes. Saving a word is 16 bytes.

A transaction that has written JOURNAL_FEW bytes remembers from there on which words it has saved, in private memory,
and saves none twice: so what goes through many items one by one writes each node, bitmap and counter that they share
once.

Invariants
 1. An entry is complete, then `journal_used` covers it, then the caller may change the bytes: compiler barriers keep
    that order, which is all that is needed against our own death (memory in a shared mapping outlives the process as
    the processor last saw it).
 2. journal_slot, journal_position and journal_shard change only while journal_used is 0. The journal is open iff
    journal_used > 0 and commit[journal_slot] != journal_position, in the arena of journal_shard; so `begin` must
    name a position other than the slot's last. The words name the transaction from `begin` until its commit or
    rollback: who dies in it is known even if it has saved nothing. journal_shard is the arena's own but while a
    transaction of another shard's worker is under way in it (workers/transaction.pxd).
 3. Undoing reads the journal and writes elsewhere: after a death while undoing all is undone again.
 4. Pages are touched only after `provide` said they are there.
 5. Within a transaction the first save of some bytes is what counts. Who remembers having saved them need not do it
    again: `transaction` tells one transaction from all others of this process.
 6. `fresh` is the root of a table that this transaction has made, root and all, or 0. What it is made of is given back
    by a rollback, so nothing in it is saved. `begin` forgets it, and so does `mark`.
 7. The first `journal_reserve(backed_pages)` bytes of the journal are provided from the arena's making to its end, a
    part of the heap that grows with it: the heap grows only where the journal can. So in a full file system whatever
    writes no more than that still works. The bound is stated in arena.pxd.
 8. A part of a transaction can be undone: all since `mark`. Behind a mark nothing is known to have been saved, and
    nothing to be fresh, so that the journal behind it restores what was there then. A death while undoing a part undoes
    all, as the journal is only then as short as at the mark.
"""
from libc.stdint cimport int64_t, uint32_t, uint64_t
from libc.string cimport memcpy
from shardkv.atomic cimport compiler_barrier
from workers.memory.format cimport PAGE_SHIFT, ArenaHeader

cdef enum:
    SAVE_MAX = 65528
    JOURNAL_STEP = 262144       # bytes provided at a time, at least; as much again as there is, up to JOURNAL_KEEP
    JOURNAL_KEEP = 4194304      # bytes that stay provided between transactions
    JOURNAL_FEW = 65536         # bytes: in a longer journal no word is saved twice
    RESERVE_SHIFT = 6           # a 64th of the heap is there for the journal …
    RESERVE_MIN = 1048576       # … at least this
    RESERVE_MAX = 67108864      # … and at most this

cdef struct Vector:
    # A growing list of words in private memory.
    uint64_t *items
    size_t size
    size_t room

cdef int vector_push(Vector *vector, uint64_t item) except -1

cdef struct Chunk:
    # 64 words of the arena, and which of them this transaction has saved.
    uint64_t number             # of the chunk, plus 1; 0 = nothing here
    uint64_t saved              # a bit a word

cdef struct Chunks:
    # A hash table of them in private memory, by number, probed linearly.
    Chunk *items
    uint64_t size               # a power of two, or 0
    uint64_t used
    uint64_t transaction        # they speak of

cdef inline uint64_t journal_reserve(uint64_t heap_pages) noexcept nogil:
    """Bytes of the journal that are there whatever happens, in an arena with a heap of so many pages."""
    cdef uint64_t bytes = heap_pages << PAGE_SHIFT >> RESERVE_SHIFT
    return min(max(bytes, <uint64_t>RESERVE_MIN), <uint64_t>RESERVE_MAX)

# Crash points, for tests: while > 0 it counts down, and at zero the process kills itself with SIGKILL.
cdef int64_t crash_countdown
cdef void count_down() noexcept nogil

cdef inline void crash_point() noexcept nogil:
    if crash_countdown > 0:
        count_down()

cdef class Journal:
    cdef char *base
    cdef ArenaHeader *header
    cdef readonly object path
    cdef int fd
    cdef uint64_t mapped                # bytes
    cdef uint64_t journal_ready         # bytes of the journal that are provided
    cdef uint64_t journal_plain         # below it bytes are provided, and saved without asking whether they have been
    cdef Chunks chunks
    cdef readonly uint32_t slot         # what `begin` named
    cdef uint64_t position
    cdef uint64_t transaction           # counts `begin`, and `mark`
    cdef uint64_t fresh

    cdef int provide(self, uint64_t offset, uint64_t length) except -1          # OutOfMemory when there is no room
    cdef void unmap(self) noexcept
    cdef void punch(self, uint64_t offset, uint64_t length) noexcept            # gives the pages back to the system
    cdef int provide_journal(self, uint64_t length) except -1                   # more than what is provided
    cdef int provide_journal_to(self, uint64_t length) except -1
    cdef void ready_journal(self, uint64_t length) noexcept                     # so much of it is provided
    cdef void close_journal(self) noexcept                                      # after commit or undo
    cdef bint journal_open(self) noexcept                                       # of a transaction of our own shard's
    cdef bint open_under(self, const ArenaHeader *decider) noexcept             # … of that shard's
    cdef void undo(self) noexcept
    cdef void undo_down_to(self, uint64_t used) noexcept                        # … what was saved since then
    cdef object journal_fault(self)                                             # None, or what is wrong with it

    cdef void begin(self, uint32_t slot, uint64_t position) noexcept
    cdef void begin_for(self, uint64_t shard, uint32_t slot, uint64_t position) noexcept    # … which that shard decides
    cdef void forget_saved(self) noexcept                                       # what comes next is saved again
    cdef int save(self, uint64_t offset, uint64_t length) except -1
    cdef int save_unsaved(self, uint64_t offset, uint64_t length) except -1
    cdef int append(self, uint64_t offset, uint64_t length) except -1
    cdef Chunk *chunk_of(self, uint64_t number) noexcept                        # NULL: no memory to remember it
    cdef bint grow_chunks(self) noexcept
    cdef int put64(self, uint64_t offset, uint64_t value) except -1
    cdef int put32(self, uint64_t offset, uint32_t value) except -1
    cdef int write(self, uint64_t offset, const char *data, uint64_t length) except -1

    cdef inline char *at(self, uint64_t offset) noexcept nogil:
        return self.base + offset

    cdef inline uint64_t offset_of(self, const void *address) noexcept nogil:
        return <uint64_t>(<const char *>address - self.base)

    cdef inline int save_word(self, uint64_t *word) except -1:
        """Saves one aligned word: `save` for the hot paths."""
        cdef uint64_t used = self.header.journal_used
        cdef uint64_t *entry
        if used + 16 > self.journal_plain:
            return self.save_unsaved(self.offset_of(word), 8)
        crash_point()
        entry = <uint64_t *>(self.base + self.header.journal_start + used)
        entry[0] = word[0]
        entry[1] = self.offset_of(word) << 16 | 8
        compiler_barrier()
        self.header.journal_used = used + 16
        compiler_barrier()
        crash_point()
        return 0

    cdef inline int set_word(self, uint64_t *word, uint64_t value) except -1:
        self.save_word(word)
        word[0] = value
        return 0
