"""Single-producer, single-consumer byte rings: see ring.pxd for layout and invariants."""
import mmap
import os

from libc.errno cimport errno
from libc.stddef cimport size_t
from libc.string cimport memset, strerror
from posix.mman cimport (
    MAP_ANONYMOUS,
    MAP_FAILED,
    MAP_FIXED,
    MAP_NORESERVE,
    MAP_PRIVATE,
    MAP_SHARED,
    PROT_NONE,
    PROT_READ,
    PROT_WRITE,
    mmap as c_mmap,
    munmap,
)

from shardkv.atomic cimport atomic_load_acquire, atomic_store_release

from shardkv.files import provided

cdef enum:
    HEADERS = 8192     # both pages of headers
    REPLY_HEADER = 4096

MAGIC = 0x7368_6b76_7269_6e67  # "shkvring"

DEFAULT_CAPACITY = 1 << 20
PAIR_BYTES = HEADERS + 2 * DEFAULT_CAPACITY     # of a file


class RingError(Exception):
    """A ring file cannot be made or does not fit; the text is one line for the operator."""


cdef class RingPair:
    @staticmethod
    def create(path: str, capacity: int = DEFAULT_CAPACITY) -> "RingPair":
        """Makes the file of a pair of empty rings, `capacity` bytes each, of an earlier run's if there is one.

        Raises RingError, OSError.
        """
        if capacity < mmap.PAGESIZE or capacity & (capacity - 1):
            raise RingError(f"ring capacity {capacity} is not a power of two of at least a page")
        fd = provided(path, HEADERS + 2 * capacity)
        try:
            header = (MAGIC.to_bytes(8, "little") + capacity.to_bytes(8, "little")).ljust(REPLY_HEADER, b"\0")
            os.pwrite(fd, header + header, 0)
        finally:
            os.close(fd)
        return RingPair.open(path)

    @staticmethod
    def open(path: str) -> "RingPair":
        """Maps an existing ring file. Raises RingError when it is not one."""
        cdef RingPair pair = RingPair()
        cdef int fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        try:
            header = os.pread(fd, 16, 0)
            capacity = int.from_bytes(header[8:16], "little")
            if (
                int.from_bytes(header[:8], "little") != MAGIC or os.pread(fd, 16, REPLY_HEADER) != header
                or capacity & (capacity - 1) or os.fstat(fd).st_size != HEADERS + 2 * capacity
            ):
                raise RingError(f"{path} is not a ring file")
            pair.path = path
            pair._map(fd, capacity)
        finally:
            os.close(fd)
        return pair

    def _map(self, int fd, size_t capacity):
        # Headers once, then each ring's bytes twice in a row.
        cdef char *base
        cdef size_t half
        self._mapped = HEADERS + 4 * capacity
        self._mapping = c_mmap(NULL, self._mapped, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0)
        if self._mapping == MAP_FAILED:
            self._mapping = NULL
            raise RingError(f"cannot map {self.path}: {strerror(errno).decode()}")
        base = <char *>self._mapping
        self._place(base, HEADERS, fd, 0)
        for half in range(2):
            self._place(base + HEADERS + half * capacity, capacity, fd, HEADERS)
            self._place(base + HEADERS + (2 + half) * capacity, capacity, fd, HEADERS + capacity)
        attach(&self.request, <RingHeader *>base, base + HEADERS)
        attach(&self.reply, <RingHeader *>(base + REPLY_HEADER), base + HEADERS + 2 * capacity)

    cdef int _place(self, char *address, size_t length, int fd, size_t offset) except -1:
        if c_mmap(address, length, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, offset) == MAP_FAILED:
            raise RingError(f"cannot map {self.path}: {strerror(errno).decode()}")
        return 0

    def __dealloc__(self):
        if self._mapping != NULL:
            munmap(self._mapping, self._mapped)


cdef void attach(Ring *ring, RingHeader *header, char *data) noexcept:
    memset(ring, 0, sizeof(Ring))
    ring.shared = header
    ring.bytes = data
    ring.capacity = header.capacity
    ring.mask = header.capacity - 1


cdef void ring_produce(Ring *ring) noexcept nogil:
    ring.next = atomic_load_acquire(&ring.shared.tail)
    ring.seen = atomic_load_acquire(&ring.shared.head)


cdef void ring_consume(Ring *ring) noexcept nogil:
    ring.next = atomic_load_acquire(&ring.shared.head)
    ring.seen = atomic_load_acquire(&ring.shared.tail)


cdef void ring_publish(Ring *ring) noexcept nogil:
    atomic_store_release(&ring.shared.tail, ring.next)


cdef void ring_release(Ring *ring) noexcept nogil:
    atomic_store_release(&ring.shared.head, ring.next)
