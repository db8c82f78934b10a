"""MULTI, EXEC, DISCARD, WATCH, UNWATCH: see transactions.pxd."""
from cpython.object cimport PyObject
from cpython.ref cimport Py_DECREF, Py_INCREF
from libc.stdint cimport int64_t, uint32_t, uint64_t
from libc.stdlib cimport free, malloc, realloc
from libc.string cimport memcpy, memset

from shardkv.acceptor.client cimport (
    REPLY_OFF,
    REPLY_ON,
    REPLY_SKIP,
    REPLY_SKIPPING,
    WAIT_LOCAL,
    WAIT_TRANSACTION,
    client_accept,
    client_answer,
    client_answer_anyway,
    client_await_reply,
    client_count_error,
    client_enqueue,
    client_forget_multi,
    client_unwatch,
    deliver,
    frame_arguments,
    frame_bytes,
)
from shardkv.acceptor.connection cimport connection_of
from shardkv.acceptor.division cimport shard_of_key
from shardkv.acceptor.join cimport read_header, skip_value
from shardkv.acceptor.multi cimport (
    Words,
    multi_add_local,
    multi_add_step,
    multi_new,
    multi_release,
    multi_watch,
)
from shardkv.acceptor.output cimport payload_free
from shardkv.acceptor.parser cimport Span
from shardkv.acceptor.refusal cimport answer_awaited, error_reply, reject, reply_at_once
from shardkv.acceptor.requests cimport is_long
from shardkv.acceptor.specs cimport (
    ROUTE_LOCAL,
    ROUTE_TRANSACTION,
    SPEC_SESSION,
    SPEC_TOUCH,
    TRANSACTION_DISCARD,
    TRANSACTION_EXEC,
    TRANSACTION_MULTI,
    TRANSACTION_WATCH,
)
from shardkv.atomic cimport ticks
from shardkv.number cimport print_int64
from shardkv.ring cimport NO_TOUCH, Place
from shardkv.stats cimport LEASED_REQUESTS, WATCHED_KEYS, WATCHING_CLIENTS, count_call
from shardkv.transaction cimport ExecStep, Watched

from shardkv.segment import SegmentError, no_segment

cdef enum:
    HEADER_ROOM = 32           # bytes: a type byte, a number, CRLF
    LOCAL_STEPS = 128          # local commands that are run before others have their turn
    EXEC_WORDS = 3             # of EXEC itself: its name, the steps, the keys watched

NESTED = "ERR MULTI calls can not be nested"
NO_MULTI = "ERR {} without MULTI"
WATCH_IN_MULTI = "ERR WATCH inside MULTI is not allowed"
ABORTED = "EXECABORT Transaction discarded because of previous errors."
NO_MEMORY = "OOM the acceptor has no memory for this transaction"
MALFORMED = "ERR internal error: a worker's reply to a transaction cannot be read"


cdef class Weaver:
    def __dealloc__(self):
        if self.multi != NULL:
            multi_release(self.multi)
        payload_free(&self.given)
        free(self.made.bytes)

    cdef int begin(self, Client *client, Payload *given) except -1:
        cdef char text[HEADER_ROOM]
        cdef int64_t count
        cdef int length
        self.multi = client.multi
        self.multi.references += 1
        self.given = given[0]
        self.off, self.skipping = client.reply_mode == REPLY_OFF, client.reply_mode == REPLY_SKIPPING
        if given.bytes != NULL:
            self.cursor = read_header(given.bytes, given.bytes + given.length, &count)
            if self.cursor == NULL or count != <int64_t>self.multi.step_count:
                raise ValueError(MALFORMED)
        text[0] = c'*'
        length = 1 + print_int64(<int64_t>self.multi.count, text + 1)
        text[length], text[length + 1] = c'\r', c'\n'
        return self.add(text, length + 2)

    cdef int copy_to(self, uint64_t place) except -1:
        cdef const char *first = self.cursor
        while self.place < place:
            self.cursor = skip_value(self.cursor, self.given.bytes + self.given.length)
            if self.cursor == NULL:
                raise ValueError(MALFORMED)
            self.place += 1
        return self.add(first, self.cursor - first) if first != NULL else 0

    cdef int add(self, const char *data, uint64_t length) except -1:
        cdef char *moved
        if self.off or self.skipping:
            return 0
        if self.made.length + length > self.room:
            moved = <char *>realloc(self.made.bytes, max(2 * self.room, self.made.length + length))
            if moved == NULL:
                raise MemoryError
            self.room = max(2 * self.room, self.made.length + length)
            self.made.bytes = moved
        memcpy(self.made.bytes + self.made.length, data, length)
        self.made.length += length
        return 0

    cdef list arguments(self, const LocalStep *step):
        cdef Words *words = &self.multi.local_words
        cdef uint64_t offset = step.offset, word
        arguments = []
        for word in range(step.word, step.word + step.argc):
            arguments.append(words.bytes[offset:offset + words.lengths[word]])
            offset += words.lengths[word]
        return arguments


