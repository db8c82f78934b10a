"""From a request to the parts that its workers get: see division.pxd."""
import random

from libc.stdint cimport UINT64_MAX, int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free, realloc
from libc.string cimport memcpy, memset

from posix.strings cimport strncasecmp

from shardkv.acceptor.client cimport (
    client_accept,
    client_await_reply,
    client_begin_join,
    client_doom,
    client_is_muted,
    frame_arguments,
    frame_bytes,
)
from shardkv.acceptor.input cimport input_give_segment
from shardkv.acceptor.join cimport JOIN_ANY, JOIN_ARRAY, Join, join_free, join_new
from shardkv.acceptor.parser cimport Frame, Span
from shardkv.acceptor.refusal cimport reject, reply_at_once
from shardkv.acceptor.requests cimport Part, is_long
from shardkv.acceptor.specs cimport (
    ROUTE_ALL,
    ROUTE_CURSOR,
    ROUTE_KEYED,
    SPEC_ATOMIC,
    SPEC_AWAITED,
    SPEC_BLOCKING,
    SPEC_MAY_BLOCK,
    SPEC_SLOW_KEYS,
)
from shardkv.atomic cimport atomic_load_relaxed
from shardkv.hashing cimport hash_key, shard_of
from shardkv.segment cimport Segment
from shardkv.stats cimport ARENA_ROOM, KEYS, LEASED_REQUESTS

from shardkv.commands.keys import constant_tag, find_keys, find_patterns
from shardkv.errors import wrong_arity
from shardkv.segment import SegmentError, no_segment

cdef extern from "<strings.h>" nogil:
    int strncasecmp(const char *left, const char *right, size_t length)

cdef enum:
    CURSOR_BITS = 48           # of a worker's own cursor; its index lies above
    PLENTY = 268435456         # bytes of room: more than all shards take until one of them tells of its room again
    PLENTY_SHARE = 4           # … and for each byte of a request


cdef inline uint64_t read_cursor(const char *text, uint64_t length) noexcept:
    """SCAN's cursor; 0 for what is no 64-bit number."""
    cdef uint64_t cursor = 0, digit, index
    for index in range(length):
        digit = <uint64_t>(text[index] - c'0')
        if not c'0' <= text[index] <= c'9' or cursor > (UINT64_MAX - digit) // 10:
            return 0
        cursor = cursor * 10 + digit
    return cursor


cdef bint says_block(Client *client) noexcept:
    """Whether XREAD or XREADGROUP may wait: has the word BLOCK among its options."""
    cdef const char *data = frame_bytes(client)
    cdef Span *span
    cdef uint32_t index
    for index in range(1, client.frame.argc):
        span = &client.frame.spans[index]
        if span.length == 7 and strncasecmp(data + span.offset, b"streams", 7) == 0:
            return False
        if span.length == 5 and strncasecmp(data + span.offset, b"block", 5) == 0:
            return True
    return False


