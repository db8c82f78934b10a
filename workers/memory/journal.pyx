"""The mapped file and its undo journal: see journal.pxd."""
from libc.errno cimport EINTR
from libc.stdlib cimport calloc, free as free_memory, realloc
from libc.string cimport memset
from posix.mman cimport munmap
from posix.signal cimport kill
from posix.unistd cimport close, getpid
from shardkv.atomic cimport compiler_barrier
from workers.memory.format cimport PAGE_BYTES

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

cdef extern from *:
    int lowest_bit "__builtin_ctzll"(uint64_t word) nogil


cdef object crash_witness = None


def crash_after(count: int, witness: Callable[[], int] | None = None) -> None:
    """Kills this process at its `count`-th crash point from now; 0 disarms. For tests.

    With a `witness` nobody dies: it is called there, may look at what a death would leave, and returns after how many
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


cdef enum:
    CHUNKS_MIN = 1024
    CHUNKS_KEPT = 4096          # between transactions
    CHUNKS_MAX = 4194304        # 64 MiB; a transaction that saves words of more chunks than fit saves some twice


cdef inline uint64_t padded(uint64_t length) noexcept nogil:
    return (length + 7) & ~<uint64_t>7


cdef inline uint64_t bits(uint64_t first, uint64_t count) noexcept nogil:
    """A word with `count` bits set from bit `first` on; both together are at most 64, and count is not 0."""
    return <uint64_t>-1 >> (64 - count) << first


cdef inline uint64_t place_of(uint64_t number, uint64_t size) noexcept nogil:
    """Where a chunk is looked for first."""
    return (number * <uint64_t>0x9E3779B97F4A7C15) >> 32 & (size - 1)


cdef class Journal:
    def __cinit__(self) -> None:
        self.base = NULL
        self.fd = -1

    def __dealloc__(self):
        self.unmap()
        free_memory(self.chunks.items)

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
        self.forget_saved()
        self.header.journal_slot = slot
        self.header.journal_position = position
        compiler_barrier()

    cdef void begin_for(self, uint64_t shard, uint32_t slot, uint64_t position) noexcept:
        self.header.journal_shard = shard
        self.begin(slot, position)

    cdef void forget_saved(self) noexcept:
        self.transaction += 1
        self.fresh = 0

    cdef int save(self, uint64_t offset, uint64_t length) except -1:
        """Keeps the old content of reachable bytes about to change. Raises OutOfMemory when the journal cannot grow."""
        if length <= SAVE_MAX and self.header.journal_used + padded(length) + 8 <= self.journal_plain:
            return self.append(offset, length)
        return self.save_unsaved(offset, length)

    cdef int append(self, uint64_t offset, uint64_t length) except -1:
        """Writes entries, in pieces, without asking what has been saved."""
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

    # -- what a long transaction has saved

    cdef int save_unsaved(self, uint64_t offset, uint64_t length) except -1:
        """`save`, of those words only that this transaction is not known to have saved."""
        cdef uint64_t word = offset >> 3, end = (offset + length + 7) >> 3
        cdef uint64_t stop, first, count, wanted
        cdef Chunk *chunk
        if length > SAVE_MAX:
            return self.append(offset, length)
        while word < end:
            stop = min(end, (word | 63) + 1)
            chunk = self.chunk_of(word >> 6)
            if chunk == NULL:
                self.append(word << 3, (stop - word) << 3)
            else:
                wanted = bits(word & 63, stop - word) & ~chunk.saved
                while wanted:
                    first = lowest_bit(wanted)
                    count = lowest_bit(~(wanted >> first)) if wanted >> first != <uint64_t>-1 else 64
                    self.append(((word & ~<uint64_t>63) + first) << 3, count << 3)
                    chunk.saved |= bits(first, count)
                    wanted &= ~bits(first, count)
            word = stop
        return 0

    cdef Chunk *chunk_of(self, uint64_t number) noexcept:
        cdef Chunks *chunks = &self.chunks
        cdef uint64_t at
        if chunks.transaction != self.transaction:
            memset(chunks.items, 0, chunks.size * sizeof(Chunk))
            chunks.used, chunks.transaction = 0, self.transaction
        if chunks.used * 4 >= chunks.size * 3 and not self.grow_chunks():
            return NULL
        at = place_of(number, chunks.size)
        while chunks.items[at].number != 0:
            if chunks.items[at].number == number + 1:
                return &chunks.items[at]
            at = (at + 1) & (chunks.size - 1)
        chunks.items[at].number = number + 1
        chunks.used += 1
        return &chunks.items[at]

    cdef bint grow_chunks(self) noexcept:
        """Doubles the table; returns 0, and leaves it as it is, when there is no memory for that."""
        cdef Chunks *chunks = &self.chunks
        cdef uint64_t size = max(<uint64_t>CHUNKS_MIN, 2 * chunks.size), index, at
        cdef Chunk *items = <Chunk *>calloc(size, sizeof(Chunk)) if size <= CHUNKS_MAX else NULL
        if items == NULL:
            return False
        for index in range(chunks.size):
            if chunks.items[index].number:
                at = place_of(chunks.items[index].number - 1, size)
                while items[at].number:
                    at = (at + 1) & (size - 1)
                items[at] = chunks.items[index]
        free_memory(chunks.items)
        chunks.items, chunks.size = items, size
        return True

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
        cdef uint64_t step = max(<uint64_t>JOURNAL_STEP, min(self.journal_ready, <uint64_t>JOURNAL_KEEP))
        if length > limit:
            raise OutOfMemory(f"{self.path}: the command changes more than the journal's {limit} bytes can undo")
        try:
            self.provide_journal_to(min(limit, max(self.journal_ready + step, length)))
        except OutOfMemory:
            self.provide_journal_to(min(limit, length + PAGE_BYTES))    # may fit where a whole step does not
        return 0

    cdef int provide_journal_to(self, uint64_t length) except -1:
        if length > self.journal_ready:
            self.provide(self.header.journal_start + self.journal_ready, length - self.journal_ready)
            self.ready_journal(length)
        return 0

    cdef void ready_journal(self, uint64_t length) noexcept:
        self.journal_ready = length
        self.journal_plain = min(length, <uint64_t>JOURNAL_FEW)

    cdef void close_journal(self) noexcept:
        cdef uint64_t kept = max(<uint64_t>JOURNAL_KEEP, journal_reserve(self.header.backed_pages))
        compiler_barrier()
        self.header.journal_used = 0
        compiler_barrier()
        if self.journal_ready > kept:
            self.punch(self.header.journal_start + kept, self.journal_ready - kept)
            self.ready_journal(kept)
        if self.chunks.size > CHUNKS_KEPT:
            free_memory(self.chunks.items)
            self.chunks.items, self.chunks.size, self.chunks.used = NULL, 0, 0

    cdef bint journal_open(self) noexcept:
        return self.open_under(self.header)

    cdef bint open_under(self, const ArenaHeader *decider) noexcept:
        cdef ArenaHeader *header = self.header
        return header.journal_used > 0 and decider.commit[header.journal_slot] != header.journal_position

    cdef void undo(self) noexcept:
        """Puts the saved bytes back, newest first, and closes the journal."""
        self.undo_down_to(0)
        self.close_journal()

    cdef void undo_down_to(self, uint64_t least) noexcept:
        cdef char *journal = self.base + self.header.journal_start
        cdef uint64_t used = self.header.journal_used
        cdef uint64_t word, length
        while used > least:
            word = (<uint64_t *>(journal + used - 8))[0]
            length = word & 0xFFFF
            used -= 8 + padded(length)
            memcpy(self.base + (word >> 16), journal + used, length)
            crash_point()

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
