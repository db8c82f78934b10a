"""The worker's loop: see loop.pxd for the order of stores and the invariants."""
import os
import resource
import sys
import traceback

from libc.errno cimport errno
from libc.stdlib cimport calloc, free
from libc.string cimport memcpy
from posix.time cimport CLOCK_REALTIME, clock_gettime, timespec
from posix.unistd cimport close, write

from shardkv.atomic cimport atomic_fence, atomic_load_relaxed, atomic_store_relaxed, atomic_store_release, ticks
from shardkv.resp cimport Reply
from shardkv.ring cimport (
    REPLY_BYTES,
    REPLY_SEGMENT,
    REQUEST_INTERNAL,
    REQUEST_NO_TOUCH,
    REQUEST_SEGMENT,
    RING_INLINE_MAX,
    ReplyRecord,
    ring_advance,
    ring_append,
    ring_behind,
    ring_consume,
    ring_peek,
    ring_produce,
    ring_publish,
    ring_release,
    ring_reserve,
    ring_room,
)
from shardkv.stats cimport (
    ACTIVE_EXPIRE_US,
    ARENA_BYTES,
    CHANGES,
    COMMANDS_MAX,
    CPU_SYS_US,
    CPU_USER_US,
    EXPIRED_KEYS,
    EXPIRED_SUBKEYS,
    EXPIRES,
    KEYS,
    KEYSPACE_HITS,
    KEYSPACE_MISSES,
    LAZYFREED_OBJECTS,
    LAZYFREE_PENDING,
    PEAK_MEMORY,
    RECOVERED_REPLIES,
    ROLLBACKS,
    USED_MEMORY,
    WAKE_UPS,
    count_call,
)
from workers.memory.arena cimport COMMIT_INTERNAL
from workers.registry cimport Handler

from shardkv.errors import ARENA_FULL, OUT_OF_MEMORY, CommandError, OutOfMemory
from shardkv.ring import RingPair as RingPairType
from shardkv.segment import SegmentError
from workers.call import BadRecord, Shard

cdef extern from "<sys/epoll.h>" nogil:
    ctypedef union epoll_data_t:
        int fd
    struct epoll_event:
        uint32_t events
        epoll_data_t data
    int EPOLL_CTL_ADD, EPOLL_CLOEXEC
    uint32_t EPOLLIN, EPOLLET
    int epoll_create1(int flags)
    int epoll_ctl(int epoll, int operation, int fd, epoll_event *event)
    int epoll_wait(int epoll, epoll_event *events, int count, int timeout_ms)

cdef enum:
    BATCH = 64                # requests of one ring before the next ring has its turn
    AHEAD = 16                # requests whose memory is asked for at once; divides BATCH
    REPLY_ROOM = 16384        # bytes: below this a ring's requests wait for its acceptor
    ATTEMPTS_MAX = 3
    TICK_MS = 100
    EXPIRE_SLICES = 8         # per tick when nothing is due …
    EXPIRE_TICK_US = 25_000   # … and the time a tick may take when much is
    EXPIRE_BUDGET = 1024      # table segments and keys of one slice
    REAP_BUDGET = 512         # entries of one slice
    DATABASES_COUNTED = 16


cdef int64_t clock_ms() noexcept nogil:
    cdef timespec now
    clock_gettime(CLOCK_REALTIME, &now)
    return now.tv_sec * 1000 + now.tv_nsec // 1000000


