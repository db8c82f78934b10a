"""Into the request rings: see requests.pxd."""
import sys

from libc.stdint cimport UINT16_MAX, UINT64_MAX, int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free, malloc
from libc.string cimport memcpy, memset

from shardkv.acceptor.client cimport client_await_retry, client_await_ring, frame_bytes
from shardkv.acceptor.parser cimport Frame, Span
from shardkv.acceptor.specs cimport SPEC_TOUCH
from shardkv.atomic cimport atomic_fence, atomic_load_relaxed, atomic_store_release
from shardkv.ring cimport (
    IN_SEGMENT,
    LEASED,
    NO_TOUCH,
    REQUEST_COMMAND,
    REQUEST_INTERNAL,
    REQUEST_MARKER,
    RING_INLINE_MAX,
    Marker,
    Participant,
    Place,
    RequestRecord,
    RingHeader,
    RingPair,
    SegmentName,
    ring_append,
    ring_produce,
    ring_publish,
    ring_reserve,
    ring_room,
)
from shardkv.segment cimport named_requests
from shardkv.sleep cimport SLEEPS_FOR_RECORDS, SLEEPS_FOR_ROOM, delay_point, wake_if

from shardkv.segment import SegmentError


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
        """Takes the producer's side of the request rings, one for each worker, and removes what segments a predecessor
        left. Raises OSError."""
        cdef uint32_t worker
        self.page, self.pairs, self.wake_fds, self.segments = page, pairs, wake_fds, segments
        self.workers = len(pairs)
        self.internal_token = epoch << 48
        self.rings = <Ring **>calloc(self.workers, sizeof(Ring *))
        self.moved = <uint8_t *>calloc(self.workers, 1)
        self.asked = <uint64_t *>calloc(self.workers, sizeof(uint64_t))
        self.queues = <Queue *>calloc(self.workers, sizeof(Queue))
        self.parts = <Part *>calloc(self.workers, sizeof(Part))
        if self.rings == NULL or self.moved == NULL or self.asked == NULL or self.queues == NULL or self.parts == NULL:
            raise MemoryError
        for worker in range(self.workers):
            self.rings[worker] = &(<RingPair>pairs[worker]).request
        self._finish_predecessor()
        self.segments.sweep(named_requests(pairs))
        for worker in range(self.workers):
            ring_produce(self.rings[worker])
            self.asked[worker] = self.rings[worker].seen
            self.moved[worker] = SLEEPS_FOR_RECORDS | SLEEPS_FOR_ROOM

    def __dealloc__(self):
        free(self.rings)
        free(self.moved)
        free(self.asked)
        free(self.queues)
        free(self.parts)

    # -- room

    cdef void forget(self) noexcept nogil:
        memset(self.parts, 0, self.workers * sizeof(Part))

    cdef bint reserve(self, Client *client, uint32_t worker) noexcept nogil:
        cdef const Client *first = self.queues[worker].first
        if self.queues[worker].posted != NULL:
            client_await_ring(client, worker)
            return False
        if first == NULL or client == self.served and worker == self.served_ring or ticket_of(client) < first.ticket:
            if ring_reserve(self.rings[worker], record_size(&self.parts[worker])) != NULL:
                return True
        client_await_ring(client, worker)
        return False

    cdef bint reserve_all(self, Client *client) noexcept nogil:
        cdef uint32_t worker
        for worker in range(self.workers):
            if self.parts[worker].argc and not self.reserve(client, worker):
                return False
        return True

    # -- leases

    cdef void enlist(self, uint32_t worker) noexcept nogil:
        self.parts[worker].argc = 1
        self.parts[worker].payload = 0
        self.parts[worker].marker = True

    cdef uint32_t lease(self, uint32_t argc, uint64_t payload, uint64_t hash) noexcept nogil:
        cdef uint32_t worker, executor = self.workers
        cdef Part *part
        cdef uint16_t included = 0
        for worker in range(self.workers):
            if self.parts[worker].argc:
                executor = min(executor, worker)
                included += 1
        part = &self.parts[executor]
        part.argc, part.payload, part.hash = argc, payload, hash
        part.participants = included - 1
        part.marker = False
        return executor

    cdef bint may_try_again(self, Client *client, int64_t now_ms) noexcept:
        cdef uint32_t worker
        if not client.again:
            return True
        for worker in range(self.workers):
            if self.parts[worker].marker and ring_room(self.rings[worker]) < self.rings[worker].capacity:
                if self.page.worker(worker).turned_ms + LAGGING_MS < <uint64_t>now_ms:
                    client_await_ring(client, worker)
                    return False
        if client.attempts > 1 and client.retry_ms > now_ms:
            client_await_retry(client)
            return False
        return True

    # -- clients that wait for room

    cdef void enqueue(self, Client *client) noexcept nogil:
        cdef Queue *queue = &self.queues[client.ring]
        cdef Client *before = NULL
        if ticket_of(client) == UINT64_MAX:
            self.tickets += 1
            client.ticket, client.ticket_request = self.tickets, client.next_request
        if queue.first == NULL and queue.posted == NULL:
            queue.tried_at = self.rings[client.ring].seen  # ring_reserve has just loaded it: there is too little room
        elif queue.last.ticket < client.ticket:
            before = queue.last
        elif queue.first.ticket < client.ticket:
            before = queue.first
            while before.next_queued.ticket < client.ticket:
                before = before.next_queued
        self._insert(queue, client, before)
        self.moved[client.ring] |= SLEEPS_FOR_RECORDS  # it may sleep before markers

    cdef void _insert(self, Queue *queue, Client *client, Client *before) noexcept nogil:
        """Puts a client into a queue, behind `before`; NULL: as the first."""
        client.queued = True
        self.waiting += 1
        client.next_queued = before.next_queued if before != NULL else queue.first
        if before != NULL:
            before.next_queued = client
        else:
            queue.first = client
        if client.next_queued == NULL:
            queue.last = client

    cdef Client *serve_next(self, uint32_t worker) noexcept nogil:
        cdef Queue *queue = &self.queues[worker]
        cdef Client *client = queue.first
        if client == NULL:
            return NULL
        queue.first = client.next_queued
        if queue.first == NULL:
            queue.last = NULL
        client.queued = False
        self.waiting -= 1
        self.served, self.served_ring, self.served_request = client, worker, client.next_request
        return client

    cdef bint end_turn(self) noexcept nogil:
        cdef Client *client = self.served
        self.served = NULL
        return client != self.queues[self.served_ring].first or client.next_request != self.served_request

    # -- segments

    cdef list make_segments(self, Client *client, Spec *spec, const uint16_t *owners, bint keep):
        cdef Segment whole = None
        cdef uint32_t worker
        segments = [None] * self.workers
        try:
            for worker in range(self.workers):
                if self.parts[worker].argc and is_long(&self.parts[worker]):
                    if whole is None:
                        whole = segments[worker] = self._whole(client, keep)
                    else:
                        segments[worker] = self.segments.link(whole)
                    self._append_places(whole, client, spec, owners, worker)
            for segment in filter(None, segments):
                (<Segment>segment).size = whole.size
            if whole is not None and keep and client.segment != NULL:
                (<Segment>client.segment).size = whole.size
            return segments
        except SegmentError:
            for segment in filter(None, segments):
                segment.unlink()
            raise

    cdef Segment _whole(self, Client *client, bint keep):
        """The segment that holds the bytes of the client's request. `keep`: not the client's own, but one like it."""
        cdef Segment segment
        if client.segment != NULL:
            return self.segments.link(<Segment>client.segment) if keep else <Segment>client.segment
        segment = self.segments.create()
        try:
            segment.append(frame_bytes(client), client.frame.position)
            return segment
        except SegmentError:
            segment.unlink()
            raise

    cdef int _append_places(
        self, Segment segment, Client *client, Spec *spec, const uint16_t *owners, uint32_t worker
    ) except -1:
        cdef Part *part = &self.parts[worker]
        cdef const Span *spans = client.frame.spans
        cdef Span *chosen = NULL
        cdef uint32_t index, count = 0
        if segment.size & 7:
            segment.append(b"\0\0\0\0\0\0\0", 8 - (segment.size & 7))
        part.table = segment.size
        if owners == NULL:
            return segment.append(<const char *>spans, part.argc * sizeof(Place))
        chosen = <Span *>malloc(part.argc * sizeof(Place))
        if chosen == NULL:
            raise SegmentError("no memory for a request's places")
        for index in range(client.frame.argc):
            if index == 0 or owners[(index - 1) // spec.split_step] == worker:
                chosen[count] = spans[index]
                count += 1
        try:
            return segment.append(<const char *>chosen, part.argc * sizeof(Place))
        finally:
            free(chosen)

    # -- records

    cdef void append(
        self, Client *client, Spec *spec, uint64_t sequence, uint32_t worker, const uint16_t *owners, Segment segment
    ):
        cdef RequestRecord *record = self.begin(client, spec.id, sequence, worker, segment)
        if spec.flags & SPEC_TOUCH:
            record.flags &= ~NO_TOUCH
        if segment is None and owners != NULL:
            copy_part(
                <char *>(record + 1), &client.frame, frame_bytes(client), owners, worker, spec.split_step, record.argc
            )
        elif segment is None:
            copy_all(<char *>(record + 1), &client.frame, frame_bytes(client))
        self.end(record, worker)

    cdef RequestRecord *begin(
        self, Client *client, uint16_t command, uint64_t sequence, uint32_t worker, Segment segment
    ) noexcept:
        cdef Part *part = &self.parts[worker]
        cdef uint32_t size = record_size(part)
        cdef RequestRecord *record = <RequestRecord *>ring_reserve(self.rings[worker], size)
        cdef SegmentName *name = <SegmentName *>(record + 1)
        record.size = size
        record.kind = REQUEST_COMMAND
        record.command = command
        record.token = client.token
        record.sequence = sequence
        record.hash = part.hash
        record.part, record.participants = worker, part.participants
        record.argc = part.argc
        record.database = client.database
        record.resp = client.resp
        record.flags = NO_TOUCH if client.no_touch else 0
        record.bytes = 0
        if segment is not None:
            record.flags |= IN_SEGMENT
            name.id, name.size, name.table = segment.id, segment.size, part.table
        else:
            record.bytes = <uint32_t>body_bytes(part)
        if part.participants:
            record.flags |= LEASED
            record.part = min(client.attempts, <uint32_t>UINT16_MAX)  # for the executor's patience (workers/leases.pxd)
            self._append_markers(record, worker)
        return record

    cdef void _append_markers(self, RequestRecord *record, uint32_t executor) noexcept nogil:
        """Fills the record's Participants, and tells each of them."""
        cdef Participant *told = <Participant *>(<char *>record + record.size) - record.participants
        cdef RequestRecord *marker
        cdef Ring *ring
        cdef uint32_t worker, size = sizeof(RequestRecord) + sizeof(Marker)
        for worker in range(executor + 1, self.workers):
            if not self.parts[worker].marker:
                continue
            ring = self.rings[worker]
            told.shard, told.marker = worker, ring.next
            told += 1
            marker = <RequestRecord *>ring_reserve(ring, size)
            memset(marker, 0, size)
            marker.size, marker.kind, marker.part = size, REQUEST_MARKER, <uint16_t>worker
            marker.token, marker.sequence = record.token, record.sequence
            (<Marker *>(marker + 1)).executor = executor
            (<Marker *>(marker + 1)).position = self.rings[executor].next + record.size
            ring_append(ring, size)
            self.moved[worker] |= MOVED_QUIETLY
            memset(&self.parts[worker], 0, sizeof(Part))

    cdef void end(self, RequestRecord *record, uint32_t worker) noexcept nogil:
        ring_append(self.rings[worker], record.size)
        self.asked[worker] = self.rings[worker].next
        self.moved[worker] |= SLEEPS_FOR_RECORDS
        self.parts[worker].argc = self.parts[worker].participants = 0

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
        record.part, record.participants = worker, 0
        record.argc = <uint32_t>len(args)
        record.resp = 3
        record.bytes = <uint32_t>len(data)
        body = <char *>(record + 1)
        memcpy(body, <const char *>data, len(data))
        ring_append(ring, <uint32_t>size)
        self.asked[worker] = ring.next
        self.moved[worker] |= SLEEPS_FOR_RECORDS
        return True

    # -- records of our own that have to reach a worker

    cdef int post(self, uint32_t worker, RequestRecord *head, list words) except -1:
        cdef bytes lengths = b"".join([len(word).to_bytes(4, sys.byteorder) for word in words])
        cdef bytes body = b"".join(words)
        cdef uint64_t size = (sizeof(RequestRecord) + <uint64_t>len(lengths) + <uint64_t>len(body) + 7) & ~<uint64_t>7
        cdef Posted *posted
        cdef Queue *queue = &self.queues[worker]
        cdef bytes record
        head.argc = <uint32_t>len(words)
        if size > RING_INLINE_MAX:
            record = self._in_segment(head, words, body)
        else:
            head.size, head.bytes = <uint32_t>size, <uint32_t>(len(lengths) + len(body))
            record = ((<char *>head)[:sizeof(RequestRecord)] + lengths + body).ljust(size, b"\0")
        if queue.posted == NULL and self._append_whole(worker, record, <uint64_t>len(record)):
            return 0
        posted = <Posted *>malloc(sizeof(Posted) + len(record))
        if posted == NULL:
            raise MemoryError
        posted.next, posted.size = NULL, <uint64_t>len(record)
        memcpy(posted + 1, <const char *>record, len(record))
        if queue.posted != NULL:
            queue.last_posted.next = posted
        else:
            queue.posted = posted
            queue.tried_at = self.rings[worker].seen
            self.waiting += 1
        queue.last_posted = posted
        return 0

    cdef bytes _in_segment(self, RequestRecord *head, list words, bytes body):
        """The record of a request whose arguments lie in a segment."""
        cdef SegmentName name
        cdef Segment segment = self.segments.create()
        places, at = [], 0
        for word in words:
            places += [at, len(word)]
            at += len(word)
        try:
            body = body.ljust((len(body) + 7) // 8 * 8, b"\0")
            segment.append(body, len(body))
            table = b"".join([place.to_bytes(8, sys.byteorder) for place in places])
            segment.append(table, len(table))
        except SegmentError:
            segment.unlink()
            raise
        name.id, name.size, name.table = segment.id, len(body) + len(table), len(body)
        head.size, head.bytes = sizeof(RequestRecord) + sizeof(SegmentName), 0
        head.flags |= IN_SEGMENT
        return (<char *>head)[:sizeof(RequestRecord)] + (<char *>&name)[:sizeof(SegmentName)]

    cdef bint _append_whole(self, uint32_t worker, const char *record, uint64_t size) noexcept nogil:
        cdef char *room = ring_reserve(self.rings[worker], <uint32_t>size)
        if room == NULL:
            return False
        memcpy(room, record, size)
        ring_append(self.rings[worker], <uint32_t>size)
        self.moved[worker] |= SLEEPS_FOR_RECORDS
        return True

    cdef void serve_posted(self, uint32_t worker) noexcept nogil:
        cdef Queue *queue = &self.queues[worker]
        cdef Posted *posted = queue.posted
        while posted != NULL and self._append_whole(worker, <char *>(posted + 1), posted.size):
            queue.posted = posted.next
            free(posted)
            posted = queue.posted
            self.waiting -= posted == NULL

    # -- publishing

    cdef bint awaiting(self) noexcept nogil:
        cdef uint32_t worker
        for worker in range(self.workers):
            if <int64_t>(self.asked[worker] - atomic_load_relaxed(&self.rings[worker].shared.head)) > 0:
                return True
        return False

    cdef void _intend(self) noexcept nogil:
        cdef uint32_t worker
        for worker in range(self.workers):
            self.rings[worker].shared.publishing_tail = self.rings[worker].next
            delay_point()
        atomic_store_release(&self.rings[0].shared.publishing_position, 1)

    cdef void _finish_predecessor(self) noexcept nogil:
        cdef RingHeader *shared
        cdef uint32_t worker
        if not self.rings[0].shared.publishing_position:
            return
        for worker in range(self.workers):
            shared = self.rings[worker].shared
            if shared.publishing_tail - shared.tail <= self.rings[worker].capacity:
                atomic_store_release(&shared.tail, shared.publishing_tail)
        atomic_store_release(&self.rings[0].shared.publishing_position, 0)

    cdef void publish(self):
        cdef uint32_t worker
        cdef uint32_t published = 0
        cdef bint any_moved = False
        for worker in range(self.workers):
            if self.moved[worker] == MOVED_QUIETLY and self._is_half_full(worker):
                self.moved[worker] |= SLEEPS_FOR_RECORDS
            published += self.moved[worker] & (SLEEPS_FOR_RECORDS | MOVED_QUIETLY) != 0
            any_moved |= self.moved[worker] != 0
        if not any_moved:
            return
        if published > 1:
            self._intend()
        for worker in range(self.workers):
            if self.moved[worker] & (SLEEPS_FOR_RECORDS | MOVED_QUIETLY):
                delay_point()
                ring_publish(self.rings[worker])
        if published > 1:
            delay_point()
            atomic_store_release(&self.rings[0].shared.publishing_position, 0)
        delay_point()
        atomic_fence()
        for worker in range(self.workers):
            if self.moved[worker]:
                wake_if(&self.page.worker(worker).sleeping, self.moved[worker], <int>self.wake_fds[worker])
                self.moved[worker] = 0

    cdef bint _is_half_full(self, uint32_t worker) noexcept nogil:
        cdef Ring *ring = self.rings[worker]
        return ring.next - ring.seen > ring.capacity // 2 and ring_room(ring) < ring.capacity // 2
