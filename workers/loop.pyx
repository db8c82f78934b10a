"""The worker's loop: see loop.pxd for the order of stores and the invariants."""
import json
import os

from libc.errno cimport errno
from libc.stdint cimport uint64_t
from posix.time cimport CLOCK_MONOTONIC, CLOCK_REALTIME, clock_gettime, timespec, clockid_t
from posix.unistd cimport close

from shardkv.atomic cimport (
    atomic_fence, atomic_load_acquire, atomic_load_relaxed, atomic_store_relaxed, atomic_store_release, ticks,
)
from shardkv.claims cimport Claims
from shardkv.ring cimport (
    LEASED, REPLY_ROOM, REQUEST_MARKER, RequestRecord, Ring, ring_advance, ring_behind, ring_peek, ring_publish,
    ring_release, ring_room,
)
from shardkv.polling cimport pause, poll_begin, poll_configure, poll_found, poll_gave_up, poll_woken, poll_yield
from shardkv.segment cimport free_some, named_replies
from shardkv.sleep cimport (
    SLEEPS_FOR_LEASE, SLEEPS_FOR_RECORDS, SLEEPS_FOR_ROOM, delay_point, fall_asleep, longest_sleep, stay_awake,
    wake_if,
)
from shardkv.stats cimport WAKE_UPS, ControlPage
from workers.ahead cimport AHEAD, look_ahead
from workers.housekeeping cimport TICK_MS
from workers.memory.arena cimport COMMIT_EXPIRY, COMMIT_INTERNAL, Arena
from workers.memory.keyspace cimport Keyspace
from workers.recovery cimport count_attempt, pass_committed, weight_of
from workers.serving cimport Serving

from shardkv.log import Log
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
    LEASE_MS = 10             # the longest sleep for a lease: who hangs wakes nobody
    SPINS = 32                # looks at the rings between two system calls


cdef int64_t clock_ms(clockid_t clock) noexcept nogil:
    cdef timespec now
    clock_gettime(clock, &now)
    return now.tv_sec * 1000 + now.tv_nsec // 1000000


cdef bint has_more(Ring *ring, RequestRecord *record) noexcept:
    """Whether anything but markers lies behind a marker."""
    cdef uint64_t position = ring.next
    while record != NULL and record.kind == REQUEST_MARKER:
        record = <RequestRecord *>ring_behind(ring, <char *>record, &position)
    return record != NULL


