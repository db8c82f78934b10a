"""Segments: see segment.pxd."""
import os

from libc.errno cimport EDQUOT, EEXIST, EFBIG, EINTR, EMFILE, ENFILE, ENOSPC, errno
from libc.stdint cimport uint32_t, uint64_t
from libc.stdlib cimport free, malloc
from posix.fcntl cimport O_APPEND, O_CREAT, O_EXCL, O_RDWR, O_WRONLY, open as c_open
from posix.mman cimport (
    MAP_ANONYMOUS, MAP_FAILED, MAP_NORESERVE, MAP_SHARED, PROT_READ, PROT_WRITE, mmap, munmap,
)
from posix.stat cimport fstat, stat, struct_stat
from posix.unistd cimport close as c_close, link as c_link, unlink as c_unlink, write

from shardkv.atomic cimport atomic_load_acquire
from shardkv.ring cimport IN_SEGMENT, ReplyRecord, RequestRecord, Ring, RingPair, SegmentName, record_at

from shardkv.errors import ARENA_FULL, NO_DESCRIPTORS

cdef extern from "<fcntl.h>" nogil:
    int O_CLOEXEC

cdef extern from "<sys/mman.h>" nogil:
    int MADV_REMOVE
    int madvise(void *address, size_t length, int advice)

cdef enum:
    PAGE = 4096

cdef struct Leftover:
    Leftover *next
    char *address
    uint64_t size
    uint64_t given

# What nameless segments left when they were closed, the last one first.
cdef Leftover *leftovers = NULL


class SegmentError(Exception):
    """A segment cannot be made, grown or opened. `number` is the errno of why, 0 when it does not fit its record."""

    def __init__(self, text: str, number: int = 0) -> None:
        super().__init__(text)
        self.number = number


def no_segment(number: int) -> str:
    """The error text for a request whose segment cannot be made or opened, `number` being the SegmentError's."""
    if number in (ENOSPC, EFBIG, EDQUOT):
        return ARENA_FULL
    if number in (EMFILE, ENFILE):
        return NO_DESCRIPTORS
    reason = os.strerror(number) if number else "it does not fit its record"
    return f"ERR the request is too large for a ring, and its segment cannot be used: {reason}"


cdef object failed(str what, bytes path):
    # What the last system call made of it.
    cdef int number = errno
    return SegmentError(f"cannot {what} {os.fsdecode(path)}: {os.strerror(number)}", number)


cdef void give_back(char *address, uint64_t start, uint64_t end) noexcept nogil:
    # A file system that cannot do it frees all at once, in the end.
    start = (start + PAGE - 1) & ~<uint64_t>(PAGE - 1)
    end = end & ~<uint64_t>(PAGE - 1)
    if start < end:
        madvise(address + start, end - start, MADV_REMOVE)


cdef bint leave(char *address, uint64_t size, uint64_t given) noexcept nogil:
    """Leaves a mapping to be freed in steps; False: no memory."""
    global leftovers
    cdef Leftover *leftover = <Leftover *>malloc(sizeof(Leftover))
    if leftover == NULL:
        return False
    leftover.next, leftover.address, leftover.size, leftover.given = leftovers, address, size, given
    leftovers = leftover
    return True


cdef bint free_some() noexcept nogil:
    global leftovers
    cdef Leftover *leftover = leftovers
    cdef uint64_t end
    if leftover == NULL:
        return False
    end = min(leftover.size, leftover.given + FREE_STEP)
    give_back(leftover.address, leftover.given, end)
    leftover.given = end
    if end == leftover.size:
        munmap(leftover.address, leftover.size)
        leftovers = leftover.next
        free(leftover)
    return leftovers != NULL


cdef class Segment:
    cdef int append(self, const char *data, uint64_t length) except -1:
        # Its own descriptor, and that for a moment only: a thousand clients may be sending long requests.
        cdef int fd = c_open(self.path, O_WRONLY | O_APPEND | O_CLOEXEC)
        cdef ssize_t written
        if fd < 0:
            raise failed("open", self.path)
        try:
            while length:
                written = write(fd, data, length)
                if written < 0:
                    if errno == EINTR:
                        continue
                    raise failed("write to", self.path)
                data += written
                length -= written
                self.size += written
        finally:
            c_close(fd)
        return 0

    cdef int map(self) except -1:
        cdef int fd
        cdef struct_stat status
        cdef void *address
        if self.address != NULL:
            return 0
        fd = c_open(self.path, O_RDWR | O_CLOEXEC)
        if fd < 0:
            raise failed("open", self.path)
        try:
            if fstat(fd, &status) < 0:
                raise failed("look at", self.path)
            if <uint64_t>status.st_size < self.size:
                raise SegmentError(f"{os.fsdecode(self.path)} is smaller than its record says")
            self.mapped = max(self.size, 1)
            address = mmap(NULL, self.mapped, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0)
            if address == MAP_FAILED:
                raise failed("map", self.path)
        finally:
            c_close(fd)
        self.address = <char *>address
        return 0

    cpdef void drop_name(self):
        cdef struct_stat status
        if stat(self.path, &status) == 0:
            self.nameless = status.st_nlink == 1
            if self.nameless and self.address == NULL and self.size > FREE_STEP:
                try:
                    self.map()  # to free it in steps
                except SegmentError:
                    pass
            c_unlink(self.path)

    cpdef void close(self):
        if self.address == NULL:
            return
        if not self.nameless or self.mapped - self.given <= FREE_STEP \
                or not leave(self.address, self.mapped, self.given):
            munmap(self.address, self.mapped)
        self.address = NULL

    cpdef void unlink(self):
        self.drop_name()
        self.close()

    def __dealloc__(self):
        self.close()


