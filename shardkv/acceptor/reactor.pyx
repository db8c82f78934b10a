"""The acceptor's hot loop: see reactor.pxd."""
import logging
import os
import resource

from cpython.ref cimport Py_DECREF
from libc.errno cimport EAGAIN, EINTR, errno
from libc.stdint cimport int64_t, uint32_t, uint64_t, uintptr_t
from libc.stdlib cimport free
from libc.string cimport memcpy
from posix.time cimport CLOCK_REALTIME, clock_gettime, timespec
from posix.unistd cimport close

from shardkv.acceptor.connection cimport (
    ADDRESS_BYTES,
    PAUSE_ALL,
    PAUSE_NONE,
    PAUSE_WRITES,
    PENDING_MAX,
    WAIT_LOCAL,
    WAIT_NOTHING,
    WAIT_PAUSE,
    WAIT_PENDING,
    Connection,
    client_doom,
    client_enqueue,
    client_memory,
    client_new,
    client_release,
    client_touch_output,
    client_view,
)
from shardkv.acceptor.door cimport NOBODY
from shardkv.acceptor.input cimport input_make_room, input_settle, input_shrink, input_to_read
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
    MSG_DONTWAIT,
    epoll_create1,
    epoll_ctl,
    epoll_event,
    epoll_wait,
    recv,
    sockaddr_storage,
)
from shardkv.acceptor.output cimport output_send
from shardkv.acceptor.parser cimport (
    PARSED_ERROR,
    PARSED_MORE,
    PARSED_NOTHING,
    Parsed,
    frame_free,
    frame_parse,
    frame_reset,
)
from shardkv.acceptor.specs cimport CommandTable
from shardkv.atomic cimport atomic_fence, atomic_store_relaxed, ticks
from shardkv.ring cimport RingPair
from shardkv.segment cimport SegmentStore
from shardkv.stats cimport (
    BLOCKED_CLIENTS,
    CLIENT_MEMORY,
    CONNECTED_CLIENTS,
    CONNECTIONS_RECEIVED,
    CPU_SYS_US,
    CPU_USER_US,
    LARGEST_INPUT,
    LARGEST_OUTPUT,
    NET_INPUT_BYTES,
    NET_OUTPUT_BYTES,
    OUTPUT_BUFFER_DISCONNECTS,
    QUERY_BUFFER_DISCONNECTS,
)

from shardkv.acceptor.router import error_reply

cdef extern from "<sched.h>" nogil:
    int sched_yield()

cdef enum:
    WAKE_UP = 0               # epoll's word for our eventfd; below LISTENERS_MAX a listener, else a Client's address
    LISTENERS_MAX = 4096
    SPANS_KEEP = 1024
    RESUME_BELOW = 768        # requests on their way, for a client stopped at PENDING_MAX to go on

log = logging.getLogger("shardkv")


