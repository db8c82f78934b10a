"""The acceptor's hot loop: see turn.pxd."""
import os

from libc.errno cimport errno
from libc.stdint cimport uint32_t, uint64_t, uintptr_t
from libc.stdlib cimport free
from libc.string cimport memcpy
from posix.time cimport CLOCK_REALTIME, clock_gettime, timespec
from posix.unistd cimport close

from shardkv.acceptor.client cimport (
    ADDRESS_BYTES,
    Client,
    client_enqueue,
    client_new,
    client_touch_output,
)
from shardkv.acceptor.division cimport Division
from shardkv.acceptor.listener cimport ACCEPTED_NONE
from shardkv.acceptor.net cimport (
    AF_UNIX,
    EPOLLERR,
    EPOLLET,
    EPOLLHUP,
    EPOLLIN,
    EPOLLOUT,
    EPOLLRDHUP,
    EPOLL_CLOEXEC,
    EPOLL_CTL_ADD,
    epoll_create1,
    epoll_ctl,
    epoll_event,
    epoll_wait,
    sockaddr_storage,
)
from shardkv.acceptor.router cimport Router
from shardkv.acceptor.specs cimport CommandTable
from shardkv.acceptor.waiters cimport Waiters
from shardkv.atomic cimport atomic_load_acquire, ticks
from shardkv.polling cimport pause, poll_begin, poll_contended, poll_found, poll_gave_up, poll_woken, poll_yield
from shardkv.ring cimport RingPair
from shardkv.segment cimport SegmentStore, free_some
from shardkv.sleep cimport SLEEPS_FOR_RECORDS, SLEEPS_FOR_ROOM, fall_asleep, stay_awake
from shardkv.stats cimport (
    BLOCKED_CLIENTS, CLIENTS_IN_TIMEOUT_TABLE, CONNECTED_CLIENTS, CONNECTIONS_RECEIVED,
    WATCHED_KEYS, WATCHING_CLIENTS,
)

from shardkv.claims import Claims

cdef enum:
    WAKE_UP = 0               # epoll's word for our eventfd; below LISTENERS_MAX a listener, else a Client's address
    LISTENERS_MAX = 4096


cdef bint any_took_over(Waiters waiters) noexcept nogil:
    """Whether a worker took over that does not know yet who waits for its keys. Its first publish is behind that, and
    wakes who sleeps."""
    cdef ProcessBlock *block
    cdef uint32_t worker
    for worker in range(waiters.workers if waiters.count else 0):
        block = &waiters.page.blocks[1 + waiters.page.header.acceptors + worker]
        if atomic_load_acquire(&block.waiting_epoch) != waiters.epochs[worker]:
            return True
    return False


