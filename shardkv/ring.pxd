"""Single-producer, single-consumer byte rings in shared memory.

Ring file, made by `create`:

    offset 0         RingHeader of the request ring (one page)
    offset 4096      RingHeader of the reply ring (one page)
    offset 8192      request bytes (capacity), then reply bytes (capacity)

Each ring's bytes are mapped twice in a row, so a record is contiguous wherever it starts.

Invariants
 1. Only the producer stores `tail`, only the consumer stores `head`; each sits on its own cache line.
 2. head <= tail <= head + capacity; both only grow, and are positions (byte counts), never offsets.
 3. Bytes in [head, tail) belong to the consumer, all others to the producer.
 4. The producer stores `tail` with release after it wrote a record; the consumer loads it with acquire before it reads
    one.
    The consumer stores `head` with release after it last read a record; the producer loads it with acquire before it
    writes.
 5. A producer that dies leaves at most bytes behind `tail`, which nobody reads; its successor continues at `tail`.
 6. A consumer never trusts a record: `ring_peek` returns NULL and sets `corrupt` when a size does not fit in [head,
    tail).
"""
from libc.stdint cimport uint16_t, uint32_t, uint64_t, uint8_t
from shardkv.atomic cimport atomic_load_acquire

cdef enum:
    RING_INLINE_MAX = 131072  # bytes; a record above this travels in a segment
    REPLY_ROOM = 16384        # bytes; with less in a reply ring, its worker lets that acceptor's requests wait

cdef enum:
    REQUEST_COMMAND = 1   # of a client
    REQUEST_INTERNAL = 2  # of the acceptor's own; argument 0 names an internal command
    REQUEST_MARKER = 3    # a Marker: here the ring waits for a leased request (workers/leases.pxd); leaves no reply
    REPLY_WHOLE = 1       # `length` bytes of RESP
    REPLY_PIECE = 2       # some of them: a PieceHeader, then the bytes (workers/pieces.pxd)
    REPLY_AGAIN = 3       # nothing was done: the acceptor sends the request again
    REPLY_BLOCKED = 4     # nothing was done: the client waits for one of its keys

cdef enum:                # flags of both records
    NO_TOUCH = 1          # CLIENT NO-TOUCH: do not set the access clock
    IN_SEGMENT = 2        # the body lies in a segment; behind the header is its SegmentName
    LEASED = 4            # a request of several shards: at its end are its Participants

cdef struct RingHeader:
    uint64_t magic
    uint64_t capacity       # bytes, a power of two, a multiple of the page size
    uint8_t _line0[112]     # two lines: adjacent-line prefetch would drag the neighbour along
    uint64_t tail           # producer's position
    uint64_t publishing_tail      # reply rings: the tail about to be stored …
    uint64_t publishing_position  # … and the request position it answers up to (workers/loop.pxd)
    uint8_t _line1[104]
    uint64_t head           # consumer's position
    uint64_t attempt_position     # request rings: the request that was executing when a worker died …
    uint64_t attempts             # … and the weight of these deaths (workers/recovery.pxd)
    uint8_t _line2[104]

cdef struct RequestRecord:
    uint32_t size           # of the whole record, a multiple of 8
    uint16_t kind
    uint16_t command        # id in the command table
    uint64_t token          # connection: epoch << 48 | generation << 24 | slot
    uint64_t sequence       # of the request in its connection
    uint64_t hash           # XXH3 of the first key of this part (0 when there is none)
    uint16_t part           # part number of a split command, else 0
    uint16_t participants   # LEASED: shards beside the one that executes it
    uint32_t argc
    uint16_t database
    uint8_t resp            # 2 or 3
    uint8_t flags
    uint32_t bytes          # of lengths and arguments together; 0 when they lie in a segment
    # uint32_t lengths[argc], then the arguments back to back

cdef struct Participant:
    uint64_t shard          # ascending; each is above the executor's
    uint64_t marker         # where its marker begins in the same acceptor's ring to it

cdef struct Marker:
    uint64_t executor       # the shard whose worker executes the request
    uint64_t position       # the request's end in the same acceptor's ring to it

cdef struct ReplyRecord:
    uint32_t size
    uint16_t kind
    uint16_t flags
    uint64_t token
    uint64_t sequence
    uint64_t position       # end position of the request in its ring
    uint32_t part
    uint32_t _pad
    uint64_t length         # bytes of RESP, of the whole reply
    # the bytes

cdef struct Blocked:
    # The body of REPLY_BLOCKED: the wait that begins. Empty: a shard was told of it, and has it now.
    uint64_t timeout_ms     # 0: for ever
    uint64_t hash           # of its first key
    uint64_t epoch          # of the worker that has it already (ProcessBlock.waiting_epoch); 0: none has
    uint32_t first          # the arguments that are keys waited for …
    uint32_t keys           # … so many
    uint32_t kind           # WaitKind
    uint32_t replacements   # arguments that are to be others: so many times u32 index, u32 length, bytes padded to 8

