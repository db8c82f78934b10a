"""Segments: bodies of ring records that are too large for a ring, each a file `seg-<id>` in the instance folder,
written by one side and removed by the other.

    id = owner << 48 | incarnation << 32 | number     owner: an acceptor's index, or 0x8000 | a worker's

Invariants
 1. A byte is written (`append`) before it is mapped: a full disk is SegmentError at the writer, never SIGBUS at the
    reader.
 2. A segment is complete before the record that names it is published, and does not change afterwards.
 3. A name is removed by who takes the record: a worker removes a request's after the commit, an acceptor a reply's when
    it opens it (the mapping keeps the bytes). A file may have several names, one for each record. Who removed the last
    of them gives the pages back in steps, so that nobody waits for half a gigabyte to be freed.
 4. No two incarnations of an owner make the same id: a successor cannot meet, as its own, what a record still names.
 5. A death leaves segments that no record names: complete or not, but not yet appended; or appended behind a ring's
    tail. The owner's successor removes them (`sweep`) before it makes its first, and after it has published what its
    predecessor was about to: its names that lie in no ring between head and tail. What lies there is taken, and
    removed, by the other side: it removes a name before it releases the record.
"""
from libc.stdint cimport uint32_t, uint64_t

cdef enum:
    WORKER_OWNER = 0x8000       # bit of the owner
    FREE_STEP = 1048576         # bytes given back to the system at once, which takes it about 0.1 ms

cdef class Segment:
    """One file: being written, or mapped. `address` is valid for `size` bytes while it is not NULL."""
    cdef char *address
    cdef uint64_t size
    cdef uint64_t mapped        # bytes: it may have grown since
    cdef uint64_t given         # bytes from its start that went back already
    cdef bint nameless          # … and nobody else can get at the rest
    cdef readonly uint64_t id
    cdef readonly bytes path
    cdef int append(self, const char *data, uint64_t length) except -1     # SegmentError: no room
    cdef int map(self) except -1                                           # SegmentError
    cpdef void drop_name(self)                                             # the file goes when the mapping does
    cpdef void close(self)                                                 # unmaps
    cpdef void unlink(self)                                                # both

cdef class SegmentStore:
    """Makes and opens the segments of one instance folder, as one incarnation of an owner."""
    cdef bytes folder
    cdef uint64_t _owner        # id of the incarnation's segment 0
    cdef uint32_t _number       # of the last
    cdef uint64_t _next_id(self) noexcept
    cdef bytes _path(self, uint64_t id)
    cdef Segment create(self)                                   # an empty one. SegmentError
    cdef Segment open(self, uint64_t id, uint64_t size)         # mapped. SegmentError, also when it is smaller
    cdef Segment link(self, Segment segment)                    # another name of its bytes. SegmentError
    cdef void remove(self, uint64_t id)                         # by name, if it is there

cdef Segment private_segment(uint64_t size)                     # the same without a file, mapped. SegmentError

# The segments that records between head and tail name, in rings of which this process is the producer. None: a record
# does not fit.
cdef set named_requests(list pairs)
cdef set named_replies(list pairs)
# Gives the whole pages from `start` up to `end` back to the system, of a mapping that nobody else reads.
cdef void give_back(char *address, uint64_t start, uint64_t end) noexcept nogil
# A step of freeing what nameless segments left when they were closed; False: that was all.
cdef bint free_some() noexcept nogil
