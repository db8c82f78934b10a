"""Oversize records: see segment.pxd."""
import os

from libc.errno cimport EMFILE, ENFILE, errno
from libc.string cimport strerror
from posix.mman cimport MAP_FAILED, MAP_SHARED, PROT_READ, PROT_WRITE, mmap, munmap

from shardkv.errors import ARENA_FULL, NO_DESCRIPTORS


class SegmentError(Exception):
    """A segment cannot be made or opened: no room in its file system, or a record names one that does not fit.

    `reply` is the error for the client who needed it.
    """

    def __init__(self, text: str, reply: str = ARENA_FULL) -> None:
        super().__init__(text)
        self.reply = reply


cdef class Segment:
    @staticmethod
    cdef Segment _map(object path, uint64_t id, int fd, uint64_t size):
        cdef Segment segment = Segment()
        cdef void *address = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0)
        if address == MAP_FAILED:
            raise SegmentError(f"cannot map {path}: {strerror(errno).decode()}")
        segment.address = <char *>address
        segment.size = size
        segment.id = id
        segment.path = path
        return segment

    cpdef void close(self):
        """Unmaps; the file stays."""
        if self.address != NULL:
            munmap(self.address, self.size)
            self.address = NULL

    cpdef void unlink(self):
        """Unmaps and removes the file. Safe to call when another process has removed it."""
        self.close()
        try:
            os.unlink(self.path)
        except FileNotFoundError:
            pass

    def __dealloc__(self):
        if self.address != NULL:
            munmap(self.address, self.size)


cdef class SegmentStore:
    def __init__(self, folder: str) -> None:
        self.folder = folder
        # The pid keeps a successor from reusing the ids of segments that still travel.
        self._next = <uint64_t>os.getpid() << 32

    def path_of(self, id: int) -> str:
        """The path of segment `id`."""
        return f"{self.folder}/seg-{id:016x}"

    cdef Segment create(self, uint64_t size):
        """Makes a segment of `size` bytes, all its pages provided. Raises SegmentError when they cannot be had."""
        cdef uint64_t id = self._next
        self._next += 1
        path = self.path_of(id)
        try:
            fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        except OSError as error:
            reply = NO_DESCRIPTORS if error.errno in (EMFILE, ENFILE) else ARENA_FULL
            raise SegmentError(f"cannot make {path}: {error.strerror}", reply) from None
        try:
            os.posix_fallocate(fd, 0, max(size, 1))
            return Segment._map(path, id, fd, max(size, 1))
        except (OSError, SegmentError) as error:
            os.unlink(path)
            raise SegmentError(f"cannot make {path} of {size} bytes: {error}") from None
        finally:
            os.close(fd)

    cdef Segment open(self, uint64_t id, uint64_t size):
        """Maps segment `id`. Raises SegmentError when there is none or it holds less than `size` bytes."""
        path = self.path_of(id)
        try:
            fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        except OSError as error:
            raise SegmentError(f"cannot open {path}: {error.strerror}") from None
        try:
            if os.fstat(fd).st_size < max(size, 1):
                raise SegmentError(f"{path} is smaller than its record says")
            return Segment._map(path, id, fd, max(size, 1))
        finally:
            os.close(fd)
