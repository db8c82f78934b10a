"""From reply rings to clients' outputs: see replies.pxd."""
import logging

from cpython.object cimport PyObject
from cpython.ref cimport Py_INCREF
from libc.stdint cimport uint32_t, uint64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcpy

from shardkv.acceptor.client cimport (
    Client, client_doom, client_enqueue, client_hold, deliver, deliver_part, is_awaiting,
)
from shardkv.acceptor.output cimport Payload, payload_copy
from shardkv.ring cimport (
    IN_SEGMENT,
    REPLY_AGAIN,
    REPLY_BLOCKED,
    REPLY_PIECE,
    REPLY_WHOLE,
    PieceHeader,
    ReplyRecord,
    Ring,
    RingPair,
    SegmentName,
    ring_advance,
    ring_consume,
    ring_peek,
    ring_release,
)
from shardkv.segment cimport Segment, private_segment
from shardkv.sleep cimport delay_point
from shardkv.stats cimport REQUESTS_AGAIN

from shardkv.segment import SegmentError

log = logging.getLogger("shardkv")


cdef bint is_sound(const ReplyRecord *record) noexcept nogil:
    cdef const PieceHeader *piece = <const PieceHeader *>(record + 1)
    cdef uint64_t room
    if record.size < sizeof(ReplyRecord):
        return False
    room = record.size - sizeof(ReplyRecord)
    if record.kind == REPLY_PIECE:
        return room >= sizeof(PieceHeader) and piece.bytes <= room - sizeof(PieceHeader) \
            and piece.offset <= record.length and piece.bytes <= record.length - piece.offset
    if record.flags & IN_SEGMENT:
        return room >= sizeof(SegmentName) and (<const SegmentName *>(record + 1)).size == record.length
    return record.kind in (REPLY_WHOLE, REPLY_AGAIN, REPLY_BLOCKED) and record.length <= room


cdef inline bint is_awaited(const Client *client, const ReplyRecord *record) noexcept nogil:
    return record.sequence - client.next_reply < client.next_request - client.next_reply