cdef class Turn:
    def __init__(
        self, loop: object, server: object, table: CommandTable, assignment: dict, page: ControlPage, calls: object
    ) -> None:
        """Opens the rings of acceptor `assignment["index"]` and takes its listening sockets."""
        cdef SegmentStore segments = SegmentStore(assignment["folder"], assignment["index"], assignment["epoch"])
        cdef Division division
        cdef Router router
        cdef int index = assignment["index"]
        self.loop, self.page, self.block = loop, page, page.acceptor(index)
        self.linger_ticks = page.header.ticks_per_ms * LINGER_US // 1000
        self.turn_ticks = page.header.ticks_per_ms * TURN_US // 1000
        self.clients = ClientTable(assignment["epoch"])
        pairs = [RingPair.open(f"{assignment['folder']}/ring-{index}-{w}") for w in range(assignment["workers"])]
        self.requests = Requests(page, pairs, assignment["worker_wake"], segments, self.clients.epoch)
        claims = Claims.open(f"{assignment['folder']}/claims-{index}")
        self.waiters = Waiters(page, self.clients, self.requests, claims, self._arm)
        self.replies = Replies(pairs, self.clients, self.requests, segments, self.waiters, server)
        division = Division(table, page, index, self.requests, self.waiters)
        router = Router(table, page, index, division, calls)
        self.progress = Progress(self.clients, router, self.requests, self.waiters)
        self.hub = router.hub = router.transactions.hub = division.hub = self.replies.hub = &self.progress.hub
        self.waiters.hub = self.hub
        self.hub.counters, self.hub.touches = self.block.counters, page.touches(0)
        for level in (
            CONNECTED_CLIENTS, BLOCKED_CLIENTS, CLIENTS_IN_TIMEOUT_TABLE, WATCHING_CLIENTS, WATCHED_KEYS,
        ):
            self.hub.counters[<int>level] = 0
        self.tell_time()
        self._watch(assignment["acceptor_wake"][index])
        self.listener = Listener(self.epoll, assignment["listen"], page, index)

    def _watch(self, int wake_fd):
        cdef epoll_event event
        self.epoll = epoll_create1(EPOLL_CLOEXEC)
        if self.epoll < 0:
            raise OSError(errno, os.strerror(errno))
        event.events = EPOLLIN | EPOLLET
        event.data.u64 = WAKE_UP
        if epoll_ctl(self.epoll, EPOLL_CTL_ADD, wake_fd, &event) < 0:
            raise OSError(errno, os.strerror(errno))

    def __dealloc__(self):
        if self.epoll > 0:
            close(self.epoll)

    # -- the turn

    def turn(self) -> None:
        """Serves until there is nothing to do, for about a millisecond."""
        cdef bint may_sleep = False
        stay_awake(&self.block.sleeping)
        self.scheduled = self.hub.cold = False
        self.turning = True
        try:
            may_sleep = self._serve(ticks() + self.turn_ticks)
            may_sleep = not self._free() and may_sleep
        finally:
            self.turning = False
            if not may_sleep:
                self._schedule()

    cdef bint _serve(self, uint64_t deadline) except -1:
        """Goes round until it may sleep (True), or something else has to run (False)."""
        cdef int timeout = 0
        cdef int worked
        cdef bint found
        poll_woken(&self.polling, ticks())
        while True:
            worked = self._take_events(timeout)
            self.progress.run_queue()
            self.requests.publish()
            worked += self.replies.drain()
            self.waiters.look()
            self.progress.retry_stalled()
            self.progress.run_queue()
            self.requests.publish()
            self.progress.flush()
            self.clients.free_removed()
            timeout = 0
            if self.hub.cold:
                return self.hub.queue_first == self.hub.dirty == NULL and self._may_sleep()
            found = self.hub.queue_first != NULL or self.hub.dirty != NULL or self._look(deadline)
            if ticks() > deadline:
                return False
            if found or not self._may_sleep():
                continue
            self.polling.blocked = True
            if not worked:
                return True
            timeout = BLOCK_MS

    cdef int _take_events(self, int timeout_ms) except -1:
        """Takes what the sockets have to say; returns how many did."""
        cdef epoll_event *event
        cdef Client *client
        cdef int number, count = self.ready
        if timeout_ms:
            with nogil:
                count = epoll_wait(self.epoll, self.events, EVENTS, timeout_ms)
            stay_awake(&self.block.sleeping)
            if count > 0:
                poll_woken(&self.polling, ticks())
        elif count == 0:
            count = epoll_wait(self.epoll, self.events, EVENTS, 0)
        self.ready = 0
        self.tell_time()
        for number in range(count):
            event = &self.events[number]
            if event.data.u64 >= LISTENERS_MAX:
                client = <Client *><uintptr_t>event.data.u64
                if event.events & EPOLLOUT and client.output.bytes:
                    client_touch_output(self.hub, client)
                if event.events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR):
                    client.readable = True
                    client.hangup |= event.events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR) != 0
                    client_enqueue(self.hub, client)
            elif event.data.u64 != WAKE_UP:
                self._accept(event.data.u64)
        return max(count, 0)

    cdef bint _look(self, uint64_t deadline) noexcept nogil:
        """Looks for something to do, as long as that pays, or a moment for workers that have requests of ours; returns
        whether there is."""
        cdef uint64_t now = ticks()
        cdef bint at_sockets = poll_begin(&self.polling, now)
        cdef uint64_t until = now + (self.polling.window if at_sockets else self.linger_ticks)
        if poll_contended(&self.polling, now):
            return self._found(False)  # each sched_yield would cost a time slice, and the right to the next one
        while at_sockets or self.requests.awaiting():
            if self._found(at_sockets):
                if at_sockets:
                    poll_found(&self.polling)
                return True
            if not poll_yield(&self.polling, &now) or now > until:
                if at_sockets:
                    poll_gave_up(&self.polling)
                break
            if now > deadline:
                break
        return self._found(False)

    cdef bint _found(self, bint at_sockets) noexcept nogil:
        cdef int _spin
        if self.requests.awaiting():
            for _spin in range(SPINS):
                if self.replies.waiting():
                    return True
                pause()
        if self.replies.waiting() or self._may_serve_stalled():
            return True
        if at_sockets:
            self.ready = max(epoll_wait(self.epoll, self.events, EVENTS, 0), 0)
        return self.ready > 0

    cdef bint _may_sleep(self) noexcept nogil:
        cdef uint64_t reasons = SLEEPS_FOR_RECORDS | (SLEEPS_FOR_ROOM if self.requests.waiting else 0)
        fall_asleep(&self.block.sleeping, reasons)
        if self.replies.waiting() or self._may_serve_stalled() or any_took_over(self.waiters):
            stay_awake(&self.block.sleeping)
            return False
        return True

    cdef bint _may_serve_stalled(self) noexcept nogil:
        cdef uint32_t worker
        if self.requests.waiting:
            for worker in range(self.requests.workers):
                if self.requests.may_serve(worker):
                    return True
        return False

    cdef bint _free(self) noexcept nogil:
        """Frees some of what segments left; returns whether there is more."""
        cdef int _step
        for _step in range(FREE_STEPS):
            if not free_some():
                return False
        return True

    cdef void _schedule(self):
        if not self.scheduled:
            self.scheduled = True
            self.loop.call_soon(self.turn)

    def _arm(self, delay_ms: int) -> None:
        """Sets the timer of those who wait."""
        if self.timer is not None:
            self.timer.cancel()
        self.timer = self.loop.call_later(delay_ms / 1000, self._expire)

    def _expire(self) -> None:
        self.timer = None
        self.waiters.expire()
        self.kick()

    def kick(self) -> None:
        """Asks for a turn; for whoever changed something outside of one."""
        if not self.turning:
            self._schedule()

    cdef void tell_time(self) noexcept nogil:
        cdef timespec now
        clock_gettime(CLOCK_REALTIME, &now)
        self.hub.now_ms = now.tv_sec * 1000 + now.tv_nsec // 1000000

    # -- connections

    cdef void _accept(self, uint64_t word):
        cdef sockaddr_storage address
        cdef int fd
        for _ in range(ACCEPTS):
            fd = self.listener.accept(word, &address)
            if fd == ACCEPTED_NONE:
                return
            if fd >= 0:
                self._open(fd, &address, address.ss_family == AF_UNIX)

    cdef void _open(self, int fd, const void *peer, bint is_unix):
        cdef Client *client = client_new(self.hub, fd)
        cdef epoll_event event
        if client == NULL or not self.clients.add(client):
            free(client)
            close(fd)
            return
        client.id = self.page.next_client_id()
        client.is_unix = is_unix
        if not is_unix:
            memcpy(client.peer, peer, ADDRESS_BYTES)
        event.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET
        event.data.u64 = <uintptr_t>client
        self.hub.counters[<int>CONNECTIONS_RECEIVED] += 1
        self.hub.counters[<int>CONNECTED_CLIENTS] += 1
        if epoll_ctl(self.epoll, EPOLL_CTL_ADD, fd, &event) < 0:
            self.progress.close(client)
