"""One client: see client.pxd."""
from libc.stdint cimport UINT64_MAX, uint8_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memchr, memset

from shardkv.acceptor.join cimport Join, join_add, join_finish, join_free
from shardkv.acceptor.multi cimport multi_clear, multi_memory, multi_release, multi_unwatch
from shardkv.acceptor.output cimport output_append, output_append_payload, output_free, payload_copy, payload_free
from shardkv.acceptor.parser cimport Span, frame_free, frame_reset
from shardkv.stats cimport COMMANDS_PROCESSED, ERROR_REPLIES, WATCHED_KEYS, WATCHING_CLIENTS

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
        if client.slots[index].state in (SLOT_HELD, SLOT_ARRIVED):
            payload_free(&client.slots[index].payload)
        elif client.slots[index].state == SLOT_JOIN:
            join_free(client.slots[index].join)
    free(client.slots)
    client.slots = NULL
    client.slots_capacity = client.marked = 0
    client.held = 0
    output_free(&client.output)
    if client.multi != NULL:
        multi_release(client.multi)
        client.multi = NULL


cdef uint64_t client_memory(Client *client) noexcept nogil:
    return (
        sizeof(Client) + client.capacity + client.frame.capacity * sizeof(client.frame.spans[0])
        + client.slots_capacity * sizeof(Slot) + client.output.memory + client.held
        + (multi_memory(client.multi) if client.multi != NULL else 0)
        + client.waiter_bytes
    )


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
        hub.dirty_clients += 1


cdef void client_doom(Hub *hub, Client *client) noexcept nogil:
    client.doomed = True
    client_touch_output(hub, client)


cdef void client_hold(Hub *hub, Client *client, uint64_t length) noexcept nogil:
    client.held += length
    client_touch_output(hub, client)


# -- the request at hand

cdef bytes frame_argument(Client *client, uint32_t index, uint64_t longest):
    cdef Span *span = &client.frame.spans[index]
    cdef const char *data = frame_bytes(client) + span.offset
    return data[:min(span.length, longest)]


cdef list frame_arguments(Client *client):
    cdef uint32_t index
    return [frame_argument(client, index, UINT64_MAX) for index in range(client.frame.argc)]


# -- transactions

cdef void client_shrink_multi(Client *client) noexcept nogil:
    if client.multi != NULL and not client.in_multi and client.multi.watched_count == 0 and client.weaver == NULL:
        multi_release(client.multi)
        client.multi = NULL


cdef void client_forget_multi(Hub *hub, Client *client) noexcept nogil:
    client.in_multi = False
    if client.multi != NULL:
        client_unwatch(hub, client)
        multi_clear(client.multi)


cdef void client_unwatch(Hub *hub, Client *client) noexcept nogil:
    if client.multi != NULL and client.multi.watched_count:
        hub.counters[<int>WATCHING_CLIENTS] -= 1
        hub.counters[<int>WATCHED_KEYS] -= client.multi.watched_count
        multi_unwatch(client.multi)


# -- order

cdef Slot *marked_slot(Client *client, uint64_t sequence) noexcept nogil:
    """The slot of a request, NULL when it is not marked."""
    cdef Slot *slot
    if sequence - client.next_reply >= client.slots_capacity:
        return NULL
    slot = &client.slots[sequence & (client.slots_capacity - 1)]
    return slot if slot.state != SLOT_EMPTY else NULL


cdef Slot *mark(Client *client, uint64_t sequence, SlotState state) noexcept nogil:
    """The slot of a request, now in `state`; NULL: no memory."""
    cdef Slot *slot
    if sequence - client.next_reply >= client.slots_capacity and not grow_slots(client, sequence - client.next_reply):
        return NULL
    slot = &client.slots[sequence & (client.slots_capacity - 1)]
    if slot.state == SLOT_EMPTY:
        client.marked += 1
    slot.state = <uint8_t>state
    return slot


cdef void unmark(Client *client, Slot *slot) noexcept nogil:
    memset(slot, 0, sizeof(Slot))
    client.marked -= 1


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


cdef uint64_t client_number_request(Hub *hub, Client *client) noexcept nogil:
    cdef uint64_t sequence = client.next_request
    client.next_request += 1
    hub.counters[<int>COMMANDS_PROCESSED] += 1
    return sequence


cdef uint64_t client_accept(Hub *hub, Client *client) noexcept nogil:
    cdef uint64_t sequence = client_number_request(hub, client)
    if client.reply_mode != REPLY_ON:
        client_mute(hub, client, sequence)
        if client.reply_mode == REPLY_SKIP:
            client.reply_mode = REPLY_ON
    return sequence


cdef void client_mute(Hub *hub, Client *client, uint64_t sequence) noexcept nogil:
    if mark(client, sequence, SLOT_MUTED) == NULL:
        client_doom(hub, client)


cdef bint client_is_muted(Client *client, uint64_t sequence) noexcept nogil:
    cdef Slot *slot = marked_slot(client, sequence)
    return slot != NULL and slot.state == SLOT_MUTED


cdef bint client_begin_join(Client *client, uint64_t sequence, Join *join) noexcept nogil:
    cdef Slot *slot = mark(client, sequence, SLOT_JOIN)
    if slot == NULL:
        return False
    slot.join = join
    return True