cdef class Reactor:
    def __init__(
        self, loop: object, server: object, table: CommandTable, assignment: dict, page: ControlPage, calls: object
    ) -> None:
        """Opens the rings of acceptor `assignment["index"]` and takes its listening sockets."""
        cdef SegmentStore segments = SegmentStore(assignment["folder"])
        self.loop, self.page = loop, page
        self.index = assignment["index"]
        self.block = page.acceptor(self.index)
        self.linger_ticks = page.header.ticks_per_ms * LINGER_US // 1000
        self.turn_ticks = page.header.ticks_per_ms * TURN_US // 1000
        self.places = Places(assignment["epoch"])
        pairs = [RingPair.open(f"{assignment['folder']}/ring-{self.index}-{w}") for w in range(assignment["workers"])]
        self.router = Router(
            table, page, self.index, pairs, assignment["worker_wake"], segments, self.places.epoch, calls
        )
        self.replies = Replies(pairs, self.places, self.router, segments, server)
        self.router.hub = self.replies.hub = &self.hub
        self.hub.counters = self.block.counters
        self.hub.counters[<int>CONNECTED_CLIENTS] = self.hub.counters[<int>BLOCKED_CLIENTS] = 0
        self._tell_time()
        self._start(assignment["acceptor_wake"][self.index], assignment["listen"])

    def _start(self, int wake_fd, listeners):
        cdef epoll_event event
        self.epoll = epoll_create1(EPOLL_CLOEXEC)
        if self.epoll < 0:
            raise OSError(errno, os.strerror(errno))
        event.events = EPOLLIN | EPOLLET
        event.data.u64 = WAKE_UP
        if epoll_ctl(self.epoll, EPOLL_CTL_ADD, wake_fd, &event) < 0:
            raise OSError(errno, os.strerror(errno))
        self.door = Door(self.epoll, listeners, self.page, self.index)

    def __dealloc__(self):
        if self.epoll > 0:
            close(self.epoll)

    def fileno(self) -> int:
        """The descriptor for the event loop to watch."""
        return self.epoll

    # -- the turn

    def turn(self) -> None:
        """Serves until there is nothing to do, for about a millisecond."""
        atomic_store_relaxed(&self.block.sleeping, 0)
        self.scheduled = self.hub.cold = False
        self.turning = True
        try:
            if not self._serve(ticks() + self.turn_ticks):
                self._schedule()
        finally:
            self.turning = False

    cdef bint _serve(self, uint64_t deadline) except -1:
        """Goes round until it may sleep (True), or something else has to run (False)."""
        cdef int timeout = 0
        cdef int events
        while True:
            events = self._poll(timeout)
            self._run_queue()
            self.router.publish()
            if self.replies.drain():
                self._unstall()
                self._run_queue()
                self.router.publish()
            self._flush()
            self.places.bury()
            timeout = 0
            if self.hub.queue_first == NULL and not self._linger() and self._may_sleep():
                if events == 0 or self.hub.cold:
                    return True
                timeout = 1
            if self.hub.cold or ticks() > deadline:
                return timeout != 0

    cdef int _poll(self, int timeout_ms) except -1:
        """Takes what the sockets have to say; answers how many did."""
        cdef epoll_event events[EVENTS]
        cdef epoll_event *event
        cdef Client *client
        cdef int number, count
        if timeout_ms:
            with nogil:
                count = epoll_wait(self.epoll, events, EVENTS, timeout_ms)
            atomic_store_relaxed(&self.block.sleeping, 0)
        else:
            count = epoll_wait(self.epoll, events, EVENTS, 0)
        self._tell_time()
        for number in range(count):
            event = &events[number]
            if event.data.u64 >= LISTENERS_MAX:
                client = <Client *><uintptr_t>event.data.u64
                if event.events & EPOLLOUT and client.output.bytes:
                    client_touch_output(&self.hub, client)
                if event.events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR):
                    client.readable = True
                    client.hangup |= event.events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR) != 0
                    client_enqueue(&self.hub, client)
            elif event.data.u64 != WAKE_UP:
                self._accept(event.data.u64)
        return max(count, 0)

    cdef bint _linger(self) noexcept nogil:
        """Gives way to workers that have requests of ours, for a moment; answers whether replies came."""
        cdef uint64_t until = ticks() + self.linger_ticks
        while self.router.awaiting() and ticks() < until:
            if self.replies.waiting():
                return True
            sched_yield()
        return self.replies.waiting()

    cdef bint _may_sleep(self) noexcept nogil:
        atomic_store_relaxed(&self.block.sleeping, 1)
        atomic_fence()
        if self.replies.waiting():
            atomic_store_relaxed(&self.block.sleeping, 0)
            return False
        return True

    cdef void _schedule(self):
        if not self.scheduled:
            self.scheduled = True
            self.loop.call_soon(self.turn)

    def kick(self) -> None:
        """Asks for a turn; for whoever changed something outside of one."""
        if not self.turning:
            self._schedule()

    cdef void _tell_time(self) noexcept nogil:
        cdef timespec now
        clock_gettime(CLOCK_REALTIME, &now)
        self.hub.now_ms = now.tv_sec * 1000 + now.tv_nsec // 1000000

    # -- connections

    cdef void _accept(self, uint64_t word):
        cdef sockaddr_storage address
        cdef int fd
        for _ in range(ACCEPTS):
            fd = self.door.admit(word, &address)
            if fd == NOBODY:
                return
            if fd >= 0:
                self._open(fd, &address, address.ss_family == AF_UNIX)

    cdef void _open(self, int fd, const void *peer, bint is_unix):
        cdef Client *client = client_new(&self.hub, fd)
        cdef epoll_event event
        if client == NULL or not self.places.add(client):
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
            self._close(client)

    cdef void _close(self, Client *client):
        if client.fd < 0:
            return
        close(client.fd)
        client.fd = -1
        if client.waiting == WAIT_PAUSE:
            self.hub.counters[<int>BLOCKED_CLIENTS] -= 1
        self.hub.counters[<int>CONNECTED_CLIENTS] -= 1
        client_release(client)
        if client.view != NULL:
            Py_DECREF(<object>client.view)
        self.places.remove(client)

    # -- requests

    cdef void _run_queue(self):
        """Lets every client that was queued when it began go on once."""
        cdef Client *last = self.hub.queue_last
        cdef Client *client
        while self.hub.queue_first != NULL:
            client = self.hub.queue_first
            self.hub.queue_first = client.next_queued
            if self.hub.queue_first == NULL:
                self.hub.queue_last = NULL
            client.queued = False
            self._advance(client)
            if client == last:
                break

    cdef void _advance(self, Client *client):
        if client.fd < 0 or client.doomed or client.closing or client.waiting in (WAIT_LOCAL, WAIT_PAUSE):
            return
        if client.waiting == WAIT_PENDING and client.next_request - client.next_reply > RESUME_BELOW:
            self._stall(client)
            return
        client.waiting = WAIT_NOTHING
        if (client.ready or client.start < client.length) and not self._consume(client):
            return
        if client.readable:
            self._read(client)

    cdef void _stall(self, Client *client) noexcept nogil:
        client.queued = True
        client.next_queued = self.stalled
        self.stalled = client

    cdef void _unstall(self) noexcept nogil:
        cdef Client *client = self.stalled
        cdef Client *following
        self.stalled = NULL
        while client != NULL:
            following = client.next_queued
            client.queued = False
            client_enqueue(&self.hub, client)
            client = following

    cdef bint _consume(self, Client *client):
        """Routes the requests in the input; False: the client has to wait, or takes no more."""
        cdef Parsed parsed
        cdef bint known = client.authenticated or not self.hub.require_auth
        while not (client.closing or client.doomed):
            if not client.ready:
                parsed = frame_parse(
                    &client.frame, client.input + client.start, client.length - client.start, self.hub.bulk_max, known
                )
                if parsed == PARSED_MORE:
                    break
                if parsed == PARSED_ERROR:
                    self._protocol_error(client)
                    return False
                client.ready = parsed != PARSED_NOTHING
            if client.ready:
                if client.next_request - client.next_reply >= PENDING_MAX:
                    client.waiting = WAIT_PENDING
                    self._stall(client)
                    return False
                if not self.router.route(client):
                    if client.waiting != WAIT_PAUSE:
                        self._stall(client)
                    return False
                known = client.authenticated or not self.hub.require_auth
            client.ready = False
            client.start += client.frame.position
            if client.frame.capacity > SPANS_KEEP:
                frame_free(&client.frame)
            frame_reset(&client.frame)
            if client.waiting == WAIT_LOCAL:
                self.hub.cold = True
                return False
        input_settle(client)
        return not (client.closing or client.doomed)

    cdef void _protocol_error(self, Client *client):
        text = client.frame.error.decode()
        if not text:
            text = f"Protocol error: expected '$', got '{chr(client.frame.unexpected)}'"
        self.router.refuse(client, error_reply(text if text.startswith("OOM") else f"ERR {text}"))
        client.closing = True
        client_touch_output(&self.hub, client)

    cdef void _read(self, Client *client):
        cdef uint64_t room
        cdef ssize_t got
        if not input_make_room(client):
            client_doom(&self.hub, client)
            return
        room = input_to_read(client)
        got = recv(client.fd, client.input + client.length, room, MSG_DONTWAIT)
        if got <= 0:
            if got < 0 and errno == EAGAIN:
                client.readable = False
            elif got == 0 or errno != EINTR:
                self._end_of_input(client)
            else:
                client_enqueue(&self.hub, client)
            return
        client.length += got
        client.peak = max(client.peak, client.length)
        client.active_ms = self.hub.now_ms
        self.hub.counters[<int>NET_INPUT_BYTES] += got
        client.readable = <uint64_t>got == room or client.hangup
        if self._consume(client):
            if client.length - client.start > self.hub.query_max:
                self.hub.counters[<int>QUERY_BUFFER_DISCONNECTS] += 1
                log.warning("closing a client that reached the query buffer limit")
                client_doom(&self.hub, client)
            elif client.readable:
                client_enqueue(&self.hub, client)

    cdef void _end_of_input(self, Client *client) noexcept nogil:
        # Replies on their way are still sent: the client may have shut down its sending side only.
        client.readable = False
        client.closing = True
        client_touch_output(&self.hub, client)

    cdef void _flush(self):
        """Sends what waits, closes what is done."""
        cdef Client *client = self.hub.dirty
        cdef Client *following
        cdef int64_t sent
        self.hub.dirty = NULL
        while client != NULL:
            following = client.next_dirty
            client.dirty = False
            sent = 0
            if not client.doomed and client.output.bytes:
                sent = output_send(&client.output, client.fd)
                if sent > 0:
                    self.hub.counters[<int>NET_OUTPUT_BYTES] += sent
            if client.doomed or sent < 0 or self._over_limit(client):
                self._close(client)
            elif client.closing and client.output.bytes == 0 and client.next_reply == client.next_request:
                self._close(client)
            client = following

    cdef bint _over_limit(self, Client *client) noexcept nogil:
        cdef uint64_t held = client.output.bytes
        if self.hub.output_soft == 0 or held <= self.hub.output_soft:
            client.soft_since_ms = 0
        elif client.soft_since_ms == 0:
            client.soft_since_ms = self.hub.now_ms
        if self.hub.output_hard and held > self.hub.output_hard or (
            client.soft_since_ms and self.hub.now_ms - client.soft_since_ms > self.hub.output_soft_ms
        ):
            self.hub.counters[<int>OUTPUT_BUFFER_DISCONNECTS] += 1
            return True
        return False

    # -- for the server, in Python

    def configure(self, settings: object) -> None:
        """Takes over what concerns connections from the settings."""
        hard, soft, seconds = settings.value("client-output-buffer-limit")["normal"]
        self.hub.output_hard, self.hub.output_soft, self.hub.output_soft_ms = hard, soft, seconds * 1000
        self.hub.bulk_max = settings.number("proto-max-bulk-len")
        self.hub.query_max = settings.number("client-query-buffer-limit")
        self.hub.idle_ms = settings.number("timeout") * 1000
        self.hub.require_auth = bool(settings.get("requirepass"))
        self.door.protected = settings.enabled("protected-mode") and not self.hub.require_auth
        self.door.max_clients = settings.number("maxclients")
        self.door.keepalive_s = settings.number("tcp-keepalive")

    def connections(self) -> list:
        """All connections, oldest place first."""
        cdef uint32_t place
        cdef Client **clients = self.places.clients
        places = [place for place in range(1, self.places.count) if clients[place] != NULL]
        return [client_view(&self.hub, clients[<uint32_t>place]) for place in places]

    def complete(self, Connection connection, uint64_t sequence, bytes reply) -> None:
        """The reply of a request whose handler ran asynchronously."""
        cdef Client *client = connection.client
        if client.fd < 0:
            return
        self.router.finish_local(client, sequence, reply)
        client_enqueue(&self.hub, client)
        self.kick()

    def ask(self, uint32_t worker, uint64_t question, list args) -> bool:
        """Sends a question of our own to a worker; False: its ring is full. Raises ValueError when it is too large."""
        cdef bint sent = self.router.ask(worker, question, args)
        self.kick()
        return sent

    def set_loading(self, loading: bool) -> None:
        """Whether commands are refused that need every shard to be served."""
        self.hub.loading = loading

    def pause(self, writes_only: bool) -> None:
        """From now on requests wait: all of them, or those that write."""
        self.hub.paused = PAUSE_WRITES if writes_only else PAUSE_ALL

    def unpause(self) -> None:
        """Lets waiting requests go on."""
        cdef uint32_t place
        self.hub.paused = PAUSE_NONE
        for place in range(1, self.places.count):
            if self.places.clients[place] != NULL and self.places.clients[place].waiting == WAIT_PAUSE:
                self.places.clients[place].waiting = WAIT_NOTHING
                self.hub.counters[<int>BLOCKED_CLIENTS] -= 1
                client_enqueue(&self.hub, self.places.clients[place])
        self.kick()

    def stop_accepting(self) -> None:
        """Takes no more connections and no more requests; what was taken is still answered."""
        cdef uint32_t place
        self.door.ignore()
        for place in range(1, self.places.count):
            if self.places.clients[place] != NULL:
                self.places.clients[place].closing = True
                self.places.clients[place].doomed = self.places.clients[place].waiting == WAIT_LOCAL
                client_touch_output(&self.hub, self.places.clients[place])
        self.kick()

    def idle(self) -> bool:
        """Whether no connection is left."""
        return self.hub.counters[<int>CONNECTED_CLIENTS] == 0

    def tend(self) -> None:
        """Ten times a second: idle connections, buffers, limits with a time, and what the control page tells of us."""
        cdef uint64_t memory = 0, largest_input = 0, largest_output = 0
        cdef Client *client
        cdef uint32_t place
        self._tell_time()
        self.door.tend()
        for place in range(1, self.places.count):
            client = self.places.clients[place]
            if client == NULL:
                continue
            self._tend_client(client)
            memory += client_memory(client)
            largest_input = max(largest_input, client.capacity)
            largest_output = max(largest_output, client.output.memory)
        self.hub.counters[<int>CLIENT_MEMORY] = memory
        self.hub.counters[<int>LARGEST_INPUT] = largest_input
        self.hub.counters[<int>LARGEST_OUTPUT] = largest_output
        usage = resource.getrusage(resource.RUSAGE_SELF)
        self.hub.counters[<int>CPU_USER_US] = int(usage.ru_utime * 1e6)
        self.hub.counters[<int>CPU_SYS_US] = int(usage.ru_stime * 1e6)
        if self.hub.dirty != NULL:
            self.kick()

    cdef void _tend_client(self, Client *client) noexcept nogil:
        cdef int64_t idle_ms = self.hub.now_ms - client.active_ms
        if self._over_limit(client) or (
            self.hub.idle_ms and idle_ms > self.hub.idle_ms and client.waiting == WAIT_NOTHING
            and client.next_request == client.next_reply
        ):
            client_doom(&self.hub, client)
        else:
            input_shrink(client, idle_ms)
