"""How one client gets on: see progress.pxd."""
import logging

from cpython.ref cimport Py_DECREF
from libc.errno cimport EAGAIN, EINTR, errno
from libc.stdint cimport int64_t, uint32_t, uint64_t
from posix.unistd cimport close as close_descriptor

from shardkv.acceptor.client cimport (
    PENDING_MAX,
    WAIT_BLOCKED,
    WAIT_LOCAL,
    WAIT_NOTHING,
    WAIT_PAUSE,
    WAIT_PENDING,
    WAIT_RING,
    WAIT_TRANSACTION,
    Client,
    client_await_replies,
    client_doom,
    client_enqueue,
    client_output_bytes,
    client_release,
    client_resume,
    client_touch_output,
    client_unwatch,
)
from shardkv.acceptor.connection cimport connection_of
from shardkv.acceptor.input cimport (
    input_complete,
    input_consumed,
    input_drop_segment,
    input_make_room,
    input_next_request,
    input_spill,
)
from shardkv.acceptor.net cimport MSG_DONTWAIT, recv
from shardkv.acceptor.output cimport SEND_LEAST, SEND_STEP, output_send
from shardkv.acceptor.parser cimport (
    PARSED_ERROR,
    PARSED_MORE,
    PARSED_NOTHING,
    Parsed,
    frame_parse,
)
from shardkv.acceptor.refusal cimport error_reply, reply_at_once
from shardkv.acceptor.requests cimport Queue
from shardkv.acceptor.waiters cimport is_blocked
from shardkv.atomic cimport atomic_load_acquire
from shardkv.stats cimport (
    CONNECTED_CLIENTS,
    NET_INPUT_BYTES,
    NET_OUTPUT_BYTES,
    OUTPUT_BUFFER_DISCONNECTS,
    QUERY_BUFFER_DISCONNECTS,
)

from shardkv.acceptor.describe import describe
from shardkv.segment import no_segment

cdef enum:
    RESUME_BELOW = 768        # requests on their way, for a client stopped at PENDING_MAX to go on
    SHOWN_BYTES = 64          # of the input of a client that is closed for its length

log = logging.getLogger("shardkv")


