"""One client's connection: see connection.pxd."""
import socket

from cpython.ref cimport Py_INCREF
from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memchr, memset

from shardkv.acceptor.join cimport join_free
from shardkv.acceptor.output cimport output_append, output_free, output_take, payload_copy, payload_free
from shardkv.acceptor.parser cimport frame_free, frame_reset
from shardkv.stats cimport ERROR_REPLIES

cdef enum:
    FIRST_SLOTS = 16
    ERROR_KINDS_MAX = 128
    ERROR_CODE_MAX = 64

# Errors delivered to clients, by their first word.
error_counts: dict[bytes, int] = {}


# -- life

cdef Client *client_new(Hub *hub, int fd) noexcept nogil:
    cdef Client *client = <Client *>calloc(1, sizeof(Client))
    if client == NULL:
        return NULL
    client.fd = fd
    client.resp = 2
    client.authenticated = not hub.require_auth
    client.created_ms = client.active_ms = hub.now_ms
    frame_reset(&client.frame)
    return client


cdef void client_release(Client *client) noexcept nogil:
    cdef uint32_t index
    free(client.input)
    client.input = NULL
    client.capacity = client.start = client.length = 0
    frame_free(&client.frame)
    for index in range(client.slots_capacity):
        if client.slots[index].state == SLOT_HELD:
            payload_free(&client.slots[index].payload)
        elif client.slots[index].state == SLOT_JOIN:
            join_free(client.slots[index].join)
    free(client.slots)
    client.slots = NULL
    client.slots_capacity = client.marked = 0
    output_free(&client.output)


cdef void client_enqueue(Hub *hub, Client *client) noexcept nogil:
    if client.queued:
        return
    client.queued = True
    client.next_queued = NULL
    if hub.queue_last == NULL:
        hub.queue_first = client
    else:
        hub.queue_last.next_queued = client
    hub.queue_last = client


cdef void client_touch_output(Hub *hub, Client *client) noexcept nogil:
    if not client.dirty:
        client.dirty = True
        client.next_dirty = hub.dirty
        hub.dirty = client


cdef void client_doom(Hub *hub, Client *client) noexcept nogil:
    client.doomed = True
    client_touch_output(hub, client)


# -- order

cdef Slot *client_slot(Client *client, uint64_t sequence) noexcept nogil:
    cdef Slot *slot
    if sequence - client.next_reply >= client.slots_capacity:
        return NULL
    slot = &client.slots[sequence & (client.slots_capacity - 1)]
    return slot if slot.state != SLOT_EMPTY else NULL


cdef Slot *client_mark(Client *client, uint64_t sequence, SlotState state) noexcept nogil:
    cdef Slot *slot
    if sequence - client.next_reply >= client.slots_capacity and not grow_slots(client, sequence - client.next_reply):
        return NULL
    slot = &client.slots[sequence & (client.slots_capacity - 1)]
    if slot.state == SLOT_EMPTY:
        client.marked += 1
    slot.state = <uint8_t>state
    return slot


cdef bint grow_slots(Client *client, uint64_t distance) noexcept nogil:
    cdef uint32_t capacity = client.slots_capacity if client.slots_capacity else FIRST_SLOTS
    cdef uint64_t sequence
    cdef Slot *slots
    while capacity <= distance:
        capacity *= 2
    slots = <Slot *>calloc(capacity, sizeof(Slot))
    if slots == NULL:
        return False
    for sequence in range(client.next_reply, client.next_reply + client.slots_capacity):
        slots[sequence & (capacity - 1)] = client.slots[sequence & (client.slots_capacity - 1)]
    free(client.slots)
    client.slots = slots
    client.slots_capacity = capacity
    return True


cdef void deliver(Hub *hub, Client *client, uint64_t sequence, const char *data, uint64_t length) noexcept nogil:
    cdef Payload payload
    if client.marked == 0 and sequence == client.next_reply:
        if length and data[0] == c'-':
            count_error(hub, data, length)
        client.next_reply += 1
        if not output_append(&client.output, data, length):
            client.doomed = True
        client_touch_output(hub, client)
    elif payload_copy(&payload, data, length):
        deliver_payload(hub, client, sequence, &payload)
    else:
        client_doom(hub, client)


cdef void deliver_payload(Hub *hub, Client *client, uint64_t sequence, Payload *payload) noexcept nogil:
    cdef Slot *slot = client_slot(client, sequence)
    if payload.length and payload.bytes[0] == c'-':
        count_error(hub, payload.bytes, payload.length)
    if slot != NULL and slot.state == SLOT_HELD:
        payload_free(payload)  # a second reply to one request: dropped
        return
    if slot != NULL and slot.state == SLOT_MUTED:
        payload_free(payload)
        memset(payload, 0, sizeof(Payload))
    slot = client_mark(client, sequence, SLOT_HELD)
    if slot == NULL:
        payload_free(payload)
        client_doom(hub, client)
        return
    slot.payload = payload[0]
    slot.join = NULL
    send_on(hub, client)


cdef void send_on(Hub *hub, Client *client) noexcept nogil:
    """Moves the replies whose turn has come to the output."""
    cdef Slot *slot
    while client.marked:
        slot = client_slot(client, client.next_reply)
        if slot == NULL or slot.state != SLOT_HELD:
            break
        if not output_take(&client.output, &slot.payload) and slot.payload.length:
            client.doomed = True
        memset(slot, 0, sizeof(Slot))
        client.marked -= 1
        client.next_reply += 1
        client_touch_output(hub, client)