cdef class Transactions:
    def __init__(self, CommandTable table, Division division, calls: object) -> None:
        """Queues, and sends what was queued by way of `division`. `calls` runs what the acceptor executes itself."""
        self.table, self.division, self.calls = table, division, calls
        self.requests, self.stats = division.requests, division.stats

    cdef bint run(self, Client *client, Spec *spec):
        if spec.kind == TRANSACTION_MULTI:
            return self._begin(client, spec)
        if spec.kind == TRANSACTION_EXEC:
            return self._exec(client, spec)
        if spec.kind == TRANSACTION_WATCH:
            if client.in_multi:
                return self._answer(client, spec, error_reply(WATCH_IN_MULTI))
            if not self._open(client):
                return self._answer(client, spec, error_reply(NO_MEMORY))
            return self.division.send(client, spec)
        if spec.kind == TRANSACTION_DISCARD:
            if not client.in_multi:
                return self._answer(client, spec, error_reply(NO_MULTI.format("DISCARD")))
            client_forget_multi(self.hub, client)
        else:
            client_unwatch(self.hub, client)
        return self._answer(client, spec, b"+OK\r\n")

    cdef bint _answer(self, Client *client, Spec *spec, bytes reply):
        reply_at_once(self.hub, client, reply)
        count_call(&self.stats[spec.id], 0, reply.startswith(b"-"))
        return True

    cdef bint _open(self, Client *client) except -1:
        """Makes sure that the client has a queue."""
        if client.multi == NULL:
            client.multi = multi_new(self.requests.workers)
        return client.multi != NULL

    # -- the queue

    cdef bint _begin(self, Client *client, Spec *spec):
        if client.in_multi:
            return self._answer(client, spec, error_reply(NESTED))
        if not self._open(client):
            return self._answer(client, spec, error_reply(NO_MEMORY))
        client.in_multi = client.multi.open = True
        client.multi.database, client.multi.resp = client.database, client.resp
        client.multi.no_touch = client.no_touch
        deliver(self.hub, client, client_accept(self.hub, client), b"+OK\r\n", 5)
        count_call(&self.stats[spec.id], 0, False)
        return True

    cdef bint queue(self, Client *client, Spec *spec):
        cdef Multi *multi = client.multi
        cdef bint queued = True
        if not multi.failed:
            if spec.route == ROUTE_LOCAL or spec.route == ROUTE_TRANSACTION:
                queued = self._queue_local(client, spec)
            else:
                queued = self._queue_step(client, spec)
            multi.flags |= spec.flags
        if queued:
            deliver(self.hub, client, client_accept(self.hub, client), b"+QUEUED\r\n", 9)
        else:
            multi.failed = True
            reject(self.hub, client, &self.stats[spec.id], NO_MEMORY)
        return True

    cdef bint _queue_step(self, Client *client, Spec *spec) except -1:
        cdef Multi *multi = client.multi
        cdef ExecStep step
        memset(&step, 0, sizeof(step))
        self.division.find_shards(client, spec, multi.shards, &step.hash)
        step.command, step.argc = spec.id, client.frame.argc
        step.database, step.resp = multi.database, multi.resp
        step.flags = NO_TOUCH if multi.no_touch and not spec.flags & SPEC_TOUCH else 0
        return multi_add_step(multi, &step, frame_bytes(client), client.frame.spans)

    cdef bint _queue_local(self, Client *client, Spec *spec) except -1:
        cdef Multi *multi = client.multi
        if not multi_add_local(multi, spec.id, frame_bytes(client), client.frame.spans, client.frame.argc):
            return False
        if spec.flags & SPEC_SESSION:
            session = self.calls.foresee(spec.id, frame_arguments(client))
            multi.database = multi.database if session.database is None else session.database
            multi.resp = multi.resp if session.resp is None else session.resp
            multi.no_touch = multi.no_touch if session.no_touch is None else session.no_touch
        return True

    # -- EXEC

    cdef bint _exec(self, Client *client, Spec *spec):
        cdef Multi *multi = client.multi
        cdef Payload nothing
        if not client.in_multi:
            return self._answer(client, spec, error_reply(NO_MULTI.format("EXEC")))
        if multi.failed:
            client_forget_multi(self.hub, client)
            return self._answer(client, spec, error_reply(ABORTED))
        if multi.step_count or multi.watched_count:
            return self.send_exec(client, spec)
        if multi.count == 0:
            client_forget_multi(self.hub, client)
            return self._answer(client, spec, b"*0\r\n")
        memset(&nothing, 0, sizeof(nothing))
        client_await_reply(self.hub, client)
        count_call(&self.stats[spec.id], 0, False)
        self._begin_weaving(client, &nothing)
        return True

    cdef bint send_exec(self, Client *client, Spec *spec):
        cdef Multi *multi = client.multi
        cdef uint64_t payload = 4 + multi.step_count * sizeof(ExecStep) + multi.watched_count * sizeof(Watched)
        cdef uint64_t hash = multi.steps[0].hash if multi.step_count else multi.watched[0].hash
        cdef uint64_t argc = EXEC_WORDS + multi.words.count + multi.watched_words.count
        cdef uint64_t sequence
        cdef uint32_t shard, executor, shards = 0
        cdef Segment segment = None
        cdef bint awaited
        for shard in range(self.requests.workers):
            if multi.shards[shard] or multi.watched_shards[shard]:
                self.requests.enlist(shard)
                shards += 1
        if shards == 0:
            self.requests.enlist(0)
        payload += multi.words.length + multi.watched_words.length
        executor = self.requests.lease(<uint32_t>argc, payload, hash)
        if not (self.requests.may_try_again(client, self.hub.now_ms) and self.requests.reserve_all(client)):
            self.requests.forget()
            return False
        if is_long(&self.requests.parts[executor]):
            segment = self._make_segment(client, spec)
            if segment is None:
                return True
        awaited = shards > 1 or multi.local_count
        self.hub.counters[<int>LEASED_REQUESTS] += shards > 1 and not client.again
        sequence = client_await_reply(self.hub, client) if awaited else client_accept(self.hub, client)
        record = self.requests.begin(client, spec.id, sequence, executor, segment)
        if segment is None:
            write_exec(<char *>(record + 1), multi)
        self.requests.end(record, executor)
        if not awaited:
            client_forget_multi(self.hub, client)
        return True

    cdef Segment _make_segment(self, Client *client, Spec *spec):
        """The segment of an EXEC that is too large for a ring; None: there is no room for it, and it was refused."""
        cdef Multi *multi = client.multi
        cdef Segment segment = None
        try:
            segment = self.requests.segments.create()
            segment.append(b"exec", 4)
            segment.append(<const char *>multi.steps, multi.step_count * sizeof(ExecStep))
            segment.append(<const char *>multi.watched, multi.watched_count * sizeof(Watched))
            segment.append(multi.words.bytes, multi.words.length)
            segment.append(multi.watched_words.bytes, multi.watched_words.length)
            segment.append(b"\0\0\0\0\0\0\0", -segment.size & 7)
            append_places(self.requests, segment, multi)
            return segment
        except SegmentError as error:
            if segment is not None:
                segment.unlink()
            self.requests.forget()
            reject(self.hub, client, &self.stats[spec.id], no_segment(error.number))
            client_forget_multi(self.hub, client)
            return None

    cdef int finish(self, Client *client, Spec *spec, Payload *reply) except -1:
        if spec.kind == TRANSACTION_WATCH:
            return self._watch(client, reply)
        if client.multi.local_count and reply.length and reply.bytes[0] == c'*' and reply.bytes[1] != c'-':
            return self._begin_weaving(client, reply)
        client_forget_multi(self.hub, client)
        client_answer(self.hub, client, reply)
        return 0

    # -- local commands

    cdef int _begin_weaving(self, Client *client, Payload *given) except -1:
        cdef Weaver weaver = Weaver()
        Py_INCREF(weaver)
        client.weaver = <PyObject *>weaver
        weaver.begin(client, given)
        return self.weave(client)

    cdef int weave(self, Client *client) except -1:
        cdef Weaver weaver = <Weaver>client.weaver
        cdef int _step
        for _step in range(LOCAL_STEPS):
            if weaver.local == weaver.multi.local_count:
                return self._end_weaving(client, weaver)
            if not self._run_local(client, weaver):
                return 0
        client.waiting = WAIT_TRANSACTION
        client_enqueue(self.hub, client)
        return 0

    cdef int _run_local(self, Client *client, Weaver weaver) except -1:
        """Runs the next local command; 0: its reply comes later."""
        cdef const LocalStep *step = &weaver.multi.locals[weaver.local]
        cdef uint64_t started = ticks()
        weaver.copy_to(step.place)
        weaver.local += 1
        weaver.place += 1
        client.waiting = WAIT_LOCAL
        client.reply_mode = REPLY_OFF if weaver.off else REPLY_SKIPPING  # which no command asks for: did it ask?
        view = connection_of(self.hub, client)
        reply = self.calls.call(step.command, view, weaver.arguments(step), client.next_request - 1)
        count_call(&self.stats[step.command], ticks() - started, reply is not None and reply.startswith(b"-"))
        if reply is None:
            self.hub.cold = True
            return 0
        self._add_local(client, weaver, reply)
        return 1

    cdef int _add_local(self, Client *client, Weaver weaver, bytes reply) except -1:
        cdef const char *data = reply
        if client.reply_mode == REPLY_ON:
            weaver.off = weaver.skipping = False
        elif client.reply_mode == REPLY_OFF:
            weaver.off = True
        elif client.reply_mode == REPLY_SKIP:
            weaver.skip_next = True
            return 0
        if reply.startswith(b"-"):
            client_count_error(self.hub, data, len(reply))
        return weaver.add(data, len(reply))

    cdef int take_local(self, Client *client, bytes reply) except -1:
        self._add_local(client, <Weaver>client.weaver, reply)
        return self.weave(client)

    cdef int _end_weaving(self, Client *client, Weaver weaver) except -1:
        cdef Payload made
        weaver.copy_to(weaver.multi.count)
        made = weaver.made
        memset(&weaver.made, 0, sizeof(Payload))
        client.reply_mode = REPLY_OFF if weaver.off else REPLY_SKIP if weaver.skip_next else REPLY_ON
        client_forget_multi(self.hub, client)
        self.drop_weaver(client)
        client_answer_anyway(self.hub, client, &made)
        return 0

    cdef void drop_weaver(self, Client *client):
        cdef Weaver weaver
        if client.weaver != NULL:
            weaver = <Weaver>client.weaver
            client.weaver = NULL
            Py_DECREF(weaver)

    # -- WATCH

    cdef int _watch(self, Client *client, Payload *reply) except -1:
        cdef uint64_t before = client.multi.watched_count
        if reply.length and reply.bytes[0] == c'-':
            client_answer(self.hub, client, reply)
            return 0
        answer = keep_watched(client, reply, self.requests.workers)
        payload_free(reply)
        self.hub.counters[<int>WATCHING_CLIENTS] += before == 0 and client.multi.watched_count > 0
        self.hub.counters[<int>WATCHED_KEYS] += client.multi.watched_count - before
        answer_awaited(self.hub, client, answer)
        return 0


