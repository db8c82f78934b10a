"""One request: see execution.pxd for the order of stores and the invariants."""
import sys
import traceback

from libc.stdint cimport uint16_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free

from shardkv.atomic cimport ticks
from shardkv.resp cimport Reply, Stretch
from shardkv.ring cimport (
    IN_SEGMENT, LEASED, NO_TOUCH, REPLY_AGAIN, REPLY_BLOCKED, REPLY_ROOM, REPLY_WHOLE, REQUEST_COMMAND,
    REQUEST_INTERNAL, RING_INLINE_MAX, Participant, ReplyRecord, SegmentName, reply_begin, ring_advance, ring_append,
    ring_reserve, ring_room,
)
from shardkv.segment cimport WORKER_OWNER
from shardkv.stats cimport CHANGES, COMMANDS_MAX, ROLLBACKS, USED_MEMORY, count_call

from workers.call cimport Call, Shard
from workers.leases cimport Leases
from workers.memory.arena cimport Arena
from workers.memory.keyspace cimport Keyspace
from workers.pieces cimport Pieces
from workers.memory.waits cimport waits_attach, waits_tell
from workers.transaction cimport Transaction

from shardkv.claims import Claims
from shardkv.errors import ARENA_FULL, OUT_OF_MEMORY, CommandError, OutOfMemory
from shardkv.segment import SegmentError, no_segment
from workers.call import BadRecord
from workers.waiters import Waiters


cdef inline bint lies_in_ring(Reply reply) noexcept:
    return reply.lent and reply.elsewhere == 0