cdef class Worker:
    def __init__(
        self, assignment: dict, arena: Arena, keyspace: Keyspace, page: ControlPage, specs: tuple, handlers: dict,
        channel: object,
    ) -> None:
        """Takes over a shard. `specs` is the command table's flat tuple; `handlers` are the registered ones by name."""
        self.index = assignment["index"]
        self.acceptors = assignment["acceptors"]
        self.arena, self.keyspace, self.page, self.channel = arena, keyspace, page, channel
        self.call = Call(Shard(self.index, arena, keyspace), self)
        self.block = page.worker(self.index)
        self.commands = page.worker_commands(self.index)
        self.segments = SegmentStore(assignment["folder"])
        self.wake = assignment["acceptor_wake"]
        self.wake_fd = assignment["worker_wake"][self.index]
        self.pairs = [RingPairType.open(f"{assignment['folder']}/ring-{a}-{self.index}") for a in range(self.acceptors)]
        self.specs = list(specs)
        self.handlers = [handlers.get(spec.name) for spec in specs]
        self.internal = {name.encode(): handler for name, handler in handlers.items() if name.startswith("@")}
        self.denies_oom = <char *>calloc(COMMANDS_MAX, 1)
        for number, spec in enumerate(specs):
            self.denies_oom[<int>number] = "denyoom" in spec.flags
        self.settings = {}
        self.configure(assignment["settings"])
        self.active_expire = True
        self.changed = True
        self.internal_commits = arena.header.commit[<int>COMMIT_INTERNAL]
        page.set_counter("worker", self.index, "pid", os.getpid())
        page.set_counter("worker", self.index, "started_ms", clock_ms())

        self.epoll = epoll_create1(EPOLL_CLOEXEC)
        self._watch(self.wake_fd, EPOLLIN | EPOLLET)  # edge-triggered: its count need never be read
        self._watch(channel.fileno(), EPOLLIN)

    def __dealloc__(self):
        free(self.denies_oom)
        if self.epoll > 0:
            close(self.epoll)

    cdef int _watch(self, int fd, uint32_t events) except -1:
        cdef epoll_event event
        event.events = events
        event.data.fd = fd
        if epoll_ctl(self.epoll, EPOLL_CTL_ADD, fd, &event) < 0:
            raise OSError(errno, os.strerror(errno))
        return 0

    def configure(self, changes: dict[str, str]) -> None:
        """Takes changed directives, as canonical texts."""
        self.settings.update(changes)
        self.call.limits.take(changes)
        if "proto-max-bulk-len" in changes:
            self.call.max_string = int(changes["proto-max-bulk-len"])

    def run(self) -> None:
        """Serves until the supervisor says stop or is gone."""
        cdef int acceptor, worked
        self._tell_time()
        for acceptor in range(self.acceptors):
            self.recover(acceptor)
        self.channel.send({"type": "ready"})
        while True:
            self._tell_time()
            worked = 0
            for acceptor in range(self.acceptors):
                worked += self.serve(acceptor)
            worked += self.background()
            if not worked:
                if self.stopping:
                    return
                self.sleep()

    cdef int _tell_time(self) except -1:
        self.now_ms = clock_ms()
        self.call.now_ms = self.now_ms
        self.keyspace.now_ms = self.now_ms
        self.keyspace.clock = <uint32_t>(self.now_ms // 1000) & 0xFFFFFF
        return 0

    # -- requests

    cdef int serve(self, int acceptor) except -1:
        """Executes a batch of one acceptor's requests and publishes the replies; answers how many."""
        cdef RingPair pair = <RingPair>self.pairs[acceptor]
        cdef RequestRecord *record
        cdef int done = 0
        while done < BATCH:
            record = <RequestRecord *>ring_peek(&pair.request)
            if record == NULL:
                if pair.request.corrupt:
                    raise BadRecord(f"request ring of acceptor {acceptor} holds a record that does not fit")
                break
            if ring_room(&pair.reply) < REPLY_ROOM:
                break
            if done % AHEAD == 0:
                self.look_ahead(&pair.request, record)
            self.execute(pair, acceptor, record)
            done += 1
        if done:
            self.publish(pair, acceptor)
        return done

    cdef void look_ahead(self, Ring *ring, RequestRecord *record) noexcept:
        """Asks the memory for what the next requests will look up: they wait for it all at once, not one by one."""
        cdef RequestRecord *coming[AHEAD]
        cdef uint64_t position = ring.next
        cdef int count = 0, index
        while record != NULL and record.size >= sizeof(RequestRecord) and count < AHEAD:
            coming[count] = record
            count += 1
            record = <RequestRecord *>ring_behind(ring, <char *>record, &position)
        if count == 1:
            return  # it would wait at once
        for index in range(count):
            self.keyspace.prefetch_slot(coming[index].database, coming[index].hash)
        for index in range(count):
            self.keyspace.prefetch_entry(coming[index].database, coming[index].hash)

    cdef int execute(self, RingPair pair, int acceptor, RequestRecord *record) except -1:
        if record.size < sizeof(RequestRecord):
            raise BadRecord(f"request ring of acceptor {acceptor} holds a record that is too short")
        cdef uint64_t position = pair.request.next + record.size
        cdef uint64_t room = min(<uint64_t>RING_INLINE_MAX, ring_room(&pair.reply))
        cdef char *reply = ring_reserve(&pair.reply, <uint32_t>room)
        cdef uint64_t started = ticks()
        cdef uint64_t changes = self.keyspace.changes
        cdef int failed
        self.call._reply.resp = 3 if record.resp == 3 else 2
        self.call._reply.lend(reply + sizeof(ReplyRecord), room - sizeof(ReplyRecord))
        self.expired_before = self.keyspace.expired
        self.arena.begin(acceptor, position)
        failed = self.run_handler(record)
        if failed:
            self.refuse(acceptor, position, None)
        else:
            self.block.counters[<int>CHANGES] += self.keyspace.changes - changes
        self.changed |= self.arena.header.journal_used != 0
        self._commit(pair, acceptor, record, position, self.respond(pair, acceptor, record, position))
        ring_advance(&pair.request, record.size)
        if self.request_segment is not None:
            self.request_segment.unlink()
            self.request_segment = None
        if record.kind != REQUEST_INTERNAL and record.command < COMMANDS_MAX:
            count_call(&self.commands[record.command], ticks() - started, failed)
        return 0

    cdef int _commit(self, RingPair pair, int acceptor, RequestRecord *record, uint64_t position, int answer) except -1:
        try:
            self.arena.commit()
        except OutOfMemory:
            # The journal found no room for the frees. The reply just written is taken back.
            pair.reply.next -= answer
            self.refuse(acceptor, position, ARENA_FULL)
            self.respond(pair, acceptor, record, position)
            self.arena.commit()
        return 0

    cdef int run_handler(self, RequestRecord *record) except -1:
        """Runs the request's handler. Answers 1 when it failed: the reply is its error, its changes are still there."""
        cdef Handler handler
        try:
            self._take_arguments(record)
            handler = self._handler(record)
            handler.run(self.call)
            return 0
        except CommandError as error:
            self._fail(error.text)
        except OutOfMemory:
            self._fail(ARENA_FULL)
        except MemoryError:
            self._fail("OOM the worker has no memory for this command")
        except Exception:
            traceback.print_exc(file=sys.stderr)
            self._fail("ERR internal error, see the server's log")
        return 1

    cdef int _fail(self, text) except -1:
        self.call._reply.clear()
        self.call._reply.error(text)
        return 0

    cdef bint _over_limit(self) noexcept:
        cdef uint64_t limit = self.page.header.maxmemory
        if limit == 0:
            return False
        # The page has what all workers last told; for our own shard we know better.
        return self.page.memory_in_use() - self.block.counters[<int>USED_MEMORY] + self.arena.header.used_bytes > limit

    cdef int _take_arguments(self, RequestRecord *record) except -1:
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

    cdef Handler _handler(self, RequestRecord *record):
        if record.database >= self.keyspace.databases:
            raise BadRecord(f"no database {record.database}")
        if record.kind == REQUEST_INTERNAL:
            handler = self.internal.get(self.call.arg(0))
        elif record.command < len(self.handlers):
            handler = self.handlers[record.command]
            if self.denies_oom[record.command] and self._over_limit():
                self.commands[record.command].rejected += 1
                raise CommandError(OUT_OF_MEMORY)
        else:
            handler = None
        if handler is None:
            raise BadRecord(f"no handler for command {record.command}")
        return <Handler>handler

    cdef int refuse(self, int acceptor, uint64_t position, str text) except -1:
        """Undoes what the request did and opens its transaction anew, so that only the error reply is committed."""
        if text is not None:
            self._fail(text)
        self.arena.rollback()
        self.keyspace.expired = self.expired_before
        self.block.counters[<int>ROLLBACKS] += 1
        self.arena.begin(acceptor, position)
        return 0

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

    cdef int publish(self, RingPair pair, int acceptor) except -1:
        self._tell_counters()
        pair.reply.shared.publishing_tail = pair.reply.next
        atomic_store_release(&pair.reply.shared.publishing_position, pair.request.next)
        ring_publish(&pair.reply)
        ring_release(&pair.request)
        self._wake(acceptor)
        return 0

    cdef int _wake(self, int acceptor) except -1:
        cdef uint64_t one = 1
        atomic_fence()
        if atomic_load_relaxed(&self.page.acceptor(acceptor).sleeping):
            write(<int>self.wake[acceptor], &one, 8)
        return 0

    # -- after a predecessor's death

    cdef int recover(self, int acceptor) except -1:
        """Publishes what the predecessor committed but did not publish; counts a request that may have killed it."""
        cdef RingPair pair = <RingPair>self.pairs[acceptor]
        cdef uint64_t committed = self.arena.header.commit[acceptor]
        cdef RequestRecord *record
        cdef ReplyRecord *reply
        ring_consume(&pair.request)
        ring_produce(&pair.reply)
        if pair.reply.shared.publishing_tail == pair.reply.next:
            pair.request.next = max(pair.request.next, pair.reply.shared.publishing_position)
        while pair.request.next < committed:
            record = <RequestRecord *>ring_peek(&pair.request)
            reply = <ReplyRecord *>(pair.reply.bytes + (pair.reply.next & pair.reply.mask))
            if record == NULL or reply.position != pair.request.next + record.size:
                raise BadRecord(f"ring of acceptor {acceptor} does not fit the arena's commit word")
            self._drop_segment(record)
            ring_advance(&pair.request, record.size)
            ring_append(&pair.reply, reply.size)
            self.block.counters[<int>RECOVERED_REPLIES] += 1
        self.publish(pair, acceptor)
        self._count_attempt(pair, acceptor)
        return 0

    cdef int _drop_segment(self, RequestRecord *record) except -1:
        if record.kind == REQUEST_SEGMENT:
            try:
                self.segments.open((<uint64_t *>(record + 1))[0], 1).unlink()
            except SegmentError:
                pass  # the predecessor came as far as to remove it itself
        return 0

    cdef int _count_attempt(self, RingPair pair, int acceptor) except -1:
        cdef RequestRecord *record = <RequestRecord *>ring_peek(&pair.request)
        if record == NULL:
            return 0
        if pair.request.shared.attempt_position != pair.request.next:
            pair.request.shared.attempt_position = pair.request.next
            pair.request.shared.attempts = 0
        pair.request.shared.attempts += 1
        if pair.request.shared.attempts <= ATTEMPTS_MAX:
            return 0
        self._give_up(pair, acceptor, record)
        return 0

    cdef int _give_up(self, RingPair pair, int acceptor, RequestRecord *record) except -1:
        cdef uint64_t position = pair.request.next + record.size
        cdef char *reply = ring_reserve(&pair.reply, REPLY_ROOM)
        if reply == NULL:
            return 0
        self.call._reply.lend(reply + sizeof(ReplyRecord), REPLY_ROOM - sizeof(ReplyRecord))
        self.arena.begin(acceptor, position)
        self._fail("ERR the worker died each time it executed this command")
        self.respond(pair, acceptor, record, position)
        self.arena.commit()
        self._drop_segment(record)
        ring_advance(&pair.request, record.size)
        return self.publish(pair, acceptor)

    # -- the worker's own work

    cdef int background(self) except -1:
        """Frees and expires in bounded slices; answers whether there is more to do at once."""
        cdef int more = self._slice(reap=True)
        if self.now_ms >= self.next_tick:
            self.next_tick = self.now_ms + TICK_MS
            self._expire()
            self._tell_counters()
            self._tell_cpu()
        return more

    cdef int _slice(self, bint reap) except -1:
        """One slice of freeing or expiring, in a transaction; answers what the keyspace does, 0 in a full arena."""
        cdef int answer
        self.internal_commits += 1
        self.arena.begin(<int>COMMIT_INTERNAL, self.internal_commits)
        try:
            answer = self.keyspace.reap(REAP_BUDGET) if reap else self.keyspace.expire_some(EXPIRE_BUDGET)
            self.changed |= self.arena.header.journal_used != 0
            self.arena.commit()
            return answer
        except OutOfMemory:
            self.arena.rollback()
            return 0

    cdef int _expire(self) except -1:
        cdef int slices = 0, deleted = 0
        cdef uint64_t started
        if not self.active_expire:
            return 0
        started = ticks()
        while slices < EXPIRE_SLICES or (deleted and self._us_since(started) < EXPIRE_TICK_US):
            deleted = self._slice(reap=False)
            slices += 1
        self.block.counters[<int>ACTIVE_EXPIRE_US] += self._us_since(started)
        return 0

    cdef uint64_t _us_since(self, uint64_t started) noexcept:
        return (ticks() - started) * 1000 // self.page.header.ticks_per_ms

    cdef int _tell_counters(self) except -1:
        cdef ProcessBlock *block = self.block
        cdef uint64_t used = self.arena.header.used_bytes
        cdef uint64_t keys = 0, expires = 0
        cdef int db
        block.counters[<int>USED_MEMORY] = used
        if used > block.counters[<int>PEAK_MEMORY]:
            block.counters[<int>PEAK_MEMORY] = used
        block.counters[<int>EXPIRED_KEYS] += self.keyspace.expired
        block.counters[<int>EXPIRED_SUBKEYS] += self.keyspace.swept
        self.keyspace.expired = self.keyspace.swept = 0
        block.counters[<int>LAZYFREE_PENDING] = self.keyspace.to_reap()
        block.counters[<int>LAZYFREED_OBJECTS] += self.keyspace.reaped
        self.keyspace.reaped = 0
        block.counters[<int>KEYSPACE_HITS] += self.call.hits
        block.counters[<int>KEYSPACE_MISSES] += self.call.misses
        self.call.hits = self.call.misses = 0
        if not self.changed:
            return 0
        self.changed = False
        for db in range(min(<int>DATABASES_COUNTED, self.keyspace.databases)):
            block.database_keys[db] = self.keyspace.count(db)
            block.database_expires[db] = self.keyspace.expiring(db)
            block.database_subexpiry[db] = self.keyspace.sweeping(db)
            keys += block.database_keys[db]
            expires += block.database_expires[db]
        block.counters[<int>KEYS] = keys
        block.counters[<int>EXPIRES] = expires
        return 0

    cdef int _tell_cpu(self) except -1:
        usage = resource.getrusage(resource.RUSAGE_SELF)
        self.block.counters[<int>CPU_USER_US] = <uint64_t>(<double>usage.ru_utime * 1e6)
        self.block.counters[<int>CPU_SYS_US] = <uint64_t>(<double>usage.ru_stime * 1e6)
        self.block.counters[<int>ARENA_BYTES] = self.arena.header.backed_pages * 4096
        return 0

    cdef int sleep(self) except -1:
        """Blocks until a ring may have something, the supervisor speaks, or the next tick is due."""
        cdef epoll_event events[2]
        cdef int acceptor, count, number
        cdef RingPair pair
        atomic_store_relaxed(&self.block.sleeping, 1)
        atomic_fence()
        for acceptor in range(self.acceptors):
            pair = <RingPair>self.pairs[acceptor]
            if ring_peek(&pair.request) != NULL and ring_room(&pair.reply) >= REPLY_ROOM:
                atomic_store_relaxed(&self.block.sleeping, 0)
                return 0
        with nogil:
            count = epoll_wait(self.epoll, events, 2, TICK_MS)
        atomic_store_relaxed(&self.block.sleeping, 0)
        self.block.counters[<int>WAKE_UPS] += 1
        for number in range(count):
            if events[number].data.fd != self.wake_fd:
                self._listen()
        return 0

    cdef int _listen(self) except -1:
        for message in self.channel.feed():
            if message["type"] == "stop":
                self.stopping = True
        return 0