cdef class Progress:
    def __init__(self, ClientTable clients, Router router, Requests requests, Waiters waiters) -> None:
        """Serves the clients of a table; their requests go to `router`, and wait for room in `requests`."""
        self.clients, self.router, self.requests, self.segments = clients, router, requests, requests.segments
        self.waiters = waiters

    # -- requests

    cdef void run_queue(self):
        """Lets every client that was queued when it began go on once."""
        cdef Client *last = self.hub.queue_last
        cdef Client *client
        while self.hub.queue_first != NULL:
            client = self.hub.queue_first
            self.hub.queue_first = client.next_queued
            if self.hub.queue_first == NULL:
                self.hub.queue_last = NULL
            client.queued = False
            self._advance_safely(client)
            if client == last:
                break

    cdef void _advance_safely(self, Client *client):
        try:
            self._advance(client)
        except Exception:
            log.exception("closing a client after an error of ours")
            client_doom(&self.hub, client)

    cdef void _advance(self, Client *client):
        if client.fd < 0 or client.doomed:
            return
        if (client.waiting == WAIT_TRANSACTION or client.again) and not self._go_on(client):
            return
        if client.closing or client.waiting in (WAIT_LOCAL, WAIT_PAUSE):
            return
        if client.waiting == WAIT_BLOCKED:
            if client.hangup and is_blocked(client):
                client_doom(&self.hub, client)
            return
        if client.waiting == WAIT_PENDING and client.next_request - client.next_reply > RESUME_BELOW:
            return
        client_resume(&self.hub, client)
        if (client.ready or client.start < client.length) and not self._consume(client):
            return
        if client.readable:
            self._read(client)

    cdef bint _go_on(self, Client *client):
        if not client.again:
            self.router.finish(client)
        elif not self.router.send_again(client) and client.waiting == WAIT_RING:
            self.requests.enqueue(client)
        if client.waiting != WAIT_NOTHING and client.weaver == NULL:
            return False
        if client.ready:
            client.ready = False
            input_next_request(client)
        return client.waiting == WAIT_NOTHING

    cdef void retry_stalled(self):
        cdef uint32_t worker
        if self.requests.waiting:
            for worker in range(self.requests.workers):
                if self.requests.may_serve(worker):
                    self._retry(worker)

    cdef void _retry(self, uint32_t worker):
        cdef Queue *queue = &self.requests.queues[worker]
        cdef Client *last = queue.last
        cdef Client *client = NULL
        queue.tried_at = atomic_load_acquire(&self.requests.rings[worker].shared.head)
        self.requests.serve_posted(worker)
        while queue.posted == NULL and client != last:
            client = self.requests.serve_next(worker)
            if client == NULL:
                break
            self._advance_safely(client)
            if not self.requests.end_turn():
                break

    cdef bint _consume(self, Client *client):
        """Routes the requests in the input; False: the client has to wait, or takes no more."""
        cdef Parsed parsed
        cdef bint known = client.authenticated or not self.hub.require_auth
        while not (client.closing or client.doomed):
            if not client.ready:
                parsed = frame_parse(
                    &client.frame, client.input + client.start - client.frame.spilled,
                    client.length - client.start + client.frame.spilled, self.hub.bulk_max, known
                )
                if parsed == PARSED_MORE:
                    input_spill(client, self.segments)
                    break
                if parsed == PARSED_ERROR:
                    self._protocol_error(client)
                    return False
                client.ready = parsed != PARSED_NOTHING
                if client.frame.spilled:
                    input_complete(client, self.segments)
            if client.ready:
                if client.next_request - client.next_reply >= PENDING_MAX:
                    client_await_replies(client)
                    return False
                if client.unkept:
                    if client.in_multi:
                        client.multi.failed = True
                    reply_at_once(&self.hub, client, error_reply(no_segment(client.unkept)))
                elif not self.router.route(client):
                    if client.waiting == WAIT_RING:
                        self.requests.enqueue(client)
                    return False
                if client.waiting == WAIT_TRANSACTION and client.weaver == NULL:
                    return False  # and the frame is kept
                known = client.authenticated or not self.hub.require_auth
            client.ready = False
            input_next_request(client)
            if client.waiting != WAIT_NOTHING:
                self.hub.cold = True
                return False
            if client.waiting == WAIT_BLOCKED:
                input_consumed(client)
                return False
        input_consumed(client)
        return not (client.closing or client.doomed)

    cdef void _protocol_error(self, Client *client):
        text = client.frame.error.decode()
        if not text:
            text = f"Protocol error: expected '$', got '{chr(client.frame.unexpected)}'"
        reply_at_once(&self.hub, client, error_reply(text if text.startswith("OOM") else f"ERR {text}"))
        client.closing = True
        client_touch_output(&self.hub, client)

    cdef void _read(self, Client *client):
        cdef uint64_t room, queued
        cdef ssize_t got
        if not input_make_room(client):
            client_doom(&self.hub, client)
            return
        room = client.capacity - client.length
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
            queued = client.multi.charged if client.in_multi else 0
            if client.length - client.start + client.frame.spilled + queued > self.hub.query_max:
                self.hub.counters[<int>QUERY_BUFFER_DISCONNECTS] += 1
                client_doom(&self.hub, client)
                self._log_query_limit(client)
            elif client.readable:
                client_enqueue(&self.hub, client)

    cdef void _end_of_input(self, Client *client) noexcept nogil:
        # Replies on their way are still sent: the client may have shut down its sending side only.
        client.readable = False
        client.closing = True
        client_touch_output(&self.hub, client)

    # -- output

    cdef void flush(self):
        """Sends what waits, closes what is done. Those who have something to be sent share SEND_STEP."""
        cdef Client *client = self.hub.dirty
        cdef Client *following
        cdef uint64_t step = SEND_STEP
        if self.hub.dirty_clients > 1:
            step = max(<uint64_t>SEND_LEAST, step // self.hub.dirty_clients)
        self.hub.dirty = NULL
        self.hub.dirty_clients = 0
        while client != NULL:
            following = client.next_dirty
            client.dirty = False
            self._settle_safely(client, step)
            client = following

    cdef void _settle_safely(self, Client *client, uint64_t step):
        try:
            self._settle(client, step)
        except Exception:
            log.exception("closing a client after an error of ours")
            client_doom(&self.hub, client)

    cdef void _settle(self, Client *client, uint64_t step):
        cdef int64_t sent = 0
        if not client.doomed and client.output.bytes:
            sent = output_send(&client.output, client.fd, step)
            if sent > 0:
                self.hub.counters[<int>NET_OUTPUT_BYTES] += sent
        if client.doomed or sent < 0:
            self.close(client)
        elif self.over_limit(client):
            client.doomed = True
            self.hub.counters[<int>OUTPUT_BUFFER_DISCONNECTS] += 1
            log.warning("Client %s closed for overcoming of output buffer limits.", self._described(client))
            self.close(client)
        elif client.closing and client.output.bytes == 0 and client.next_reply == client.next_request:
            self.close(client)
        else:
            if sent >= <int64_t>step and client.output.bytes:
                client_touch_output(&self.hub, client)  # others have their turn
            if client.waiting == WAIT_PENDING and client.next_request - client.next_reply <= RESUME_BELOW:
                client_enqueue(&self.hub, client)

    cdef bint over_limit(self, Client *client) noexcept nogil:
        cdef uint64_t held = client_output_bytes(client)
        if self.hub.output_soft == 0 or held <= self.hub.output_soft:
            client.soft_since_ms = 0
        elif client.soft_since_ms == 0:
            client.soft_since_ms = self.hub.now_ms
        return self.hub.output_hard and held > self.hub.output_hard or (
            client.soft_since_ms and self.hub.now_ms - client.soft_since_ms > self.hub.output_soft_ms
        )

    cdef str _described(self, Client *client):
        return describe(connection_of(&self.hub, client), self.hub.now_ms)

    cdef void _log_query_limit(self, Client *client):
        cdef bytes begin = client.input[client.start:min(client.length, client.start + <uint64_t>SHOWN_BYTES)]
        log.warning(
            "Closing client that reached max query buffer length: %s (qbuf initial bytes: %s)",
            self._described(client), repr(begin)[1:],
        )

    cdef void close(self, Client *client):
        if client.fd < 0:
            return
        close_descriptor(client.fd)
        client.fd = -1
        self.waiters.drop(client)
        client_resume(&self.hub, client)
        self.hub.counters[<int>CONNECTED_CLIENTS] -= 1
        input_drop_segment(client)
        client_unwatch(&self.hub, client)
        self.router.transactions.drop_weaver(client)
        client_release(client)
        if client.view != NULL:
            Py_DECREF(<object>client.view)
        self.clients.remove(client)