cdef class Execution:
    def __init__(
        self, assignment: dict, arena: Arena, keyspace: Keyspace, page: ControlPage, specs: tuple, handlers: dict
    ) -> None:
        """Executes on the arena of the shard assigned. `specs` is the command table's flat tuple; `handlers` are the
        registered ones by name."""
        cdef Handler handler
        self.index, self.arena, self.keyspace, self.page = assignment["index"], arena, keyspace, page
        self.transaction = Transaction(arena)
        keyspace.touches = page.touches(self.index)
        self.leases = Leases(assignment, page, arena, keyspace)
        self.call = Call(self.leases.home, self)
        self.waiters = Waiters(
            [Claims.open(f"{assignment['folder']}/claims-{a}") for a in range(page.acceptors)], self.index, page.workers
        )
        self.call.waiters = self.waiters
        waits_attach(&self.waiters.waits, page.touches(self.index))
        self.block = page.worker(self.index)
        self.commands = page.worker_commands(self.index)
        self.segments = SegmentStore(assignment["folder"], WORKER_OWNER | self.index, assignment["epoch"])
        self.in_pieces = {}
        self.take_commands(specs, handlers)
        self.internal = {name.encode(): handler for name, handler in handlers.items() if name.startswith("@")}
        self.members = <char *>calloc(COMMANDS_MAX, 1)
        if self.members == NULL:
            raise MemoryError()
        for number, handler in enumerate(self.handlers):
            self.members[<int>number] = handler.member if handler is not None else 0
        self.changed = True

    def __dealloc__(self):
        free(self.members)

    cdef bint execute(self, RingPair pair, int acceptor, RequestRecord *record) except -1:
        """Executes the request at the ring's `next` and moves that past it; False: its reply goes in pieces, and it has
        not happened until `send_piece` has sent the last."""
        cdef uint64_t position = pair.request.next + record.size
        cdef uint64_t changes = self.keyspace.changes, now
        cdef bint failed, done
        cdef Outcome outcome
        self.call.acceptor = <uint32_t>acceptor
        self.lend_ring(pair, record)
        self.take_part(record)
        self.expired_before = self.keyspace.expired
        self.transaction.begin(acceptor, position)
        failed = self.run_handler(pair, record)
        if failed:
            self.undo()
            self.transaction.begin(acceptor, position)
        self.changed |= self.transaction.changed()
        outcome = self.complete(pair, acceptor, record, position)
        self.leave_part()
        done = outcome != GOES_IN_PIECES
        failed |= outcome == REFUSED
        if done:
            if not failed:
                self.block.counters[<int>CHANGES] += self.keyspace.changes - changes
            if self.request_segment is not None:
                self.request_segment.unlink()
            else:
                self.drop_segment(record)
            ring_advance(&pair.request, record.size)
        self.request_segment = None
        now = ticks()
        if record.kind != REQUEST_INTERNAL and record.command < COMMANDS_MAX:
            count_call(&self.commands[record.command], now - self.tick, failed)
        self.tick = now
        return done

    cdef int take_part(self, RequestRecord *record) except -1:
        """Has the arenas on lease take part in what a leased request does."""
        cdef Shard shard
        if record.flags & LEASED:
            self.transaction.take_part([shard.arena for shard in self.leases.taken])
            self.call.everywhere = [self.call.home, *self.leases.taken]
            for shard in self.leases.taken:
                shard.keyspace.touch = not record.flags & NO_TOUCH
                shard.keyspace.changes = 0
        return 0

    cdef int tell_owners(self) except -1:
        """Before the commit: tells the owners of arenas on lease of awaited keys that have changed."""
        cdef Shard shard
        if self.transaction.lent is not None:
            for shard in self.leases.taken:
                waits_tell(shard.keyspace)
        return 0

    cdef int leave_part(self) except -1:
        """Counts what was done in arenas on lease with our own, and parts from them."""
        cdef Shard shard
        if self.transaction.lent is not None:
            for shard in self.leases.taken:
                self.keyspace.expired += shard.keyspace.expired
                self.keyspace.swept += shard.keyspace.swept
                self.keyspace.changes += shard.keyspace.changes
                shard.keyspace.expired = shard.keyspace.swept = 0
            self.transaction.take_part(None)
            self.call.everywhere, self.call.shards = [self.call.home], None
        return 0

    cdef int put_off(self, RingPair pair, int acceptor, RequestRecord *record) except -1:
        cdef uint64_t position = pair.request.next + record.size
        cdef ReplyRecord *answer = <ReplyRecord *>ring_reserve(&pair.reply, REPLY_ROOM)
        self.transaction.begin(acceptor, position)
        reply_begin(answer, record, position, REPLY_AGAIN, 0)
        answer.length = 0
        ring_append(&pair.reply, answer.size)
        self.transaction.commit()
        self.drop_segment(record)
        ring_advance(&pair.request, record.size)
        return 0

    cdef int answer_error(self, RingPair pair, int acceptor, RequestRecord *record, str text) except -1:
        cdef uint64_t position = pair.request.next + record.size
        self.transaction.begin(acceptor, position)
        self.fail(pair, record, text)
        self.complete(pair, acceptor, record, position)
        self.drop_segment(record)
        ring_advance(&pair.request, record.size)
        return 0

    cdef bint send_piece(self, RingPair pair, int acceptor, RequestRecord *record, uint64_t room) except -1:
        """Sends the next piece of the reply to the request at the ring's `next`; the last one completes the request."""
        cdef Pieces pieces = self.in_pieces[acceptor]
        cdef uint64_t position = pair.request.next + record.size
        if not pieces.append(&pair.reply, record, position, min(room, <uint64_t>RING_INLINE_MAX) & ~<uint64_t>7):
            return False
        self.transaction.begin(acceptor, position)
        self.transaction.commit()
        del self.in_pieces[acceptor]
        self.drop_segment(record)
        ring_advance(&pair.request, record.size)
        return True

    cdef int lend_ring(self, RingPair pair, RequestRecord *record) except -1:
        """Lends the reply ring's free bytes to the reply, empty."""
        cdef uint64_t room = min(<uint64_t>RING_INLINE_MAX, ring_room(&pair.reply))
        cdef char *reply = ring_reserve(&pair.reply, <uint32_t>room)
        if record.size < sizeof(RequestRecord):
            raise BadRecord(f"{pair.path} holds a record that is too short")
        if room < REPLY_ROOM:
            raise BadRecord(f"{pair.path} has no room for a reply")
        self.call._reply.resp = 3 if record.resp == 3 else 2
        self.call._reply.lend(reply + sizeof(ReplyRecord), room - sizeof(ReplyRecord))
        self.call.waits, self.call.replaced = False, None
        return 0

    # -- the handler

    cdef bint run_handler(self, RingPair pair, RequestRecord *record) except -1:
        """Runs the request's handler; returns whether it failed: the reply is its error, its changes are there."""
        try:
            self.take_arguments(record)
            self.handler_of(record).run(self.call)
            return False
        except CommandError as error:
            self.fail(pair, record, error.text)
        except OutOfMemory:
            self.fail(pair, record, ARENA_FULL)
        except SegmentError as error:  # the request's
            self.fail(pair, record, no_segment(error.number))
        except BadRecord:
            raise  # the worker stops, and its successor counts the request (workers/recovery.pxd)
        except MemoryError:
            self.fail(pair, record, "OOM the worker has no memory for this command")
        except Exception:
            traceback.print_exc(file=sys.stderr)
            self.fail(pair, record, "ERR internal error, see the server's log")
        return True

    cdef int take_arguments(self, RequestRecord *record) except -1:
        cdef const char *body = <const char *>record + sizeof(RequestRecord)
        cdef const SegmentName *name = <const SegmentName *>body
        cdef uint64_t around = sizeof(RequestRecord) + record.participants * sizeof(Participant)
        if record.flags & IN_SEGMENT:
            if record.size < around + sizeof(SegmentName):
                raise BadRecord("no room for a segment's name")
            self.request_segment = self.segments.open(name.id, name.size)
            self.call.parse_places(self.request_segment.address, name.size, name.table, record.argc)
        elif record.size < around or record.bytes > record.size - around:
            raise BadRecord("arguments do not fit in their record")
        else:
            self.call.parse(body, record.bytes, record.argc)
        self.call.record = record
        self.call.may_wait = record.kind == REQUEST_COMMAND
        self.call.hash = record.hash
        self.call.db = record.database
        self.call.command = record.command
        self.inner_reads = False
        if self.transaction.lent is not None and record.kind == REQUEST_COMMAND and record.command < len(self.specs):
            self.call.shards = self.shards_of(record.command)
        self.keyspace.touch = not record.flags & NO_TOUCH
        return 0

    cdef Handler handler_of(self, RequestRecord *record):
        cdef object handler = None
        if record.database >= self.keyspace.databases:
            raise BadRecord(f"no database {record.database}")
        if record.kind == REQUEST_INTERNAL:
            handler = self.internal.get(self.call.arg(0))
        elif record.command < len(self.handlers):
            handler = self.handlers[record.command]
            if self.facts[record.command].denies_oom and self.over_limit():
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

    cdef int fail(self, RingPair pair, RequestRecord *record, text) except -1:
        """Makes an error the reply, whatever was written of it."""
        self.lend_ring(pair, record)
        self.call._reply.error(text)
        return 0

    cdef int undo(self) except -1:
        """Undoes what the request did; its transaction is closed."""
        cdef Shard shard
        self.transaction.rollback()
        self.keyspace.expired = self.expired_before
        if self.transaction.lent is not None:
            for shard in self.leases.taken:
                shard.keyspace.expired = shard.keyspace.swept = 0
        self.block.counters[<int>ROLLBACKS] += 1
        return 0

    # -- the reply

    cdef Outcome complete(self, RingPair pair, int acceptor, RequestRecord *record, uint64_t position) except? REFUSED:
        """Appends the record of the call's reply and commits. Where there is no room for the reply's segment, a request
        that can be executed again has begun to go in pieces, any other has been undone."""
        cdef uint64_t begun = pair.reply.next
        cdef bint again = not self.call.waits and (not self.transaction.changed() or self.may_repeat(record))
        try:
            self.respond(pair, record, position)
            self.tell_owners()
            self.transaction.commit()
            self.reply_segment = None
            return COMPLETED
        except OutOfMemory:  # for the segment, or for the journal of the frees
            pair.reply.next = begun
            if self.reply_segment is not None:
                self.reply_segment.unlink()
                self.reply_segment = None
        self.undo()
        if not again:
            self.fail(pair, record, ARENA_FULL)
        elif not lies_in_ring(self.call._reply):
            self.begin_pieces(acceptor)
            return GOES_IN_PIECES
        self.transaction.begin(acceptor, position)
        self.respond(pair, record, position)
        self.transaction.commit()
        return COMPLETED if again else REFUSED

    cdef bint may_repeat(self, RequestRecord *record) noexcept:
        """Whether all that the request can have changed is what any reading changes: clocks, and keys that expired."""
        if record.kind == REQUEST_INTERNAL or record.command >= COMMANDS_MAX:
            return False
        return self.facts[record.command].reads or self.inner_reads

    cdef int respond(self, RingPair pair, RequestRecord *record, uint64_t position) except -1:
        """Appends the record of the call's reply, behind the published tail. Raises OutOfMemory: for its segment."""
        cdef Reply reply = self.call._reply
        cdef ReplyRecord *answer = <ReplyRecord *>ring_reserve(&pair.reply, REPLY_ROOM)
        cdef SegmentName *name = <SegmentName *>(answer + 1)
        cdef uint16_t kind = REPLY_BLOCKED if self.call.waits else REPLY_WHOLE
        if lies_in_ring(reply):
            # Lent was this ring's room (`lend_ring`), so the bytes lie where they belong.
            if reply.bytes != <char *>(answer + 1):
                raise BadRecord(f"a reply was not written into {pair.path}")
            reply_begin(answer, record, position, kind, reply.length)
        else:
            self.make_segment(reply)
            reply_begin(answer, record, position, kind, sizeof(SegmentName))
            answer.flags = IN_SEGMENT
            name.id, name.size, name.table = self.reply_segment.id, reply.size(), 0
        answer.length = reply.size()
        ring_append(&pair.reply, answer.size)
        return 0

    cdef int make_segment(self, Reply reply) except -1:
        cdef Stretch *stretch
        cdef size_t written = 0
        cdef int number
        try:
            self.reply_segment = self.segments.create()
            for number in range(reply.stretch_count):
                stretch = &reply.stretches[number]
                self.reply_segment.append(reply.bytes + written, stretch.at - written)
                self.reply_segment.append(stretch.bytes, stretch.length)
                written = stretch.at
            self.reply_segment.append(reply.bytes + written, reply.length - written)
        except SegmentError as error:
            raise OutOfMemory(str(error)) from None
        return 0

    cdef int begin_pieces(self, int acceptor) except -1:
        cdef Pieces pieces = Pieces()
        pieces.length = self.call._reply.size()
        pieces.bytes = self.call._reply.take()
        self.in_pieces[acceptor] = pieces
        return 0

    cdef int drop_segment(self, RequestRecord *record) except -1:
        if record.flags & IN_SEGMENT:
            self.segments.remove((<SegmentName *>(record + 1)).id)
        return 0