cdef class Replies:
    def __init__(
        self, pairs: list, ClientTable clients, Requests requests, SegmentStore segments, Waiters waiters,
        server: object,
    ) -> None:
        """Takes the consumer's side of the reply rings, one for each worker."""
        cdef uint32_t worker
        self.pairs, self.clients, self.requests, self.segments, self.server = pairs, clients, requests, segments, server
        self.waiters = waiters
        self.workers = len(pairs)
        self.gathered = {}
        self.rings = <Ring **>calloc(self.workers, sizeof(Ring *))
        if self.rings == NULL:
            raise MemoryError
        for worker in range(self.workers):
            self.rings[worker] = &(<RingPair>pairs[worker]).reply
            ring_consume(self.rings[worker])

    def __dealloc__(self):
        free(self.rings)

    cdef bint waiting(self) noexcept nogil:
        cdef uint32_t worker
        for worker in range(self.workers):
            if ring_peek(self.rings[worker]) != NULL or self.rings[worker].corrupt:
                return True
        return False

    cdef int drain(self) except -1:
        cdef Ring *ring
        cdef uint64_t begun
        cdef uint32_t worker
        cdef int total = 0
        for worker in range(self.workers):
            ring = self.rings[worker]
            begun = ring.next
            try:
                total += self._drain_ring(worker, ring)
            except Exception:
                self._fail()
                total += 1
            if ring.corrupt:
                self._break_off(worker)
            if ring.next != begun:
                delay_point()
                ring_release(ring)
                self.requests.note_release(worker)
        return total

    cdef int _drain_ring(self, uint32_t worker, Ring *ring) except -1:
        cdef ReplyRecord *record
        cdef int count = 0
        while count < BATCH:
            record = <ReplyRecord *>ring_peek(ring)
            if record == NULL:
                break
            ring_advance(ring, record.size)
            self._deliver(worker, record)
            count += 1
        return count

    cdef int _fail(self) except -1:
        cdef Client *client = self.clients.find(self.delivering)
        log.exception("a reply is lost")
        if client != NULL:
            client_doom(self.hub, client)
        return 0

    cdef int _deliver(self, uint32_t worker, ReplyRecord *record) except -1:
        cdef Client *client
        cdef Payload payload
        self.delivering = record.token
        if not is_sound(record):
            log.error("a worker's reply does not fit in its record")
            return 0
        if record.kind == REPLY_PIECE:
            return self._gather(worker, record)
        if self.gathered:
            self._take_gathered(worker)
        if record.flags & IN_SEGMENT:
            return self._deliver_segment(worker, record, self._open(record))
        client = self.clients.find(record.token)
        if record.kind == REPLY_BLOCKED:
            return self._block(client, record, <char *>(record + 1), worker)
        if client == NULL or not is_awaited(client, record):
            return self._pass_answer(record, <char *>(record + 1)) if client == NULL else 0
        if record.kind == REPLY_AGAIN:
            return self._have_sent_again(client, record.sequence)
        if client.stamp and not self.waiters.settle(client, record.sequence, worker):
            return 0
        if client.marked == 0:
            deliver(self.hub, client, record.sequence, <char *>(record + 1), record.length)
        elif payload_copy(&payload, <char *>(record + 1), record.length):
            deliver_part(self.hub, client, record.sequence, record.part, &payload)
        else:
            client_doom(self.hub, client)
        return 0

    cdef int _have_sent_again(self, Client *client, uint64_t sequence) except -1:
        """A leased request was not executed, as one of its participants hangs: its client sends it again, later."""
        if is_awaiting(client, sequence):
            client.again = True
            client.attempts += 1
            client.retry_ms = self.hub.now_ms + min(1 << min(client.attempts, 10), <uint32_t>AGAIN_MS)
            self.hub.counters[<int>REQUESTS_AGAIN] += 1
            client_enqueue(self.hub, client)
        return 0

    cdef int _deliver_segment(self, uint32_t worker, ReplyRecord *record, Segment segment) except -1:
        """Delivers the record's reply, which lies in a segment; None: it is lost."""
        cdef Client *client = self.clients.find(record.token)
        cdef Payload payload
        if client == NULL or not is_awaited(client, record):
            return self._pass_answer(record, segment.address) if client == NULL and segment is not None else 0
        if record.kind == REPLY_BLOCKED and segment is not None:
            return self._block(client, record, segment.address, worker)
        if client.stamp and not self.waiters.settle(client, record.sequence, worker):
            return 0
        if segment is None:
            client_doom(self.hub, client)
            return 0
        Py_INCREF(segment)
        payload.bytes = segment.address
        payload.length = record.length
        payload.segment = <PyObject *>segment
        deliver_part(self.hub, client, record.sequence, record.part, &payload)
        return 0

    cdef int _block(self, Client *client, ReplyRecord *record, const char *body, uint32_t worker) except -1:
        """The client's request waits."""
        if client != NULL and client.stamp and record.sequence == client.next_request - 1:
            return self.waiters.blocked(client, worker, body, record.length)
        return 0

    cdef int _pass_answer(self, ReplyRecord *record, const char *reply) except -1:
        """Passes an answer to a question of our own on; what nobody awaits is dropped."""
        if record.token == self.requests.internal_token:
            self.hub.cold = True
            self.server.answered(record.sequence, record.part, reply[:record.length])
        return 0

    cdef Gathered _take_gathered(self, uint32_t worker):
        """Returns what has come of a worker's reply, no longer held for its client; None: nothing."""
        cdef Gathered gathered = self.gathered.pop(worker, None)
        cdef Client *client
        if gathered is not None:
            client = self.clients.find(gathered.token)
            if client != NULL:
                client.held -= gathered.length
        return gathered

    cdef int _gather(self, uint32_t worker, ReplyRecord *record) except -1:
        """Takes a piece of a reply, and delivers the reply with its last (workers/pieces.pxd)."""
        cdef PieceHeader *piece = <PieceHeader *>(record + 1)
        cdef Gathered gathered = self._take_gathered(worker)
        cdef Client *client = self.clients.find(record.token)
        if client == NULL and record.token != self.requests.internal_token:
            return 0
        if piece.offset == 0:
            gathered = Gathered()
            gathered.token, gathered.sequence = record.token, record.sequence
            gathered.segment = private_segment(record.length)
        elif gathered is None or gathered.token != record.token or gathered.sequence != record.sequence \
                or gathered.length != piece.offset or gathered.segment.size != record.length:
            return 0
        memcpy(gathered.segment.address + piece.offset, <char *>(piece + 1), piece.bytes)
        gathered.length += piece.bytes
        if gathered.length == record.length:
            return self._deliver_segment(worker, record, gathered.segment)
        self.gathered[worker] = gathered
        if client != NULL:
            client_hold(self.hub, client, gathered.length)
        return 0

    cdef Segment _open(self, ReplyRecord *record):
        # The name goes at once, so that nothing is left of it when this process dies; the mapping keeps the bytes.
        cdef Segment segment
        try:
            segment = self.segments.open((<SegmentName *>(record + 1)).id, record.length)
            segment.drop_name()
            return segment
        except SegmentError as error:
            self.segments.remove((<SegmentName *>(record + 1)).id)
            if record.token >> 48 == self.requests.internal_token >> 48:  # else it may be gone, and nobody waits for it
                log.error("a reply is lost: %s", error)
            return None

    cdef int _break_off(self, uint32_t worker) except -1:
        # What is in it cannot be told apart any more: whoever waits for a reply is closed, the others go on.
        cdef Ring *ring = self.rings[worker]
        cdef Client *client
        cdef uint32_t place
        log.critical("a record in the reply ring of worker %d does not fit; closing the clients that wait", worker)
        ring.corrupt = False
        ring.next = ring.seen
        for place in range(1, self.clients.count):
            client = self.clients.clients[place]
            if client != NULL and client.next_request != client.next_reply:
                client_doom(self.hub, client)
        return 0
