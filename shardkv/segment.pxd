"""Oversize records: one file `seg-<id>` in the instance folder, written by one side and unlinked by the other.

Invariants
 1. The file is preallocated before it is mapped: a full disk is SegmentError at the writer, never SIGBUS at the reader.
 2. A segment is complete before the record that names it is published.
 3. A worker unlinks a request's segment after commit; an acceptor unlinks a reply's when the last byte is sent or
    dropped. The next start
    of the supervisor removes what a crash left.
"""
from libc.stdint cimport uint64_t

cdef class Segment:
    """One mapped segment file. `address` is valid for `size` bytes until `close`."""
    cdef char *address
    cdef uint64_t size
    cdef readonly uint64_t id
    cdef readonly object path

    @staticmethod
    cdef Segment _map(object path, uint64_t id, int fd, uint64_t size)
    cpdef void close(self)
    cpdef void unlink(self)

cdef class SegmentStore:
    """Makes and opens the segments of one instance folder. Ids are unique: the process id is mixed in."""
    cdef object folder
    cdef uint64_t _next
    cdef Segment create(self, uint64_t size)
    cdef Segment open(self, uint64_t id, uint64_t size)