cdef class Worker(Execution):
    def __init__(
        self, assignment: dict, arena: Arena, keyspace: Keyspace, page: ControlPage, specs: tuple, handlers: dict,
        channel: object,
    ) -> None:
        """Takes over a shard. `specs` is the command table's flat tuple; `handlers` are the registered ones by name."""
        super().__init__(assignment, arena, keyspace, page, specs, handlers)
        self.acceptors = assignment["acceptors"]
        self.channel = channel
        self.log = Log("W", assignment["settings"].get("loglevel", "notice"), assignment["settings"].get("logfile", ""))
        self.names = {number: spec.name for number, spec in enumerate(specs)}
        self.died = assignment.get("died", 0)
        self.wake = assignment["acceptor_wake"]
        self.wake_fd = assignment["worker_wake"][self.index]
        self.pairs = [RingPairType.open(f"{assignment['folder']}/ring-{a}-{self.index}") for a in range(self.acceptors)]
        self.settings = {}
        self.take_settings()
        self.housekeeping = Housekeeping(self, self.log)
        self.serving = Serving(self)
        page.set_counter("worker", self.index, "pid", os.getpid())
        page.set_counter("worker", self.index, "started_ms", clock_ms(CLOCK_REALTIME))

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

    def take_settings(self) -> None:
        """Takes the settings published last, for all requests from here on."""
        self.settings_version, text = self.page.settings()
        self.settings = json.loads(text) if text else {}
        self.call.limits.take(self.settings)
        if "proto-max-bulk-len" in self.settings:
            self.call.max_string = int(self.settings["proto-max-bulk-len"])
        if "busy-poll-us" in self.settings:
            poll_configure(&self.polling, self.page.header.ticks_per_ms, int(self.settings["busy-poll-us"]))
        if "loglevel" in self.settings:
            self.log.set_level(self.settings["loglevel"])

    def run(self) -> None:
        """Serves until the supervisor says stop or is gone."""
        cdef int acceptor, worked
        cdef int64_t uptime_ms
        self._set_clock()
        self.leases.hold()  # it is ours since `take_home`
        self.take_over()
        self.leases.give_back()
        self.channel.send({"type": "ready"})
        while True:
            self._set_clock()
            if atomic_load_relaxed(&self.page.header.settings_version) != self.settings_version:
                self.take_settings()
            worked = 0
            uptime_ms = clock_ms(CLOCK_MONOTONIC)
            if self.leases.hold():
                self.changed |= self.leases.regained
                self.leases.regained = False
                if self.serving.due():
                    self.serving.serve()
                for acceptor in range(self.acceptors):
                    worked += self.serve(acceptor)
                worked += self.housekeeping.step(uptime_ms)
                if self.serving.due():
                    self.serving.serve()
                if self.serving.outbox.count:
                    self.deliver()
                self.leases.give_back()
            worked += free_some()
            if uptime_ms >= self.next_listen:
                self._listen()
                self.serving.tick()
            if not worked:
                if self.stopping:
                    return
                self.sleep()

    cdef int _set_clock(self) except -1:
        self.now_ms = clock_ms(CLOCK_REALTIME)
        atomic_store_relaxed(&self.block.turned_ms, self.now_ms)
        self.call.now_ms = self.now_ms
        self.keyspace.now_ms = self.now_ms
        self.keyspace.clock = <uint32_t>(self.now_ms // 1000) & 0xFFFFFF
        return 0

    cdef int take_over(self) except -1:
        """Goes on where the shard's last worker ended, and counts its death against what it was doing."""
        cdef int acceptor, refused, weight = weight_of(self.died)
        cdef RingPair pair
        cdef Claims claims
        for claims in self.waiters.claims:
            claims.give_back(<uint32_t>self.index, self.serving.outbox.stamps())
        self.waiters.epoch = self.block.waiting_epoch + 1
        atomic_store_release(&self.block.waiting_epoch, self.waiters.epoch)
        for acceptor in range(self.acceptors):
            pair = <RingPair>self.pairs[acceptor]
            pass_committed(self, pair, acceptor)
            refused = count_attempt(self, pair, acceptor, weight)
            if refused >= 0:
                name = self.names.get(refused, "?")
                self.log.warning(f"a request '{name}' killed its worker again and again: it gets an error")
            self.publish(pair, acceptor)
        self.leases.wake_all()
        self.segments.sweep(named_replies(self.pairs))
        if self.arena.interrupted_slot == COMMIT_EXPIRY or self.arena.interrupted_slot == COMMIT_INTERNAL:
            self.housekeeping.count_death(self.arena.interrupted_slot, weight, clock_ms(CLOCK_MONOTONIC))
        return 0

    # -- requests

    cdef int serve(self, int acceptor) except -1:
        """Executes a batch of one acceptor's requests and publishes the replies; returns how many records are done."""
        cdef RingPair pair = <RingPair>self.pairs[acceptor]
        cdef RequestRecord *record
        cdef int done = 0, looked = 0
        cdef Turn turn
        if self.in_pieces and acceptor in self.in_pieces:
            return self.serve_piece(pair, acceptor)
        while done < BATCH:
            record = <RequestRecord *>ring_peek(&pair.request)
            if record == NULL:
                if pair.request.corrupt:
                    raise BadRecord(f"request ring of acceptor {acceptor} holds a record that does not fit")
                break
            if record.kind == REQUEST_MARKER:
                if not self.pass_marker(pair, acceptor, record):
                    break
                done += 1
                continue
            if ring_room(&pair.reply) < REPLY_ROOM:
                break
            turn = self.lease(pair, acceptor, record)
            if turn == HAS_TO_WAIT:
                break
            if turn == SENT_AGAIN:
                done += 1
                continue
            if looked % AHEAD == 0:
                look_ahead(self.keyspace, self.members, &pair.request, record)
                self.tick = ticks()
            done += 1
            looked += 1
            if not self.execute(pair, acceptor, record):
                break
            if self.serving.changed():
                self.serving.serve()
                self.tick = ticks()
            if self.leases.wanted():
                break
        if self.leases.taken:
            self.housekeeping.report_lent()
            self.leases.give_back_taken()
        if done:
            self.publish(pair, acceptor)
        return done

    cdef bint pass_marker(self, RingPair pair, int acceptor, RequestRecord *record) except -1:
        """Passes the marker of a request that has been decided; False: it has not."""
        if record.size < sizeof(RequestRecord) or not self.leases.decided(acceptor, record):
            return False
        ring_advance(&pair.request, record.size)
        return True

    cdef Turn lease(self, RingPair pair, int acceptor, RequestRecord *record) except? HAS_TO_WAIT:
        """Gets the arenas together that a request needs, and none but them."""
        if not record.flags & LEASED or self.leases.taken_wanted():
            self.leases.give_back_taken()
        if not record.flags & LEASED:
            return HAS_ITS_TURN
        if self.leases.arrived(acceptor, record) and self.leases.take(record):
            self.leases.waiting_since[acceptor] = 0
            return HAS_ITS_TURN
        self.leases.note_wait(acceptor, self.now_ms)
        if not self.leases.hangs(acceptor, record, self.now_ms):
            return HAS_TO_WAIT
        self.leases.waiting_since[acceptor] = 0
        self.put_off(pair, acceptor, record)
        return SENT_AGAIN

    cdef int serve_piece(self, RingPair pair, int acceptor) except -1:
        """Sends the next piece of a reply that goes in pieces; returns 0 when there is no room for it."""
        cdef RequestRecord *record = <RequestRecord *>ring_peek(&pair.request)
        cdef uint64_t room = ring_room(&pair.reply)
        if room < REPLY_ROOM:
            return 0
        self.send_piece(pair, acceptor, record, room)
        self.publish(pair, acceptor)
        return 1

    cdef int deliver(self) except -1:
        """Sends what the outbox holds, as far as there is room; everything else is published."""
        cdef int acceptor
        for acceptor in range(self.acceptors):
            if self._may_deliver(acceptor) and self.serving.outbox.send(
                <RingPair>self.pairs[acceptor], acceptor, self.segments
            ):
                self.publish(<RingPair>self.pairs[acceptor], acceptor)
        return self.serving.outbox.settle()

    cdef bint _may_deliver(self, int acceptor) noexcept:
        return self.serving.outbox.has(acceptor) and not (self.in_pieces and acceptor in self.in_pieces)

    cdef int publish(self, RingPair pair, int acceptor) except -1:
        cdef RequestRecord *record
        self.housekeeping.report_counters()
        pair.reply.shared.publishing_tail = pair.reply.next
        delay_point()
        atomic_store_release(&pair.reply.shared.publishing_position, pair.request.next)
        delay_point()
        ring_publish(&pair.reply)
        delay_point()
        ring_release(&pair.request)
        delay_point()
        atomic_fence()
        wake_if(&self.page.acceptor(acceptor).sleeping, SLEEPS_FOR_RECORDS | SLEEPS_FOR_ROOM, <int>self.wake[acceptor])
        record = <RequestRecord *>ring_peek(&pair.request)
        if record != NULL and record.kind == REQUEST_MARKER:
            self.leases.wake_executor(record)
        return 0

    # -- sleep

    cdef int sleep(self) except -1:
        """Blocks until a ring may have something, the supervisor speaks, or the next tick is due."""
        cdef epoll_event events[2]
        cdef int count, number, longest
        if self._look() or not self._may_sleep():
            return 0
        longest = longest_sleep(LEASE_MS if self.block.sleeping & SLEEPS_FOR_LEASE else <int>TICK_MS)
        self.polling.blocked = True
        with nogil:
            count = epoll_wait(self.epoll, events, 2, longest)
        stay_awake(&self.block.sleeping)
        poll_woken(&self.polling, ticks())
        self.block.counters[<int>WAKE_UPS] += 1
        for number in range(count):
            if events[number].data.fd != self.wake_fd:
                self._listen()
        return 0

    cdef bint _look(self) except -1:
        """Looks for requests, as long as that pays; returns whether there are any."""
        cdef uint64_t now = ticks()
        cdef uint64_t until = now + self.polling.window
        cdef int _spin
        if not poll_begin(&self.polling, now):
            return False
        while True:
            for _spin in range(SPINS):
                if self._has_requests():
                    poll_found(&self.polling)
                    return True
                pause()
            if not poll_yield(&self.polling, &now) or now > until:
                poll_gave_up(&self.polling)
                return self._has_requests()

    cdef bint _has_requests(self) except -1:
        cdef int acceptor
        if self.leases.lent:
            return self.leases.could_hold()
        for acceptor in range(self.acceptors):
            if self._waits_for(acceptor) == 0:
                return True
        return False

    cdef uint64_t _waits_for(self, int acceptor) except? 0xFF:
        """What has to happen before an acceptor can be served on: reasons to sleep; 0: it can be now."""
        cdef uint64_t reasons = self._record_waits_for(acceptor)
        if reasons == 0 or self.serving.outbox.count == 0 or not self._may_deliver(acceptor):
            return reasons
        if ring_room(&(<RingPair>self.pairs[acceptor]).reply) < REPLY_ROOM:
            return reasons | SLEEPS_FOR_ROOM
        return reasons if self.serving.outbox.no_segment else 0

    cdef uint64_t _record_waits_for(self, int acceptor) except? 0xFF:
        """The same of the next record in its ring."""
        cdef RingPair pair = <RingPair>self.pairs[acceptor]
        cdef RequestRecord *record = <RequestRecord *>ring_peek(&pair.request)
        if record == NULL:
            return 0 if pair.request.corrupt else <uint64_t>SLEEPS_FOR_RECORDS
        if record.kind == REQUEST_MARKER:
            pair.request.seen = atomic_load_acquire(&pair.request.shared.tail)
            if record.size >= sizeof(RequestRecord) and not self.leases.decided(acceptor, record):
                return SLEEPS_FOR_LEASE if has_more(&pair.request, record) else <uint64_t>SLEEPS_FOR_RECORDS
            return 0
        if ring_room(&pair.reply) < REPLY_ROOM:
            return SLEEPS_FOR_ROOM
        if record.flags & LEASED and not (
            self.leases.arrived(acceptor, record) and self.leases.could_take(record)
        ):
            return SLEEPS_FOR_LEASE
        return 0

    cdef bint _may_sleep(self) except -1:
        """Says for what it is going to sleep; False: it is there already."""
        cdef uint64_t reasons = SLEEPS_FOR_RECORDS, wanted, reason
        cdef int acceptor
        if self.leases.lent:
            reasons |= SLEEPS_FOR_LEASE
        while True:  # once more when there is something else to wait for
            fall_asleep(&self.block.sleeping, reasons)
            self.leases.wake_wanting(self.arena.header)
            wanted = reasons
            for acceptor in range(self.acceptors):
                if self.leases.lent:
                    break
                reason = self._waits_for(acceptor)  # once: it may be there a moment later
                if reason == 0:
                    stay_awake(&self.block.sleeping)
                    return False
                wanted |= reason
            if self.leases.lent and self.leases.could_hold() or self.serving.could_serve():
                stay_awake(&self.block.sleeping)
                return False
            if self.serving.wanted_shard >= 0:
                wanted |= SLEEPS_FOR_LEASE
            if wanted == reasons:
                return True
            reasons = wanted

    cdef int _listen(self) except -1:
        self.next_listen = clock_ms(CLOCK_MONOTONIC) + TICK_MS
        for message in self.channel.feed():
            if message["type"] == "stop":
                self.stopping = True
        return 0