cdef bytes keep_watched(Client *client, const Payload *reply, uint32_t workers):
    """Takes what was told of each key in the client's frame; returns the reply to WATCH."""
    cdef const char *end = reply.bytes + reply.length
    cdef const char *data = frame_bytes(client)
    cdef int64_t number
    cdef const char *at = read_header(reply.bytes, end, &number)
    cdef Watched told
    cdef Span *span
    cdef uint32_t index, shard
    for index in range(1, client.frame.argc):
        span = &client.frame.spans[index]
        at = read_header(at, end, &number) if at != NULL else NULL
        if at == NULL or number != sizeof(Watched) or end - at < <int64_t>sizeof(Watched) + 2:
            return error_reply(MALFORMED)
        memcpy(&told, at, sizeof(Watched))
        at += sizeof(Watched) + 2
        shard = shard_of_key(data + span.offset, span.length, told.hash, workers)
        if not multi_watch(client.multi, &told, data + span.offset, span.length, shard):
            return error_reply(NO_MEMORY)
    return b"+OK\r\n"


# -- EXEC's record

cdef char *put(char *out, const void *bytes, uint64_t length) noexcept nogil:
    if length:
        memcpy(out, bytes, length)
    return out + length


cdef void write_exec(char *out, const Multi *multi) noexcept nogil:
    cdef uint32_t *lengths = <uint32_t *>out
    lengths[0] = 4
    lengths[1] = <uint32_t>(multi.step_count * sizeof(ExecStep))
    lengths[2] = <uint32_t>(multi.watched_count * sizeof(Watched))
    out = put(out + 4 * EXEC_WORDS, multi.words.lengths, 4 * multi.words.count)
    out = put(out, multi.watched_words.lengths, 4 * multi.watched_words.count)
    out = put(out, b"exec", 4)
    out = put(out, multi.steps, lengths[1])
    out = put(out, multi.watched, lengths[2])
    out = put(out, multi.words.bytes, multi.words.length)
    put(out, multi.watched_words.bytes, multi.watched_words.length)


