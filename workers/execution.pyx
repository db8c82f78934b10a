"""One request: see execution.pxd for the order of stores and the invariants."""
import sys
import traceback

from libc.stdint cimport uint32_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcpy

from shardkv.atomic cimport ticks
from shardkv.resp cimport Reply
from shardkv.ring cimport (
    REPLY_BYTES, REPLY_ROOM, REPLY_SEGMENT, REQUEST_INTERNAL, REQUEST_NO_TOUCH, REQUEST_SEGMENT, RING_INLINE_MAX,
    ReplyRecord, ring_advance, ring_append, ring_reserve, ring_room,
)
from shardkv.stats cimport CHANGES, COMMANDS_MAX, ROLLBACKS, USED_MEMORY, count_call

from shardkv.errors import ARENA_FULL, OUT_OF_MEMORY, CommandError, OutOfMemory
from shardkv.segment import SegmentError
from workers.call import BadRecord, Shard


cdef class Execution:
    def __init__(
        self, index: int, folder: str, arena: Arena, keyspace: Keyspace, page: ControlPage, specs: tuple, handlers: dict
    ) -> None:
        """Executes on the shard's arena. `specs` is the command table's flat tuple; `handlers` are the registered ones
        by name."""
        cdef Handler handler
        self.index, self.arena, self.keyspace, self.page = index, arena, keyspace, page
        self.call = Call(Shard(index, arena, keyspace), self)
        self.block = page.worker(index)
        self.commands = page.worker_commands(index)
        self.segments = SegmentStore(folder)
        self.handlers = [handlers.get(spec.name) for spec in specs]
        self.internal = {name.encode(): handler for name, handler in handlers.items() if name.startswith("@")}
        self.denies_oom = <char *>calloc(COMMANDS_MAX, 1)
        self.members = <char *>calloc(COMMANDS_MAX, 1)
        if self.denies_oom == NULL or self.members == NULL:
            raise MemoryError()
        for number, spec in enumerate(specs):
            self.denies_oom[<int>number] = "denyoom" in spec.flags
            handler = self.handlers[number]
            self.members[<int>number] = handler.member if handler is not None else 0
        self.changed = True

    def __dealloc__(self):
        free(self.denies_oom)
        free(self.members)

    cdef int execute(self, RingPair pair, int acceptor, RequestRecord *record) except -1:
        """Executes the request at the ring's `next`, and moves that past it."""
        cdef uint64_t position = pair.request.next + record.size
        cdef uint64_t changes = self.keyspace.changes, now
        cdef int failed
        self.open_reply(pair, record)
        self.expired_before = self.keyspace.expired
        self.arena.begin(acceptor, position)
        failed = self.run_handler(record)
        if failed:
            self.refuse(acceptor, position, None)
        else:
            self.block.counters[<int>CHANGES] += self.keyspace.changes - changes
        self.changed |= self.arena.header.journal_used != 0
        self.commit(pair, acceptor, record, position, self.respond(pair, acceptor, record, position))
        ring_advance(&pair.request, record.size)
        if self.request_segment is not None:
            self.request_segment.unlink()
            self.request_segment = None
        now = ticks()
        if record.kind != REQUEST_INTERNAL and record.command < COMMANDS_MAX:
            count_call(&self.commands[record.command], now - self.tick, failed)
        self.tick = now
        return 0

    cdef int answer_error(self, RingPair pair, int acceptor, RequestRecord *record, str text) except -1:
        cdef uint64_t position = pair.request.next + record.size
        self.open_reply(pair, record)
        self.arena.begin(acceptor, position)
        self.fail(text)
        self.respond(pair, acceptor, record, position)
        self.arena.commit()
        self.drop_segment(record)
        ring_advance(&pair.request, record.size)
        return 0

    cdef int open_reply(self, RingPair pair, RequestRecord *record) except -1:
        """Lends the reply ring's free bytes to the reply."""
        cdef uint64_t room = min(<uint64_t>RING_INLINE_MAX, ring_room(&pair.reply))
        cdef char *reply = ring_reserve(&pair.reply, <uint32_t>room)
        if record.size < sizeof(RequestRecord):
            raise BadRecord(f"{pair.path} holds a record that is too short")
        if room < sizeof(ReplyRecord):
            raise BadRecord(f"{pair.path} has no room for a reply")
        self.call._reply.resp = 3 if record.resp == 3 else 2
        self.call._reply.lend(reply + sizeof(ReplyRecord), room - sizeof(ReplyRecord))
        return 0

    # -- the handler

    cdef int run_handler(self, RequestRecord *record) except -1:
        """Runs the request's handler. Answers 1 when it failed: the reply is its error, its changes are still there."""
        try:
            self.take_arguments(record)
            self.handler_of(record).run(self.call)
            return 0
        except CommandError as error:
            self.fail(error.text)
        except OutOfMemory:
            self.fail(ARENA_FULL)
        except BadRecord:
            raise  # the worker stops, and its successor counts the request (workers/recovery.pxd)
        except MemoryError:
            self.fail("OOM the worker has no memory for this command")
        except Exception:
            traceback.print_exc(file=sys.stderr)
            self.fail("ERR internal error, see the server's log")
        return 1

    cdef int take_arguments(self, RequestRecord *record) except -1:
        cdef const char *body = <const char *>record + sizeof(RequestRecord)
        cdef uint64_t length = record.bytes
        if record.kind == REQUEST_SEGMENT:
            if record.size < sizeof(RequestRecord) + 16:
                raise BadRecord("no room for a segment's name")
            length = (<const uint64_t *>body)[1]
            self.request_segment = self.segments.open((<const uint64_t *>body)[0], length)
            body = self.request_segment.address
        elif length > record.size - sizeof(RequestRecord):
            raise BadRecord("arguments do not fit in their record")
        self.call.parse(body, length, record.argc)
        self.call.hash = record.hash
        self.call.db = record.database
        self.call.command = record.command
        self.keyspace.touch = not record.flags & REQUEST_NO_TOUCH
        return 0

    cdef Handler handler_of(self, RequestRecord *record):
        cdef object handler = None
        if record.database >= self.keyspace.databases:
            raise BadRecord(f"no database {record.database}")
        if record.kind == REQUEST_INTERNAL:
            handler = self.internal.get(self.call.arg(0))
        elif record.command < len(self.handlers):
            handler = self.handlers[record.command]
            if self.denies_oom[record.command] and self.over_limit():
                self.commands[record.command].rejected += 1
                raise CommandError(OUT_OF_MEMORY)
        if handler is None:
            raise BadRecord(f"no handler for command {record.command}")
        return <Handler>handler

    cdef bint over_limit(self) noexcept:
        cdef uint64_t limit = self.page.header.maxmemory
        if limit == 0:
            return False
        # The page has what all workers last told; for our own shard we know better.
        return self.page.memory_in_use() - self.block.counters[<int>USED_MEMORY] + self.arena.header.used_bytes > limit

    cdef int fail(self, text) except -1:
        self.call._reply.clear()
        self.call._reply.error(text)
        return 0

    cdef int refuse(self, int acceptor, uint64_t position, str text) except -1:
        """Undoes what the request did and opens its transaction anew, so that only the error reply is committed."""
        if text is not None:
            self.fail(text)
        self.arena.rollback()
        self.keyspace.expired = self.expired_before
        self.block.counters[<int>ROLLBACKS] += 1
        self.arena.begin(acceptor, position)
        return 0

    # -- the reply

    cdef int respond(self, RingPair pair, int acceptor, RequestRecord *record, uint64_t position) except -1:
        """Completes the reply record behind the published tail, from what is in the call's reply; answers its size."""
        cdef Segment segment = None
        cdef Reply reply = self.call._reply
        cdef ReplyRecord *answer
        cdef uint64_t inline_bytes
        if not reply.lent:
            try:
                segment = self.segments.create(reply.length)
                memcpy(segment.address, reply.bytes, reply.length)
            except SegmentError:
                self.refuse(acceptor, position, ARENA_FULL)
        inline_bytes = 8 if segment is not None else reply.length
        answer = <ReplyRecord *>ring_reserve(&pair.reply, REPLY_ROOM)
        answer.size = <uint32_t>((sizeof(ReplyRecord) + inline_bytes + 7) & ~<uint64_t>7)
        answer.kind = REPLY_SEGMENT if segment is not None else REPLY_BYTES
        answer.flags = 0
        answer.token = record.token
        answer.sequence = record.sequence
        answer.position = position
        answer.part = record.part
        answer.length = reply.length
        if segment is not None:
            (<uint64_t *>(answer + 1))[0] = segment.id
            segment.close()
        ring_append(&pair.reply, answer.size)
        return <int>answer.size

    cdef int commit(self, RingPair pair, int acceptor, RequestRecord *record, uint64_t position, int answer) except -1:
        try:
            self.arena.commit()
        except OutOfMemory:
            # The journal found no room for the frees. The reply just written is taken back.
            pair.reply.next -= answer
            self.refuse(acceptor, position, ARENA_FULL)
            self.respond(pair, acceptor, record, position)
            self.arena.commit()
        return 0

    cdef int drop_segment(self, RequestRecord *record) except -1:
        if record.kind == REQUEST_SEGMENT:
            try:
                self.segments.open((<uint64_t *>(record + 1))[0], 1).unlink()
            except SegmentError:
                pass  # the predecessor came as far as to remove it itself
        return 0