cdef Segment private_segment(uint64_t size):
    cdef Segment segment = Segment()
    cdef void *address
    segment.size = segment.mapped = max(size, 1)
    segment.nameless = True
    address = mmap(NULL, segment.mapped, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0)
    if address == MAP_FAILED:
        raise SegmentError(f"cannot map {size} bytes: {os.strerror(errno)}")
    segment.address = <char *>address
    return segment


cdef class SegmentStore:
    def __init__(self, folder: str, owner: int, epoch: int) -> None:
        """`owner` is an acceptor's index, or WORKER_OWNER | a worker's; `epoch` counts its incarnations."""
        self.folder = os.fsencode(folder)
        self._owner = <uint64_t>(owner & 0xFFFF) << 48 | <uint64_t>(epoch & 0xFFFF) << 32

    cdef uint64_t _next_id(self) noexcept:
        self._number += 1
        return self._owner | self._number

    cdef bytes _path(self, uint64_t id):
        return b"%b/seg-%016x" % (self.folder, id)

    cdef Segment create(self):
        cdef Segment segment = Segment()
        cdef int fd = -1
        while fd < 0:
            segment.id = self._next_id()
            segment.path = self._path(segment.id)
            fd = c_open(segment.path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
            if fd < 0 and errno != EEXIST:
                raise failed("make", segment.path)
        c_close(fd)
        return segment

    cdef Segment open(self, uint64_t id, uint64_t size):
        cdef Segment segment = Segment()
        segment.id = id
        segment.path = self._path(id)
        segment.size = size
        segment.map()
        return segment

    cdef Segment link(self, Segment segment):
        cdef Segment other = Segment()
        other.id = self._next_id()
        other.path = self._path(other.id)
        other.size = segment.size
        if c_link(segment.path, other.path) < 0:
            raise failed("name", other.path)
        return other

    cdef void remove(self, uint64_t id):
        c_unlink(self._path(id))

    def sweep(self, named: set[int] | None) -> None:
        """Removes what a predecessor left and no record names; before the first `create`. Raises OSError.

        None: what records name could not be found out, so nothing is removed.
        """
        if named is None:
            return
        prefix = f"seg-{self._owner >> 48:04x}"
        for name in os.listdir(os.fsdecode(self.folder)):
            if name.startswith(prefix) and int(name.removeprefix("seg-"), 16) not in named:
                self.remove(int(name.removeprefix("seg-"), 16))


cdef SegmentName *name_in_request(const char *record) noexcept:
    return <SegmentName *>(record + sizeof(RequestRecord)) if (<RequestRecord *>record).flags & IN_SEGMENT else NULL


cdef SegmentName *name_in_reply(const char *record) noexcept:
    return <SegmentName *>(record + sizeof(ReplyRecord)) if (<ReplyRecord *>record).flags & IN_SEGMENT else NULL


cdef bint gather_names(Ring *ring, SegmentName *(*name_in)(const char *) noexcept, set named) except -1:
    """Adds what records of a ring of ours name, between head and tail; False: one does not fit. Their bytes stay, as
    only we could overwrite them."""
    cdef Ring view = ring[0]
    cdef char *record
    cdef SegmentName *name
    view.next = atomic_load_acquire(&ring.shared.head)
    view.seen = atomic_load_acquire(&ring.shared.tail)
    while view.next < view.seen:
        record = record_at(&view, view.next)
        if record == NULL:
            return False
        name = name_in(record)
        if name != NULL:
            named.add(name.id)
        view.next += (<uint32_t *>record)[0]
    return True


cdef set named_requests(list pairs):
    cdef RingPair pair
    cdef set named = set()
    for pair in pairs:
        if not gather_names(&pair.request, name_in_request, named):
            return None
    return named


cdef set named_replies(list pairs):
    cdef RingPair pair
    cdef set named = set()
    for pair in pairs:
        if not gather_names(&pair.reply, name_in_reply, named):
            return None
    return named
