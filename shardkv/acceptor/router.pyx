"""From a parsed request to its worker's ring: see router.pxd."""
import random
import sys

from libc.stdint cimport UINT64_MAX, int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free, realloc
from libc.string cimport memcpy, memset
from posix.unistd cimport write

from shardkv.acceptor.connection cimport (
    PAUSE_ALL,
    REPLY_ON,
    REPLY_SKIP,
    REPLY_SKIPPING,
    SLOT_JOIN,
    SLOT_MUTED,
    WAIT_LOCAL,
    WAIT_PAUSE,
    WAIT_RING,
    Slot,
    client_doom,
    client_mark,
    client_slot,
    client_view,
    deliver,
)
from shardkv.acceptor.join cimport JOIN_ANY, JOIN_ARRAY, Join, join_new
from shardkv.acceptor.parser cimport Frame, Span
from shardkv.acceptor.specs cimport (
    ROUTE_ALL,
    ROUTE_CURSOR,
    ROUTE_KEYED,
    ROUTE_LOCAL,
    SPEC_CONTAINER,
    SPEC_DENY_OOM,
    SPEC_LOADING,
    SPEC_NO_AUTH,
    SPEC_PING,
    SPEC_SLOW_KEYS,
    SPEC_TOUCH,
    SPEC_WRITE,
)
from shardkv.atomic cimport atomic_fence, atomic_load_relaxed, ticks
from shardkv.hashing cimport hash_for_routing, hash_key, shard_of
from shardkv.ring cimport (
    REQUEST_COMMAND,
    REQUEST_INTERNAL,
    REQUEST_NO_TOUCH,
    REQUEST_SEGMENT,
    RING_INLINE_MAX,
    RingPair,
    ring_append,
    ring_produce,
    ring_publish,
    ring_reserve,
)
from shardkv.stats cimport BLOCKED_CLIENTS, COMMANDS_PROCESSED, KEYS, count_call

from shardkv.commands.keys import find_keys
from shardkv.errors import ARENA_FULL, CROSS_SHARD, OUT_OF_MEMORY, wrong_arity
from shardkv.segment import SegmentError

cdef enum:
    SHOWN_MAX = 128            # bytes of an unknown command that its error shows
    CURSOR_BITS = 48           # of a worker's own cursor; its index lies above
    BYTES_MAX = 0xFFFF0000     # of one request's arguments
    SEGMENT_RECORD = 64        # bytes: a record that names a segment

NO_AUTH = "NOAUTH Authentication required."
LOADING = "LOADING Redis is loading the dataset in memory"
TOO_LARGE = "ERR the request is too large"
_LINE_ENDS = str.maketrans("\r\n\0", "   ")


def error_reply(text: str) -> bytes:
    """An error as RESP; what would end its line becomes a blank."""
    return b"-" + text.translate(_LINE_ENDS).encode("latin-1", "replace") + b"\r\n"


cdef inline uint64_t body_bytes(Part *part) noexcept nogil:
    return 4 * <uint64_t>part.argc + part.payload


cdef inline uint32_t record_size(Part *part) noexcept nogil:
    # 0: too large for the ring, it travels in a segment.
    cdef uint64_t size = (sizeof(RequestRecord) + body_bytes(part) + 7) & ~<uint64_t>7
    return <uint32_t>size if size <= RING_INLINE_MAX else 0


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


cdef bytes argument(Client *client, uint32_t index, uint64_t longest):
    cdef Span *span = &client.frame.spans[index]
    cdef const char *data = client.input + client.start + span.offset
    return data[:min(span.length, longest)]


cdef list arguments(Client *client):
    cdef uint32_t index
    return [argument(client, index, UINT64_MAX) for index in range(client.frame.argc)]


cdef inline uint32_t shard_of_key(const char *key, uint64_t length, uint64_t whole, uint32_t workers) noexcept:
    # `whole` is the hash of the whole key.
    return shard_of(hash_for_routing(key, length, whole), workers)