cdef enum WaitKind:         # what a key must hold for its waiter to be served
    WAIT_FOR_LIST
    WAIT_FOR_ZSET
    WAIT_FOR_STREAM
    WAIT_FOR_GROUP          # … or must not hold, as XREADGROUP fails then

cdef struct WaitFacts:
    # Argument 1 of @wait; the client's request follows.
    uint64_t token
    uint64_t sequence
    uint64_t stamp          # shardkv/claims.pxd
    uint32_t first
    uint32_t keys
    uint32_t kind
    uint32_t _pad

cdef struct PieceHeader:
    uint64_t offset         # of the piece in the reply: 0 begins one, and unmakes what was gathered of another
    uint64_t bytes

cdef struct SegmentName:
    uint64_t id
    uint64_t size           # bytes of it that the record speaks of
    uint64_t table          # requests: where argc Places lie in it …

cdef struct Place:
    uint64_t offset         # … of the arguments, which lie anywhere before
    uint64_t length

cdef struct Ring:
    # One process's view. `next` is private: the producer's unpublished tail, or the consumer's unreleased head.
    RingHeader *shared
    char *bytes
    uint64_t mask
    uint64_t capacity
    uint64_t next
    uint64_t seen           # the other side's position, as last loaded
    bint corrupt

cdef class RingPair:
    """The two rings of one (acceptor, worker) pair, mapped; unmaps itself when collected."""
    cdef Ring request
    cdef Ring reply
    cdef void *_mapping
    cdef size_t _mapped
    cdef readonly object path
    cdef int _place(self, char *address, size_t length, int fd, size_t offset) except -1

# A process takes its side of a ring before it uses it; it continues where its predecessor published or released.
cdef void ring_produce(Ring *ring) noexcept nogil
cdef void ring_consume(Ring *ring) noexcept nogil
# Producer
cdef void ring_publish(Ring *ring) noexcept nogil                   # all appended records become visible

cdef inline char *ring_reserve(Ring *ring, uint32_t size) noexcept nogil:
    """Room for `size` contiguous bytes at `next`, or NULL: full."""
    if ring.next + size - ring.seen > ring.capacity:
        ring.seen = atomic_load_acquire(&ring.shared.head)
        if ring.next + size - ring.seen > ring.capacity:
            return NULL
    return ring.bytes + (ring.next & ring.mask)

cdef inline void ring_append(Ring *ring, uint32_t size) noexcept nogil:
    """Moves `next` past a record written at ring_reserve's answer."""
    ring.next += size

cdef inline uint64_t ring_room(Ring *ring) noexcept nogil:
    """Free bytes, freshly loaded."""
    ring.seen = atomic_load_acquire(&ring.shared.head)
    return ring.capacity - (ring.next - ring.seen)

# Consumer
# Everything before `next` belongs to the producer again.
cdef void ring_release(Ring *ring) noexcept nogil

cdef inline char *record_at(Ring *ring, uint64_t position) noexcept nogil:
    """The record at a position before `seen`; NULL if there is none that fits."""
    cdef char *record = ring.bytes + (position & ring.mask)
    cdef uint32_t size = (<uint32_t *>record)[0]
    if size < 8 or size & 7 or size > ring.seen - position or ring.seen - position > ring.capacity:
        return NULL
    return record

cdef inline char *ring_peek(Ring *ring) noexcept nogil:
    """The record at `next`, or NULL: empty (or corrupt)."""
    cdef inline char *record
    if ring.next == ring.seen:
        ring.seen = atomic_load_acquire(&ring.shared.tail)
        if ring.next == ring.seen:
            return NULL
    record = record_at(ring, ring.next)
    ring.corrupt |= record == NULL
    return record

cdef inline char *ring_behind(Ring *ring, char *record, uint64_t *position) noexcept nogil:
    """The one behind `record`, which is at `position`, if it has been seen and fits, or NULL; moves `position`."""
    position[0] += (<uint32_t *>record)[0]
    return record_at(ring, position[0]) if position[0] < ring.seen else NULL

cdef inline void ring_advance(Ring *ring, uint32_t size) noexcept nogil:
    """Moves `next` past a record; its bytes stay ours until ring_release."""
    ring.next += size

# Records
cdef inline void reply_begin(
    ReplyRecord *reply, const RequestRecord *request, uint64_t position, uint16_t kind, uint64_t body
) noexcept nogil:
    """Fills the header of the reply to a request that ends at `position`, with `body` bytes behind it."""
    reply.size = <uint32_t>((sizeof(ReplyRecord) + body + 7) & ~<uint64_t>7)
    reply.kind = kind
    reply.flags = 0
    reply.token = request.token
    reply.sequence = request.sequence
    reply.position = position
    reply.part = request.part
