"""C-only functions for tests. Nothing of the server imports this."""
from libc.stdint cimport uint32_t, uint64_t, uintptr_t
from libc.stdlib cimport calloc, free, malloc
from libc.string cimport memcpy, memset

from shardkv.acceptor cimport output
from shardkv.acceptor.client cimport Client, Hub, client_new, client_release, deliver_payload
from shardkv.acceptor.join cimport JOIN_ARRAY, Join, join_add, join_finish, join_free, join_new
from shardkv.acceptor.net cimport is_local
from shardkv.acceptor.output cimport SEND_STEP, Payload, output_send, payload_copy, payload_free
from shardkv.acceptor.parser cimport (
    PARSED_ERROR,
    PARSED_MORE,
    PARSED_REQUEST,
    Frame,
    Parsed,
    frame_end,
    frame_free,
    frame_parse,
    frame_reset,
)
from shardkv cimport sleep
from shardkv.acceptor.requests cimport Requests, record_size
from shardkv.ring cimport (
    IN_SEGMENT, REQUEST_COMMAND, REQUEST_MARKER, Marker, Participant, RequestRecord, Ring, RingPair, SegmentName,
    ring_advance, ring_append, ring_consume, ring_peek, ring_publish, ring_release, ring_reserve,
)
from shardkv.segment cimport Segment, SegmentStore, named_requests
from shardkv.sleep cimport SLEEPS_FOR_RECORDS
from shardkv.stats cimport ERROR_REPLIES, ControlPage


def parse(
    chunks: list[bytes], uint64_t bulk_max=512 << 20, bint authenticated=True, bint spill=False
) -> tuple[list[list[bytes]], str]:
    """Requests in a stream that comes in pieces, and the error that ended it or "". Checks the frame's invariants.

    With `spill`, the bytes of each incomplete request are taken from the parser's sight as far as they may be.
    """
    cdef Frame frame
    cdef bytes chunk
    cdef char *data = NULL
    cdef uint64_t start = 0, length = 0, past = 0
    requests = []
    memset(&frame, 0, sizeof(frame))
    frame_reset(&frame)
    error = ""
    stream = b""
    for chunk in chunks:
        moved = moved_with(data + start, length - start, chunk)
        free(data)
        data = moved
        length += len(chunk) - start
        past += start
        stream += chunk
        start, error = parse_all(&frame, data, length, bulk_max, authenticated, requests, stream[past:])
        if error:
            break
        if spill and frame.expected:
            frame.spilled = min(frame_end(&frame), length - start)
            memset(data + start, 0xFF, frame.spilled)
    free(data)
    frame_free(&frame)
    return requests, error


cdef char *moved_with(const char *data, uint64_t length, bytes more) except NULL:
    # Exactly as large as its content, so that a sanitizer sees a read behind it.
    cdef char *moved = <char *>malloc(max(length + <uint64_t>len(more), <uint64_t>1))
    if moved == NULL:
        raise MemoryError
    if length:
        memcpy(moved, data, length)
    memcpy(moved + length, <const char *>more, len(more))
    return moved


cdef tuple parse_all(
    Frame *frame, char *data, uint64_t length, uint64_t bulk_max, bint authenticated, list requests, bytes sent
):
    # `sent` is what `data` was, where an inline command has not been unquoted, nor anything been spilled.
    cdef uint64_t start = 0, total
    cdef Parsed parsed
    while True:
        parsed = frame_parse(frame, data + start, length - start, bulk_max, authenticated)
        assert frame.position <= length - start and frame.argc <= frame.capacity
        if parsed == PARSED_ERROR:
            return start, frame.error.decode() or f"expected '$', got '{chr(frame.unexpected)}'"
        if parsed == PARSED_MORE:
            assert frame.bulk < 0 or frame.position + frame.bulk + 2 > length - start
            return start, ""
        if parsed == PARSED_REQUEST:
            spans = [(frame.spans[index].offset, frame.spans[index].length) for index in range(frame.argc)]
            total = sum(size for _, size in spans)
            assert total == frame.payload
            whole = sent[start:] if frame.spilled else (data + start)[:length - start]
            requests.append([whole[offset:offset + size] for offset, size in spans])
        start += frame.position
        frame_reset(frame)


def join(int kind, replies: list[bytes | None], owners: tuple[int, ...] = ()) -> bytes:
    """One reply of the workers' replies; None: that worker has no part."""
    cdef Payload payload
    cdef Join *joining
    cdef bint complete = False
    cdef bytes reply
    if kind != JOIN_ARRAY:
        owners = ()
    joining = join_new(kind, len(replies), len(replies) - replies.count(None), len(owners))
    for key, owner in enumerate(owners):
        joining.owners[<int>key] = owner
    for worker, given in enumerate(replies):
        if given is not None:
            reply = given
            assert not complete and payload_copy(&payload, reply, len(reply))
            complete = join_add(joining, worker, &payload)
    assert complete and join_finish(joining, &payload)
    answer = payload.bytes[:payload.length]
    payload_free(&payload)
    assert payload_copy(&payload, b"x", 1) and not join_add(joining, 0, &payload), "a second reply is dropped"
    join_free(joining)
    return answer