cdef class Router:
    def __init__(
        self, table: CommandTable, page: ControlPage, int index, pairs: list, wake_fds: list, SegmentStore segments,
        uint64_t epoch, calls: object,
    ) -> None:
        """Takes the producer's side of the request rings of acceptor `index`, one for each worker."""
        cdef uint32_t worker
        self.table, self.page, self.pairs, self.wake_fds, self.calls = table, page, pairs, wake_fds, calls
        self.stats = page.acceptor_commands(index)
        self.segments = segments
        self.workers = len(pairs)
        self.internal_token = epoch << 48
        self.requests = <Ring **>calloc(self.workers, sizeof(Ring *))
        self.touched = <uint8_t *>calloc(self.workers, 1)
        self.parts = <Part *>calloc(self.workers, sizeof(Part))
        if self.requests == NULL or self.touched == NULL or self.parts == NULL:
            raise MemoryError
        for worker in range(self.workers):
            self.requests[worker] = &(<RingPair>pairs[worker]).request
            ring_produce(self.requests[worker])

    def __dealloc__(self):
        free(self.requests)
        free(self.touched)
        free(self.parts)
        free(self.owners)

    cdef bint route(self, Client *client):
        """Answers, runs or sends on the request in the client's frame; False: it has to wait."""
        cdef Spec *spec = self._check(client)
        if spec == NULL:
            return client.waiting == 0
        if spec.route == ROUTE_LOCAL:
            return self._run_local(client, spec)
        if spec.route == ROUTE_KEYED:
            return self._route_keyed(client, spec)
        if spec.route == ROUTE_ALL:
            return self._route_all(client, spec)
        if spec.route == ROUTE_CURSOR:
            return self._route_cursor(client, spec)
        return self._route_split(client, spec)

    # -- checks

    cdef Spec *_check(self, Client *client):
        cdef Frame *frame = &client.frame
        cdef const char *data = client.input + client.start
        cdef Spec *spec = self.table.find(data + frame.spans[0].offset, frame.spans[0].length)
        cdef Spec *container
        if spec == NULL:
            return self._reject(client, NULL, self._unknown(client, NULL))
        if spec.flags & SPEC_CONTAINER and frame.argc > 1:
            container = spec
            spec = self.table.find_sub(container, data + frame.spans[1].offset, frame.spans[1].length)
            if spec == NULL:
                return self._reject(client, NULL, self._unknown(client, container))
        if <int64_t>frame.argc != spec.arity if spec.arity > 0 else <int64_t>frame.argc < -spec.arity:
            return self._reject(client, spec, wrong_arity(self.table.commands[spec.id].name))
        if self.hub.require_auth and not client.authenticated and not spec.flags & SPEC_NO_AUTH:
            return self._reject(client, spec, NO_AUTH)
        if spec.flags & SPEC_DENY_OOM and spec.route != ROUTE_KEYED and self.page.header.maxmemory:
            if self.page.memory_in_use() > self.page.header.maxmemory:
                return self._reject(client, spec, OUT_OF_MEMORY)
        if self.hub.loading and not spec.flags & SPEC_LOADING:
            return self._reject(client, spec, LOADING)
        if self.hub.paused and (self.hub.paused == PAUSE_ALL or spec.flags & SPEC_WRITE):
            client.waiting = WAIT_PAUSE
            self.hub.counters[<int>BLOCKED_CLIENTS] += 1
            return NULL
        client.last_command = spec.id
        return spec

    cdef Spec *_reject(self, Client *client, Spec *spec, str text):
        if spec != NULL:
            self.stats[spec.id].rejected += 1
        self.refuse(client, error_reply(text))
        return NULL

    cdef str _unknown(self, Client *client, Spec *container):
        cdef uint32_t index, shown_words = min(client.frame.argc, <uint32_t>SHOWN_MAX)
        words = [argument(client, index, SHOWN_MAX).decode("latin-1") for index in range(shown_words)]
        if container != NULL:
            return f"ERR unknown subcommand '{words[1]}'. Try {words[0].upper()} HELP."
        shown = ""
        for word in words[1:]:
            if len(shown) >= SHOWN_MAX:
                break
            shown += f"'{word[:SHOWN_MAX - len(shown)]}' "
        return f"ERR unknown command '{words[0]}', with args beginning with: {shown}"

    cdef uint64_t _accept(self, Client *client):
        """The request's number."""
        cdef uint64_t sequence = client.next_request
        client.next_request += 1
        self.hub.counters[<int>COMMANDS_PROCESSED] += 1
        if client.reply_mode != REPLY_ON:
            if client_mark(client, sequence, SLOT_MUTED) == NULL:
                client_doom(self.hub, client)
            if client.reply_mode == REPLY_SKIP:
                client.reply_mode = REPLY_ON
        return sequence

    cdef void refuse(self, Client *client, bytes reply):
        cdef const char *data = reply
        deliver(self.hub, client, self._accept(client), data, len(reply))

    # -- commands the acceptor answers

    cdef bint _run_local(self, Client *client, Spec *spec):
        cdef uint64_t started = ticks()
        cdef uint64_t sequence
        if spec.flags & SPEC_PING and client.reply_mode == REPLY_ON:
            return self._ping(client, spec, started)
        sequence = client.next_request
        client.next_request += 1
        self.hub.counters[<int>COMMANDS_PROCESSED] += 1
        if client.reply_mode == REPLY_SKIP:
            client.reply_mode = REPLY_SKIPPING
        view = client_view(self.hub, client)
        client.waiting = WAIT_LOCAL
        reply = self.calls.call(spec.id, view, arguments(client), sequence)
        if reply is not None:
            self.finish_local(client, sequence, reply)
            count_call(&self.stats[spec.id], ticks() - started, reply.startswith(b"-"))
        else:
            count_call(&self.stats[spec.id], ticks() - started, False)
        return True

    cdef void finish_local(self, Client *client, uint64_t sequence, bytes reply):
        cdef const char *data = reply
        client.waiting = 0
        if client.reply_mode != REPLY_ON and client_mark(client, sequence, SLOT_MUTED) == NULL:
            client_doom(self.hub, client)
        if client.reply_mode == REPLY_SKIPPING:
            client.reply_mode = REPLY_ON
        deliver(self.hub, client, sequence, data, len(reply))

    cdef bint _ping(self, Client *client, Spec *spec, uint64_t started):
        if client.frame.argc == 1:
            deliver(self.hub, client, self._accept(client), b"+PONG\r\n", 7)
        elif client.frame.argc == 2:
            message = argument(client, 1, UINT64_MAX)
            self.refuse(client, b"$%d\r\n%b\r\n" % (len(message), message))
        else:
            self.refuse(client, error_reply(wrong_arity("ping")))
        count_call(&self.stats[spec.id], ticks() - started, client.frame.argc > 2)
        return True

    # -- commands for one worker

    cdef bint _route_keyed(self, Client *client, Spec *spec):
        cdef Frame *frame = &client.frame
        cdef const char *data = client.input + client.start
        cdef int64_t last = spec.last if spec.last >= 0 else <int64_t>frame.argc + spec.last
        cdef int64_t index
        cdef Span *span
        cdef uint64_t first_hash, whole
        cdef uint32_t shard = 0
        if spec.flags & SPEC_SLOW_KEYS:
            return self._route_slow(client, spec)
        if spec.first == 0 or spec.first >= <int64_t>frame.argc:
            return self._send_whole(client, spec, 0, 0)
        span = &frame.spans[spec.first]
        first_hash = hash_key(data + span.offset, span.length)
        if self.workers > 1:
            shard = shard_of_key(data + span.offset, span.length, first_hash, self.workers)
            index = spec.first + spec.step
            while index <= last and index < <int64_t>frame.argc:
                span = &frame.spans[index]
                whole = hash_key(data + span.offset, span.length)
                if shard_of_key(data + span.offset, span.length, whole, self.workers) != shard:
                    self._reject(client, spec, CROSS_SHARD)
                    return True
                index += spec.step
        return self._send_whole(client, spec, shard, first_hash)

    cdef bint _route_slow(self, Client *client, Spec *spec):
        cdef uint64_t whole, first_hash = 0
        cdef bytes key
        args = arguments(client)
        shards = set()
        for position in find_keys(self.table.commands[spec.id], args):
            key = args[position]
            whole = hash_key(key, len(key))
            if not shards:
                first_hash = whole
            shards.add(shard_of_key(key, len(key), whole, self.workers))
        if len(shards) > 1:
            self._reject(client, spec, CROSS_SHARD)
            return True
        return self._send_whole(client, spec, shards.pop() if shards else 0, first_hash)

    cdef bint _route_cursor(self, Client *client, Spec *spec):
        # A worker answers cursors with its index in the high bits. What is no 64-bit number is worker 0's to refuse.
        cdef const char *text = client.input + client.start + client.frame.spans[1].offset
        cdef uint64_t length = client.frame.spans[1].length
        cdef uint64_t cursor = 0, digit, index
        for index in range(length):
            digit = <uint64_t>(text[index] - c'0')
            if not c'0' <= text[index] <= c'9' or cursor > (UINT64_MAX - digit) // 10:
                cursor = 0
                break
            cursor = cursor * 10 + digit
        if cursor >> CURSOR_BITS >= self.workers:
            self.refuse(client, b"*2\r\n$1\r\n0\r\n*0\r\n")
            return True
        return self._send_whole(client, spec, <uint32_t>(cursor >> CURSOR_BITS), 0)

    cdef bint _send_whole(self, Client *client, Spec *spec, uint32_t shard, uint64_t hash):
        cdef Part *part = &self.parts[shard]
        cdef Ring *ring = self.requests[shard]
        cdef uint32_t size
        cdef Segment segment = None
        part.argc = client.frame.argc
        part.payload = client.frame.payload
        part.hash = hash
        size = record_size(part)
        if ring_reserve(ring, size if size else SEGMENT_RECORD) == NULL:
            part.argc = 0
            client.waiting = WAIT_RING
            return False
        if size == 0:
            segments = self._make_segments(client, spec)
            if segments is None:
                return True
            segment = segments[shard]
        self._append(client, spec, self._accept(client), shard, False, segment)
        part.argc = 0
        return True

    # -- commands for several workers

    cdef bint _route_all(self, Client *client, Spec *spec):
        cdef uint32_t worker
        if self.workers == 1:
            return self._send_whole(client, spec, 0, 0)
        for worker in range(self.workers):
            self.parts[worker].argc = client.frame.argc
            self.parts[worker].payload = client.frame.payload
            self.parts[worker].hash = 0
        return self._send_parts(client, spec, self.workers, 0)

    cdef bint _route_split(self, Client *client, Spec *spec):
        cdef uint32_t given = client.frame.argc - 1
        cdef uint32_t keys = given // spec.split_step
        cdef uint32_t worker, count = 0
        if keys * spec.split_step != given:
            self._reject(client, spec, wrong_arity(self.table.commands[spec.id].name))
            return True
        if self._divide(client, spec, keys) < 0:
            client_doom(self.hub, client)
            return True
        for worker in range(self.workers):
            count += self.parts[worker].argc != 0
        if count == 1:
            for worker in range(self.workers):
                if self.parts[worker].argc:
                    return self._send_whole(client, spec, worker, self.parts[worker].hash)
        return self._send_parts(client, spec, count, keys)

    cdef int _divide(self, Client *client, Spec *spec, uint32_t keys):
        """Fills `owners` and `parts`; -1: no memory."""
        cdef const char *data = client.input + client.start
        cdef Span *spans = client.frame.spans
        cdef Span *span
        cdef Part *part
        cdef uint16_t *owners
        cdef uint64_t whole
        cdef uint32_t key, word, shard
        if keys > self.owners_capacity:
            owners = <uint16_t *>realloc(self.owners, keys * sizeof(uint16_t))
            if owners == NULL:
                return -1
            self.owners = owners
            self.owners_capacity = keys
        memset(self.parts, 0, self.workers * sizeof(Part))
        for key in range(keys):
            span = &spans[1 + key * spec.split_step]
            whole = hash_key(data + span.offset, span.length)
            shard = 0
            if self.workers > 1:
                shard = shard_of_key(data + span.offset, span.length, whole, self.workers)
            self.owners[key] = <uint16_t>shard
            part = &self.parts[shard]
            if part.argc == 0:
                part.argc = 1
                part.payload = spans[0].length
                part.hash = whole
            part.argc += spec.split_step
            for word in range(spec.split_step):
                part.payload += span[word].length
        return 0

    cdef bint _send_parts(self, Client *client, Spec *spec, uint32_t count, uint32_t keys):
        cdef Join *join
        cdef Slot *slot
        cdef uint64_t sequence
        cdef uint32_t worker
        cdef list segments
        if not self._room(client):
            return False
        segments = self._make_segments(client, spec)
        if segments is None:
            return True
        sequence = self._accept(client)
        if client_slot(client, sequence) == NULL:  # not muted
            join = join_new(spec.join, self.workers, count, keys if spec.join == JOIN_ARRAY else 0)
            slot = client_mark(client, sequence, SLOT_JOIN) if join != NULL else NULL
            if slot == NULL:
                free(join)
                client_doom(self.hub, client)
                return True
            slot.join = join
            if join.keys:
                memcpy(join.owners, self.owners, join.keys * sizeof(uint16_t))
            if spec.join == JOIN_ANY:
                join.preferred = self._weighted_worker()
        for worker in range(self.workers):
            if self.parts[worker].argc:
                self._append(client, spec, sequence, worker, keys != 0, segments[worker])
                self.parts[worker].argc = 0
        return True

    cdef bint _room(self, Client *client):
        cdef uint32_t worker, size
        for worker in range(self.workers):
            if self.parts[worker].argc:
                size = record_size(&self.parts[worker])
                if ring_reserve(self.requests[worker], size if size else SEGMENT_RECORD) == NULL:
                    memset(self.parts, 0, self.workers * sizeof(Part))
                    client.waiting = WAIT_RING
                    return False
        return True

    def _weighted_worker(self) -> int:
        """A worker at random, likelier the more keys it has."""
        counts = [self.page.worker(worker).counters[<int>KEYS] for worker in range(self.workers)]
        return random.choices(range(self.workers), counts)[0] if any(counts) else 0

    cdef list _make_segments(self, Client *client, Spec *spec):
        """A segment for each part that is too large for its ring; None: an error was answered."""
        cdef uint32_t worker
        segments = [None] * self.workers
        try:
            for worker in range(self.workers):
                if self.parts[worker].argc and record_size(&self.parts[worker]) == 0:
                    if body_bytes(&self.parts[worker]) > BYTES_MAX:
                        raise SegmentError(TOO_LARGE)
                    segments[worker] = self.segments.create(body_bytes(&self.parts[worker]))
            return segments
        except SegmentError as error:
            for segment in filter(None, segments):
                segment.unlink()
            memset(self.parts, 0, self.workers * sizeof(Part))
            self._reject(client, spec, TOO_LARGE if str(error) == TOO_LARGE else ARENA_FULL)
            return None

    # -- records

    cdef void _append(
        self, Client *client, Spec *spec, uint64_t sequence, uint32_t worker, bint split, Segment segment
    ):
        """Writes the record of a part whose room was checked."""
        cdef Part *part = &self.parts[worker]
        cdef Ring *ring = self.requests[worker]
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
        if split:
            copy_part(body, &client.frame, data, self.owners, worker, spec.split_step, part.argc)
        else:
            copy_all(body, &client.frame, data)
        if segment is not None:
            segment.close()
        ring_append(ring, size)
        self.touched[worker] = 1

    cdef bint ask(self, uint32_t worker, uint64_t question, list args) except *:
        """Appends an internal request; False: the ring is full. Raises ValueError when it is too large for a record."""
        cdef Ring *ring = self.requests[worker]
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

    cdef bint awaiting(self) noexcept nogil:
        cdef uint32_t worker
        for worker in range(self.workers):
            if atomic_load_relaxed(&self.requests[worker].shared.head) != self.requests[worker].next:
                return True
        return False

    cdef void publish(self):
        cdef uint64_t one = 1
        cdef uint32_t worker
        cdef bint any_touched = False
        for worker in range(self.workers):
            if self.touched[worker]:
                ring_publish(self.requests[worker])
                any_touched = True
        if not any_touched:
            return
        atomic_fence()
        for worker in range(self.workers):
            if self.touched[worker]:
                self.touched[worker] = 0
                if atomic_load_relaxed(&self.page.worker(worker).sleeping):
                    write(<int>self.wake_fds[worker], &one, 8)
