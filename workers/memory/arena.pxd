"""The arena: one shard's memory, a mapped file; with its undo journal and its allocator.

It is built in layers, each a class that the next extends, with a header of its own:

    format.pxd     what lies in the file
    journal.pxd    Journal: the mapping, begin, save, undo
    pages.pxd      PageHeap: runs of 4 KiB pages
    slabs.pxd      Slabs: size classes, alloc, free, commit, rollback
    arena.pxd      Arena: made, opened and checked

Invariants
 1. All state is addressed by offsets from the start of the file. Offset 0 is never a block. Offsets are below 2^40
    and blocks are 8-aligned.
 2. Before reachable bytes change, `save` has put their old content into the journal. Memory allocated in this
    transaction needs no saving: code that cannot tell saves it all the same, and `fresh` tells code on tables.
 3. A transaction goes from `begin` to `commit` or `rollback`. One store commits: header.commit[slot] = position, a
    position the slot did not hold before.
 4. A block passed to `free` stays allocated, its bytes untouched, until `commit`, which performs the frees
    (journalled) just before the committing store. A transaction never reuses what it freed. A `commit` that raises
    has not committed: `rollback` is next.
 5. After `rollback` every reachable byte is what it was at `begin`.
 6. A page is touched only after posix_fallocate has provided it: a full disk is OutOfMemory, never SIGBUS. Free pages
    above a slack go back to the system (hole punching), in steps of the owner's own work: `give_back`.
 7. Crash points (`crash_after`, tests only) lie before and after each journal entry, at the commit, and in what
    follows it.
 8. In a full file system, and at the end of the address space, a transaction still commits that leaves no more bytes in
    use than it found, writes at most `journal_reserve` to the journal (a 64th of the heap, 1 to 64 MiB), and allocates
    at most `heap_reserve` on its way (a quarter of that). Taking out a key, field or member takes about 20 bytes of
    journal, a member of a sorted set 45 and some 10 of heap; a list's or stream's elements less than 4. So at 1 MiB a
    command deletes 50,000 keys or 20,000 members of a sorted set; what unlinks a key or database as a whole, expiry and
    freeing in steps need little whatever the size. Beyond that a command is OutOfMemory, rolled back whole.

Calls, and where they come from:
    Journal   begin(slot, position)   save(offset, length)   put64, put32(offset, value)   write(offset, data, length)
              set_word(pointer, value)   at(offset)   offset_of(pointer)
    Slabs     alloc, alloc_zeroed(length)   free(offset)   usable(offset)   good_size(length)   commit()   rollback()
"""
from libc.stdint cimport uint32_t, uint64_t
from workers.memory.format cimport COMMIT_EXPIRY, COMMIT_INTERNAL, COMMIT_SLOTS, COMMIT_WAITING, ROOTS, ArenaHeader
from workers.memory.slabs cimport Slabs

cdef class Arena(Slabs):
    cdef public uint64_t limit_bytes        # 0 = no limit; soft limit checked by callers through `used_bytes`
    # The transaction that the last user died in, whether or not it had changed anything; position 0 = none.
    cdef readonly uint32_t interrupted_slot
    cdef readonly uint64_t interrupted_position

    cdef inline uint64_t root_offset(self, uint32_t index) noexcept nogil:
        """Where root word `index` lies, for `put64`; read it as header.roots[index]."""
        return self.offset_of(&self.header.roots[index])

    cdef int map_file(self, object path, int fd, uint64_t size) except -1
    cdef object header_fault(self, uint64_t size, uint32_t shard, uint32_t shards)
    cdef object state_fault(self)
    cdef uint64_t room(self) except? 0xFFFFFFFFFFFFFFFF     # bytes that the heap can grow by, as its file system is now
    cdef void forget_private(self) noexcept         # another process has changed the arena
    cdef int recover(self, bint fresh) except -1
