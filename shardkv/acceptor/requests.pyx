"""Into the request rings: see requests.pxd."""
import sys

from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcpy, memset
from posix.unistd cimport write

from shardkv.acceptor.parser cimport Frame
from shardkv.acceptor.specs cimport SPEC_TOUCH
from shardkv.atomic cimport atomic_fence, atomic_load_relaxed
from shardkv.ring cimport (
    REQUEST_COMMAND,
    REQUEST_INTERNAL,
    REQUEST_NO_TOUCH,
    REQUEST_SEGMENT,
    RING_INLINE_MAX,
    RequestRecord,
    RingPair,
    ring_append,
    ring_produce,
    ring_publish,
    ring_reserve,
)

from shardkv.segment import SegmentError

cdef enum:
    BYTES_MAX = 0xFFFF0000     # of one request's arguments

TOO_LARGE = "ERR the request is too large"


cdef void copy_all(char *out, Frame *frame, const char *data) noexcept nogil:
    cdef uint32_t *lengths = <uint32_t *>out
    cdef uint32_t index
    out += 4 * <uint64_t>frame.argc
    for index in range(frame.argc):
        lengths[index] = <uint32_t>frame.spans[index].length
        memcpy(out, data + frame.spans[index].offset, frame.spans[index].length)
        out += frame.spans[index].length


cdef void copy_part(
    char *out, Frame *frame, const char *data, const uint16_t *owners, uint32_t worker, uint32_t step, uint32_t argc
) noexcept nogil:
    cdef uint32_t *lengths = <uint32_t *>out
    cdef uint32_t index, copied = 0
    out += 4 * <uint64_t>argc
    for index in range(frame.argc):
        if index and owners[(index - 1) // step] != worker:
            continue
        lengths[copied] = <uint32_t>frame.spans[index].length
        copied += 1
        memcpy(out, data + frame.spans[index].offset, frame.spans[index].length)
        out += frame.spans[index].length


cdef class Requests:
    def __init__(
        self, page: ControlPage, pairs: list, wake_fds: list, SegmentStore segments, uint64_t epoch
    ) -> None:
        """Takes the producer's side of the request rings, one for each worker."""
        cdef uint32_t worker
        self.page, self.pairs, self.wake_fds, self.segments = page, pairs, wake_fds, segments
        self.workers = len(pairs)
        self.internal_token = epoch << 48
        self.rings = <Ring **>calloc(self.workers, sizeof(Ring *))
        self.touched = <uint8_t *>calloc(self.workers, 1)
        self.parts = <Part *>calloc(self.workers, sizeof(Part))
        if self.rings == NULL or self.touched == NULL or self.parts == NULL:
            raise MemoryError
        for worker in range(self.workers):
            self.rings[worker] = &(<RingPair>pairs[worker]).request
            ring_produce(self.rings[worker])

    def __dealloc__(self):
        free(self.rings)
        free(self.touched)
        free(self.parts)

    # -- room

    cdef void forget(self) noexcept nogil:
        memset(self.parts, 0, self.workers * sizeof(Part))

    cdef bint reserve(self, uint32_t worker) noexcept nogil:
        cdef uint32_t size = record_size(&self.parts[worker])
        return ring_reserve(self.rings[worker], size if size else SEGMENT_RECORD) != NULL

    cdef bint reserve_all(self) noexcept nogil:
        cdef uint32_t worker
        for worker in range(self.workers):
            if self.parts[worker].argc and not self.reserve(worker):
                return False
        return True

    cdef list make_segments(self):
        cdef uint32_t worker
        segments = [None] * self.workers
        try:
            for worker in range(self.workers):
                if self.parts[worker].argc and record_size(&self.parts[worker]) == 0:
                    if body_bytes(&self.parts[worker]) > BYTES_MAX:
                        raise SegmentError(TOO_LARGE)
                    segments[worker] = self.segments.create(body_bytes(&self.parts[worker]))
            return segments
        except SegmentError:
            for segment in filter(None, segments):
                segment.unlink()
            raise

    # -- records

    cdef void append(
        self, Client *client, Spec *spec, uint64_t sequence, uint32_t worker, const uint16_t *owners, Segment segment
    ):
        cdef Part *part = &self.parts[worker]
        cdef Ring *ring = self.rings[worker]
        cdef uint32_t size = SEGMENT_RECORD if segment is not None else record_size(part)
        cdef RequestRecord *record = <RequestRecord *>ring_reserve(ring, size)
        cdef char *body = <char *>(record + 1)
        cdef const char *data = client.input + client.start
        record.size = size
        record.kind = REQUEST_COMMAND
        record.command = spec.id
        record.token = client.token
        record.sequence = sequence
        record.hash = part.hash
        record.part = worker
        record.argc = part.argc
        record.database = client.database
        record.resp = client.resp
        record.flags = REQUEST_NO_TOUCH if client.no_touch and not spec.flags & SPEC_TOUCH else 0
        record.bytes = <uint32_t>body_bytes(part)
        if segment is not None:
            record.kind = REQUEST_SEGMENT
            (<uint64_t *>body)[0] = segment.id
            (<uint64_t *>body)[1] = body_bytes(part)
            body = segment.address
        if owners != NULL:
            copy_part(body, &client.frame, data, owners, worker, spec.split_step, part.argc)
        else:
            copy_all(body, &client.frame, data)
        if segment is not None:
            segment.close()
        ring_append(ring, size)
        self.touched[worker] = 1
        part.argc = 0

    cdef bint ask(self, uint32_t worker, uint64_t question, list args) except *:
        """Appends an internal request; False: the ring is full. Raises ValueError when it is too large for a record."""
        cdef Ring *ring = self.rings[worker]
        cdef RequestRecord *record
        cdef char *body
        cdef bytes lengths = b"".join([len(arg).to_bytes(4, sys.byteorder) for arg in args])
        cdef bytes data = lengths + b"".join(args)
        cdef uint64_t size = (sizeof(RequestRecord) + <uint64_t>len(data) + 7) & ~<uint64_t>7
        if size > RING_INLINE_MAX:
            raise ValueError("the question does not fit in a record")
        record = <RequestRecord *>ring_reserve(ring, <uint32_t>size)
        if record == NULL:
            return False
        memset(record, 0, sizeof(RequestRecord))
        record.size = <uint32_t>size
        record.kind = REQUEST_INTERNAL
        record.token = self.internal_token
        record.sequence = question
        record.part = worker
        record.argc = <uint32_t>len(args)
        record.resp = 3
        record.bytes = <uint32_t>len(data)
        body = <char *>(record + 1)
        memcpy(body, <const char *>data, len(data))
        ring_append(ring, <uint32_t>size)
        self.touched[worker] = 1
        return True

    # -- publishing

    cdef bint awaiting(self) noexcept nogil:
        cdef uint32_t worker
        for worker in range(self.workers):
            if atomic_load_relaxed(&self.rings[worker].shared.head) != self.rings[worker].next:
                return True
        return False

    cdef void publish(self):
        cdef uint64_t one = 1
        cdef uint32_t worker
        cdef bint any_touched = False
        for worker in range(self.workers):
            if self.touched[worker]:
                ring_publish(self.rings[worker])
                any_touched = True
        if not any_touched:
            return
        atomic_fence()
        for worker in range(self.workers):
            if self.touched[worker]:
                self.touched[worker] = 0
                if atomic_load_relaxed(&self.page.worker(worker).sleeping):
                    write(<int>self.wake_fds[worker], &one, 8)