cdef uint64_t place_words(Place *places, const Words *words, uint64_t offset) noexcept nogil:
    """Fills the places of words that begin at `offset`; returns where they end."""
    cdef uint64_t word
    for word in range(words.count):
        places[word].offset, places[word].length = offset, words.lengths[word]
        offset += words.lengths[word]
    return offset


cdef int append_places(Requests requests, Segment segment, const Multi *multi) except -1:
    cdef uint64_t argc = EXEC_WORDS + multi.words.count + multi.watched_words.count, offset = 4
    cdef Place *places = <Place *>malloc(argc * sizeof(Place))
    cdef uint32_t worker
    if places == NULL:
        raise SegmentError("no memory for a request's places")
    places[0].offset, places[0].length = 0, 4
    places[1].offset, places[1].length = offset, multi.step_count * sizeof(ExecStep)
    offset += places[1].length
    places[2].offset, places[2].length = offset, multi.watched_count * sizeof(Watched)
    offset = place_words(places + EXEC_WORDS, &multi.words, offset + places[2].length)
    place_words(places + EXEC_WORDS + multi.words.count, &multi.watched_words, offset)
    for worker in range(requests.workers):
        requests.parts[worker].table = segment.size
    try:
        return segment.append(<const char *>places, argc * sizeof(Place))
    finally:
        free(places)
