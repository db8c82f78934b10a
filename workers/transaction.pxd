"""Transaction: one command, or all of an EXEC, over the arena of the executing worker's shard, its *home*, and those of
other shards that it has on lease (workers/leases.pxd). There is no other way to change an arena for a client.

    begin      names the transaction in each arena
    mark       … undo_to_mark: a part of it, a command of an EXEC, is undone
    commit     prepares every arena, decides by one store, closes every journal
    rollback   restores all of them

Invariants
 1. One store decides over all arenas: home.commit[slot] = position. A death before it leaves every arena to be undone,
    one behind it to be closed.
 2. Before a lent arena is changed its header names home as the decider (journal_shard, slot, position), stored while
    its journal is empty. So whoever settles it knows whom to ask.
 3. A lent arena's journal is closed, or undone, before journal_shard is its own again, and both before its lock is
    given back. Home's own lock is given back last, so nobody decides anything in home while a lent arena waits to be
    settled.
 4. OutOfMemory in any arena, at any step before the store, undoes all.
 5. There is one mark at a time; a new one forgets the last.
"""
from libc.stdint cimport uint32_t, uint64_t

from workers.memory.arena cimport Arena
from workers.memory.slabs cimport Mark

cdef class Transaction:
    cdef readonly Arena home
    cdef list lent                      # Arena of each shard beside home that takes part, ascending; None: only home
    cdef Mark *marks                    # home's, then those of `lent`
    cdef size_t marks_room

    # The arenas beside home that take part from the next `begin` on; None: none.
    cdef int take_part(self, list lent) except -1
    cdef int begin(self, uint32_t slot, uint64_t position) except -1
    cdef int commit(self) except -1     # OutOfMemory: nothing is committed, and `rollback` is next
    cdef int rollback(self) except -1
    cdef int mark(self) except -1
    cdef int undo_to_mark(self) except -1
    # Raises OutOfMemory: what was done since the mark needs pages that are kept for deleting.
    cdef int check_room(self) except -1
    cdef bint changed(self) noexcept            # anything was saved, access clocks too
    cdef uint64_t journalled(self) noexcept     # bytes saved so far, in all arenas

# Settles an arena that a dead worker had on lease, by the header of the arena that decides.
cdef int settle(Arena arena, Arena decider) except -1