cdef uint64_t client_await_reply(Hub *hub, Client *client) noexcept nogil:
    cdef uint64_t sequence
    client.waiting = WAIT_TRANSACTION
    if client.again:
        client.again = False
        return client.next_request - 1
    client.attempts = 0
    sequence = client_number_request(hub, client)
    if client.reply_mode == REPLY_SKIP:
        client.reply_mode = REPLY_SKIPPING
    if mark(client, sequence, SLOT_AWAITED) == NULL:
        client_doom(hub, client)
    return sequence


cdef bint client_take_reply(Client *client, Payload *reply) noexcept nogil:
    # The slot stays as it is: a second reply is dropped.
    cdef Slot *slot = marked_slot(client, client.next_request - 1)
    if slot == NULL or slot.state != SLOT_ARRIVED or slot.payload.bytes == NULL:
        return False
    reply[0] = slot.payload
    client.held -= reply.length
    memset(&slot.payload, 0, sizeof(Payload))
    return True


cdef void client_answer(Hub *hub, Client *client, Payload *reply) noexcept nogil:
    if client.reply_mode != REPLY_ON:
        payload_free(reply)
        memset(reply, 0, sizeof(Payload))
    if client.reply_mode == REPLY_SKIPPING:
        client.reply_mode = REPLY_ON
    client_answer_anyway(hub, client, reply)


cdef void client_answer_anyway(Hub *hub, Client *client, Payload *reply) noexcept nogil:
    cdef Slot *slot = marked_slot(client, client.next_request - 1)
    if slot != NULL:
        unmark(client, slot)
    client_resume(hub, client)
    deliver_payload(hub, client, client.next_request - 1, reply)


cdef void deliver(Hub *hub, Client *client, uint64_t sequence, const char *data, uint64_t length) noexcept nogil:
    cdef Payload payload
    if client.marked == 0 and sequence == client.next_reply:
        if length and data[0] == c'-':
            client_count_error(hub, data, length)
        client.next_reply += 1
        if not output_append(&client.output, data, length):
            client.doomed = True
        client_touch_output(hub, client)
    elif payload_copy(&payload, data, length):
        deliver_payload(hub, client, sequence, &payload)
    else:
        client_doom(hub, client)


cdef void deliver_payload(Hub *hub, Client *client, uint64_t sequence, Payload *payload) noexcept nogil:
    cdef Slot *slot = marked_slot(client, sequence)
    if slot != NULL and slot.state in (SLOT_HELD, SLOT_ARRIVED):
        payload_free(payload)  # a second reply to one request: dropped
        return
    if is_awaiting(client, sequence):
        keep_reply(hub, client, sequence, payload, SLOT_ARRIVED)
        client_enqueue(hub, client)
        return
    if payload.length and payload.bytes[0] == c'-':
        client_count_error(hub, payload.bytes, payload.length)
    if slot != NULL and slot.state == SLOT_MUTED:
        payload_free(payload)
        memset(payload, 0, sizeof(Payload))
    keep_reply(hub, client, sequence, payload, SLOT_HELD)
    send_on(hub, client)


cdef void keep_reply(Hub *hub, Client *client, uint64_t sequence, Payload *payload, SlotState state) noexcept nogil:
    cdef Slot *slot = mark(client, sequence, state)
    if slot == NULL:
        payload_free(payload)
        client_doom(hub, client)
        return
    slot.payload = payload[0]
    slot.join = NULL
    client_hold(hub, client, payload.length)


cdef void deliver_part(Hub *hub, Client *client, uint64_t sequence, uint32_t part, Payload *payload) noexcept nogil:
    cdef Slot *slot = marked_slot(client, sequence)
    cdef Join *join
    cdef bint joined, complete
    cdef uint64_t before
    if slot == NULL or slot.state != SLOT_JOIN:
        deliver_payload(hub, client, sequence, payload)
        return
    join = slot.join
    before = join.held
    complete = join_add(join, part, payload)
    client_hold(hub, client, join.held - before)
    if not complete:
        return
    client.held -= join.held
    joined = join_finish(join, payload)
    join_free(join)
    unmark(client, slot)
    if joined:
        deliver_payload(hub, client, sequence, payload)
    else:
        client_doom(hub, client)


cdef void send_on(Hub *hub, Client *client) noexcept nogil:
    """Moves the replies whose turn has come to the output."""
    cdef Slot *slot
    while client.marked:
        slot = marked_slot(client, client.next_reply)
        if slot == NULL or slot.state != SLOT_HELD:
            break
        client.held -= slot.payload.length
        if not output_append_payload(&client.output, &slot.payload):
            client.doomed = True
        unmark(client, slot)
        client.next_reply += 1
        client_touch_output(hub, client)


cdef void client_count_error(Hub *hub, const char *data, uint64_t length) noexcept with gil:
    cdef const char *end = <const char *>memchr(data, c'\r', min(length, <uint64_t>ERROR_CODE_MAX))
    cdef bytes word
    cdef uint64_t size
    hub.counters[<int>ERROR_REPLIES] += 1
    size = <uint64_t>(end - data) if end != NULL else min(length, <uint64_t>ERROR_CODE_MAX)
    word = data[1:size].split(b" ")[0]
    if word in error_counts or len(error_counts) < ERROR_KINDS_MAX:
        error_counts[word] = error_counts.get(word, 0) + 1