cdef class Division:
    def __init__(
        self, table: CommandTable, page: ControlPage, int index, Requests requests, Waiters waiters
    ) -> None:
        """Divides the requests of acceptor `index`."""
        self.table, self.page, self.requests, self.waiters = table, page, requests, waiters
        self.stats = page.acceptor_commands(index)
        self.workers = requests.workers
        self.several = page.header.acceptors > 1
        self.shards = <uint8_t *>calloc(self.workers, 1)
        if self.shards == NULL:
            raise MemoryError

    def __dealloc__(self):
        free(self.shards)
        free(self.owners)

    cdef bint send(self, Client *client, Spec *spec):
        if spec.route == ROUTE_KEYED:
            return self._send_keyed(client, spec)
        if spec.route == ROUTE_ALL:
            return self._send_all(client, spec)
        if spec.route == ROUTE_CURSOR:
            return self._send_cursor(client, spec)
        return self._send_split(client, spec)

    # -- which shards

    cdef int find_shards(self, Client *client, Spec *spec, uint8_t *shards, uint64_t *hash) except -1:
        cdef const char *data = frame_bytes(client)
        cdef int64_t argc = client.frame.argc
        cdef int64_t end = min(spec.last if spec.last >= 0 else argc + spec.last, argc - 1)
        cdef int64_t index = spec.first
        cdef uint64_t whole, shard
        cdef Span *span
        hash[0] = 0
        if spec.route == ROUTE_ALL:
            memset(shards, 1, self.workers)
        elif spec.route == ROUTE_CURSOR:
            span = &client.frame.spans[1]
            shard = read_cursor(data + span.offset, span.length) >> CURSOR_BITS
            shards[shard if shard < self.workers else 0] = 1
        elif spec.flags & SPEC_SLOW_KEYS:
            return self._find_slow(client, spec, shards, hash)
        elif spec.first:
            while index <= end:
                span = &client.frame.spans[index]
                whole = hash_key(data + span.offset, span.length)
                if index == spec.first:
                    hash[0] = whole
                shards[shard_of_key(data + span.offset, span.length, whole, self.workers)] = 1
                index += spec.step
        return 0

    cdef int _find_slow(self, Client *client, Spec *spec, uint8_t *shards, uint64_t *hash) except -1:
        cdef bytes key
        cdef uint64_t whole
        command, args = self.table.commands[spec.id], frame_arguments(client)
        for number, position in enumerate(find_keys(command, args)):
            key = args[position]
            whole = hash_key(key, len(key))
            if number == 0:
                hash[0] = whole
            shards[shard_of_key(key, len(key), whole, self.workers)] = 1
        for key in find_patterns(command, args):
            key = constant_tag(key)
            if not key:
                memset(shards, 1, self.workers)
                break
            shards[shard_of(hash_key(key, len(key)), self.workers)] = 1
        return 0

    # -- commands for one worker, or for one with the arenas of others

    cdef bint _send_keyed(self, Client *client, Spec *spec):
        cdef Frame *frame = &client.frame
        cdef const char *data = frame_bytes(client)
        cdef int64_t last = spec.last if spec.last >= 0 else <int64_t>frame.argc + spec.last
        cdef int64_t index
        cdef Span *span
        cdef uint64_t first_hash, whole
        cdef uint32_t shard = 0
        if spec.flags & SPEC_SLOW_KEYS:
            return self._send_slow(client, spec)
        if spec.first == 0 or spec.first >= <int64_t>frame.argc:
            return self._send_whole(client, spec, 0, 0, spec.flags & SPEC_AWAITED)
        span = &frame.spans[spec.first]
        first_hash = hash_key(data + span.offset, span.length)
        if self.workers > 1:
            shard = shard_of_key(data + span.offset, span.length, first_hash, self.workers)
            index = spec.first + spec.step
            while index <= last and index < <int64_t>frame.argc:
                span = &frame.spans[index]
                whole = hash_key(data + span.offset, span.length)
                if shard_of_key(data + span.offset, span.length, whole, self.workers) != shard:
                    memset(self.shards, 0, self.workers)
                    self.find_shards(client, spec, self.shards, &first_hash)
                    return self._send_leased(client, spec, first_hash)
                index += spec.step
        return self._send_whole(client, spec, shard, first_hash, spec.flags & SPEC_AWAITED)

    cdef bint _send_slow(self, Client *client, Spec *spec):
        cdef uint64_t hash
        cdef uint32_t shard, first = 0, count = 0
        memset(self.shards, 0, self.workers)
        self._find_slow(client, spec, self.shards, &hash)
        for shard in range(self.workers):
            if self.shards[shard]:
                first = shard if count == 0 else first
                count += 1
        if count > 1:
            return self._send_leased(client, spec, hash)
        return self._send_whole(
            client, spec, first, hash, spec.flags & SPEC_AWAITED or spec.flags & SPEC_MAY_BLOCK and says_block(client)
        )

    cdef bint _send_leased(self, Client *client, Spec *spec, uint64_t hash):
        """Sends the request to the lowest of `shards`, and markers to the others."""
        cdef uint32_t shard, executor
        cdef list segments
        for shard in range(self.workers):
            if self.shards[shard]:
                self.requests.enlist(shard)
        executor = self.requests.lease(client.frame.argc, client.frame.payload, hash)
        if not (self.requests.may_try_again(client, self.hub.now_ms) and self.requests.reserve_all(client)):
            self.requests.forget()
            return False
        if spec.flags & SPEC_BLOCKING and not self._begin_waiting(client, spec):
            self.requests.forget()
            return True
        segments = self._make_segments(client, spec, NULL, True)
        if segments is None:
            self.waiters.forget(client)
            return True
        self.hub.counters[<int>LEASED_REQUESTS] += not client.again
        self.requests.append(
            client, spec, client_await_reply(self.hub, client), executor, NULL, segments[executor]
        )
        return True

    cdef bint _send_cursor(self, Client *client, Spec *spec):
        # A worker answers cursors with its index in the high bits. What is no 64-bit number is worker 0's to refuse.
        cdef Span *span = &client.frame.spans[1]
        cdef uint64_t cursor = read_cursor(frame_bytes(client) + span.offset, span.length)
        if cursor >> CURSOR_BITS >= self.workers:
            reply_at_once(self.hub, client, b"*2\r\n$1\r\n0\r\n*0\r\n")
            return True
        return self._send_whole(client, spec, <uint32_t>(cursor >> CURSOR_BITS), 0, False)

    cdef bint _send_whole(self, Client *client, Spec *spec, uint32_t shard, uint64_t hash, bint awaited):
        cdef Part *part = &self.requests.parts[shard]
        cdef Segment segment = None
        cdef uint64_t sequence
        part.argc = client.frame.argc
        part.payload = client.frame.payload
        part.hash = hash
        if not self.requests.reserve(client, shard):
            part.argc = 0
            return False
        if awaited and spec.flags & SPEC_BLOCKING and not self._begin_waiting(client, spec):
            part.argc = 0
            return True
        if is_long(part):
            segments = self._make_segments(client, spec, NULL, awaited)
            if segments is None:
                self.waiters.forget(client)
                return True
            segment = segments[shard]
            if not awaited:
                input_give_segment(client)
        sequence = client_await_reply(self.hub, client) if awaited else client_accept(self.hub, client)
        self.requests.append(client, spec, sequence, shard, NULL, segment)
        return True

    cdef bint _begin_waiting(self, Client *client, Spec *spec):
        """The request is to be sent, and may have to wait for its keys; False: it is refused."""
        if self.waiters.begin(client):
            return True
        self._reject(client, spec, "OOM there is no room for one more client that waits")
        return False

    # -- commands for several workers

    cdef bint _send_all(self, Client *client, Spec *spec):
        cdef uint32_t worker
        if self.workers == 1:
            return self._send_whole(client, spec, 0, 0, False)
        if self.several:
            memset(self.shards, 1, self.workers)
            return self._send_leased(client, spec, 0)
        for worker in range(self.workers):
            self.requests.parts[worker].argc = client.frame.argc
            self.requests.parts[worker].payload = client.frame.payload
            self.requests.parts[worker].hash = 0
        return self._send_parts(client, spec, self.workers, 0)

    cdef bint _send_split(self, Client *client, Spec *spec):
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
            self.shards[worker] = self.requests.parts[worker].argc != 0
            count += self.shards[worker]
        if count == 1:
            return self._send_whole(
                client, spec, self.owners[0], self.requests.parts[self.owners[0]].hash, spec.flags & SPEC_AWAITED
            )
        if spec.flags & SPEC_ATOMIC and not self._has_plenty() or self.several and not spec.flags & SPEC_AWAITED:
            return self._send_leased(client, spec, self.requests.parts[self.owners[0]].hash)
        return self._send_parts(client, spec, count, keys)

    cdef bint _has_plenty(self) noexcept:
        """Whether no shard can run out of memory by its part of the request at hand."""
        cdef uint32_t worker
        cdef uint64_t room
        if self.page.header.maxmemory:
            return False
        for worker in range(self.workers):
            room = atomic_load_relaxed(&self.page.worker(worker).counters[<int>ARENA_ROOM])
            if self.shards[worker] and room < PLENTY + PLENTY_SHARE * self.requests.parts[worker].payload:
                return False
        return True

    cdef int _divide(self, Client *client, Spec *spec, uint32_t keys):
        """Fills `owners` and `parts`; -1: no memory."""
        cdef const char *data = frame_bytes(client)
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
        self.requests.forget()
        for key in range(keys):
            span = &spans[1 + key * spec.split_step]
            whole = hash_key(data + span.offset, span.length)
            shard = 0
            if self.workers > 1:
                shard = shard_of_key(data + span.offset, span.length, whole, self.workers)
            self.owners[key] = <uint16_t>shard
            part = &self.requests.parts[shard]
            if part.argc == 0:
                part.argc = 1
                part.payload = spans[0].length
                part.hash = whole
            part.argc += spec.split_step
            for word in range(spec.split_step):
                part.payload += span[word].length
        return 0

    cdef bint _send_parts(self, Client *client, Spec *spec, uint32_t count, uint32_t keys):
        cdef uint64_t sequence
        cdef uint32_t worker
        cdef const uint16_t *owners = self.owners if keys else NULL
        cdef list segments
        if not self.requests.reserve_all(client):
            self.requests.forget()
            return False
        segments = self._make_segments(client, spec, owners, spec.flags & SPEC_AWAITED)
        if segments is None:
            return True
        if spec.flags & SPEC_AWAITED:
            sequence = client_await_reply(self.hub, client)
        else:
            sequence = client_accept(self.hub, client)
        if not client_is_muted(client, sequence) and not self._begin_join(client, spec, sequence, count, keys):
            self.requests.forget()
            for segment in filter(None, segments):
                segment.unlink()
            client_doom(self.hub, client)
            return True
        for worker in range(self.workers):
            if self.requests.parts[worker].argc:
                self.requests.append(client, spec, sequence, worker, owners, segments[worker])
        if any(segments) and not spec.flags & SPEC_AWAITED:
            input_give_segment(client)
        return True

    cdef bint _begin_join(self, Client *client, Spec *spec, uint64_t sequence, uint32_t count, uint32_t keys):
        cdef Join *join = join_new(spec.join, self.workers, count, keys if spec.join == JOIN_ARRAY else 0)
        if join == NULL:
            return False
        if join.keys:
            memcpy(join.owners, self.owners, join.keys * sizeof(uint16_t))
        if spec.join == JOIN_ANY:
            join.preferred = self._weighted_worker()
        if client_begin_join(client, sequence, join):
            return True
        join_free(join)
        return False

    def _weighted_worker(self) -> int:
        """A worker at random, likelier the more keys it has."""
        counts = [self.page.worker(worker).counters[<int>KEYS] for worker in range(self.workers)]
        return random.choices(range(self.workers), counts)[0] if any(counts) else 0

    cdef list _make_segments(self, Client *client, Spec *spec, const uint16_t *owners, bint keep):
        """A segment for each part that needs one; None: the request was refused. `keep`: the client keeps its own."""
        try:
            return self.requests.make_segments(client, spec, owners, keep)
        except SegmentError as error:
            self.requests.forget()
            self._reject(client, spec, no_segment(error.number))
            return None

    cdef void _reject(self, Client *client, Spec *spec, str text):
        reject(self.hub, client, &self.stats[spec.id], text)
