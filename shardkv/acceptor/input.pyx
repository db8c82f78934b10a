"""The room of a client's input: see input.pxd."""
from libc.stdlib cimport free, realloc
from libc.string cimport memmove

from shardkv.acceptor.client cimport INPUT_BYTES, INPUT_KEEP, INPUT_STREAM
from shardkv.acceptor.parser cimport frame_free, frame_wanted

cdef enum:
    BULK_STEP = 1048576       # bytes of an announced argument for which memory is taken before they come
    IDLE_MS = 2000            # a connection idle this long gives its buffers back


cdef bint resize(Client *client, uint64_t capacity) noexcept nogil:
    cdef char *data = <char *>realloc(client.input, capacity)
    if data == NULL:
        return False
    client.input = data
    client.capacity = capacity
    return True


cdef void free_buffer(Client *client) noexcept nogil:
    free(client.input)
    client.input = NULL
    client.capacity = 0


cdef bint input_make_room(Client *client) noexcept nogil:
    cdef uint64_t held = client.length - client.start
    cdef uint64_t wanted = max(frame_wanted(&client.frame), held + 1)
    cdef uint64_t capacity = client.capacity
    if client.start and (client.start + wanted > capacity or client.length == capacity):
        memmove(client.input, client.input + client.start, held)
        client.start = 0
        client.length = held
    if wanted > capacity:
        capacity = 2 * held
        if wanted > held + 1:  # an argument's length is announced: all it needs, or a step towards it
            capacity = min(wanted, max(<uint64_t>BULK_STEP, capacity))
        capacity = max(<uint64_t>INPUT_BYTES, capacity)
    elif held == 0 and client.peak == capacity and capacity < INPUT_STREAM:
        capacity = INPUT_STREAM
    return capacity <= client.capacity or resize(client, capacity)


cdef uint64_t input_to_read(Client *client) noexcept nogil:
    cdef uint64_t room = client.capacity - client.length, held = client.length - client.start
    cdef uint64_t wanted = frame_wanted(&client.frame)
    if wanted > INPUT_STREAM and wanted > held:
        return min(room, wanted - held)
    return room


cdef void input_consumed(Client *client) noexcept nogil:
    if client.start == client.length:
        client.start = client.length = 0
        if client.capacity > INPUT_KEEP:
            free_buffer(client)


cdef void input_shrink(Client *client, int64_t idle_ms) noexcept nogil:
    if client.length or client.input == NULL or client.ready:
        return
    if idle_ms > IDLE_MS:
        free_buffer(client)
        frame_free(&client.frame)
    elif client.capacity > 2 * INPUT_BYTES and client.peak < client.capacity // 2:
        resize(client, max(<uint64_t>INPUT_BYTES, client.peak))
    client.peak = 0
