"""Rings and segments for tests, from Python: both sides of a RingPair. Nothing of the server imports this."""
from cpython.bytes cimport PyBytes_FromStringAndSize
from libc.stdint cimport uint32_t, uint64_t
from libc.string cimport memcpy, memset

from shardkv.atomic cimport atomic_load_acquire
from shardkv.hashing cimport hash_key
from shardkv.ring cimport (
    IN_SEGMENT,
    LEASED,
    REPLY_AGAIN,
    REPLY_PIECE,
    REQUEST_COMMAND,
    REQUEST_INTERNAL,
    REQUEST_MARKER,
    Marker,
    PieceHeader,
    ReplyRecord,
    RequestRecord,
    Ring,
    RingPair,
    ring_advance,
    ring_append,
    ring_behind,
    ring_consume,
    ring_peek,
    ring_produce,
    ring_publish,
    ring_release,
    ring_reserve,
)
from shardkv.segment cimport Segment, SegmentStore


cdef class RingSide:
    """One side of one ring; records are a u32 size, padding to 8, and the payload."""
    cdef RingPair pair
    cdef Ring *ring

    def __init__(self, RingPair pair, reply: bool, produce: bool) -> None:
        self.pair = pair
        self.ring = &pair.reply if reply else &pair.request
        if produce:
            ring_produce(self.ring)
        else:
            ring_consume(self.ring)

    def append(self, payload: bytes) -> bool:
        """Appends one record without publishing it; False when the ring is full."""
        cdef uint32_t size = (16 + len(payload) + 7) & ~7
        cdef char *record = ring_reserve(self.ring, size)
        if record == NULL:
            return False
        (<uint32_t *>record)[0] = size
        (<uint64_t *>record)[1] = len(payload)
        memcpy(record + 16, <const char *>payload, len(payload))
        ring_append(self.ring, size)
        return True

    def publish(self) -> None:
        ring_publish(self.ring)

    def take(self) -> bytes | None:
        """Takes one record without releasing it; None when the ring is empty."""
        cdef char *record = ring_peek(self.ring)
        if record == NULL:
            return None
        ring_advance(self.ring, (<uint32_t *>record)[0])
        return PyBytes_FromStringAndSize(record + 16, (<uint64_t *>record)[1])

    def ahead(self) -> list[bytes]:
        """The records from the next on that are there already, none of them taken."""
        cdef uint64_t position = self.ring.next
        cdef char *record = ring_peek(self.ring)
        cdef list found = []
        while record != NULL:
            found.append(PyBytes_FromStringAndSize(record + 16, (<uint64_t *>record)[1]))
            record = ring_behind(self.ring, record, &position)
        return found

    def release(self) -> None:
        ring_release(self.ring)

    def damage(self, uint32_t size) -> None:
        """Writes a record with a wrong size."""
        cdef char *record = ring_reserve(self.ring, 64)
        memset(record, 0, 64)
        (<uint32_t *>record)[0] = size
        ring_append(self.ring, 64)

    @property
    def corrupt(self) -> bool:
        return self.ring.corrupt

    @property
    def position(self) -> int:
        return self.ring.next