def is_local_address(address: bytes) -> bool:
    """Whether the bytes of a sockaddr name this host."""
    cdef char peer[128]
    memset(peer, 0, sizeof(peer))
    memcpy(peer, <const char *>address, min(<size_t>len(address), sizeof(peer)))
    return is_local(peer)


def publish(folder: str, int workers, int death=0, wake_fds: list[int] | None = None) -> tuple[list[int], set[int]]:
    """Takes over an acceptor's request rings, whose workers sleep, and publishes; returns the tails, and the ids of the
    segments that records before them name. With `death` it appends such a record to each ring, and dies at that store
    of publishing, if there is one."""
    cdef list pairs = [RingPair.open(f"{folder}/ring-0-{worker}") for worker in range(workers)]
    cdef ControlPage page = ControlPage.open(f"{folder}/control")
    cdef SegmentStore segments = SegmentStore(folder, 0, 1)
    cdef Requests requests
    cdef RingPair pair
    for worker in range(workers):
        page.worker(worker).sleeping = SLEEPS_FOR_RECORDS
    requests = Requests(page, pairs, wake_fds or [-1] * workers, segments, 1)
    if death:
        for worker in range(workers):
            append_named(requests.rings[<int>worker], segments.create())
        sleep.dying, sleep.delaying = death, 1
    requests.publish()
    sleep.dying = sleep.delaying = 0
    return [pair.request.shared.tail for pair in pairs], named_requests(pairs)


cdef int append_named(Ring *ring, Segment segment) except -1:
    cdef uint32_t size = sizeof(RequestRecord) + sizeof(SegmentName)
    cdef RequestRecord *record = <RequestRecord *>ring_reserve(ring, size)
    memset(record, 0, size)
    record.size, record.kind, record.flags = size, REQUEST_COMMAND, IN_SEGMENT
    (<SegmentName *>(record + 1)).id = segment.id
    ring_append(ring, size)
    return 0


cdef class Waiting:
    """Clients that wait for room in an acceptor's request rings, each with one request at a time."""
    cdef Hub hub
    cdef Requests requests
    cdef list pairs           # the workers' side
    cdef dict clients         # number -> address
    cdef dict needs           # number -> workers

    def __init__(self, folder: str, int workers) -> None:
        paths = [f"{folder}/ring-0-{worker}" for worker in range(workers)]
        memset(&self.hub, 0, sizeof(Hub))
        self.requests = Requests(
            ControlPage.open(f"{folder}/control"), [RingPair.open(path) for path in paths], [-1] * workers,
            SegmentStore(folder, 0, 1), 1,
        )
        self.pairs = [RingPair.open(path) for path in paths]
        self.clients, self.needs = {}, {}

    def __dealloc__(self):
        for address in self.clients.values():
            free(<void *><uintptr_t>address)

    def send(self, number: int, workers: list[int], uint64_t length) -> bool:
        """Sends a request of a client to these workers, so many bytes to each; False: it waits."""
        cdef Client *client
        if number not in self.clients:
            client = client_new(&self.hub, -1)
            self.clients[number] = <uintptr_t>client
        self.needs[number] = workers, length
        return self._advance(<Client *><uintptr_t>self.clients[number])

    cdef bint _advance(self, Client *client) except -1:
        number = next(number for number, address in self.clients.items() if address == <uintptr_t>client)
        workers, length = self.needs[number]
        for worker in workers:
            self.requests.parts[<int>worker].argc, self.requests.parts[<int>worker].payload = 1, length
        if not self.requests.reserve_all(client):
            self.requests.forget()
            self.requests.enqueue(client)
            return False
        for worker in workers:
            append_empty(self.requests.rings[<int>worker], record_size(&self.requests.parts[<int>worker]))
        self.requests.forget()
        client.next_request += 1
        return True

    def take(self, int worker) -> None:
        """The worker takes what is in its ring."""
        cdef RingPair pair = self.pairs[worker]
        ring_publish(self.requests.rings[worker])
        ring_consume(&pair.request)
        pair.request.next = pair.request.seen
        ring_release(&pair.request)

    def retry(self, int worker) -> list[int]:
        """Serves the queue of a ring; returns the clients whose requests went."""
        cdef Client *client = NULL
        cdef Client *last = self.requests.queues[worker].last
        went = []
        while client != last:
            client = self.requests.serve_next(worker)
            if self._advance(client):
                went += [number for number, address in self.clients.items() if address == <uintptr_t>client]
            if not self.requests.end_turn():
                break
        return went


