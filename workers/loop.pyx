"""The worker's loop: see loop.pxd for the order of stores and the invariants."""
import os
import resource

from libc.errno cimport errno
from posix.time cimport CLOCK_REALTIME, clock_gettime, timespec
from posix.unistd cimport close, write

from shardkv.atomic cimport atomic_fence, atomic_load_relaxed, atomic_store_relaxed, atomic_store_release, ticks
from shardkv.ring cimport (
    REPLY_ROOM,
    ReplyRecord,
    RequestRecord,
    ring_advance,
    ring_append,
    ring_consume,
    ring_peek,
    ring_produce,
    ring_publish,
    ring_release,
    ring_room,
)
from shardkv.stats cimport (
    ACTIVE_EXPIRE_US,
    ARENA_BYTES,
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
    USED_MEMORY,
    WAKE_UPS,
    ProcessBlock,
)
from workers.ahead cimport AHEAD, look_ahead
from workers.memory.arena cimport COMMIT_INTERNAL, Arena
from workers.memory.keyspace cimport EXPIRE_BUDGET, REAP_BUDGET, REAP_US, Keyspace

from shardkv.errors import OutOfMemory
from shardkv.ring import RingPair as RingPairType
from workers.call import BadRecord

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
    BATCH = 4 * AHEAD         # requests of one ring before the next ring has its turn
    ATTEMPTS_MAX = 3
    TICK_MS = 100
    EXPIRE_SLICES = 16        # of a tick when nothing is due …
    EXPIRE_TICK_US = 25_000   # … and the time that slices which delete may take in a tick
    DATABASES_COUNTED = 16


cdef int64_t clock_ms() noexcept nogil:
    cdef timespec now
    clock_gettime(CLOCK_REALTIME, &now)
    return now.tv_sec * 1000 + now.tv_nsec // 1000000


cdef class Worker(Execution):
    def __init__(
        self, assignment: dict, arena: Arena, keyspace: Keyspace, page: ControlPage, specs: tuple, handlers: dict,
        channel: object,
    ) -> None:
        """Takes over a shard. `specs` is the command table's flat tuple; `handlers` are the registered ones by name."""
        super().__init__(assignment["index"], assignment["folder"], arena, keyspace, page, specs, handlers)
        self.acceptors = assignment["acceptors"]
        self.channel = channel
        self.wake = assignment["acceptor_wake"]
        self.wake_fd = assignment["worker_wake"][self.index]
        self.pairs = [RingPairType.open(f"{assignment['folder']}/ring-{a}-{self.index}") for a in range(self.acceptors)]
        self.settings = {}
        self.configure(assignment["settings"])
        self.active_expire = True
        self.internal_commits = arena.header.commit[<int>COMMIT_INTERNAL]
        page.set_counter("worker", self.index, "pid", os.getpid())
        page.set_counter("worker", self.index, "started_ms", clock_ms())

        self.epoll = epoll_create1(EPOLL_CLOEXEC)
        self._watch(self.wake_fd, EPOLLIN | EPOLLET)  # edge-triggered: its count need never be read
        self._watch(channel.fileno(), EPOLLIN)

    def __dealloc__(self):
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
                look_ahead(self.keyspace, self.members, &pair.request, record)
                self.tick = ticks()
            self.execute(pair, acceptor, record)
            done += 1
        if done:
            self.publish(pair, acceptor)
        return done

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
            self.drop_segment(record)
            ring_advance(&pair.request, record.size)
            ring_append(&pair.reply, reply.size)
            self.block.counters[<int>RECOVERED_REPLIES] += 1
        self.publish(pair, acceptor)
        self._count_attempt(pair, acceptor)
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
        if ring_room(&pair.reply) >= REPLY_ROOM:
            self.answer_error(pair, acceptor, record, "ERR the worker died each time it executed this command")
            self.publish(pair, acceptor)
        return 0

    # -- the worker's own work

    cdef int background(self) except -1:
        """Frees and expires a slice each, requests come in between; answers whether there is more to do at once."""
        cdef int more = self._reap()
        if self.now_ms >= self.next_tick:
            self.next_tick = self.now_ms + TICK_MS
            self.expire_slices, self.expire_us = EXPIRE_SLICES, EXPIRE_TICK_US
            self._tell_counters()
            self._tell_cpu()
        if self.expire_slices > 0 and self.active_expire:
            more |= self._expire()
        return more

    cdef int _reap(self) except -1:
        """As many slices of freeing as fit into a step's time."""
        cdef uint64_t started = ticks()
        while self._slice(reap=True):
            if self._us_since(started) >= REAP_US:
                return 1
        return 0

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
        cdef uint64_t started = ticks(), spent
        cdef int deleted = self._slice(reap=False)
        spent = self._us_since(started)
        self.block.counters[<int>ACTIVE_EXPIRE_US] += spent
        if deleted:
            self.expire_us -= <int64_t>spent
        else:
            self.expire_slices -= 1
        if self.expire_slices > 0 and self.expire_us > 0:
            return 1
        self.expire_slices = 0
        return self._tell_counters()

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
