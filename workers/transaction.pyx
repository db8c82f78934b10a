"""One command over one arena or several: see transaction.pxd."""
from libc.stdint cimport uint32_t, uint64_t
from libc.stdlib cimport free, realloc

from shardkv.atomic cimport compiler_barrier
from workers.memory.arena cimport Arena
from workers.memory.journal cimport crash_point
from workers.memory.slabs cimport Mark

from shardkv.errors import OutOfMemory


cdef class Transaction:
    def __init__(self, Arena home) -> None:
        """Transactions that the worker of `home`'s shard executes."""
        self.home = home

    def __dealloc__(self):
        free(self.marks)

    cdef int take_part(self, list lent) except -1:
        self.lent = lent if lent else None
        return 0

    cdef int begin(self, uint32_t slot, uint64_t position) except -1:
        """Begins in every arena; `position` differs from the last one committed to `slot` in home."""
        cdef Arena arena
        self.home.begin(slot, position)
        if self.lent is not None:
            for arena in self.lent:
                arena.begin_for(self.home.header.shard, slot, position)
        return 0

    cdef int commit(self) except -1:
        cdef Arena arena
        if self.lent is None:
            return self.home.commit()
        self.home.prepare()
        for arena in self.lent:
            arena.prepare()
        self.home.decide()
        for arena in self.lent:
            arena.finish()
            leave(arena)
        self.home.finish()
        return 0

    cdef int rollback(self) except -1:
        """Restores every reachable byte of every arena to what it was at `begin`."""
        cdef Arena arena
        if self.lent is not None:
            for arena in self.lent:
                arena.rollback()
                leave(arena)
        return self.home.rollback()

    cdef int mark(self) except -1:
        """Where all arenas stand now, for `undo_to_mark`. Raises MemoryError."""
        cdef size_t count = 1 if self.lent is None else 1 + <size_t>len(self.lent)
        cdef void *grown
        cdef size_t number = 1
        cdef Arena arena
        if count > self.marks_room:
            grown = realloc(self.marks, count * sizeof(Mark))
            if grown == NULL:
                raise MemoryError()
            self.marks, self.marks_room = <Mark *>grown, count
        self.marks[0] = self.home.mark()
        if self.lent is not None:
            for arena in self.lent:
                self.marks[number] = arena.mark()
                number += 1
        return 0

    cdef int undo_to_mark(self) except -1:
        """Undoes what was done since `mark`; the transaction goes on."""
        cdef size_t number = 1
        cdef Arena arena
        self.home.undo_to(&self.marks[0])
        if self.lent is not None:
            for arena in self.lent:
                arena.undo_to(&self.marks[number])
                number += 1
        return 0

    cdef int check_room(self) except -1:
        cdef size_t number = 1
        cdef Arena arena
        cdef bint overdrawn = self.home.overdrawn(&self.marks[0])
        if self.lent is not None:
            for arena in self.lent:
                overdrawn |= arena.overdrawn(&self.marks[number])
                number += 1
        if overdrawn:
            raise OutOfMemory("no room but what is kept for deleting")
        return 0

    cdef bint changed(self) noexcept:
        return self.journalled() != 0

    cdef uint64_t journalled(self) noexcept:
        cdef uint64_t total = self.home.header.journal_used
        cdef Arena arena
        if self.lent is not None:
            for arena in self.lent:
                total += arena.header.journal_used
        return total


cdef void leave(Arena arena) noexcept:
    """The arena's own commit words decide again; its journal is empty."""
    compiler_barrier()
    arena.header.journal_position = arena.header.commit[arena.header.journal_slot]
    crash_point()
    arena.header.journal_shard = arena.header.shard
    compiler_barrier()
    crash_point()


cdef int settle(Arena arena, Arena decider) except -1:
    if arena.open_under(decider.header):
        arena.undo()
    else:
        arena.close_journal()
    leave(arena)
    return 0