cdef class Leasing:
    """Leased requests in an acceptor's rings, and the workers that take them."""
    cdef Hub hub
    cdef Client *client
    cdef Requests requests
    cdef list pairs           # the workers' side

    def __init__(self, folder: str, int workers, wake_fds: list[int] | None = None) -> None:
        paths = [f"{folder}/ring-0-{worker}" for worker in range(workers)]
        page = ControlPage.open(f"{folder}/control")
        memset(&self.hub, 0, sizeof(Hub))
        self.requests = Requests(
            page, [RingPair.open(path) for path in paths], wake_fds or [-1] * workers, SegmentStore(folder, 0, 1), 1
        )
        self.requests.publish()  # the first one wakes everybody
        for worker in range(workers):
            (<ControlPage>page).worker(worker).sleeping = SLEEPS_FOR_RECORDS
        self.client = client_new(&self.hub, -1)
        self.pairs = [RingPair.open(path) for path in paths]

    def __dealloc__(self):
        free(self.client)

    def send(self, shards: list[int], uint64_t length, uint32_t attempts=0) -> bool:
        """Appends a request of so many bytes on these shards; False: there is no room."""
        cdef RequestRecord *record
        cdef uint32_t executor
        for shard in shards:
            self.requests.enlist(shard)
        executor = self.requests.lease(1, length, 0)
        if not self.requests.reserve_all(self.client):
            self.requests.forget()
            return False
        self.client.attempts = attempts
        record = self.requests.begin(self.client, 7, 3, executor, None)
        (<uint32_t *>(record + 1))[0] = <uint32_t>length
        memset(<char *>(record + 1) + 4, c'x', length)
        self.requests.end(record, executor)
        return True

    def publish(self, death: int = 0) -> None:
        """Publishes; with `death` it dies at that store, if there is one."""
        sleep.dying, sleep.delaying = death, 1 if death else 0
        self.requests.publish()
        sleep.dying = sleep.delaying = 0

    def awaiting(self) -> bool:
        return self.requests.awaiting()

    def records(self, int worker) -> list[dict[str, object]]:
        """What lies in a worker's ring."""
        cdef RingPair pair = self.pairs[worker]
        cdef Ring *ring = &pair.request
        cdef RequestRecord *record
        cdef Participant *told
        cdef Marker *marker
        found = []
        ring_consume(ring)
        while True:
            record = <RequestRecord *>ring_peek(ring)
            if record == NULL:
                return found
            marker = <Marker *>(record + 1)
            told = <Participant *>(<char *>record + record.size) - record.participants
            found.append({
                "begin": ring.next, "end": ring.next + record.size, "kind": record.kind, "flags": record.flags,
                "part": record.part, "bytes": record.bytes, "sequence": record.sequence,
                "participants": [(told[number].shard, told[number].marker) for number in range(record.participants)],
                "marker": (marker.executor, marker.position) if record.kind == REQUEST_MARKER else None,
            })
            ring_advance(ring, record.size)

    def release(self, int worker, uint64_t position) -> None:
        """The worker has passed everything before a position."""
        cdef RingPair pair = self.pairs[worker]
        pair.request.next = position
        ring_release(&pair.request)


cdef void append_empty(Ring *ring, uint32_t size) noexcept:
    cdef RequestRecord *record = <RequestRecord *>ring_reserve(ring, size)
    memset(record, 0, sizeof(RequestRecord))
    record.size = size
    ring_append(ring, size)


def deliver_without_memory(int fd, list early, list late, bint backwards) -> bool:
    """Delivers replies to the client of a socket, the late ones while there is no memory, and sends what it is to get.

    Backwards: the late ones wait for the first of them. Returns whether the client is to be closed.
    """
    cdef uint64_t counters[<int>ERROR_REPLIES + 1]
    cdef Hub hub
    cdef Client *client
    cdef Payload *payloads = <Payload *>calloc(len(early) + len(late), sizeof(Payload))
    cdef uint64_t sequence
    cdef bytes reply
    memset(&hub, 0, sizeof(hub))
    hub.counters = counters
    client = client_new(&hub, fd)
    for sequence, reply in enumerate(early + late):
        assert payload_copy(&payloads[sequence], reply, len(reply))
    numbers = list(range(len(early), len(early) + len(late)))
    for sequence in range(<uint64_t>len(early)):
        deliver_payload(&hub, client, sequence, &payloads[sequence])
    output.starving = True
    for sequence in reversed(numbers) if backwards else numbers:
        deliver_payload(&hub, client, sequence, &payloads[sequence])
    output.starving = False
    assert output_send(&client.output, fd, SEND_STEP) >= 0
    doomed = bool(client.doomed)
    client_release(client)
    free(client)
    free(payloads)
    return doomed