cdef class FakeAcceptor:
    """Puts requests into a pair's request ring and takes replies out, as an acceptor would."""
    cdef RingPair pair
    cdef readonly uint64_t sequence
    cdef readonly bytes unfinished

    def __init__(self, RingPair pair) -> None:
        self.pair = pair
        self.unfinished = b""
        ring_produce(&pair.request)
        ring_consume(&pair.reply)

    def request(
        self, command: int, *arguments: bytes, database: int = 0, internal: bool = False, key: int = 1,
        broken: bool = False, participants: list[tuple[int, int]] | None = None,
    ) -> None:
        """Publishes one request; `key` is the index of its first key. A `broken` one claims more than it holds. With
        `participants` it is leased: pairs of a shard and where its marker begins."""
        cdef uint32_t argc = len(arguments)
        body = b"".join(len(a).to_bytes(4, "little") for a in arguments) + b"".join(arguments)
        others = b"".join(word.to_bytes(8, "little") for pair in participants or () for word in pair)
        cdef uint32_t size = ((sizeof(RequestRecord) + <uint32_t>len(body) + 7) & ~7) + <uint32_t>len(others)
        cdef RequestRecord *record = <RequestRecord *>ring_reserve(&self.pair.request, size)
        if record == NULL:
            raise BufferError("request ring is full")
        memset(record, 0, sizeof(RequestRecord))
        record.size, record.kind, record.command = size, REQUEST_INTERNAL if internal else REQUEST_COMMAND, command
        record.sequence, record.argc, record.resp, record.bytes = self.sequence, argc, 2, len(body)
        record.database, record.participants = database, len(participants or ())
        record.flags = LEASED if participants else 0
        memcpy(<char *>record + size - len(others), <const char *>others, len(others))
        if broken:
            record.argc = 1 << 30
        if key < len(arguments):
            record.hash = hash_key(arguments[key], len(arguments[key]))
        memcpy(record + 1, <const char *>body, len(body))
        ring_append(&self.pair.request, size)
        ring_publish(&self.pair.request)
        self.sequence += 1

    def marker(self, executor: int, position: int) -> int:
        """Appends the marker of a request that ends at `position` of its executor's ring; returns where it begins."""
        cdef uint32_t size = sizeof(RequestRecord) + sizeof(Marker)
        cdef RequestRecord *record = <RequestRecord *>ring_reserve(&self.pair.request, size)
        cdef uint64_t begins = self.pair.request.next
        if record == NULL:
            raise BufferError("request ring is full")
        memset(record, 0, size)
        record.size, record.kind = size, REQUEST_MARKER
        (<Marker *>(record + 1)).executor = executor
        (<Marker *>(record + 1)).position = position
        ring_append(&self.pair.request, size)
        return begins

    def publish(self) -> None:
        """Publishes what was appended."""
        ring_publish(&self.pair.request)

    @property
    def position(self) -> int:
        """Where the next request will begin."""
        return self.pair.request.next

    @property
    def head(self) -> int:
        """Up to where the worker has done the requests."""
        return atomic_load_acquire(&self.pair.request.shared.head)

    def replies(self, most: int = 1 << 30) -> list[tuple[int, bytes]]:
        """(sequence, RESP) of at most so many published records; what lies in a segment as b'segment'.

        A reply in pieces is there with its last one; `unfinished` is what came of one before that."""
        cdef ReplyRecord *record
        cdef PieceHeader *piece
        answer = []
        while most:
            record = <ReplyRecord *>ring_peek(&self.pair.reply)
            if record == NULL:
                break
            most -= 1
            piece = <PieceHeader *>(record + 1)
            if record.kind == REPLY_PIECE:
                assert piece.offset in (0, len(self.unfinished))
                self.unfinished = self.unfinished[:piece.offset] + (<char *>(piece + 1))[:piece.bytes]
                if len(self.unfinished) == <Py_ssize_t>record.length:
                    answer.append((record.sequence, self.unfinished))
                    self.unfinished = b""
            else:
                self.unfinished = b""
                text = b"segment" if record.flags & IN_SEGMENT else (<char *>(record + 1))[:record.length]
                text = b"again" if record.kind == REPLY_AGAIN else text
                answer.append((record.sequence, text))
            ring_advance(&self.pair.reply, record.size)
        ring_release(&self.pair.reply)
        return answer


cdef class Segments:
    """A SegmentStore whose segments are bytes."""
    cdef SegmentStore store

    def __init__(self, folder: str, owner: int = 0, epoch: int = 1) -> None:
        self.store = SegmentStore(folder, owner, epoch)

    def write(self, content: bytes) -> int:
        """Makes a segment with this content and returns its id. Raises SegmentError, and leaves no file then."""
        cdef Segment segment = self.store.create()
        try:
            segment.append(content, len(content))
        except BaseException:
            segment.unlink()
            raise
        return segment.id

    def read(self, uint64_t id, uint64_t size) -> bytes:
        """The first `size` bytes of a segment, which is removed."""
        cdef Segment segment = self.store.open(id, size)
        content = PyBytes_FromStringAndSize(segment.address, size)
        segment.unlink()
        segment.unlink()
        return content

    def sweep(self, named: set[int]) -> None:
        self.store.sweep(named)
