"""The mapped file and its undo journal: see journal.pxd."""
from libc.errno cimport EINTR
from libc.stdlib cimport realloc
from posix.mman cimport munmap
from posix.signal cimport kill
from posix.unistd cimport close, getpid
from shardkv.atomic cimport compiler_barrier

import os
from collections.abc import Callable

from shardkv.errors import OutOfMemory

cdef extern from "<fcntl.h>" nogil:
    int posix_fallocate(int fd, int64_t offset, int64_t length)
    int fallocate(int fd, int mode, int64_t offset, int64_t length)
    int FALLOC_FL_PUNCH_HOLE
    int FALLOC_FL_KEEP_SIZE

cdef extern from "<signal.h>" nogil:
    int SIGKILL


cdef object crash_witness = None


def crash_after(count: int, witness: Callable[[], int] | None = None) -> None:
    """Kills this process at its `count`-th crash point from now; 0 disarms. For tests.

    With a `witness` nobody dies: it is called there, may look at what a death would leave, and answers after how many
    more points it is to be called again (0: never).
    """
    global crash_countdown, crash_witness
    crash_countdown = count
    crash_witness = witness


cdef void count_down() noexcept nogil:
    global crash_countdown
    crash_countdown -= 1
    if crash_countdown == 0:
        with gil:
            if crash_witness is not None:
                crash_countdown = crash_witness()
                return
        kill(getpid(), SIGKILL)


cdef int vector_push(Vector *vector, uint64_t item) except -1:
    cdef size_t room
    cdef void *items
    if vector.size == vector.room:
        room = vector.room * 2 + 64
        items = realloc(vector.items, room * sizeof(uint64_t))
        if items == NULL:
            raise OutOfMemory("no private memory for the transaction's lists")
        vector.items = <uint64_t *>items
        vector.room = room
    vector.items[vector.size] = item
    vector.size += 1
    return 0


cdef inline uint64_t padded(uint64_t length) noexcept nogil:
    return (length + 7) & ~<uint64_t>7


cdef class Journal:
    def __cinit__(self) -> None:
        self.base = NULL
        self.fd = -1

    def __dealloc__(self):
        self.unmap()

    # -- the file

    cdef int provide(self, uint64_t offset, uint64_t length) except -1:
        cdef int error = EINTR
        while error == EINTR:
            with nogil:
                error = posix_fallocate(self.fd, offset, length)
        if error:
            raise OutOfMemory(f"{self.path}: {length} more bytes: {os.strerror(error)}")
        return 0

    cdef void punch(self, uint64_t offset, uint64_t length) noexcept:
        # A file system that cannot punch holes keeps the pages: nothing depends on their going.
        if length:
            fallocate(self.fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, offset, length)

    # -- transactions

    cdef void begin(self, uint32_t slot, uint64_t position) noexcept:
        """Names the commit of the transaction that begins; `position` differs from the last one committed to `slot`."""
        self.slot = slot
        self.position = position
        self.transaction += 1
        self.fresh = 0
        self.header.journal_slot = slot
        self.header.journal_position = position
        compiler_barrier()

    cdef int save(self, uint64_t offset, uint64_t length) except -1:
        """Keeps the old content of reachable bytes about to change. Raises OutOfMemory when the journal cannot grow."""
        cdef uint64_t used, piece, room
        cdef char *entry
        while length:
            piece = min(length, <uint64_t>SAVE_MAX)
            room = padded(piece)
            used = self.header.journal_used
            if used + room + 8 > self.journal_ready:
                self.provide_journal(used + room + 8)
            crash_point()
            entry = self.base + self.header.journal_start + used
            memcpy(entry, self.base + offset, piece)
            (<uint64_t *>(entry + room))[0] = offset << 16 | piece
            compiler_barrier()
            self.header.journal_used = used + room + 8
            compiler_barrier()
            crash_point()
            offset += piece
            length -= piece
        return 0

    cdef int put64(self, uint64_t offset, uint64_t value) except -1:
        """Saves and stores an aligned word."""
        return self.set_word(<uint64_t *>(self.base + offset), value)

    cdef int put32(self, uint64_t offset, uint32_t value) except -1:
        """Saves and stores an aligned half word."""
        self.save(offset, 4)
        (<uint32_t *>(self.base + offset))[0] = value
        return 0

    cdef int write(self, uint64_t offset, const char *data, uint64_t length) except -1:
        """Saves and overwrites reachable bytes. `data` does not overlap them."""
        self.save(offset, length)
        memcpy(self.base + offset, data, length)
        return 0

    cdef int provide_journal(self, uint64_t length) except -1:
        cdef uint64_t limit = self.header.journal_limit
        cdef uint64_t ready = self.journal_ready
        if length > limit:
            raise OutOfMemory(f"{self.path}: the command changes more than the journal's {limit} bytes can undo")
        ready += max(<uint64_t>JOURNAL_STEP, min(ready, <uint64_t>JOURNAL_KEEP))
        ready = min(limit, max(ready, length))
        self.provide(self.header.journal_start + self.journal_ready, ready - self.journal_ready)
        self.journal_ready = ready
        return 0

    cdef void close_journal(self) noexcept:
        compiler_barrier()
        self.header.journal_used = 0
        compiler_barrier()
        if self.journal_ready > JOURNAL_KEEP:
            self.punch(self.header.journal_start + JOURNAL_KEEP, self.journal_ready - JOURNAL_KEEP)
            self.journal_ready = JOURNAL_KEEP

    cdef bint journal_open(self) noexcept:
        cdef ArenaHeader *header = self.header
        return header.journal_used > 0 and header.commit[header.journal_slot] != header.journal_position

    cdef void undo(self) noexcept:
        """Puts the saved bytes back, newest first, and closes the journal."""
        cdef char *journal = self.base + self.header.journal_start
        cdef uint64_t used = self.header.journal_used
        cdef uint64_t word, length
        while used:
            word = (<uint64_t *>(journal + used - 8))[0]
            length = word & 0xFFFF
            used -= 8 + padded(length)
            memcpy(self.base + (word >> 16), journal + used, length)
            crash_point()
        self.close_journal()

    cdef object journal_fault(self):
        """Checks every entry as `undo` would read it, before it is believed."""
        cdef ArenaHeader *header = self.header
        cdef uint64_t used = header.journal_used
        cdef uint64_t heap_end = header.heap_start + (header.backed_pages << 12)
        cdef uint64_t journalled = self.offset_of(&header.used_bytes)
        cdef uint64_t word, offset, length, size
        if used > header.journal_limit or used & 7:
            return f"its journal claims {used} bytes of {header.journal_limit}"
        while used:
            word = (<uint64_t *>(self.base + header.journal_start + used - 8))[0]
            offset = word >> 16
            length = word & 0xFFFF
            size = 8 + padded(length)
            if length == 0 or length > SAVE_MAX or size > used:
                return f"its journal has an entry of {length} bytes with {used} left"
            if not (
                journalled <= offset and offset + length <= sizeof(ArenaHeader)
                or header.pages_start <= offset and offset + length <= heap_end
            ):
                return f"its journal has an entry for bytes {offset}..{offset + length}"
            used -= size
        return None

    cdef void unmap(self) noexcept:
        if self.base != NULL:
            munmap(self.base, self.mapped)
            self.base = NULL
            self.header = NULL
        if self.fd >= 0:
            close(self.fd)
            self.fd = -1