cdef void count_error(Hub *hub, const char *data, uint64_t length) noexcept with gil:
    cdef const char *end = <const char *>memchr(data, c'\r', min(length, <uint64_t>ERROR_CODE_MAX))
    cdef bytes word
    cdef uint64_t size
    hub.counters[<int>ERROR_REPLIES] += 1
    size = <uint64_t>(end - data) if end != NULL else min(length, <uint64_t>ERROR_CODE_MAX)
    word = data[1:size].split(b" ")[0]
    if word in error_counts or len(error_counts) < ERROR_KINDS_MAX:
        error_counts[word] = error_counts.get(word, 0) + 1


# -- what Python sees

_REPLY_MODES = ("on", "off", "skip", "skipping")


cdef Connection client_view(Hub *hub, Client *client):
    cdef Connection view
    if client.view != NULL:
        return <Connection>client.view
    view = Connection.__new__(Connection)
    view.client = client
    view.hub = hub
    view.addr, view.laddr = addresses(client)
    view.name = view.lib_name = view.lib_ver = b""
    view.user = "default"
    client.view = <PyObject *>view
    Py_INCREF(view)
    return view


cdef tuple addresses(Client *client):
    with socket.socket(fileno=socket.dup(client.fd)) as sock:
        local = sock.getsockname()
        if client.is_unix:
            path = local.decode(errors="replace") if isinstance(local, bytes) else local
            return f"{path}:0", f"{path}:0"
        raw = bytes(client.peer[:ADDRESS_BYTES])
        wide = sock.family == socket.AF_INET6
        host = socket.inet_ntop(sock.family, raw[8:24] if wide else raw[4:8])
        port = int.from_bytes(raw[2:4], "big")
        return tuple(f"[{name}]:{number}" if wide else f"{name}:{number}" for name, number in ((host, port), local[:2]))


cdef class Connection:
    def __dealloc__(self):
        # A client that the reactor has let go of is ours to free.
        if self.client != NULL:
            self.client.view = NULL
            if self.client.buried:
                free(self.client)

    @property
    def id(self) -> int:
        return self.client.id

    @property
    def fd(self) -> int:
        return self.client.fd

    @property
    def unix(self) -> bool:
        return bool(self.client.is_unix)

    @property
    def db(self) -> int:
        return self.client.database

    @db.setter
    def db(self, value: int) -> None:
        self.client.database = value

    @property
    def resp(self) -> int:
        return self.client.resp

    @resp.setter
    def resp(self, value: int) -> None:
        self.client.resp = value

    @property
    def authenticated(self) -> bool:
        return bool(self.client.authenticated)

    @authenticated.setter
    def authenticated(self, value: bool) -> None:
        self.client.authenticated = value

    @property
    def created_ms(self) -> int:
        """Unix time in milliseconds, as is active_ms."""
        return self.client.created_ms

    @property
    def active_ms(self) -> int:
        return self.client.active_ms

    @property
    def last_command(self) -> int:
        """Id of the command it sent last; -1 before the first."""
        return self.client.last_command if self.client.next_request else -1

    @property
    def no_touch(self) -> bool:
        return bool(self.client.no_touch)

    @no_touch.setter
    def no_touch(self, value: bool) -> None:
        self.client.no_touch = value

    @property
    def no_evict(self) -> bool:
        return bool(self.client.no_evict)

    @no_evict.setter
    def no_evict(self, value: bool) -> None:
        self.client.no_evict = value

    @property
    def reply_mode(self) -> str:
        return _REPLY_MODES[self.client.reply_mode]

    @reply_mode.setter
    def reply_mode(self, value: str) -> None:
        self.client.reply_mode = _REPLY_MODES.index(value)

    @property
    def closing(self) -> bool:
        return bool(self.client.fd < 0 or self.client.closing or self.client.doomed)

    @property
    def pending(self) -> int:
        """Requests without a reply."""
        return self.client.next_request - self.client.next_reply

    @property
    def query_bytes(self) -> int:
        return self.client.length - self.client.start

    @property
    def query_free(self) -> int:
        return self.client.capacity - self.client.length + self.client.start

    @property
    def argument_bytes(self) -> int:
        """Bytes of the arguments of a request that is not complete."""
        return self.client.frame.payload

    @property
    def output_bytes(self) -> int:
        return self.client.output.bytes

    @property
    def output_list_length(self) -> int:
        return self.client.output.chunks

    @property
    def output_memory(self) -> int:
        return self.client.output.memory

    @property
    def memory(self) -> int:
        return client_memory(self.client)

    def close_after_reply(self) -> None:
        """Takes no further requests; closes when all replies are sent."""
        self.client.closing = True
        if self.client.fd >= 0:
            client_touch_output(self.hub, self.client)

    def kill(self) -> None:
        """Closes at the end of this turn, whatever waits to be sent."""
        if self.client.fd >= 0:
            client_doom(self.hub, self.client)


cdef uint64_t client_memory(Client *client) noexcept nogil:
    return (
        sizeof(Client) + client.capacity + client.frame.capacity * sizeof(client.frame.spans[0])
        + client.slots_capacity * sizeof(Slot) + client.output.memory
    )
