"""From reply rings to clients' outputs: see replies.pxd."""
import logging
import os

from cpython.object cimport PyObject
from cpython.ref cimport Py_INCREF
from libc.stdint cimport uint32_t, uint64_t
from libc.stdlib cimport calloc, free

from shardkv.acceptor.client cimport Client, client_doom, deliver, deliver_part
from shardkv.acceptor.client_table cimport PLACES_MAX
from shardkv.acceptor.output cimport Payload, payload_copy
from shardkv.atomic cimport atomic_load_relaxed
from shardkv.ring cimport (
    REPLY_BYTES,
    REPLY_ROOM,
    REPLY_SEGMENT,
    ReplyRecord,
    Ring,
    RingPair,
    ring_advance,
    ring_consume,
    ring_peek,
    ring_release,
)
from shardkv.segment cimport Segment

from shardkv.segment import SegmentError

log = logging.getLogger("shardkv")


cdef bint is_whole(const ReplyRecord *record) noexcept nogil:
    cdef uint64_t room
    if record.size < sizeof(ReplyRecord):
        return False
    room = record.size - sizeof(ReplyRecord)
    return record.length <= room if record.kind == REPLY_BYTES else record.kind == REPLY_SEGMENT and room >= 8


cdef class Replies:
    def __init__(
        self, pairs: list, ClientTable clients, Requests requests, SegmentStore segments, server: object
    ) -> None:
        """Takes the consumer's side of the reply rings, one for each worker."""
        cdef uint32_t worker
        self.pairs, self.clients, self.requests, self.segments, self.server = pairs, clients, requests, segments, server
        self.workers = len(pairs)
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
        cdef ReplyRecord *record
        cdef uint64_t begun
        cdef uint32_t worker
        cdef int taken, total = 0
        for worker in range(self.workers):
            ring = self.rings[worker]
            begun = ring.next
            taken = 0
            while taken < BATCH:
                record = <ReplyRecord *>ring_peek(ring)
                if record == NULL:
                    break
                self._deliver(record)
                ring_advance(ring, record.size)
                taken += 1
            if ring.corrupt:
                self._break_off(worker)
            if ring.next != begun:
                ring_release(ring)
                if atomic_load_relaxed(&ring.shared.tail) - begun + REPLY_ROOM > ring.capacity:
                    self.requests.touched[worker] = 1  # publishing wakes it
                total += taken
        return total

    cdef int _deliver(self, ReplyRecord *record) except -1:
        cdef Client *client
        cdef Payload payload
        if not is_whole(record):
            log.error("a worker's reply does not fit in its record")
            return 0
        client = self.clients.find(record.token)
        if client == NULL:
            if record.token >> 48 == self.clients.epoch and record.token & PLACES_MAX == 0:
                return self._pass_answer(record)
            return self._drop_segment(record)
        if record.sequence - client.next_reply >= client.next_request - client.next_reply:
            return self._drop_segment(record)
        if record.kind == REPLY_SEGMENT:
            return self._deliver_segment(client, record)
        if client.marked == 0:
            deliver(self.hub, client, record.sequence, <char *>(record + 1), record.length)
        elif payload_copy(&payload, <char *>(record + 1), record.length):
            deliver_part(self.hub, client, record.sequence, record.part, &payload)
        else:
            client_doom(self.hub, client)
        return 0

    cdef int _deliver_segment(self, Client *client, ReplyRecord *record) except -1:
        cdef Payload payload
        cdef Segment segment = self._open(record)
        if segment is None:
            client_doom(self.hub, client)
            return 0
        Py_INCREF(segment)
        payload.bytes = segment.address
        payload.length = record.length
        payload.segment = <PyObject *>segment
        deliver_part(self.hub, client, record.sequence, record.part, &payload)
        return 0

    cdef int _pass_answer(self, ReplyRecord *record) except -1:
        cdef Segment segment
        if record.kind == REPLY_SEGMENT:
            segment = self._open(record)
            if segment is None:
                return 0
            reply = segment.address[:record.length]
            segment.close()
        else:
            reply = (<char *>(record + 1))[:record.length]
        self.hub.cold = True
        self.server.answered(record.sequence, record.part, reply)
        return 0

    cdef Segment _open(self, ReplyRecord *record):
        # The file goes at once, so that nothing is left of it when this process dies; the mapping keeps the bytes.
        try:
            segment = self.segments.open((<uint64_t *>(record + 1))[0], record.length)
            os.unlink(segment.path)
            return segment
        except (SegmentError, OSError) as error:
            log.error("a reply is lost: %s", error)
            return None

    cdef int _drop_segment(self, ReplyRecord *record) except -1:
        if record.kind == REPLY_SEGMENT:
            try:
                self.segments.open((<uint64_t *>(record + 1))[0], 1).unlink()
            except SegmentError:
                pass  # gone already
        return 0

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
