"""The acceptor's sockets and rings, as its Python side sees them: see reactor.pxd."""
import logging
import resource

from libc.stdint cimport int64_t, uint32_t, uint64_t

from shardkv.acceptor.client cimport (
    PAUSE_ALL,
    PAUSE_NONE,
    PAUSE_WRITES,
    WAIT_LOCAL,
    WAIT_NOTHING,
    WAIT_PAUSE,
    WAIT_TRANSACTION,
    Client,
    client_doom,
    client_enqueue,
    client_memory,
    client_resume,
    client_shrink_multi,
    client_touch_output,
)
from shardkv.acceptor.connection cimport Connection, connection_of
from shardkv.acceptor.input cimport IDLE_MS, input_shrink
from shardkv.acceptor.waiters cimport is_blocked
from shardkv.polling cimport poll_configure
from shardkv.segment cimport free_some
from shardkv.stats cimport (
    CLIENT_MEMORY,
    CONNECTED_CLIENTS,
    CPU_SYS_US,
    CPU_USER_US,
    LARGEST_INPUT,
    LARGEST_OUTPUT,
)

log = logging.getLogger("shardkv")


cdef class Reactor(Turn):
    def fileno(self) -> int:
        """The descriptor for the event loop to watch."""
        return self.epoll

    def configure(self, settings: object) -> None:
        """Takes over what concerns connections from the settings."""
        hard, soft, seconds = settings.value("client-output-buffer-limit")["normal"]
        self.hub.output_hard, self.hub.output_soft, self.hub.output_soft_ms = hard, soft, seconds * 1000
        self.hub.bulk_max = settings.number("proto-max-bulk-len")
        self.hub.query_max = settings.number("client-query-buffer-limit")
        self.hub.idle_ms = settings.number("timeout") * 1000
        self.hub.require_auth = bool(settings.get("requirepass"))
        self.listener.protected = settings.enabled("protected-mode") and not self.hub.require_auth
        self.listener.max_clients = settings.number("maxclients")
        poll_configure(&self.polling, self.page.header.ticks_per_ms, settings.number("busy-poll-us"))
        self.listener.read_limit()
        self.listener.keepalive_s = settings.number("tcp-keepalive")

    def connections(self, uint32_t place, uint32_t count) -> tuple:
        """Returns up to `count` connections from a place of the client table on, and the place to go on at (0: none).

        Making a Connection can run the collector, but not close a client: that is only done in a turn.
        """
        cdef uint32_t end = self.clients.count
        found = []
        while place < end and <uint32_t>len(found) < count:
            if self.clients.clients[place] != NULL:
                found.append(connection_of(self.hub, self.clients.clients[place]))
            place += 1
        return found, place if place < end else 0

    def complete(self, Connection connection, uint64_t sequence, bytes reply) -> None:
        """The reply of a request whose handler ran asynchronously."""
        cdef Client *client = connection.client
        if client.fd < 0:
            return
        try:
            self.progress.router.finish_local(client, sequence, reply)
        except Exception:
            log.exception("closing a client after an error of ours")
            client_doom(self.hub, client)
        client_enqueue(self.hub, client)
        self.kick()

    def unblock(self, Connection connection, with_error: bool) -> bool:
        """Ends the wait of a client that is blocked, as by its time-out or with an error; False: it is not."""
        cdef bint unblocked = self.waiters.unblock(connection.client, with_error)
        self.kick()
        return unblocked

    def ask(self, uint32_t worker, uint64_t question, list args) -> bool:
        """Sends a question of our own to a worker; False: its ring is full. Raises ValueError when it is too large."""
        cdef bint sent = self.requests.ask(worker, question, args)
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
        for place in range(1, self.clients.count):
            if self.clients.clients[place] != NULL and self.clients.clients[place].waiting == WAIT_PAUSE:
                client_resume(self.hub, self.clients.clients[place])
                client_enqueue(self.hub, self.clients.clients[place])
        self.kick()

    def stop_accepting(self) -> None:
        """Takes no more connections and no more requests; what was taken is still answered."""
        cdef uint32_t place
        self.listener.unwatch()
        for place in range(1, self.clients.count):
            if self.clients.clients[place] != NULL:
                self.clients.clients[place].closing = True
                self.clients.clients[place].doomed |= (
                    self.clients.clients[place].waiting == WAIT_LOCAL or is_blocked(self.clients.clients[place])
                )
                client_touch_output(self.hub, self.clients.clients[place])
        self.kick()

    def idle(self) -> bool:
        """Whether no connection is left."""
        return self.hub.counters[<int>CONNECTED_CLIENTS] == 0

    def tick(self) -> None:
        """Ten times a second: idle connections, buffers, limits with a time, and what the control page tells of us."""
        cdef uint64_t memory = 0, largest_input = 0, largest_output = 0
        cdef Client *client
        cdef uint32_t place
        self.tell_time()
        self.listener.resume()
        for place in range(1, self.clients.count):
            client = self.clients.clients[place]
            if client == NULL:
                continue
            self._check_client(client)
            if client.again and client.waiting == WAIT_TRANSACTION:
                client_enqueue(self.hub, client)
            memory += client_memory(client)
            largest_input = max(largest_input, client.capacity)
            largest_output = max(largest_output, client.output.memory + client.held)
        self.clients.give_back()
        self.hub.counters[<int>CLIENT_MEMORY] = memory
        self.hub.counters[<int>LARGEST_INPUT] = largest_input
        self.hub.counters[<int>LARGEST_OUTPUT] = largest_output
        usage = resource.getrusage(resource.RUSAGE_SELF)
        self.hub.counters[<int>CPU_USER_US] = int(usage.ru_utime * 1e6)
        self.hub.counters[<int>CPU_SYS_US] = int(usage.ru_stime * 1e6)
        if self.hub.dirty != NULL or self.hub.queue_first != NULL or free_some():
            self.kick()

    cdef void _check_client(self, Client *client) noexcept nogil:
        cdef int64_t idle_ms = self.hub.now_ms - client.active_ms
        if self.progress.over_limit(client):
            client_touch_output(self.hub, client)  # `flush` sends what it can, and closes who is over it still
        elif (
            self.hub.idle_ms and idle_ms > self.hub.idle_ms and client.waiting == WAIT_NOTHING
            and client.next_request == client.next_reply
        ):
            client_doom(self.hub, client)
        else:
            input_shrink(client, idle_ms)
            if idle_ms > IDLE_MS and client.waiting == WAIT_NOTHING:
                client_shrink_multi(client)
